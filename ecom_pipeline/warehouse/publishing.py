"""Publishing: a new DuckDB file for analysts, built beside the old one and put in its place in one atomic step.

Readers that have the old file open keep it until they reconnect; a new reader gets the new one. Whatever interrupts
the building, the old file stays as it is, and the next publishing clears what was left behind.
"""

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from ecom_pipeline.contracts import PUBLISHED_TABLES, Table, comment_statements, create_statement, literal, table
from ecom_pipeline.warehouse.duckdb_engine import STORAGE_VERSION, Warehouse, WarehouseError

DATABASE = "publication"


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published: rows by table, the nights that are kept, size in bytes, time in seconds."""

    target: Path
    rows: dict[str, int]
    nights: tuple[date, ...]
    bytes: int
    seconds: float


def publish(
    warehouse: Warehouse, *, target: Path, keep_nights: int, profile: str | None = None, is_synthetic: bool = False
) -> PublishReport:
    """Copy all published tables, with comments, to a new file and put it at `target` atomically.

    Of tables with an `as_of` column the rows of the latest `keep_nights` nights are copied. Rows lie in the order of
    the table's key. `profile` and `is_synthetic` go into the table `about`.

    Raises:
        WarehouseError: inside a transaction (it would publish what may be rolled back), or if `target` is no file.
    """
    if warehouse.in_transaction:
        raise WarehouseError("publish() was called inside a transaction; commit first, then publish")
    if target.exists() and not target.is_file():
        raise WarehouseError(f"{target}: is not a file; move it away, the published results go there")
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_publisher(target):
        _clear_leftovers(target)
        nights = _nights_to_keep(warehouse, keep_nights)
        _describe(warehouse, nights=nights, profile=profile, is_synthetic=is_synthetic)
        building = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.building")
        try:
            rows = _build(warehouse, building, first_night=nights[0] if nights else None)
            if target.exists():
                shutil.copymode(target, building)
            _sync(building)
            size = building.stat().st_size
            building.replace(target)
            _sync(target.parent)
        finally:
            _clear_leftovers(target)
    return PublishReport(
        target=target, rows=rows, nights=nights, bytes=size, seconds=round(time.monotonic() - started, 3)
    )


@contextmanager
def _only_publisher(target: Path) -> Iterator[None]:
    """Wait for any other process that publishes to the same target; the kernel frees the lock of a dead one."""
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear_leftovers(target: Path) -> None:
    """Remove what a publishing that died left behind; the lock is held, so none is being built."""
    for leftover in target.parent.glob(f".{target.name}.*.building*"):
        leftover.unlink(missing_ok=True)


def _nights_to_keep(warehouse: Warehouse, keep_nights: int) -> tuple[date, ...]:
    """The latest nights that any table kept by night has, in order."""
    of_tables = " UNION ".join(
        f"SELECT DISTINCT as_of FROM {declared.name}" for declared in PUBLISHED_TABLES.values() if declared.by_night
    )
    found = warehouse.rows(
        f"SELECT as_of FROM ({of_tables}) AS nights WHERE as_of IS NOT NULL "
        f"ORDER BY as_of DESC LIMIT {int(keep_nights)}"
    )
    return tuple(sorted(night for (night,) in found))


def _describe(warehouse: Warehouse, *, nights: tuple[date, ...], profile: str | None, is_synthetic: bool) -> None:
    warehouse.rebuild(
        table("about"),
        {
            "as_of": nights[-1] if nights else None,
            "first_night": nights[0] if nights else None,
            "nights": len(nights),
            "published_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            "code_version": version("ecom-pipeline"),
            "profile": profile,
            "is_synthetic": is_synthetic,
        },
        sql="""
        SELECT CAST(:as_of AS DATE) AS as_of, CAST(:first_night AS DATE) AS first_night, :nights AS nights,
               CAST(:published_at AS TIMESTAMP) AS published_at, :code_version AS code_version,
               CAST(:profile AS VARCHAR) AS profile, :is_synthetic AS is_synthetic
        """,
    )


def _build(warehouse: Warehouse, file: Path, *, first_night: date | None) -> dict[str, int]:
    connection = warehouse.connection
    connection.execute(f"ATTACH {literal(str(file))} AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        rows = {
            name: _copy(warehouse, declared, name, first_night=first_night)
            for name, declared in PUBLISHED_TABLES.items()
        }
        connection.execute(f"CHECKPOINT {DATABASE}")
    finally:
        connection.execute(f"DETACH {DATABASE}")
    return rows


def _copy(warehouse: Warehouse, declared: Table, name: str, *, first_night: date | None) -> int:
    target = f"{DATABASE}.{name}"
    warehouse.connection.execute(create_statement(declared, name=target))
    columns = ", ".join(declared.column_names)
    kept = ""
    if "as_of" in declared.column_names and first_night is not None:
        kept = f" WHERE as_of IS NULL OR as_of >= DATE '{first_night.isoformat()}'"
    order = f" ORDER BY {', '.join(declared.key)}" if declared.key else ""
    ((rows,),) = warehouse.connection.execute(
        f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {declared.name}{kept}{order}"
    ).fetchall()
    for statement in comment_statements(declared, name=target):
        warehouse.connection.execute(statement)
    return int(rows)


def _sync(path: Path) -> None:
    """Have the file's contents, or the folder's entries, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
