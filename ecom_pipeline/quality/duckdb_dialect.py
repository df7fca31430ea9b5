"""How SQLAlchemy, and through it Great Expectations, asks the warehouse's own open connection.

A second connection would not see what the running transaction has written. So the dialect borrows the one that is
open: it may ask, never begin, end or close anything. Only `quality.gx` imports this module: it imports SQLAlchemy at
the top.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect


class DuckDBType(sa.types.UserDefinedType[Any]):
    """A column type by the name that DuckDB gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """The name, as SQL."""
        return self.name


class BorrowedCursor:
    """A DB-API cursor that reads each result to its end at once: results here are counts and a few names."""

    rowcount = -1

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: Any = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement with `?` parameters."""
        result = self._connection.execute(statement, list(parameters))
        self.description = result.description
        self._rows = result.fetchall()[::-1]

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return self._rows.pop() if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows."""
        return [self._rows.pop() for _ in range(min(size, len(self._rows)))]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        """Nothing is open: the result has been read."""


class BorrowedConnection:
    """The warehouse's connection as a DB-API connection whose transactions belong to somebody else."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> BorrowedCursor:
        """A cursor of its own result."""
        return BorrowedCursor(self._connection)

    def commit(self) -> None:
        """The warehouse's transactions are its own."""

    rollback = close = commit


class WarehouseDialect(DefaultDialect):
    """Standard SQL on DuckDB, with columns read from DuckDB's own catalogue."""

    name = "duckdb"
    driver = "warehouse"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """DuckDB's module: its errors and its `?` parameters."""
        return duckdb

    def initialize(self, connection: sa.Connection) -> None:
        """Nothing to find out about the server."""

    def get_columns(self, connection: sa.Connection, table_name: str, schema: Any = None, **_: Any) -> list[Any]:
        """Names and types of the columns, in order."""
        found = connection.exec_driver_sql(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
            "AND database_name = current_database() AND schema_name = current_schema() ORDER BY column_index",
            (str(table_name),),
        ).fetchall()
        return [{"name": name, "type": DuckDBType(kind), "nullable": True, "default": None} for name, kind in found]

    def get_pk_constraint(self, connection: sa.Connection, table_name: str, schema: Any = None, **_: Any) -> Any:
        """None: contracts check keys, the database does not."""
        return {"constrained_columns": [], "name": None}


def engine_on(connection: duckdb.DuckDBPyConnection) -> sa.Engine:
    """An SQLAlchemy engine whose only connection is `connection`."""
    sa.dialects.registry.register("ecom_warehouse", __name__, WarehouseDialect.__name__)
    return sa.create_engine(
        "ecom_warehouse://", creator=lambda: BorrowedConnection(connection), poolclass=sa.pool.StaticPool
    )
