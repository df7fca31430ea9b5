"""Features and marts whose changes are told: rows that were written since all rules held are checked, and no others.

Of a table by user with them those that share a key with one of them, so that the figures are those of asking all rows;
where anybody but the step that makes it added or took out rows, all are asked. No key of a table by day reaches over
two days.
"""

from collections.abc import Sequence

import duckdb

from ecom_pipeline.contracts import Rule, Table, literal
from ecom_pipeline.quality.passed import Asked
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.row_changes import note_reading, unread


def rows_to_ask(warehouse: Warehouse, table: Table, rules: Sequence[Rule]) -> Asked:
    """The rows to ask of a table whose changes are told; those of a table by user in temp, until `keep_passed`."""
    there = int(warehouse.scalar(f"SELECT count(*) FROM {table.name}"))
    changed = None
    if table.along is None or _rows_as_made(warehouse, table) == there:
        changed = unread(warehouse, table, "checks", read_with=_rules(table, rules))
    if changed is None:
        return Asked()
    if table.along is None:
        days = ", ".join(literal(day.isoformat()) for day in sorted(changed.days))
        where = f"{table.day_column} IN ({days})" if days else "FALSE"
        asked = int(warehouse.scalar(f"SELECT count(*) FROM {table.name} WHERE {where}"))
        return Asked(where=where, passed=there - asked, unread=changed)
    same_key = " AND ".join(f"t.{name} IS NOT DISTINCT FROM written.{name}" for name in table.key)
    warehouse.run(f"CREATE OR REPLACE TEMP TABLE rows_written AS {changed.rows(table.name)}")
    warehouse.run(
        "CREATE OR REPLACE TEMP TABLE rows_to_check AS "
        f"SELECT t.* FROM {table.name} AS t SEMI JOIN rows_written AS written ON {same_key}"
    )
    asked = int(warehouse.scalar("SELECT count(*) FROM rows_to_check"))
    return Asked(rows="rows_to_check", passed=there - asked, unread=changed)


def _rows_as_made(warehouse: Warehouse, table: Table) -> int | None:
    made = warehouse.rows("SELECT rows FROM feature_nights WHERE table_name = :name", {"name": table.name})
    return made[0][0] if made else None


def keep_passed(warehouse: Warehouse, table: Table, rules: Sequence[Rule], asked: Asked, *, all_passed: bool) -> None:
    """Note that all rows held the rules, if they did; else what was asked is asked again."""
    for name in ("rows_written", "rows_to_check"):
        warehouse.run(f"DROP TABLE IF EXISTS temp.{name}")
    if all_passed:
        note_reading(warehouse, table, "checks", read_with=_rules(table, rules), after=asked.unread)


def _rules(table: Table, rules: Sequence[Rule]) -> str:
    return fingerprint_of(duckdb.__version__, table.columns, rules)
