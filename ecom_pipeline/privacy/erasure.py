"""Erasure: taking one person out of a home, everywhere, for good.

The order matters: first the id is entered in the list of the forgotten, so that nothing loads the person again; then
landing, the warehouse, models, what is published and the history of runs; last every file is searched. A run that is
interrupted is finished by running it again.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import duckdb

from ecom_pipeline.contracts import ALL_TABLES, literal
from ecom_pipeline.orchestration.instance import run_databases
from ecom_pipeline.privacy.databases import erase_from_database
from ecom_pipeline.privacy.forgotten import Forgotten, add_to_list, privacy_folder
from ecom_pipeline.privacy.pseudonyms import hash_key
from ecom_pipeline.privacy.traces import (
    ERASED,
    columns_with,
    erase_from_history,
    files_with,
    has_word,
    is_common_number,
    word_of,
    word_parameters,
)
from ecom_pipeline.registry import Registry
from ecom_pipeline.registry.manifest import MODEL_NAMES
from ecom_pipeline.report import nightly_report, report_beside
from ecom_pipeline.report.page import ARCHIVE
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources import load_landing, update_core
from ecom_pipeline.sources.files import find_files, sources_of
from ecom_pipeline.sources.profile import FEEDS, SourceProfile, lookup_feed, read_profile
from ecom_pipeline.sources.removal import remove_lines_with, remove_rows
from ecom_pipeline.sources.staging import raw_rows, tried
from ecom_pipeline.spark.session import spark_session
from ecom_pipeline.spark.storage import storage_at
from ecom_pipeline.steps.publishing import publish_shop
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline.warehouse.duckdb_engine import STORAGE_VERSION
from ecom_pipeline.warehouse.queue import queued
from ecom_pipeline.warehouse.row_changes import is_followed, note_everything

RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done, without the id: `person` is the keyed hash that the list of the forgotten has too."""

    person: str
    asked_at: str
    rows_in_landing: dict[str, int]
    """File below landing -> rows taken out."""
    rows_in_warehouse: dict[str, int]
    """Table -> rows deleted, or in which the id was overwritten."""
    places_in_history: int
    models: tuple[str, ...]
    """Versions that had learnt from the person: their files are deleted, and the next night trains anew."""
    remaining: tuple[str, ...]
    """Files in which the id still stands, to be seen to by hand."""
    not_covered: tuple[str, ...]
    seconds: float


def forget_user(home: Home, user_id: str, *, on_wait: Callable[[float], None] | None = None) -> tuple[Receipt, Path]:
    """Take a person out of the home, write a receipt; the receipt and its file.

    Raises:
        PrivacyError: if published ids are to be hashed and the key is missing.
        RemovalError: if a row in landing is not where it was loaded from.
        WarehouseError: if the warehouse cannot be used.
        StorageError: if the storage root of a cluster cannot be reached; the person is on the list then, and nothing
            else was done.
        SparkMissingError: if it is a URL, and the extra spark is missing; the same.
    """
    if not user_id.strip():
        raise ValueError("the id is empty")
    asked_at = datetime.now(UTC)
    settings = home.settings()
    hash_key(settings)  # before anything is touched
    profile = read_profile(settings.profile, base=home.root)
    listed = add_to_list(home, user_id)
    with open_warehouse(home.warehouse_file, settings, on_wait=on_wait) as warehouse:
        if settings.spark_storage is not None:  # first, as it may be out of reach; the next night exports what is left
            _clear_storage(settings.spark_storage, settings.spark_options)
        models = _forget_models(home, settings, _first_day(warehouse, user_id))  # while it is known since when
        in_landing = _erase_from_landing(warehouse, home, profile, listed, user_id)
        in_warehouse = erase_from_tables(warehouse, user_id)
        if home.published_file.exists():
            publish_shop(warehouse, home=home, settings=settings, profile=profile)
    _rewrite_warehouse(home)
    places: dict[str, int] = {}
    in_databases = 0
    if not is_common_number(user_id):
        for folder in (home.dagster_home, home.models, home.root / ARCHIVE):
            places |= erase_from_history(folder, user_id)
        in_databases = sum(erase_from_database(url, user_id) for url in run_databases(home))
    if report_beside(home.published_file).exists():
        nightly_report(home, currency=profile.shop.currency)
    found = [] if is_common_number(user_id) else files_with(home.root, user_id)
    remaining = tuple(path.relative_to(home.root).as_posix() for path in found)
    receipt = Receipt(
        person=listed.hash_of(user_id),
        asked_at=asked_at.isoformat(timespec="seconds"),
        rows_in_landing=in_landing,
        rows_in_warehouse=in_warehouse,
        places_in_history=sum(places.values()) + in_databases,
        models=models,
        remaining=remaining,
        not_covered=_not_covered(settings, user_id, in_database=bool(in_databases)),
        seconds=round((datetime.now(UTC) - asked_at).total_seconds(), 1),
    )
    return receipt, _write(home, receipt)


