"""Validation of one table against its contract: run the suite, find examples of bad rows, say it in words, keep it."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ecom_pipeline.contracts import (
    Between,
    Column,
    Holds,
    Layer,
    NotNull,
    OneOf,
    Rule,
    Severity,
    Table,
    Unique,
    identifier,
    literal,
)
from ecom_pipeline.quality import gx, passed, passed_rows
from ecom_pipeline.quality.key_slices import key_passes
from ecom_pipeline.quality.passed import Asked, file_column
from ecom_pipeline.quality.results import CheckResult, TableValidation, examples_as_json, keep
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.spark_engine import SparkWarehouse

EXAMPLES = 5
LONGEST_EXAMPLE = 200

WHAT_TO_DO: Mapping[Layer, str] = {
    "operations": "This is a fault in the pipeline's own bookkeeping; run the night again, and report it if it stays.",
    "raw": "Look at the file in landing that the rows name, and at the source profile that reads it.",
    "core": "Look the rows up by file_id (table ingest_files) and line; mend the export, or add a rule to the source "
    "profile that quarantines such rows, and run the night again.",
    "features": "The rows that lead to it are in the core tables; mend the export or the source profile and run the "
    "night again.",
    "marts": "Look at the step that made the table and at its model's metrics; run the step again, or roll the model "
    "back to its previous version.",
}


def raw_contract(feed: str, columns: Sequence[str] = ()) -> Table:
    """The contract of `raw_<feed>`: its provenance, and the columns that the source profile reads, whatever types."""
    return Table(
        name=f"raw_{feed}",
        layer="raw",
        meaning=f"Every row of every file of the {feed} feed, as it came.",
        columns=(
            Column("_file_id", "INTEGER", "File that the row came in (ingest_files).", nullable=False),
            Column("_line", "BIGINT", "Line of that file.", nullable=False),
            *(Column(name, "VARCHAR", f"Column {name} of the shop's export.") for name in columns),
        ),
        key=("_file_id", "_line"),
    )


def validate(warehouse: Warehouse, table: Table, *, as_of: date, run_id: str) -> TableValidation:
    """Check the table against its contract and keep the results in `validation_results`.

    Of a table that is kept night by night only the night `as_of` is checked; of raw and core tables the rows of files
    that are new or changed since all rules held, of features and results that tell it the rows that were written since.
    Rules about columns that are missing fail; so do rules whose SQL cannot be evaluated. Nothing is raised for bad
    data: `blocks` of the result says whether anything may be published.
    """
    night = as_of if table.by_night else None
    # a rule on a column that is not there would keep the whole suite from running
    missing = set(table.column_names) - _columns_there(warehouse, table)
    rules = [rule for rule in table.all_rules if not missing.intersection(_columns_of(rule, table))]
    cluster = warehouse if isinstance(warehouse, SparkWarehouse) and warehouse.is_on_cluster(table) else None
    file = file_column(table) if cluster is None else None
    told = (table.along is not None or table.by_day is not None) and cluster is None and not missing
    asked = Asked(where=None if night is None else _of_night(night))
    if file is not None:
        columns = sorted({name for rule in rules for name in _columns_of(rule, table)})
        asked = passed.rows_to_ask(warehouse, table, file=file, columns=columns, rules=rules)
    elif told:
        asked = passed_rows.rows_to_ask(warehouse, table, rules)
    if cluster is not None:
        schema, *outcomes = _outcomes_on_cluster(cluster, table, rules, night=night)
    else:
        suite = gx.contract_suite(table, rules)
        schema, *outcomes = gx.run_suite(warehouse.connection, table, suite, rows=asked.rows, where=asked.where)
    results = [_schema_result(table, schema)]
    of_rule = dict(zip(rules, outcomes, strict=True))
    for rule in table.all_rules:
        if rule in of_rule:
            results.append(_result(warehouse, table, rule, of_rule[rule], night=night, held=asked.passed))
        else:
            lost = ", ".join(sorted(missing.intersection(_columns_of(rule, table))))
            results.append(_not_checked(table, rule, f"the table lacks {lost}"))
    validation = TableValidation(table_name=table.name, suite="contract", as_of=as_of, results=tuple(results))
    with warehouse.transaction():
        keep(warehouse, validation, run_id=run_id)
        if file is not None:
            passed.keep_passed(warehouse, table, all_passed=not validation.failures)
        elif told:
            passed_rows.keep_passed(warehouse, table, rules, asked, all_passed=not validation.failures)
    return validation


def _outcomes_on_cluster(
    warehouse: SparkWarehouse, table: Table, rules: Sequence[Rule], *, night: date | None
) -> list[gx.Outcome]:
    """Of the schema, then of each rule, for a table that lies on the cluster whole."""
    from ecom_pipeline.spark.quality import outcomes_on_cluster

    where = None if night is None else _of_night(night)
    schema = gx.run_suite(warehouse.connection, table, gx.contract_suite(table, ()), where=where)
    return [*schema, *outcomes_on_cluster(warehouse.frame(f"SELECT * FROM {table.name}", {}), table, rules)]


def _of_night(night: date) -> str:
    return f"as_of = DATE '{night.isoformat()}'"


def _columns_there(warehouse: Warehouse, table: Table) -> set[str]:
    found = warehouse.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = :name", {"name": table.name})
    return {name for (name,) in found}


def _schema_result(table: Table, outcome: gx.Outcome) -> CheckResult:
    found = outcome.observed or outcome.error
    sentence = f"{table.name}: {gx.SCHEMA_RULE}: {found}."
    if not outcome.success:
        sentence = (
            f"{table.name}: expected that {gx.SCHEMA_RULE}, but {found}. "
            "The table was made by another version or by hand: drop it and run the night again."
        )
    return CheckResult(
        rule=gx.SCHEMA_RULE,
        expectation=outcome.expectation,
        severity="error",
        success=outcome.success,
        observed=found,
        rows_checked=None,
        rows_unexpected=None,
        examples=(),
        sentence=sentence,
    )


def _result(
    warehouse: Warehouse, table: Table, rule: Rule, outcome: gx.Outcome, *, night: date | None, held: int
) -> CheckResult:
    """The outcome in words; `held` rows held the rule before and did not change, so that they were not asked.

    Nothing in it tells how many were: the same night again gives the same rows.
    """
    if outcome.error is not None:
        return _not_checked(table, rule, outcome.error)
    rows, unexpected = held + (outcome.rows_checked or 0), outcome.rows_unexpected or 0
    examples = () if outcome.success else _examples(warehouse, table, rule, night=night, rows=rows)
    observed = f"{unexpected:,} of {rows:,} rows break it" if unexpected else f"all of {rows:,} rows"
    if outcome.success:
        sentence = f"{table.name}: {rule.words}: {observed}."
    else:
        shown = examples_as_json(examples[:1]) or ""
        sentence = (
            f"{table.name}: expected that {rule.words}, but {unexpected:,} of {rows:,} rows "
            f"({unexpected / max(rows, 1):.2%}) break it, such as {shown[1:-1]}. {WHAT_TO_DO[table.layer]}"
        )
    return CheckResult(
        rule=rule.words,
        expectation=outcome.expectation,
        severity=rule.severity,
        success=outcome.success,
        observed=observed,
        rows_checked=rows,
        rows_unexpected=unexpected,
        examples=examples,
        sentence=sentence,
    )


def _not_checked(table: Table, rule: Rule, why: str) -> CheckResult:
    severity: Severity = rule.severity
    return CheckResult(
        rule=rule.words,
        expectation="not_evaluated",
        severity=severity,
        success=False,
        observed=why,
        rows_checked=None,
        rows_unexpected=None,
        examples=(),
        sentence=f"{table.name}: that {rule.words} could not be checked: {why}. Mend the table, or the rule in its "
        "contract, and run the night again.",
    )


def _examples(
    warehouse: Warehouse, table: Table, rule: Rule, *, night: date | None, rows: int
) -> tuple[Mapping[str, Any], ...]:
    """A few rows that break the rule: the table's key and the columns that the rule names."""
    where = "TRUE" if night is None else _of_night(night)
    if isinstance(rule, Unique):
        return _repeated_keys(warehouse, table, rule, where=where, rows=rows)
    names = tuple(dict.fromkeys((*table.key, *_columns_of(rule, table))))
    columns = ", ".join(identifier(name) for name in names)
    order = ", ".join(identifier(name) for name in table.key) or columns
    found = warehouse.connection.execute(
        f"SELECT {columns} FROM {table.name} WHERE {where} AND {_broken(rule)} ORDER BY {order} LIMIT {EXAMPLES}"
    ).fetchall()
    return tuple(_example(names, row) for row in found)


