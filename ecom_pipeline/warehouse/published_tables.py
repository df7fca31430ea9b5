"""One table of the published file: written as a whole, or only the rows that were written since it was published."""

from dataclasses import dataclass
from datetime import date

from ecom_pipeline.contracts import Table, comment_statements, create_statement
from ecom_pipeline.warehouse.duckdb_engine import Warehouse
from ecom_pipeline.warehouse.row_changes import Unread

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
class Nights:
    """Which nights' results are published: those from `first` on (None: all) that are not among `left_out`."""

    first: date | None
    left_out: frozenset[date]

    def condition(self, declared: Table, name: str) -> str:
        """SQL that is true of the rows of these nights."""
        if "as_of" not in declared.column_names or self.first is None:
            return "TRUE"
        kept = f"(as_of IS NULL OR as_of >= DATE '{self.first.isoformat()}')"
        left_out = () if name in TOLD_OF_EVERY_RUN else sorted(self.left_out)
        if left_out:
            kept += f" AND coalesce(as_of NOT IN ({_dates(left_out)}), TRUE)"
        return kept


@dataclass(frozen=True, slots=True)
class Written:
    """Rows of a published table, and how many of them were written; whether as a whole."""

    rows: int
    written: int
    as_a_whole: bool


def write_table(
    warehouse: Warehouse,
    declared: Table,
    name: str,
    *,
    source: str,
    nights: Nights,
    hashed: bool,
    changed: Unread | None,
) -> Written:
    """Have the published file hold the rows of `source` under `name`: of what is there (`changed`: what of it is not as
    it was) as much as possible stays."""
    if changed is not None:
        kept = nights.condition(declared, name)
        query = f"SELECT * FROM {source} WHERE {kept}"
        warehouse.connection.execute(f"DELETE FROM {DATABASE}.{name} WHERE NOT ({kept})").fetchall()
        written = (
            _write_rows(warehouse, declared, name, changed)
            if declared.day_column is None
            else _write_days(warehouse, declared, name, query, changed)
        )
        rows = _count(warehouse, f"{DATABASE}.{name}")
        # somebody else than the pipeline's steps added or took out rows, here or there
        if rows == _count(warehouse, f"({query})"):
            return Written(rows, written, as_a_whole=False)
    warehouse.connection.execute(f"DROP TABLE IF EXISTS {DATABASE}.{name}")
    rows = _write_all(warehouse, declared, name, source=source, nights=nights, hashed=hashed)
    return Written(rows, rows, as_a_whole=True)


def _write_days(warehouse: Warehouse, declared: Table, name: str, query: str, changed: Unread) -> int:
    """Of a table written by day: the days that were written, and those that have another number of rows there."""
    target = f"{DATABASE}.{name}"
    here, there = _rows_by_day(warehouse, declared, f"({query})"), _rows_by_day(warehouse, declared, target)
    others = {day for day in here.keys() | there.keys() if here.get(day) != there.get(day)}
    if not (days := sorted(others | changed.days)):
        return 0
    of_days = f"{declared.day_column} IN ({_dates(days)})"
    warehouse.connection.execute(f"DELETE FROM {target} WHERE {of_days}").fetchall()
    return _insert(warehouse, declared, name, f"SELECT * FROM ({query}) AS rows WHERE {of_days}")


def _write_rows(warehouse: Warehouse, declared: Table, name: str, changed: Unread) -> int:
    warehouse.connection.execute(changed.deletion(f"{DATABASE}.{name}")).fetchall()
    return _insert(warehouse, declared, name, changed.rows(declared.name))


def _write_all(warehouse: Warehouse, declared: Table, name: str, *, source: str, nights: Nights, hashed: bool) -> int:
    target = f"{DATABASE}.{name}"
    warehouse.connection.execute(create_statement(declared, name=target))
    if hashed and "user_id" in declared.column_names:
        others = ", ".join(f"people.{column}" for column in declared.column_names if column != "user_id")
        source = (
            f"(SELECT hashed.hashed AS user_id, {others} FROM {source} AS people "
            f"LEFT JOIN {HASHED_USERS} AS hashed ON hashed.user_id = people.user_id)"
        )
    elif hashed and (quoted := QUOTING_COLUMNS.get(declared.name)):
        listed = ", ".join(f"NULL AS {column}" if column in quoted else column for column in declared.column_names)
        source = f"(SELECT {listed} FROM {source})"
    rows = _insert(warehouse, declared, name, f"SELECT * FROM {source} WHERE {nights.condition(declared, name)}")
    for statement in comment_statements(declared, name=target):
        warehouse.connection.execute(statement)
    return rows


def _insert(warehouse: Warehouse, declared: Table, name: str, query: str) -> int:
    """Add the rows of a query in the order of the table's key; how many they are."""
    columns = ", ".join(declared.column_names)
    order = f" ORDER BY {', '.join(declared.key)}" if declared.key else ""
    ((rows,),) = warehouse.connection.execute(
        f"INSERT INTO {DATABASE}.{name} ({columns}) SELECT {columns} FROM ({query}) AS rows{order}"
    ).fetchall()
    return int(rows)


def _rows_by_day(warehouse: Warehouse, declared: Table, rows: str) -> dict[date, int]:
    day = declared.day_column
    found = warehouse.connection.execute(f"SELECT {day}, count(*) FROM {rows} AS rows GROUP BY {day}").fetchall()
    return dict(found)


def _count(warehouse: Warehouse, table: str) -> int:
    ((rows,),) = warehouse.connection.execute(f"SELECT count(*) FROM {table} AS rows").fetchall()
    return int(rows)


def _dates(nights: list[date]) -> str:
    return ", ".join(f"DATE '{night.isoformat()}'" for night in nights)
