"""What is exported: a table of the published file, all its nights or some, and its columns with their meaning."""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Literal

import duckdb

Format = Literal["csv", "parquet", "xlsx"]


class ExportError(Exception):
    """An export cannot be made; the message says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the published file describes it."""

    name: str
    type: str
    meaning: str

    @property
    def is_text(self) -> bool:
        """Whether its values are text, which a spreadsheet may take for a formula."""
        return self.type == "VARCHAR"


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one table: those of one night, or all of them."""

    table: str
    meaning: str
    columns: tuple[Column, ...]
    night: date | None

    @property
    def source(self) -> str:
        """What stands after FROM; it is made of checked names and a date alone."""
        where = f" WHERE as_of = DATE '{self.night.isoformat()}'" if self.night is not None else ""
        return f'"{self.table}"{where}'

    def rows(self, connection: duckdb.DuckDBPyConnection) -> int:
        """How many rows there are."""
        ((count,),) = connection.execute(f"SELECT count(*) FROM {self.source}").fetchall()
        return int(count)


def select(connection: duckdb.DuckDBPyConnection, table: str, *, night: date | Literal["latest"] | None) -> Selection:
    """The rows of `table` for `night`; of tables that are not kept by night, and without a night, all rows.

    Raises:
        ExportError: if there is no such table, or the night is not in it.
    """
    known = dict(connection.execute("SELECT table_name, coalesce(comment, '') FROM duckdb_tables()").fetchall())
    if table not in known:
        near = get_close_matches(table, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ExportError(f"No table {table!r} is published.{hint} There are: {', '.join(sorted(known))}.")
    columns = tuple(
        Column(*row)
        for row in connection.execute(
            "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns() WHERE table_name = ? "
            "ORDER BY column_index",
            [table],
        ).fetchall()
    )
    chosen = None
    if night is not None and any(column.name == "as_of" for column in columns):
        nights = [found for (found,) in connection.execute(f'SELECT DISTINCT as_of FROM "{table}"').fetchall() if found]
        if night == "latest":
            chosen = max(nights, default=None)
        elif night in nights:
            chosen = night
        else:
            span = f"it has {min(nights)} to {max(nights)}" if nights else "it has none"
            raise ExportError(f"{table} has no night {night}: {span}.")
    return Selection(table=table, meaning=known[table], columns=columns, night=chosen)
