"""Publishing: a new DuckDB file for analysts, built beside the old one and put in its place in one atomic step.

It is built from a copy of the old one where that is as it was put there: of results kept by night, and of tables by
user, only rows that were written since are written again. Readers that have the old file open keep it until they
reconnect; a new reader gets the new one. Whatever interrupts the building, the old file stays as it is, and the next
publishing clears what was left behind. How a table gets into the file is in published_tables.py.
"""

import fcntl
import glob
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

import ecom_pipeline
from ecom_pipeline.contracts import PUBLISHED_TABLES, literal, table
from ecom_pipeline.privacy.pseudonyms import pseudonyms
from ecom_pipeline.warehouse.duckdb_engine import STORAGE_VERSION, Warehouse, WarehouseError
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.published_tables import (
    DATABASE,
    HASHED_USERS,
    TOLD_OF_EVERY_RUN,
    Nights,
    Written,
    write_table,
)
from ecom_pipeline.warehouse.row_changes import Unread, forget_reading, is_followed, note_reading, unread


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What was published: rows by table, the nights that are kept, size in bytes, time in seconds."""

    target: Path
    rows: dict[str, int]
    written: int
    """Rows that were written; the others are those of the file before."""
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
    `left_out`; `night` is the one that publishes, if it is one. Rows lie in the order of the table's key; those that
    are written later (see row_changes.py) after them. `profile` and `is_synthetic` go into the table `about`. With a
    `hash_key`, keyed hashes stand for user ids, and rows of files that are quoted as examples are left out; such a file
    is always written as a whole.

    Raises:
        WarehouseError: inside a transaction (it would publish what may be rolled back), or if `target` is no file, or
            is damaged and seems to be as it was put there.
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
        changed: dict[str, Unread] = {}
        if hash_key is None and target.exists():
            changed = _changed_since(warehouse, _fingerprint(target))
        try:
            if changed:
                shutil.copyfile(target, building)
            written = _build(
                warehouse,
                building,
                about=about,
                nights=Nights(first=nights[0] if nights else None, left_out=frozenset(left_out)),
                changed=changed,
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
        with warehouse.transaction():
            warehouse.rebuild_from_arrow(table("about"), about)
            for declared in filter(is_followed, PUBLISHED_TABLES.values()):
                if hash_key is None:
                    whole = written[declared.published_as or declared.name].as_a_whole
                    after = None if whole else changed[declared.name]
                    note_reading(warehouse, declared, "publishing", read_with=_fingerprint(target), after=after)
                else:
                    forget_reading(warehouse, declared, "publishing")
    return PublishReport(
        target=target,
        rows={name: one.rows for name, one in written.items()},
        written=sum(one.written for one in written.values()),
        nights=nights,
        bytes=size,
        seconds=round(time.monotonic() - started, 3),
    )


def _fingerprint(published: Path) -> str:
    """Of the file as it lies there: who wrote to it, or put another in its place, changed it."""
    found = published.stat()
    return fingerprint_of(ecom_pipeline.__version__, PUBLISHED_TABLES, found.st_size, found.st_mtime_ns)


def _changed_since(warehouse: Warehouse, fingerprint: str) -> dict[str, Unread]:
    """Table -> what of it was written since it was published; tables that must be written as a whole are left out."""
    found = {
        declared.name: unread(warehouse, declared, "publishing", read_with=fingerprint)
        for declared in filter(is_followed, PUBLISHED_TABLES.values())
    }
    return {name: rows for name, rows in found.items() if rows is not None}


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
    nights: Nights,
    changed: Mapping[str, Unread],
    hash_key: bytes | None,
) -> dict[str, Written]:
    """Bring all tables into the file: a new one, or, where only what `changed` is to be written, a copy of the last."""
    connection = warehouse.connection
    try:
        connection.execute(f"ATTACH {literal(str(file))} AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
    except duckdb.Error as error:
        raise WarehouseError(
            f"the published file is damaged ({str(error).splitlines()[0]}); move it away and publish again: it is made "
            "anew then"
        ) from error
    if hash_key is not None:
        connection.register(HASHED_USERS, pseudonyms(_user_ids(warehouse), hash_key))
    connection.register("about_publication", about)
    try:
        with warehouse.transaction():  # one, and not one a comment: each would be synced to the disk
            written = {
                name: write_table(
                    warehouse,
                    declared,
                    name,
                    source="about_publication" if name == "about" else declared.name,
                    nights=nights,
                    hashed=hash_key is not None,
                    changed=changed.get(declared.name),
                )
                for name, declared in PUBLISHED_TABLES.items()
            }
        connection.execute(f"CHECKPOINT {DATABASE}")
    finally:
        connection.unregister("about_publication")
        if hash_key is not None:
            connection.unregister(HASHED_USERS)
        connection.execute(f"DETACH {DATABASE}")
    return written


def _user_ids(warehouse: Warehouse) -> list[str]:
    of_tables = " UNION ".join(
        f"SELECT user_id FROM {declared.name}"
        for declared in PUBLISHED_TABLES.values()
        if "user_id" in declared.column_names
    )
    return [row[0] for row in warehouse.rows(f"SELECT user_id FROM ({of_tables}) WHERE user_id IS NOT NULL")]


def _sync(path: Path) -> None:
    """Have the file's contents, or the folder's entries, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
