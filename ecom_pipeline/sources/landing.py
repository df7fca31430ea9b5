"""Loading landing: every row of every new or changed file into the raw tables, each file with its ledger entry.

Rows that cannot be parsed go to quarantine; files that cannot be read are refused; all others go on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path

import duckdb
import pyarrow as pa

from ecom_pipeline.contracts import Table
from ecom_pipeline.contracts import table as table_contract
from ecom_pipeline.sources import ledger
from ecom_pipeline.sources.expressions import checked_expression
from ecom_pipeline.sources.file_ids import assign
from ecom_pipeline.sources.files import (
    FileRefusedError,
    Fingerprint,
    LandingFile,
    Source,
    find_files,
    fingerprint,
    refuse_outside,
    sources_of,
)
from ecom_pipeline.sources.line_numbers import RowLines, lines_of_rows
from ecom_pipeline.sources.profile import FileSet, Lookup, SourceProfile
from ecom_pipeline.sources.readers import (
    FILENAME_COLUMN,
    ROW_COLUMN,
    TEXT_COLUMN,
    Layout,
    compression_and_layout,
    literal,
    quoted,
    read_statement,
)
from ecom_pipeline.warehouse import Warehouse

Progress = Callable[[str], None]

BATCH_BYTES = 512 << 20
BATCH_FILES = 500
_REJECTS = "landing_rejects"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one look at landing did."""

    files_found: int = 0
    files_loaded: int = 0
    files_unchanged: int = 0
    files_removed: int = 0
    rows_in: int = 0
    rows_unreadable: int = 0
    refused: tuple[tuple[str, str], ...] = field(default=())
    """Path and error of each file that stands refused, from this look or an earlier one."""
    deferred: tuple[str, ...] = field(default=())
    """Paths of files that changed while they were read; the next look takes them."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    file: LandingFile
    file_id: int
    known: ledger.Entry | None
    compression: str
    layout: Layout
    seen: Fingerprint


class _ChangedWhileReadError(Exception):
    """A file was written to while it was read."""


def load_landing(
    warehouse: Warehouse,
    *,
    landing: Path,
    profile: SourceProfile,
    run_id: str,
    on_progress: Progress | None = None,
) -> LoadReport:
    """Load what is new or changed in landing into the raw tables.

    Each file is loaded in one transaction with its ledger entry; small files share one. Files known by size and time,
    or by their contents, are passed over. A changed file replaces its own raw rows and waits for `update_core`.

    Raises:
        WarehouseError, duckdb.Error: if the warehouse itself fails; nothing of the batch at work is kept then.
    """
    sources = sources_of(profile)
    _forget_changed_dialects(warehouse, sources)
    for source in sources:
        _create_raw_table(warehouse, source)
    known = ledger.entries(warehouse)
    found = find_files(landing, sources)
    report = LoadReport(files_found=len(found))

    gone = [entry.file_id for key, entry in known.items() if key not in {(f.source.feed, f.path) for f in found}]
    newly_gone = [entry.file_id for entry in known.values() if entry.file_id in set(gone) and entry.status == "loaded"]
    ledger.mark_removed(warehouse, newly_gone)
    report = replace(report, files_removed=len(newly_gone))

    file_ids = _file_ids(warehouse, found, known)
    candidates: list[_Candidate] = []
    for file in found:
        entry = known.get((file.source.feed, file.path))
        if entry is not None and entry.status != "removed" and ledger.is_unchanged(entry, file):
            report = _unchanged(report, entry)
            continue
        candidate = _look_at(
            warehouse, file, entry, file_id=file_ids[(file.source.feed, file.path)], landing=landing, run_id=run_id
        )
        if isinstance(candidate, str):
            report = replace(report, refused=(*report.refused, (file.path, candidate)))
        elif candidate is None:
            assert entry is not None  # noqa: S101 - only known files can have the contents that are known
            report = _unchanged(report, entry)
        else:
            candidates.append(candidate)

    done = 0
    for batch in _batches(candidates):
        report = _load(warehouse, batch, report, run_id=run_id)
        done += len(batch)
        if on_progress is not None:
            on_progress(f"raw {batch[0].file.source.feed}: {done} of {len(candidates)} files, {report.rows_in:,} rows")
    return report


def _file_ids(
    warehouse: Warehouse, found: Sequence[LandingFile], known: dict[tuple[str, str], ledger.Entry]
) -> dict[tuple[str, str], int]:
    """Numbers of all files found, new ones included; files are known by feed and path."""
    given = assign(
        warehouse, [(file.source.feed, file.path) for file in found if (file.source.feed, file.path) not in known]
    )
    return {key: entry.file_id for key, entry in ledger.entries(warehouse).items()} | given


def _unchanged(report: LoadReport, entry: ledger.Entry) -> LoadReport:
    if entry.status == "refused":
        return replace(report, refused=(*report.refused, (entry.path, entry.error or "")))
    return replace(report, files_unchanged=report.files_unchanged + 1)


def _look_at(
    warehouse: Warehouse, file: LandingFile, known: ledger.Entry | None, *, file_id: int, landing: Path, run_id: str
) -> _Candidate | str | None:
    """What to load; the error if the file is refused; None if its contents are those that the ledger knows."""
    sha256 = ""
    try:
        refuse_outside(file, landing)
        compression, layout = compression_and_layout(file)
        seen = fingerprint(file, compression)
        sha256 = seen.sha256
        if known is not None and known.sha256 == sha256 and known.status != "refused":
            ledger.touch(warehouse, file, known)
            return None
        if seen.has_nul and file.source.files.csv.encoding != "utf-16":
            raise FileRefusedError(
                f"{file.path}: the file holds NUL bytes; it is damaged or in another encoding (see csv.encoding)"
            )
    except FileRefusedError as error:
        ledger.refuse(warehouse, file, file_id=file_id, known=known, sha256=sha256, run_id=run_id, error=str(error))
        return str(error)
    return _Candidate(file, file_id, known, compression, layout, seen)


def _batches(candidates: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    """Files of one source and one layout together, up to a size that one transaction carries well."""
    groups: dict[tuple[str, int, Layout], list[_Candidate]] = {}
    for candidate in candidates:
        source = candidate.file.source
        groups.setdefault((source.feed, source.index, candidate.layout), []).append(candidate)
    for group in groups.values():
        batch: list[_Candidate] = []
        for candidate in group:
            size = sum(other.file.bytes for other in batch)
            if batch and (len(batch) >= BATCH_FILES or size + candidate.file.bytes > BATCH_BYTES):
                yield batch
                batch = []
            batch.append(candidate)
        yield batch


def _load(warehouse: Warehouse, batch: Sequence[_Candidate], report: LoadReport, *, run_id: str) -> LoadReport:
    """Load a batch; if it fails as a whole, each of its files alone, so that only the culprit is refused."""
    try:
        with warehouse.transaction():
            rows_in, unreadable = _load_together(warehouse, batch, run_id=run_id)
    except (
        duckdb.InvalidInputException,
        duckdb.IOException,
        duckdb.ConversionException,
        _ChangedWhileReadError,
    ) as error:
        if len(batch) > 1:
            for candidate in batch:
                report = _load(warehouse, [candidate], report, run_id=run_id)
            return report
        (candidate,) = batch
        if isinstance(error, _ChangedWhileReadError):
            return replace(report, deferred=(*report.deferred, candidate.file.path))
        message = f"{candidate.file.path}: cannot be read: {_first_line(error)}; mend the file and send it again"
        ledger.refuse(
            warehouse,
            candidate.file,
            file_id=candidate.file_id,
            known=candidate.known,
            sha256=candidate.seen.sha256,
            run_id=run_id,
            error=message,
        )
        return replace(report, refused=(*report.refused, (candidate.file.path, message)))
    finally:
        _drop_temporary(warehouse)
    return replace(
        report,
        files_loaded=report.files_loaded + len(batch),
        rows_in=report.rows_in + rows_in,
        rows_unreadable=report.rows_unreadable + unreadable,
    )


def _load_together(warehouse: Warehouse, batch: Sequence[_Candidate], *, run_id: str) -> tuple[int, int]:
    connection = warehouse.connection
    source, layout = batch[0].file.source, batch[0].layout
    sql, paths = read_statement([candidate.file for candidate in batch], layout, rejects=_REJECTS)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS {sql}", [paths]).fetchall()
    of_feed = _is_of_feed(source)
    # a batch of one file, which may be large, carries no names: comparing them would cost more than reading the rows
    name = FILENAME_COLUMN if len(batch) > 1 else literal(str(batch[0].file.absolute))
    counts = {
        name: (first, rows, wanted)
        for name, first, rows, wanted in connection.execute(
            f"SELECT {name}, min(rowid), count(*), count(*) FILTER ({of_feed}) FROM incoming GROUP BY 1"
        ).fetchall()
    }
    rejected = _rejected_rows(warehouse, batch)
    for candidate in batch:
        status = candidate.file.absolute.stat()
        if status.st_size != candidate.file.bytes or status.st_mtime_ns // 1000 != _microseconds(candidate.file):
            raise _ChangedWhileReadError

    add_raw_columns(warehouse, source.raw_table, layout.columns)
    _remove_raw_rows(warehouse, source, [candidate.file_id for candidate in batch if candidate.known is not None])
    file_rows: list[tuple[str, int, int]] = []
    irregular: list[pa.Table] = []
    loaded: list[ledger.Loaded] = []
    unreadable: list[tuple[int, int, str, str]] = []
    for candidate in batch:
        name = str(candidate.file.absolute)
        first, rows, wanted = counts.get(name, (0, 0, 0))
        bad = rejected.get(name, [])
        file_rows.append((name, candidate.file_id, layout.first_line - first))
        lines = _lines_if_irregular(candidate, rows=rows, rejected=[number for number, _, _ in bad])
        if lines is not None:
            irregular.append(
                pa.table({"row_number": pa.array(range(first, first + rows), pa.int64()), "line": lines.of_rows})
            )
            bad = [(int(line), text, why) for line, (_, text, why) in zip(lines.of_rejected, bad, strict=True)]
        unreadable += [(candidate.file_id, *row) for row in bad]
        loaded.append(
            ledger.Loaded(
                file=candidate.file,
                file_id=candidate.file_id,
                sha256=candidate.seen.sha256,
                rows_in=wanted + len(bad),
                rows_unreadable=len(bad),
            )
        )
    _quarantine_unreadable(warehouse, source, unreadable, run_id=run_id)
    ledger.put(warehouse, loaded, run_id=run_id)
    _insert_raw(warehouse, source, layout, file_rows, irregular)
    return sum(file.rows_in for file in loaded), sum(file.rows_unreadable for file in loaded)


def _insert_raw(
    warehouse: Warehouse,
    source: Source,
    layout: Layout,
    file_rows: list[tuple[str, int, int]],
    irregular: list[pa.Table],
) -> None:
    connection = warehouse.connection
    names, ids, offsets = zip(*file_rows, strict=True)
    files = pa.table({"name": pa.array(names), "file_id": pa.array(ids, pa.int32()), "line_offset": pa.array(offsets)})
    columns = ", ".join(quoted(name) for name in layout.columns)
    values = ", ".join(f"incoming.{quoted(name)}" for name in layout.columns)
    file_id, offset = (
        ("batch_files.file_id", "batch_files.line_offset") if len(ids) > 1 else (str(ids[0]), str(offsets[0]))
    )
    line = f"incoming.rowid + ({offset})"
    if source.files.format == "parquet":
        line = f"incoming.{ROW_COLUMN} + 1"
    join = f"JOIN batch_files ON batch_files.name = incoming.{FILENAME_COLUMN}" if len(ids) > 1 else ""
    if irregular:
        connection.register("batch_lines", pa.concat_tables(irregular))
        join += " LEFT JOIN batch_lines ON batch_lines.row_number = incoming.rowid"
        line = f"COALESCE(batch_lines.line, {line})"
    connection.register("batch_files", files)
    try:
        connection.execute(
            f"INSERT INTO {source.raw_table} (_file_id, _line, {columns}) "
            f"SELECT {file_id}, {line}, {values} FROM incoming {join} WHERE {_is_of_feed(source)}"
        ).fetchall()
    finally:
        connection.unregister("batch_files")
        if irregular:
            connection.unregister("batch_lines")


def _rejected_rows(warehouse: Warehouse, batch: Sequence[_Candidate]) -> dict[str, list[tuple[int, str, str]]]:
    """By file: number of the record in it (from 1), the row's text, and what is wrong, in order."""
    if batch[0].file.source.files.format == "parquet":
        return {}
    rows = warehouse.connection.execute(
        f"SELECT scans.file_path, errors.line, any_value(errors.csv_line), min(errors.error_message) "
        f"FROM {_REJECTS}_errors AS errors JOIN {_REJECTS}_scans AS scans USING (scan_id, file_id) "
        "GROUP BY ALL ORDER BY scans.file_path, errors.line"
    ).fetchall()
    by_file: dict[str, list[tuple[int, str, str]]] = {}
    for path, number, text, message in rows:
        by_file.setdefault(path, []).append((number, text or "", message))
    return by_file


