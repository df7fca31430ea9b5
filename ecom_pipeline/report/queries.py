"""Asking a published file the report's questions, which are files in `sql/report/`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.warehouse.published_tables import TOLD_OF_EVERY_RUN
from ecom_pipeline.warehouse.sql_files import bound_for_duckdb, parameters_of, sql_text

Row = dict[str, Any]


class ReportError(Exception):
    """A report cannot be made; the message says why and what to do."""


class Publication:
    """A published file, open for reading, as of one of its nights; `about` tells of the file and its latest night."""

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

    @property
    def is_newest(self) -> bool:
        """Whether the night is the latest: tables that hold one state are of that one."""
        return bool(self.as_of == self.about["as_of"])


@contextmanager
def open_publication(file: Path, as_of: date | None = None) -> Iterator[Publication]:
    """The published file at `file`, as of one of its nights; None: of the latest.

    Raises:
        ReportError: if there is none, or the night is not in it.
    """
    if not file.is_file():
        raise ReportError(f"{file}: nothing was published yet. Run a night first: ecom-pipeline nightly")
    connection = duckdb.connect(str(file), read_only=True)
    try:
        about = _rows(connection.execute("SELECT * FROM about"))
        if not about or about[0]["as_of"] is None:
            raise ReportError(f"{file}: holds no night yet. Run one first: ecom-pipeline nightly")
        if as_of is not None and as_of not in (nights := _nights(connection)):
            told = ", ".join(night.isoformat() for night in nights[-5:])
            raise ReportError(
                f"{file}: does not hold the night {as_of}. The newest of its {len(nights)} nights: {told}. Run the "
                f"night again (ecom-pipeline nightly --as-of {as_of}); the setting keep_nights says how many are kept."
            )
        yield Publication(connection, as_of or about[0]["as_of"], about[0])
    finally:
        connection.close()


def published_nights(file: Path) -> tuple[date, ...]:
    """The nights in the published file, in order; none where there is no file."""
    if not file.is_file():
        return ()
    with duckdb.connect(str(file), read_only=True) as connection:
        return _nights(connection)


def _nights(connection: duckdb.DuckDBPyConnection) -> tuple[date, ...]:
    of_tables = " UNION ".join(
        f"SELECT DISTINCT as_of FROM {name}"
        for name, declared in PUBLISHED_TABLES.items()
        if declared.by_night and name not in TOLD_OF_EVERY_RUN
    )
    found = connection.execute(
        f"SELECT as_of FROM ({of_tables} UNION SELECT as_of FROM about) WHERE as_of IS NOT NULL ORDER BY as_of"
    ).fetchall()
    return tuple(night for (night,) in found)


def _rows(answer: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