def _first_day(warehouse: Warehouse, user_id: str) -> date | None:
    ((day,),) = warehouse.rows(
        "SELECT least((SELECT min(order_date) FROM core_order_lines WHERE user_id = :user), "
        "(SELECT min(event_date) FROM core_events WHERE user_id = :user))",
        {"user": user_id},
    )
    return day


def _clear_storage(root: str, options: Mapping[str, str]) -> None:
    """Remove what lies at a cluster's storage root; a driver alone reaches it, and is started only where it must."""
    with ExitStack() as entered:
        session = cache(lambda: entered.enter_context(spark_session("local[1]", options=options)))
        storage_at(root, session).clear()


def _erase_from_landing(
    warehouse: Warehouse, home: Home, profile: SourceProfile, listed: Forgotten, user_id: str
) -> dict[str, int]:
    """Take the person's rows out of the files in landing, out of the raw tables, and so out of core."""
    run_id = f"forget-{uuid.uuid4()}"

    def ingest() -> None:
        load_landing(warehouse, landing=home.landing, profile=profile, run_id=run_id, forgotten_among=listed.among)
        update_core(warehouse, profile=profile, run_id=run_id)

    ingest()  # so that the ledger knows every file as it is
    files = {(file.source.feed, file.path): file for file in find_files(home.landing, sources_of(profile))}
    removed: dict[str, int] = {}
    for (feed, path, file_id), lines in _rows_of(warehouse, profile, user_id).items():
        file = files.get((feed, path))
        if file is not None:
            remove_rows(file, dict.fromkeys(lines, user_id), starts=_starts(warehouse, feed, file_id))
        _delete_raw(warehouse, feed, file_id, lines)
        removed[path] = len(lines)
    word = word_of(user_id)
    for text in [] if is_common_number(user_id) else sorted(home.landing.rglob("*")):
        # rows that nothing reads: of refused files, of files that no feed knows
        if text.is_file() and not text.is_symlink() and text.suffix not in (".gz", ".zst", ".parquet"):
            name = text.relative_to(home.landing).as_posix()
            if lines_removed := remove_lines_with(text, word):
                removed[name] = removed.get(name, 0) + lines_removed
    ingest()
    return removed


def _rows_of(warehouse: Warehouse, profile: SourceProfile, user_id: str) -> dict[tuple[str, str, int], list[int]]:
    """(feed, path, file number) -> lines of the person's rows, those that cannot be parsed too."""
    found: dict[tuple[str, str, int], list[int]] = {}
    conditions: list[tuple[str, str, str]] = []
    for feed in FEEDS:
        for reader in profile.readers(feed):
            if "user_id" in reader.columns:
                rows = raw_rows(reader, feed, reader.needed_columns, rows="TRUE", joins=reader.joins)
                conditions.append((feed, rows, f"{tried(reader.columns['user_id'], text=True)} = ?"))
    for name, lookup in profile.lookups.items():
        feed_name = lookup_feed(name)
        rows = raw_rows(lookup, feed_name, lookup.needed_columns, rows="TRUE")
        any_of = " OR ".join(f"{tried(sql, text=True)} = ?" for sql in (lookup.key, *lookup.columns.values()))
        conditions.append((feed_name, rows, f"({any_of})"))
    for feed_name, rows, condition in conditions:
        if not warehouse.has_table(f"raw_{feed_name}"):
            continue
        _collect(
            warehouse,
            found,
            f"SELECT files.feed, files.path, raw._file_id, raw._line FROM {rows} "
            f"JOIN ingest_files AS files ON files.file_id = raw._file_id WHERE {condition}",
            [user_id] * condition.count("?"),
        )
    quarantines = (*(f"quarantine_{feed}" for feed in FEEDS), "quarantine_lookups")
    for name in () if is_common_number(user_id) else quarantines:
        _collect(
            warehouse,
            found,
            f"SELECT files.feed, files.path, bad.file_id, bad.line FROM {name} AS bad JOIN ingest_files AS files "
            f"ON files.file_id = bad.file_id WHERE {has_word('raw')}",
            word_parameters(user_id),
        )
    return {key: sorted(set(lines)) for key, lines in found.items()}


def _collect(
    warehouse: Warehouse, found: dict[tuple[str, str, int], list[int]], sql: str, parameters: list[str]
) -> None:
    for feed, path, file_id, line in warehouse.connection.execute(sql, parameters).fetchall():
        found.setdefault((feed, path, file_id), []).append(line)


def _starts(warehouse: Warehouse, feed: str, file_id: int) -> list[int]:
    quarantine = "quarantine_lookups" if feed.startswith("lookup_") else f"quarantine_{feed}"
    rows = warehouse.connection.execute(
        f"SELECT _line FROM raw_{feed} WHERE _file_id = {int(file_id)} "
        f"UNION SELECT line FROM {quarantine} WHERE file_id = {int(file_id)}"
    ).fetchall()
    return [line for (line,) in rows]