def _lines_if_irregular(candidate: _Candidate, *, rows: int, rejected: list[int]) -> RowLines | None:
    """Physical lines of the rows, where counting rows does not give them: line breaks in quotes, bad or blank lines."""
    source, seen = candidate.file.source, candidate.seen
    if source.files.format == "parquet":
        return None
    breaks = seen.newlines or seen.carriage_returns
    lines_in_file = breaks + (0 if seen.ends_with_newline else 1)
    if not rejected and lines_in_file == rows + candidate.layout.first_line - 1:
        return None
    return lines_of_rows(
        candidate.file,
        candidate.compression,
        candidate.layout,
        rows=rows,
        rejected=rejected,
        line_break=b"\n" if seen.newlines else b"\r",
    )


def _quarantine_unreadable(
    warehouse: Warehouse, source: Source, rows: list[tuple[int, int, str, str]], *, run_id: str
) -> None:
    """Rows are file number, line, text and what is wrong."""
    if not rows:
        return
    file_ids, lines, texts, reasons = zip(*rows, strict=True)
    table = pa.table(
        {
            "file_id": pa.array(file_ids, pa.int32()),
            "line": pa.array(lines, pa.int64()),
            "rule": [UNREADABLE] * len(rows),
            "reason": reasons,
            "raw": texts,
            "run_id": [run_id] * len(rows),
        }
    )
    warehouse.append_from_arrow(_quarantine_contract(source), table)


