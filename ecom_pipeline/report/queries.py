"""Asking a published file the report's questions, which are files in `sql/report/`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ecom_pipeline.warehouse.sql_files import bound_for_duckdb, parameters_of, sql_text

Row = dict[str, Any]


class ReportError(Exception):
    """A report cannot be made; the message says why and what to do."""


class Publication:
    """A published file, open for reading, as of its latest night."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, as_of: date, about: Row) -> None:
        self._connection = connection
        self.as_of = as_of
        self.about = about

    def ask(self, question: str, **parameters: object) -> list[Row]:
        """The rows that `sql/report/<question>.sql` answers; `:as_of` is bound to the night."""
        sql = sql_text("report", question)
        given = {"as_of": self.as_of, **parameters}
        return _rows(
            self._connection.execute(bound_for_duckdb(sql), {name: given[name] for name in parameters_of(sql)})
        )

    def choose(self, name: str, columns: dict[str, Sequence[str]]) -> None:
        """Make a selection (of series, users) known to later questions as the table `name`."""
        self._connection.register(
            name, pa.table({key: pa.array(values, pa.string()) for key, values in columns.items()})
        )


@contextmanager
def open_publication(file: Path) -> Iterator[Publication]:
    """The published file at `file`.

    Raises:
        ReportError: if there is none, or no night is in it.
    """
    if not file.is_file():
        raise ReportError(f"{file}: nothing was published yet. Run a night first: ecom-pipeline nightly")
    connection = duckdb.connect(str(file), read_only=True)
    try:
        about = _rows(connection.execute("SELECT * FROM about"))
        if not about or about[0]["as_of"] is None:
            raise ReportError(f"{file}: holds no night yet. Run one first: ecom-pipeline nightly")
        yield Publication(connection, about[0]["as_of"], about[0])
    finally:
        connection.close()


def _rows(answer: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
