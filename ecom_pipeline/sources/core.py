"""From raw to core: every row ends in core, in quarantine or among the duplicates, whatever the order of loading."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ecom_pipeline.sources import ledger
from ecom_pipeline.sources.files import Source, sources_of
from ecom_pipeline.sources.loading import UNREADABLE
from ecom_pipeline.sources.lookups import update_lookups
from ecom_pipeline.sources.profile import CORE_TABLE_OF, Feed, SourceProfile
from ecom_pipeline.sources.staging import Staging, raw_text
from ecom_pipeline.warehouse import Warehouse, WarehouseError, sql_text
from ecom_pipeline.warehouse.fingerprint import fingerprint_of

Progress = Callable[[str], None]

BATCH_ROWS = 10_000_000
# browse comes after orders: whether its purchases count depends on whether there are orders
FEED_ORDER: tuple[Feed, ...] = ("orders", "browse", "products", "promotions")
# One INSERT for each table in a transaction: with a second one, DuckDB 2.0.0 can hide rows that later transactions add,
# until the file is opened again (seen with a large insert followed by an empty one).
_TEMPORARY = ("staged", "told", "affected", "suspects", "candidates", "ranked", "changed_order_lines")


@dataclass(frozen=True, slots=True)
class CoreReport:
    """What one update did to the files that were new, changed, judged anew, or share rows with such files."""

    files: int
    rows_in: int
    rows_core: int
    rows_quarantined: int
    rows_duplicate: int


@dataclass(frozen=True, slots=True)
class _Pending:
    file_id: int
    path: str
    rows_in: int


def update_core(
    warehouse: Warehouse, *, profile: SourceProfile, run_id: str, on_progress: Progress | None = None
) -> CoreReport:
    """Bring every file whose raw rows are loaded, but not yet in core, into core.

    Which of several equal rows is kept is decided by path and line over all files that were ever loaded, so the core
    tables do not depend on the order in which files came. A feed whose part of the profile changed is judged anew.

    Raises:
        WarehouseError: if rows in are not rows in core + in quarantine + duplicates; nothing is kept then.
    """
    update_lookups(warehouse, profile, run_id=run_id)
    touched: set[int] = set()
    for feed in FEED_ORDER:
        # a feed that left the profile leaves core too
        if profile.readers(feed) or f"core_{feed}" in ledger.state(warehouse):
            touched |= _update_feed(warehouse, feed, profile, run_id=run_id, on_progress=on_progress)
    if not touched:
        return CoreReport(0, 0, 0, 0, 0)
    (totals,) = warehouse.rows(
        "SELECT count(*), sum(rows_in), sum(rows_core), sum(rows_quarantined), sum(rows_duplicate) "
        f"FROM ingest_files WHERE file_id IN ({_listed(touched)})"
    )
    return CoreReport(*(int(total) for total in totals))


def _update_feed(
    warehouse: Warehouse, feed: Feed, profile: SourceProfile, *, run_id: str, on_progress: Progress | None
) -> set[int]:
    stagings = [Staging(feed, index, reader, profile.shop) for index, reader in enumerate(profile.readers(feed))]
    warehouse.connection.execute(
        f"CREATE TABLE IF NOT EXISTS keys_{feed} (row_key UBIGINT, reader INTEGER, file_id INTEGER, line BIGINT)"
    ).fetchall()
    orders_tell = feed == "browse" and _orders_tell_purchases(warehouse)
    _judge_anew_if_changed(warehouse, feed, stagings, orders_tell=orders_tell)

    sources = [source for source in sources_of(profile) if source.feed == feed]
    by_reader = _pending_by_reader(warehouse, feed, sources)
    touched: set[int] = set()
    for index, pending in sorted(by_reader.items()):
        rows = 0
        for batch in _batches(pending):
            touched |= _process(warehouse, stagings[index], batch, orders_tell=orders_tell, run_id=run_id)
            rows += sum(file.rows_in for file in batch)
            if on_progress is not None:
                on_progress(f"core {feed}: {rows:,} rows of {len(pending)} files")
    return touched


def _orders_tell_purchases(warehouse: Warehouse) -> bool:
    return bool(warehouse.scalar("SELECT count(*) > 0 FROM core_order_lines"))


def _judge_anew_if_changed(warehouse: Warehouse, feed: Feed, stagings: Sequence[Staging], *, orders_tell: bool) -> None:
    # keys are hashes of DuckDB, which another version of it may compute in another way
    wanted = fingerprint_of(
        duckdb.__version__,
        orders_tell,
        sql_text("core", "core_events_of_orders") if feed == "orders" else "",
        *(staging.select(staging.reader.needed_columns, rows="") for staging in stagings),
        *(staging.reasons() for staging in stagings),
        *((staging.reader.folder, staging.reader.files) for staging in stagings),
    )
    part = f"core_{feed}"
    if ledger.state(warehouse).get(part) == wanted:
        return
    core = CORE_TABLE_OF[feed]
    with warehouse.transaction():
        warehouse.run(f"DELETE FROM {core}" + (" WHERE feed = 'browse'" if feed == "browse" else ""))
        if feed == "orders":
            warehouse.run("DELETE FROM core_events WHERE feed = 'orders'")
        warehouse.run(f"DELETE FROM keys_{feed}")
        warehouse.run(f"DELETE FROM duplicates_{feed}")
        warehouse.run(f"DELETE FROM quarantine_{feed} WHERE rule <> '{UNREADABLE}'")
        warehouse.run("UPDATE ingest_files SET in_core = FALSE WHERE feed = :feed AND rows_in > 0", {"feed": feed})
        ledger.set_state(warehouse, part, wanted)


def _pending_by_reader(warehouse: Warehouse, feed: Feed, sources: Sequence[Source]) -> dict[int, list[_Pending]]:
    rows = warehouse.rows(
        "SELECT file_id, path, rows_in FROM ingest_files WHERE feed = :feed AND NOT in_core ORDER BY path",
        {"feed": feed},
    )
    by_reader: dict[int, list[_Pending]] = {}
    for row in rows:
        pending = _Pending(*row)
        reader = next((source for source in sources if source.matches(pending.path)), None)
        if reader is not None:  # else the profile no longer reads the file: its raw rows stay, out of core
            by_reader.setdefault(reader.index, []).append(pending)
    return by_reader


def _batches(pending: Iterable[_Pending]) -> Iterator[list[_Pending]]:
    batch: list[_Pending] = []
    rows = 0
    for file in pending:
        if batch and rows + file.rows_in > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(file)
        rows += file.rows_in
    if batch:
        yield batch


def _process(
    warehouse: Warehouse, staging: Staging, batch: Sequence[_Pending], *, orders_tell: bool, run_id: str
) -> set[int]:
    """Judge one batch of files; returns the files whose rows in core may have changed.

    What it writes is one transaction; nobody else writes to the warehouse between that and what it reads before.
    """
    feed, core = staging.feed, staging.core.name
    ids = {file.file_id for file in batch}
    in_batch = f"file_id IN ({_listed(ids)})"
    of_feed = " AND feed = 'browse'" if feed == "browse" else ""
    raw_columns = _raw_columns(warehouse, feed)
    try:
        # before the transaction: DuckDB reads tables of a transaction of its own with one thread
        _make(warehouse, "affected", f"SELECT DISTINCT row_key FROM keys_{feed} WHERE {in_batch}")
        _make(warehouse, "staged", staging.select(raw_columns, rows=f"raw._{in_batch}"))
        _set_aside_purchases(warehouse, orders_tell=orders_tell)
        if staging.has_key:
            _find_candidates(warehouse, staging, in_batch)
        with warehouse.transaction():
            for name, more in ((core, of_feed), (f"keys_{feed}", ""), (f"duplicates_{feed}", "")):
                _execute(warehouse, f"DELETE FROM {name} WHERE {in_batch}{more}")
            _execute(warehouse, f"DELETE FROM quarantine_{feed} WHERE {in_batch} AND rule <> '{UNREADABLE}'")
            _quarantine(warehouse, staging, raw_columns, run_id=run_id)
            if staging.has_key:
                _drop_duplicates(warehouse, staging, raw_columns)
                others = _files_of_candidates(warehouse)
            else:
                columns = ", ".join(staging.core.column_names)
                _execute(warehouse, f"INSERT INTO {core} ({columns}) SELECT {columns} FROM staged WHERE broken IS NULL")
                _execute(warehouse, f"INSERT INTO duplicates_{feed} SELECT file_id, line, NULL, NULL FROM told")
                others = set()
            if feed == "orders":
                _refresh_events_of_orders(warehouse, in_batch, with_candidates=staging.has_key)
            _count(warehouse, feed, core, ids | others, of_feed)
            _check_conservation(warehouse, ids | others)
    finally:
        for name in _TEMPORARY:
            _execute(warehouse, f"DROP TABLE IF EXISTS temp.{name}")
    return ids | others


def _set_aside_purchases(warehouse: Warehouse, *, orders_tell: bool) -> None:
    """Move purchases and returns that the orders feed tells from `staged` to `told`."""
    told = "broken IS NULL AND event IN ('purchase', 'return')" if orders_tell else "FALSE"
    _make(warehouse, "told", f"SELECT file_id, line FROM staged WHERE {told}")
    if orders_tell:
        _execute(warehouse, f"DELETE FROM staged WHERE {told}")


def _quarantine(warehouse: Warehouse, staging: Staging, raw_columns: Sequence[str], *, run_id: str) -> None:
    reasons = staging.reasons()
    text = raw_text(staging.reader, raw_columns)
    table = pa.table({"rule": list(reasons), "reason": list(reasons.values())})
    warehouse.connection.register("rule_reasons", table)
    try:
        warehouse.connection.execute(
            f"INSERT INTO quarantine_{staging.feed} (file_id, line, rule, reason, raw, run_id) "
            f"SELECT staged.file_id, staged.line, staged.broken, rule_reasons.reason, {text}, ? "
            f"FROM staged JOIN raw_{staging.feed} AS raw ON raw._file_id = staged.file_id AND raw._line = staged.line "
            "JOIN rule_reasons ON rule_reasons.rule = staged.broken",
            [run_id],
        ).fetchall()
    finally:
        warehouse.connection.unregister("rule_reasons")


def _find_candidates(warehouse: Warehouse, staging: Staging, in_batch: str) -> None:
    """Find the rows of `staged` and of other files that may be equal to another row, or were equal to one of the
    batch's files as they were loaded before: sets of equal rows are found by the hash of the key.
    """
    ours = "SELECT row_key, file_id, line FROM staged WHERE broken IS NULL"
    others = f"SELECT row_key, file_id, line FROM keys_{staging.feed} WHERE reader = {staging.index} AND NOT {in_batch}"
    # only keys of the batch are asked for: most of the others are left out before they are grouped
    same = f"{others} AND row_key IN (SELECT row_key FROM staged WHERE broken IS NULL)"
    _make(
        warehouse,
        "suspects",
        "SELECT row_key FROM affected UNION "
        f"SELECT row_key FROM ({ours} UNION ALL {same}) GROUP BY row_key HAVING count(*) > 1",
    )
    _make(
        warehouse,
        "candidates",
        f"SELECT file_id, line FROM ({ours} UNION ALL {others}) WHERE row_key IN (SELECT row_key FROM suspects)",
    )


def _drop_duplicates(warehouse: Warehouse, staging: Staging, raw_columns: Sequence[str]) -> None:
    """Put the rows of `staged` into core, each set of equal rows once, and mend sets that reach into other files.

    Sets are decided on the whole key, among `candidates`. Keys of files that were replaced are in `affected`: where
    they held the row that was kept, another file's row comes back.
    """
    feed, core, index = staging.feed, staging.core.name, staging.index
    columns = ", ".join(staging.core.column_names)
    _execute(
        warehouse,
        f"INSERT INTO keys_{feed} SELECT row_key, {index}, file_id, line FROM staged WHERE broken IS NULL",
    )
    # the files alone leave out nearly all rows, and cost less than looking each row up
    of_files = f"{{0}}file_id IN ({_listed(_files_of_candidates(warehouse)) or 'NULL'})"
    is_candidate = f"{of_files} AND ({{0}}file_id, {{0}}line) IN (SELECT file_id, line FROM candidates)"
    picked = staging.select(raw_columns, rows=is_candidate.format("raw._"), key_columns=True)
    same = ", ".join(f"_key_{position}" for position in range(staging.key_width(raw_columns)))
    first = f"OVER (PARTITION BY {same} ORDER BY path, line)"
    _make(
        warehouse,
        "ranked",
        f"SELECT *, row_number() {first} AS copy, first_value(file_id) {first} AS kept_file_id, "
        f"first_value(line) {first} AS kept_line "
        f"FROM (SELECT judged.*, files.path FROM (\n{picked}\n) AS judged JOIN ingest_files AS files USING (file_id))",
    )
    for name in (core, f"duplicates_{feed}"):
        more = " AND feed = 'browse'" if name == "core_events" else ""
        _execute(warehouse, f"DELETE FROM {name} WHERE {is_candidate.format(name + '.')}{more}")
    _execute(
        warehouse,
        f"INSERT INTO {core} ({columns}) SELECT {columns} FROM staged WHERE broken IS NULL "
        "AND row_key NOT IN (SELECT row_key FROM suspects) "
        f"UNION ALL SELECT {columns} FROM ranked WHERE copy = 1",
    )
    _execute(
        warehouse,
        f"INSERT INTO duplicates_{feed} SELECT file_id, line, kept_file_id, kept_line FROM ranked WHERE copy > 1 "
        "UNION ALL SELECT file_id, line, NULL, NULL FROM told",
    )


def _files_of_candidates(warehouse: Warehouse) -> set[int]:
    return {row[0] for row in warehouse.rows("SELECT DISTINCT file_id FROM candidates")}


def _refresh_events_of_orders(warehouse: Warehouse, in_batch: str, *, with_candidates: bool) -> None:
    changed = in_batch
    if with_candidates:
        changed = f"({in_batch} OR (lines.file_id, lines.line) IN (SELECT file_id, line FROM candidates))"
    _execute(warehouse, f"DELETE FROM core_events AS lines WHERE feed = 'orders' AND {changed}")
    _make(warehouse, "changed_order_lines", f"SELECT * FROM core_order_lines AS lines WHERE {changed}")
    _execute(warehouse, f"INSERT INTO core_events BY NAME (\n{sql_text('core', 'core_events_of_orders')}\n)")


def _count(warehouse: Warehouse, feed: Feed, core: str, file_ids: set[int], of_feed: str) -> None:
    listed = f"file_id IN ({_listed(file_ids)})"
    counted = {
        "rows_core": f"{core} WHERE {listed}{of_feed}",
        "rows_quarantined": f"quarantine_{feed} WHERE {listed}",
        "rows_duplicate": f"duplicates_{feed} WHERE {listed}",
    }
    _execute(
        warehouse,
        f"UPDATE ingest_files SET in_core = TRUE, {', '.join(f'{name} = 0' for name in counted)} WHERE {listed}",
    )
    for name, rows in counted.items():
        _execute(
            warehouse,
            f"UPDATE ingest_files SET {name} = counted.n "
            f"FROM (SELECT file_id AS id, count(*) AS n FROM {rows} GROUP BY file_id) AS counted "
            "WHERE ingest_files.file_id = counted.id",
        )


def _check_conservation(warehouse: Warehouse, file_ids: set[int]) -> None:
    lost = warehouse.rows(
        "SELECT path, rows_in, rows_core, rows_quarantined, rows_duplicate FROM ingest_files "
        f"WHERE file_id IN ({_listed(file_ids)}) AND rows_in <> rows_core + rows_quarantined + rows_duplicate "
        "ORDER BY path LIMIT 3"
    )
    if lost:
        raise WarehouseError(
            "rows in are not rows in core + in quarantine + duplicates, so nothing was kept: "
            + "; ".join(f"{path}: {rows} <> {a} + {b} + {c}" for path, rows, a, b, c in lost)
        )


def _raw_columns(warehouse: Warehouse, feed: Feed) -> list[str]:
    rows = warehouse.rows(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = :name AND database_name = current_database() "
        "AND column_name NOT IN ('_file_id', '_line') ORDER BY column_index",
        {"name": f"raw_{feed}"},
    )
    return [row[0] for row in rows]


def _make(warehouse: Warehouse, name: str, select: str) -> None:
    _execute(warehouse, f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")


def _execute(warehouse: Warehouse, sql: str) -> None:
    """Run SQL that holds expressions of profiles, whose colons are not parameters."""
    warehouse.connection.execute(sql).fetchall()


def _listed(file_ids: Iterable[int]) -> str:
    return ", ".join(str(int(file_id)) for file_id in sorted(file_ids))
