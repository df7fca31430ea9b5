"""How SQLAlchemy, and through it Great Expectations, uses the warehouse's own open connection.

A second connection would not see what the running transaction has written, and the stock dialect reads PostgreSQL
catalogues that DuckDB has only in part. Only `quality.gx` imports this module: it imports SQLAlchemy at the top.
"""

from typing import Any

import duckdb
import duckdb_engine
import sqlalchemy as sa


class DuckDBType(sa.types.UserDefinedType[Any]):
    """A column type by the name that DuckDB gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """The name, as SQL."""
        return self.name


class BorrowedConnection:
    """The warehouse's connection in the hands of SQLAlchemy: it may ask, never begin, end or close anything."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def begin(self) -> None:
        """The warehouse's transactions are its own."""

    commit = rollback = close = begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class WarehouseDialect(duckdb_engine.Dialect):
    """DuckDB with its columns read from DuckDB's own catalogue."""

    supports_statement_cache = False

    def get_columns(self, connection: sa.Connection, table_name: str, schema: Any = None, **_: Any) -> list[Any]:
        """Names and types of the columns, in order."""
        found = connection.exec_driver_sql(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $1 "
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
        "ecom_warehouse:///",
        creator=lambda: duckdb_engine.ConnectionWrapper(BorrowedConnection(connection)),
        poolclass=sa.pool.StaticPool,
    )
