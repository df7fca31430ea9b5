"""Which rows of a table were written since they were last checked, published or (forecasts) scored: what looks at a
table night after night then looks at these alone.

A reader of a table that has read all of it is told of what is written from then on, by those who write it and in their
transaction. One that never did, or did it for another purpose (`read_with`), reads everything. Nobody is told of rows
that are changed by hand, or that leave a table of the last days as they grow old; so readers compare numbers of rows,
and every `PARTS_IN_A_ROW` times a table is checked, or one by user published, as a whole. What belongs here: keeping
that account. See docs/decisions.md.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from ecom_pipeline.contracts import Table, literal

if TYPE_CHECKING:
    from ecom_pipeline.warehouse.duckdb_engine import Warehouse

Reader = Literal["checks", "publishing", "accuracy"]

PARTS_IN_A_ROW = 14
"""Times that what was written is read before everything is: what was changed by hand is found then, and in the
published file a user's rows lie together again."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What a reader has not read yet of a table: rows of these days, where it is written by day, else what `rows`
    selects."""

    days: frozenset[date]
    _joined: str
    _where: str

    def rows(self, name: str) -> str:
        """A query of these rows, of the table of that name."""
        joined = f" SEMI JOIN {self._joined} ON {self._where}" if self._joined else f" WHERE {self._where}"
        return f"SELECT rows.* FROM {name} AS rows{joined}"

    def deletion(self, name: str) -> str:
        """A statement that takes them out of the table of that name."""
        using = f" USING {self._joined}" if self._joined else ""
        return f"DELETE FROM {name} AS rows{using} WHERE {self._where}"


def is_followed(table: Table) -> bool:
    """Whether changes are told: of results by night or day, and of tables by user from a place in a history on."""
    return table.along is not None or (table.day_column is not None and table.layer == "marts")


def note_everything(warehouse: "Warehouse", table: Table) -> None:
    """All rows were written: nobody has read the table."""
    for account in ("table_readings", "row_changes"):
        warehouse.run(f"DELETE FROM {account} WHERE table_name = :name", {"name": table.name})


def note_days(warehouse: "Warehouse", table: Table, days: Collection[date]) -> None:
    """Rows of some nights, or days, were written or deleted."""
    warehouse.run(
        "INSERT INTO row_changes (reader, table_name, day) "
        "SELECT reader, table_name, unnest(CAST(:days AS DATE[])) FROM table_readings WHERE table_name = :name "
        "EXCEPT SELECT reader, table_name, day FROM row_changes",
        {"name": table.name, "days": sorted(days)},
    )


def note_rows(warehouse: "Warehouse", table: Table, since: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Rows were written or deleted; `since` is a query, with its parameters, of `user_id`, and of `since`, the value of
    `table.along` from which on they are the user's; those of all users where `user_id` is null."""
    warehouse.run(
        "INSERT INTO row_changes (reader, table_name, user_id, since) "
        "SELECT readings.reader, readings.table_name, changes.user_id, CAST(changes.since AS VARCHAR) "
        f"FROM ({since}) AS changes CROSS JOIN table_readings AS readings WHERE readings.table_name = :name",
        {**(parameters or {}), "name": table.name},
    )


def unread(warehouse: "Warehouse", table: Table, reader: Reader, *, read_with: str) -> Unread | None:
    """What the reader has not read of a table that is followed; None: everything is to be read."""
    of_reader = {"reader": reader, "name": table.name}
    readings = warehouse.rows(
        "SELECT read_with, parts FROM table_readings WHERE reader = :reader AND table_name = :name", of_reader
    )
    if not readings or readings[0][0] != read_with:
        return None
    if readings[0][1] >= PARTS_IN_A_ROW and (table.along is not None or reader == "checks"):
        return None
    if table.along is not None:
        return _unread_along(warehouse, table, reader)
    days = warehouse.rows(
        "SELECT DISTINCT day FROM row_changes WHERE reader = :reader AND table_name = :name", of_reader
    )
    return Unread(frozenset(day for (day,) in days), "", "FALSE")


def note_reading(warehouse: "Warehouse", table: Table, reader: Reader, *, read_with: str, after: Unread | None) -> None:
    """The reader knows all rows as they are, after it read what `unread` said."""
    of_reader = {"reader": reader, "name": table.name}
    parts = 0
    if after is not None:
        parts = 1 + warehouse.scalar(
            "SELECT parts FROM table_readings WHERE reader = :reader AND table_name = :name", of_reader
        )
    forget_reading(warehouse, table, reader)
    warehouse.run(
        "INSERT INTO table_readings (reader, table_name, read_with, parts) VALUES (:reader, :name, :read_with, :parts)",
        {**of_reader, "read_with": read_with, "parts": parts},
    )


def forget_reading(warehouse: "Warehouse", table: Table, reader: Reader) -> None:
    """The reader knows nothing of the table from now on."""
    for account in ("table_readings", "row_changes"):
        warehouse.run(
            f"DELETE FROM {account} WHERE reader = :reader AND table_name = :name",
            {"reader": reader, "name": table.name},
        )


def _unread_along(warehouse: "Warehouse", table: Table, reader: Reader) -> Unread | None:
    """Of a table by user. Joins, where a correlated subquery would do: DuckDB takes ten times as long for it."""
    [kind] = [column.type for column in table.columns if column.name == table.along]
    changes = (
        f"SELECT user_id, min(CAST(since AS {kind})) AS since FROM row_changes "
        f"WHERE reader = {literal(reader)} AND table_name = {literal(table.name)} GROUP BY user_id"
    )
    users, of_all = warehouse.rows(
        f"SELECT count(user_id), max(since) FILTER (user_id IS NULL) FROM ({changes}) AS changes"
    )[0]
    if not users:
        since = "FALSE" if of_all is None else f"rows.{table.along} >= {literal(str(of_all))}"
        return Unread(frozenset(), "", since)
    if of_all is not None:  # a table is followed by users or by days; of both it is easier to read everything
        return None
    where = f"rows.user_id = changes.user_id AND rows.{table.along} >= changes.since"
    return Unread(frozenset(), f"({changes}) AS changes", where)