def _quarantine_contract(source: Source) -> Table:
    return table_contract("quarantine_lookups" if isinstance(source.files, Lookup) else f"quarantine_{source.feed}")


def _is_of_feed(source: Source) -> str:
    """SQL condition of the rows of `incoming` that are rows of the feed: blank lines of JSON Lines files are none."""
    if source.files.format == "jsonl":
        return f"{TEXT_COLUMN} IS NOT NULL"
    if source.files.only is None:
        return "TRUE"
    return f"COALESCE(TRY({checked_expression(source.files.only).wrapped}), FALSE)"


def _remove_raw_rows(warehouse: Warehouse, source: Source, file_ids: list[int]) -> None:
    if not file_ids:
        return
    listed = ", ".join(map(str, file_ids))
    warehouse.run(f"DELETE FROM {source.raw_table} WHERE _file_id IN ({listed})")
    warehouse.run(
        f"DELETE FROM {_quarantine_contract(source).name} WHERE file_id IN ({listed}) AND rule = '{UNREADABLE}'"
    )


def _create_raw_table(warehouse: Warehouse, source: Source) -> None:
    warehouse.connection.execute(
        f"CREATE TABLE IF NOT EXISTS {source.raw_table} (_file_id INTEGER, _line BIGINT)"
    ).fetchall()
    needed = (TEXT_COLUMN,) if source.files.format == "jsonl" else source.needed_columns
    add_raw_columns(warehouse, source.raw_table, needed)