def _repeated_keys(
    warehouse: Warehouse, table: Table, rule: Unique, *, where: str, rows: int
) -> tuple[Mapping[str, Any], ...]:
    """Keys that occur more than once, from the first slice of the table that has any."""
    columns = ", ".join(identifier(name) for name in rule.columns)
    passes = key_passes(rows)
    for number in range(passes):
        found = warehouse.connection.execute(
            f"SELECT {columns}, count(*) FROM {table.name} WHERE {where} AND hash({columns}) % {passes} = {number} "
            f"GROUP BY {columns} HAVING count(*) > 1 ORDER BY {columns} LIMIT {EXAMPLES}"
        ).fetchall()
        if found:
            return tuple(_example((*rule.columns, "copies"), row) for row in found)
    return ()


def _broken(rule: NotNull | OneOf | Between | Holds) -> str:
    """SQL that is true for the rows that break the rule."""
    match rule:
        case NotNull(column=column):
            return f"{identifier(column)} IS NULL"
        case OneOf(column=column, values=values):
            return f"{identifier(column)} NOT IN ({', '.join(literal(value) for value in values)})"
        case Between(column=column, minimum=minimum, maximum=maximum):
            sides = [
                f"{identifier(column)} {operator} {limit!r}"
                for operator, limit in (("<", minimum), (">", maximum))
                if limit is not None
            ]
            return f"({' OR '.join(sides)})"
        case Holds(predicate=predicate):
            return f"NOT ({predicate})"


def _columns_of(rule: Rule, table: Table) -> tuple[str, ...]:
    if isinstance(rule, Unique):
        return rule.columns
    if isinstance(rule, Holds):
        words = set(re.findall(r"[a-z_][a-z0-9_]*", re.sub(r"'[^']*'", "", rule.predicate)))
        return tuple(name for name in table.column_names if name in words)
    return (rule.column,)


def _example(names: Sequence[str], row: Sequence[Any]) -> Mapping[str, Any]:
    return {
        name: value[:LONGEST_EXAMPLE] + "…" if isinstance(value, str) and len(value) > LONGEST_EXAMPLE else value
        for name, value in zip(names, row, strict=True)
    }