def _delete_raw(warehouse: Warehouse, feed: str, file_id: int, lines: list[int]) -> None:
    """Delete raw rows; the next ingest takes the file anew, or, where it has left landing, what is left of it."""
    quarantine = "quarantine_lookups" if feed.startswith("lookup_") else f"quarantine_{feed}"
    with warehouse.transaction():
        for name, column in ((f"raw_{feed}", "_file_id"), (quarantine, "file_id")):
            line = "_line" if column == "_file_id" else "line"
            warehouse.connection.execute(
                f"DELETE FROM {name} WHERE {column} = {int(file_id)} AND list_contains(?, {line})", [lines]
            ).fetchall()
        warehouse.run(
            "UPDATE ingest_files SET rows_in = greatest(rows_in - :rows, 0), in_core = FALSE, "
            "rows_core = 0, rows_quarantined = 0, rows_duplicate = 0, bytes = -1, sha256 = '' WHERE file_id = :file_id",
            {"rows": len(lines), "file_id": file_id},
        )


def erase_from_tables(warehouse: Warehouse, user_id: str) -> dict[str, int]:
    """Delete the person's rows from every table; overwrite the id where it stands in a text of other rows, if it is no
    number as any other.

    Nobody has read the tables then: whoever publishes next writes a new file, which has no trace of the one before.
    """
    erased: dict[str, int] = {}
    connection = warehouse.connection
    with warehouse.transaction():
        for declared in filter(is_followed, ALL_TABLES.values()):
            note_everything(warehouse, declared)
        for declared in ALL_TABLES.values():
            if "user_id" in declared.column_names:
                ((rows,),) = connection.execute(
                    f"SELECT count(*) FROM {declared.name} WHERE user_id = ?", [user_id]
                ).fetchall()
                if rows:
                    connection.execute(f"DELETE FROM {declared.name} WHERE user_id = ?", [user_id]).fetchall()
                    erased[declared.name] = rows
        ((database,),) = connection.execute("SELECT current_database()").fetchall()
        texts = [] if is_common_number(user_id) else columns_with(connection, database, user_id)
        for name, column in texts:
            where, parameters = has_word(column), word_parameters(user_id)
            ((rows,),) = connection.execute(f"SELECT count(*) FROM {name} WHERE {where}", parameters).fetchall()
            connection.execute(
                f'UPDATE {name} SET "{column}" = replace(CAST("{column}" AS VARCHAR), ?, ?) WHERE {where}',
                [user_id, ERASED, *parameters],
            ).fetchall()
            erased[name] = erased.get(name, 0) + rows
    return erased


def _forget_models(home: Home, settings: Settings, first_seen: date | None) -> tuple[str, ...]:
    """Delete the files of versions that may have learnt from the person; the next night trains anew."""
    if first_seen is None or not home.models.is_dir():
        return ()
    registry = Registry(home, settings)
    forgotten = []
    for model in MODEL_NAMES:
        for version in registry.versions(model):
            if version.usable and version.data_cutoff >= first_seen:
                registry.discard(model, version.name, reason="had learnt from a person who was erased")
                forgotten.append(f"{model} {version.name}")
    return tuple(forgotten)


def _rewrite_warehouse(home: Home) -> None:
    """Copy the warehouse to a new file: deleted rows stay in the free blocks of the old one."""
    with queued(home.warehouse_file):
        file = home.warehouse_file
        incoming = file.with_name(f".{file.name}.rewriting")
        incoming.unlink(missing_ok=True)
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH {literal(str(file))} AS old_file")
            connection.execute(f"ATTACH {literal(str(incoming))} AS new_file (STORAGE_VERSION '{STORAGE_VERSION}')")
            connection.execute("COPY FROM DATABASE old_file TO new_file").fetchall()
            connection.execute("CHECKPOINT new_file").fetchall()
            connection.execute("DETACH new_file")
            connection.execute("DETACH old_file")
        incoming.replace(file)
        file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
        for left_behind in (*file.parent.glob(f"{file.name}.damaged-*"), *file.parent.glob(".mending-*")):
            shutil.rmtree(left_behind) if left_behind.is_dir() else left_behind.unlink()
        shutil.rmtree(file.parent / "spill", ignore_errors=True)


def _not_covered(settings: Settings, user_id: str, *, in_database: bool) -> tuple[str, ...]:
    told = [
        "backups made before: they hold the person until they are deleted or replaced",
        "copies outside the home: what analysts copied out of the published file, and the shop's own systems",
    ]
    if is_common_number(user_id):
        told.append(
            "texts, such as logs and rows that could not be parsed: the id is a number as times and prices are, and is "
            "taken for the person's only where a row's user is it"
        )
    if in_database:
        told.append("the write-ahead log and the backups of the PostgreSQL server that keeps the history of runs")
    if settings.mlflow_tracking_uri is not None:
        told.append("files of models on the MLflow server; they hold weights and products, no ids of users")
    return tuple(told)


def _write(home: Home, receipt: Receipt) -> Path:
    folder = privacy_folder(home) / RECEIPTS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = receipt.asked_at.replace(":", "").replace("+0000", "Z")
    file = folder / f"{stamp}-{receipt.person[:12]}.json"
    file.write_text(json.dumps(asdict(receipt), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    file.chmod(0o600)
    return file