def add_raw_columns(warehouse: Warehouse, name: str, columns: Sequence[str]) -> None:
    """Give a raw table the columns of a file that it does not have yet."""
    for column in columns:
        warehouse.connection.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(column)} VARCHAR").fetchall()


def _forget_changed_dialects(warehouse: Warehouse, sources: Sequence[Source]) -> None:
    """Load a feed anew if the profile now says something else of how its files are written."""
    state = ledger.state(warehouse)
    for feed in sorted({source.feed for source in sources}):
        of_feed = [source for source in sources if source.feed == feed]
        wanted = ledger.fingerprint_of(
            *(
                (source.folder, FileSet(**source.files.model_dump(include=set(FileSet.model_fields))))
                for source in of_feed
            ),
            *(source.needed_columns for source in of_feed),
        )
        part = f"raw_{feed}"
        if state.get(part) == wanted:
            continue
        with warehouse.transaction():
            # neither size nor contents are those of any file, so that all are looked at again
            warehouse.run("UPDATE ingest_files SET bytes = -1, sha256 = '' WHERE feed = :feed", {"feed": feed})
            ledger.set_state(warehouse, part, wanted)


def _drop_temporary(warehouse: Warehouse) -> None:
    for name in ("incoming", f"{_REJECTS}_errors", f"{_REJECTS}_scans"):
        warehouse.connection.execute(f"DROP TABLE IF EXISTS temp.{name}").fetchall()


def _microseconds(file: LandingFile) -> int:
    return round(file.modified_at.replace(tzinfo=UTC).timestamp() * 1e6)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")
