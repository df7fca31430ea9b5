"""`published/scenarios.duckdb`: what analysts asked, kept beside the published file and not touched by nights.

The file is replaced whole, as the published one is, so that nobody's open notebook stops a scenario.
"""

import fcntl
import uuid
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ecom_pipeline.contracts import Table, comment_statements, create_statement, literal
from ecom_pipeline.scenarios.tables import REORDER_SUGGESTIONS, SALES_SCENARIOS
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse.duckdb_engine import STORAGE_VERSION

FILE_NAME = "scenarios.duckdb"
TABLES = (SALES_SCENARIOS, REORDER_SUGGESTIONS)


def scenarios_file(home: Home) -> Path:
    """Where scenarios and reorder suggestions of a home lie."""
    return home.published_file.with_name(FILE_NAME)


def keep(home: Home, declared: Table, rows: pa.Table, *, instead_of: dict[str, Any]) -> Path:
    """Put rows into the file; those that agree with `instead_of` (column -> value) make way. Returns the file."""
    target = scenarios_file(home)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{FILE_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        building = target.with_name(f".{FILE_NAME}.{uuid.uuid4().hex[:12]}.building")
        try:
            with duckdb.connect() as connection:
                connection.execute(
                    f"ATTACH {literal(str(building))} AS kept (STORAGE_VERSION '{STORAGE_VERSION}')"
                ).fetchall()
                if target.exists():
                    connection.execute(f"ATTACH {literal(str(target))} AS before (READ_ONLY)").fetchall()
                for table in TABLES:
                    _copy(connection, table, from_before=target.exists())
                where = " AND ".join(f"{column} = ?" for column in instead_of) or "true"
                connection.execute(
                    f"DELETE FROM kept.{declared.name} WHERE {where}", list(instead_of.values())
                ).fetchall()
                columns = ", ".join(declared.column_names)
                connection.register("incoming", rows)
                order = ", ".join(declared.key)
                connection.execute(
                    f"INSERT INTO kept.{declared.name} ({columns}) SELECT {columns} FROM incoming ORDER BY {order}"
                ).fetchall()
            building.replace(target)
        finally:
            building.unlink(missing_ok=True)
    return target


def _copy(connection: duckdb.DuckDBPyConnection, table: Table, *, from_before: bool) -> None:
    connection.execute(create_statement(table, name=f"kept.{table.name}")).fetchall()
    for statement in comment_statements(table, name=f"kept.{table.name}"):
        connection.execute(statement).fetchall()
    if not from_before:
        return
    known = {
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = 'before' AND table_name = ?", [table.name]
        ).fetchall()
    }
    columns = ", ".join(name for name in table.column_names if name in known)
    if columns:
        connection.execute(
            f"INSERT INTO kept.{table.name} ({columns}) SELECT {columns} FROM before.{table.name}"
        ).fetchall()
