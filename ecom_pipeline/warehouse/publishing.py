"""Publishing: a new DuckDB file for analysts, built beside the old one and put in its place in one atomic step.

Readers that have the old file open keep it until they reconnect; a new reader gets the new one. Whatever interrupts
the building, the old file stays as it is, and the next publishing clears what was left behind.
"""

import fcntl
import glob
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

import ecom_pipeline
from ecom_pipeline.contracts import PUBLISHED_TABLES, Table, comment_statements, create_statement, literal, table
from ecom_pipeline.privacy.pseudonyms import pseudonyms
from ecom_pipeline.warehouse.duckdb_engine import STORAGE_VERSION, Warehouse, WarehouseError

DATABASE = "publication"
HASHED_USERS = "hashed_users"
QUOTING_COLUMNS = {
    "quarantine_summary": ("example",),
    "validation_results": ("examples",),
}
"""Columns that quote rows as they came, user ids and all."""
TOLD_OF_EVERY_RUN = frozenset({"validation_results", "runs"})
"""Published tables that speak of runs that only load files, and of nights that failed, too: they make no night."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published: rows by table, the nights that are kept, size in bytes, time in seconds."""

    target: Path
    rows: dict[str, int]
    nights: tuple[date, ...]
    bytes: int
    seconds: float


def publish(
    warehouse: Warehouse,
    *,
    target: Path,
    keep_nights: int,
    profile: str | None = None,
    is_synthetic: bool = False,
    hash_key: bytes | None = None,
    night: date | None = None,
    left_out: Collection[date] = (),
) -> PublishReport:
    """Copy all published tables, with comments, to a new file and put it at `target` atomically.

    Of tables with an `as_of` column the rows of the latest `keep_nights` nights are copied, and none of the nights
    `left_out`; `night` is the one that publishes, if it is one. Rows lie in the order of the table's key. `profile` and
    `is_synthetic` go into the table `about`. With a `hash_key`, keyed hashes stand for user ids, and rows of files that
    are quoted as examples are left out.

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
        nights = _nights_to_keep(warehouse, keep_nights, night=night, left_out=left_out)
        about = _about(nights=nights, profile=profile, is_synthetic=is_synthetic)
        building = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.building")
        try:
            rows = _build(
                warehouse,
                building,
                about=about,
                first_night=nights[0] if nights else None,
                left_out=left_out,
                hash_key=hash_key,
            )
            if target.exists():
                shutil.copymode(target, building)
            _sync(building)
            size = building.stat().st_size
            building.replace(target)
            _sync(target.parent)
        finally:
            _clear_leftovers(target)
        # Last, so that the warehouse never claims to have published what it did not.
        warehouse.rebuild_from_arrow(table("about"), about)
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
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.building*"):
        leftover.unlink(missing_ok=True)


def _nights_to_keep(
    warehouse: Warehouse, keep_nights: int, *, night: date | None, left_out: Collection[date]
) -> tuple[date, ...]:
    """The latest nights that any result kept by night has, in order."""
    of_tables = " UNION ".join(
        f"SELECT DISTINCT as_of FROM {declared.name}"
        for name, declared in PUBLISHED_TABLES.items()
        if declared.by_night and name not in TOLD_OF_EVERY_RUN
    )
    found = {row[0] for row in warehouse.rows(f"SELECT as_of FROM ({of_tables}) AS nights WHERE as_of IS NOT NULL")}
    if night is not None:
        found.add(night)
    return tuple(sorted(found.difference(left_out)))[-keep_nights:]


def _about(*, nights: tuple[date, ...], profile: str | None, is_synthetic: bool) -> pa.Table:
    return pa.table(
        {
            "as_of": pa.array([nights[-1] if nights else None], pa.date32()),
            "first_night": pa.array([nights[0] if nights else None], pa.date32()),
            "nights": pa.array([len(nights)], pa.int32()),
            "published_at": pa.array([datetime.now(UTC).replace(tzinfo=None)], pa.timestamp("us")),
            "code_version": pa.array([ecom_pipeline.__version__]),
            "profile": pa.array([profile], pa.string()),
            "is_synthetic": pa.array([is_synthetic]),
        }
    )


def _build(
    warehouse: Warehouse,
    file: Path,
    *,
    about: pa.Table,
    first_night: date | None,
    left_out: Collection[date],
    hash_key: bytes | None,
) -> dict[str, int]:
    connection = warehouse.connection
    if hash_key is not None:
        connection.register(HASHED_USERS, pseudonyms(_user_ids(warehouse), hash_key))
    connection.execute(f"ATTACH {literal(str(file))} AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
    connection.register("about_publication", about)
    try:
        with warehouse.transaction():  # one, and not one a comment: each would be synced to the disk
            rows = {
                name: _copy(
                    warehouse,
                    declared,
                    name,
                    source="about_publication" if name == "about" else declared.name,
                    first_night=first_night,
                    left_out=() if name in TOLD_OF_EVERY_RUN else left_out,
                    hashed=hash_key is not None,
                )
                for name, declared in PUBLISHED_TABLES.items()
            }
        connection.execute(f"CHECKPOINT {DATABASE}")
    finally:
        connection.unregister("about_publication")
        if hash_key is not None:
            connection.unregister(HASHED_USERS)
        connection.execute(f"DETACH {DATABASE}")
    return rows


def _user_ids(warehouse: Warehouse) -> list[str]:
    of_tables = " UNION ".join(
        f"SELECT user_id FROM {declared.name}"
        for declared in PUBLISHED_TABLES.values()
        if "user_id" in declared.column_names
    )
    return [row[0] for row in warehouse.rows(f"SELECT user_id FROM ({of_tables}) WHERE user_id IS NOT NULL")]


def _copy(
    warehouse: Warehouse,
    declared: Table,
    name: str,
    *,
    source: str,
    first_night: date | None,
    left_out: Collection[date],
    hashed: bool,
) -> int:
    target = f"{DATABASE}.{name}"
    warehouse.connection.execute(create_statement(declared, name=target))
    columns = ", ".join(declared.column_names)
    if hashed and "user_id" in declared.column_names:
        others = ", ".join(f"people.{column}" for column in declared.column_names if column != "user_id")
        source = (
            f"(SELECT hashed.hashed AS user_id, {others} FROM {source} AS people "
            f"LEFT JOIN {HASHED_USERS} AS hashed ON hashed.user_id = people.user_id)"
        )
    elif hashed and (quoted := QUOTING_COLUMNS.get(declared.name)):
        listed = ", ".join(f"NULL AS {column}" if column in quoted else column for column in declared.column_names)
        source = f"(SELECT {listed} FROM {source})"
    kept = ""
    if "as_of" in declared.column_names and first_night is not None:
        kept = f" WHERE (as_of IS NULL OR as_of >= DATE '{first_night.isoformat()}')"
        if left_out:
            listed = ", ".join(f"DATE '{night.isoformat()}'" for night in sorted(left_out))
            kept += f" AND coalesce(as_of NOT IN ({listed}), TRUE)"
    order = f" ORDER BY {', '.join(declared.key)}" if declared.key else ""
    ((rows,),) = warehouse.connection.execute(
        f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}{kept}{order}"
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
