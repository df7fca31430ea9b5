"""The ledger of files (ingest_files) and what the ingest was built with (ingest_state)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ecom_pipeline.contracts import table
from ecom_pipeline.sources.files import LandingFile
from ecom_pipeline.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger knows of one file."""

    file_id: int
    feed: str
    path: str
    bytes: int
    modified_at: datetime | None
    sha256: str
    status: str
    error: str | None
    loaded_at: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file whose rows have just been read, or that is refused."""

    file: LandingFile
    file_id: int
    sha256: str
    rows_in: int
    rows_unreadable: int


def utc_now() -> datetime:
    """Now, UTC without a zone, as the tables keep times."""
    return datetime.now(tz=UTC).replace(tzinfo=None)


def moment_of_loading(warehouse: Warehouse) -> datetime:
    """Now; just after the last moment that the warehouse knows if the clock was set back since.

    Which files are new since the last published night is told by when they were loaded, so those moments only rise.
    """
    last = warehouse.scalar(
        "SELECT max(moment) FROM (SELECT max(loaded_at) AS moment FROM ingest_files "
        "UNION ALL SELECT max(started_at) FROM runs) AS known"
    )
    now = utc_now()
    return now if last is None or now > last else last + timedelta(microseconds=1)


def entries(warehouse: Warehouse) -> dict[tuple[str, str], Entry]:
    """All entries, by feed and path."""
    rows = warehouse.rows(
        "SELECT file_id, feed, path, bytes, modified_at, sha256, status, error, loaded_at FROM ingest_files"
    )
    return {(row[1], row[2]): Entry(*row) for row in rows}


def is_unchanged(entry: Entry, file: LandingFile) -> bool:
    """Whether size and time say that the file is the one that the ledger knows.

    A file that was changed just before it was loaded may be changed again within the resolution of the clock, so such
    files are looked at again.
    """
    return (
        entry.bytes == file.bytes
        and entry.modified_at == file.modified_at
        and (entry.loaded_at - file.modified_at).total_seconds() > 2
    )


def put(warehouse: Warehouse, loaded: Sequence[Loaded], *, run_id: str) -> None:
    """Enter files whose raw rows have just been loaded; they are not in core yet."""
    listed = ", ".join(str(one.file_id) for one in loaded)
    warehouse.run(f"DELETE FROM ingest_files WHERE file_id IN ({listed})")
    _insert(warehouse, loaded, run_id=run_id, status="loaded", error=None)


def refuse(
    warehouse: Warehouse,
    file: LandingFile,
    *,
    file_id: int,
    known: Entry | None,
    sha256: str,
    run_id: str,
    error: str,
) -> None:
    """Enter a file that cannot be loaded. Rows of a former version of it stay as they are."""
    if known is None:
        refused = Loaded(file=file, file_id=file_id, sha256=sha256, rows_in=0, rows_unreadable=0)
        _insert(warehouse, [refused], run_id=run_id, status="refused", error=error)
        return
    warehouse.run(
        "UPDATE ingest_files SET status = 'refused', bytes = :bytes, modified_at = :modified_at, sha256 = :sha256, "
        "error = :error, run_id = :run_id, loaded_at = :now WHERE file_id = :file_id",
        {
            "bytes": file.bytes,
            "modified_at": file.modified_at,
            "sha256": sha256,
            "error": error,
            "run_id": run_id,
            "now": moment_of_loading(warehouse),
            "file_id": known.file_id,
        },
    )


def touch(warehouse: Warehouse, file: LandingFile, known: Entry) -> None:
    """Note that a known file with the same contents has another time, or is back."""
    warehouse.run(
        "UPDATE ingest_files SET modified_at = :modified_at, "
        "status = CASE WHEN status = 'removed' THEN 'loaded' ELSE status END WHERE file_id = :file_id",
        {"modified_at": file.modified_at, "file_id": known.file_id},
    )


def mark_removed(warehouse: Warehouse, file_ids: list[int]) -> None:
    """Note that files are no longer in landing; their rows are kept."""
    for file_id in file_ids:
        warehouse.run("UPDATE ingest_files SET status = 'removed' WHERE file_id = :file_id", {"file_id": file_id})


def state(warehouse: Warehouse) -> dict[str, str]:
    """What raw and core were built with."""
    return dict(warehouse.rows("SELECT part, value FROM ingest_state"))


def set_state(warehouse: Warehouse, part: str, value: str) -> None:
    """Note what a part is now built with."""
    with warehouse.transaction():
        warehouse.run("DELETE FROM ingest_state WHERE part = :part", {"part": part})
        warehouse.run("INSERT INTO ingest_state VALUES (:part, :value)", {"part": part, "value": value})


def _insert(warehouse: Warehouse, files: Sequence[Loaded], *, run_id: str, status: str, error: str | None) -> None:
    now = moment_of_loading(warehouse)
    declared = table("ingest_files")
    rows = [
        {
            "file_id": one.file_id,
            "feed": one.file.source.feed,
            "path": one.file.path,
            "bytes": one.file.bytes,
            "modified_at": one.file.modified_at,
            "sha256": one.sha256,
            "status": status,
            "rows_in": one.rows_in,
            "rows_core": 0,
            "rows_quarantined": one.rows_unreadable,
            "rows_duplicate": 0,
            "in_core": status == "refused",
            "error": error,
            "loaded_at": now,
            "run_id": run_id,
        }
        for one in files
    ]
    warehouse.append_from_arrow(declared, pa.Table.from_pylist(rows))
