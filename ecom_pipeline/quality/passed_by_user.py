"""Tables of features and marts by user: rows that were written since all rules held are checked, and no others.

With them are asked the rows that share a key with one of them, so that the figures are those of asking all rows. Where
anybody but the step that makes the table added or took out rows, all are asked.
"""

from collections.abc import Sequence

import duckdb

from ecom_pipeline.contracts import Rule, Table
from ecom_pipeline.quality.passed import Asked
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.row_changes import note_reading, unread


def rows_to_ask(warehouse: Warehouse, table: Table, rules: Sequence[Rule]) -> Asked:
    """The rows to ask of a table that is followed by user; in temp until `keep_passed`."""
    made = warehouse.rows("SELECT rows FROM feature_nights WHERE table_name = :name", {"name": table.name})
    there = int(warehouse.scalar(f"SELECT count(*) FROM {table.name}"))
    changed = None
    if made and made[0][0] == there:
        changed = unread(warehouse, table, "checks", read_with=_rules(table, rules))
    if changed is None:
        return Asked()
    same_key = " AND ".join(f"t.{name} IS NOT DISTINCT FROM written.{name}" for name in table.key)
    warehouse.run(f"CREATE OR REPLACE TEMP TABLE rows_written AS {changed.rows(table.name)}")
    warehouse.run(
        "CREATE OR REPLACE TEMP TABLE rows_to_check AS "
        f"SELECT t.* FROM {table.name} AS t SEMI JOIN rows_written AS written ON {same_key}"
    )
    asked = int(warehouse.scalar("SELECT count(*) FROM rows_to_check"))
    return Asked(rows="rows_to_check", passed=there - asked, unread=changed)


def keep_passed(warehouse: Warehouse, table: Table, rules: Sequence[Rule], asked: Asked, *, all_passed: bool) -> None:
    """Note that all rows held the rules, if they did; else what was asked is asked again."""
    for name in ("rows_written", "rows_to_check"):
        warehouse.run(f"DROP TABLE IF EXISTS temp.{name}")
    if all_passed:
        note_reading(warehouse, table, "checks", read_with=_rules(table, rules), after=asked.unread)


def _rules(table: Table, rules: Sequence[Rule]) -> str:
    return fingerprint_of(duckdb.__version__, table.columns, rules)
