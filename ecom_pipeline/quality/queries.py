"""Checks that are one SQL query: its rows are what is wrong. The checks beyond contracts are made of these."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ecom_pipeline.contracts import Severity
from ecom_pipeline.quality.results import CheckResult, Suite, TableValidation, keep
from ecom_pipeline.warehouse import Warehouse

EXAMPLES = 5


def wrong_rows(
    warehouse: Warehouse,
    table_name: str,
    *,
    rule: str,
    name: str,
    sql: str,
    parameters: Mapping[str, Any],
    rows_checked: int,
    to_do: str,
    severity: Severity = "error",
) -> CheckResult:
    """Run the query; each row that it returns breaks the rule and is a possible example.

    `rule` is a clause ("every file …"), `name` identifies the check in `validation_results.expectation`, `to_do` is
    a sentence that says what to do when it fails.
    """
    wrong = warehouse.arrow(
        f"SELECT *, count(*) OVER () AS all_of_them FROM (\n{sql}\n) AS wrong LIMIT {EXAMPLES}", parameters
    )
    count = int(wrong["all_of_them"][0].as_py()) if wrong.num_rows else 0
    examples = tuple(wrong.drop_columns("all_of_them").to_pylist())
    if count:
        shown = ", ".join(f"{column} {value}" for column, value in examples[0].items())
        sentence = f"{table_name}: expected that {rule}, but {count:,} of {rows_checked:,} do not: {shown}. {to_do}"
    else:
        sentence = f"{table_name}: {rule}: all of {rows_checked:,}."
    return CheckResult(
        rule=rule,
        expectation=name,
        severity=severity,
        success=count == 0,
        observed=f"{count:,} of {rows_checked:,} break it" if count else f"all of {rows_checked:,}",
        rows_checked=rows_checked,
        rows_unexpected=count,
        examples=examples,
        sentence=sentence,
    )


def kept(
    warehouse: Warehouse, table_name: str, suite: Suite, results: list[CheckResult], *, as_of: date, run_id: str
) -> TableValidation:
    """The results as a validation, kept in `validation_results`."""
    validation = TableValidation(table_name=table_name, suite=suite, as_of=as_of, results=tuple(results))
    keep(warehouse, validation, run_id=run_id)
    return validation
