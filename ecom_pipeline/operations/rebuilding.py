"""A new warehouse in the place of a damaged one: landing is loaded anew, past nights come from the published file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ecom_pipeline.contracts import PUBLISHED_TABLES, Table, literal
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline.warehouse.queue import queued

NOT_KEPT = frozenset({"about", "ingest_files", "quarantine_summary"})
"""Published tables that the next night makes anew from landing."""

# The step that publishes is not over when the file is made, so its row is not in it; the file itself is the proof.
_PUBLISHED_IT = """
INSERT INTO runs (run_id, as_of, step, status, started_at, code_version)
SELECT run_id, as_of, 'analytics', 'succeeded', max(started_at), max(code_version)
FROM runs WHERE as_of = (SELECT as_of FROM kept.about) GROUP BY run_id, as_of
QUALIFY row_number() OVER (ORDER BY max(started_at) DESC) = 1 AND NOT bool_or(step = 'analytics')
"""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """Where the former warehouse lies now (None: there was none), and the rows of past nights brought back."""

    moved_to: Path | None
    rows: dict[str, int]


def rebuild(home: Home) -> RebuildReport:
    """Move the warehouse aside and make a new one with the nights that the published file holds.

    Files in landing are loaded by the next night, and models are found by their data and settings.

    Raises:
        duckdb.Error: if the published file is damaged too; the new warehouse then stays empty, and landing fills it.
    """
    moved = None
    with queued(home.warehouse_file):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        for suffix in ("", ".wal"):
            file = home.warehouse_file.with_name(home.warehouse_file.name + suffix)
            if file.exists():
                aside = file.with_name(f"{home.warehouse_file.name}.damaged-{stamp}{suffix}")
                file.replace(aside)
                moved = moved or aside
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        rows = _bring_back(warehouse, home.published_file) if home.published_file.exists() else {}
    return RebuildReport(moved, rows)


def _bring_back(warehouse: Warehouse, published: Path) -> dict[str, int]:
    connection = warehouse.connection
    connection.execute(f"ATTACH {literal(str(published))} AS kept (READ_ONLY)")
    try:
        there = {
            row[0]: row[1]
            for row in connection.execute(
                "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE database_name = 'kept' GROUP BY ALL"
            ).fetchall()
        }
        with warehouse.transaction():
            rows = {
                declared.name: _copy(connection, declared, name, there[name])
                for name, declared in PUBLISHED_TABLES.items()
                if name in there and name not in NOT_KEPT and (declared.by_night or name == "runs")
            }
            connection.execute(_PUBLISHED_IT).fetchall()
            return rows
    finally:
        connection.execute("DETACH kept")


def _copy(connection: duckdb.DuckDBPyConnection, declared: Table, name: str, there: list[str]) -> int:
    columns = ", ".join(column for column in declared.column_names if column in there)
    connection.execute(f"DELETE FROM {declared.name}")
    ((rows,),) = connection.execute(
        f"INSERT INTO {declared.name} ({columns}) SELECT {columns} FROM kept.{name}"
    ).fetchall()
    return int(rows)
