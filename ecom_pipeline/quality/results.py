"""What a validation found: the records that Dagster's checks show and `validation_results` keeps."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pyarrow as pa

from ecom_pipeline.contracts import Severity, table
from ecom_pipeline.warehouse import Warehouse

Suite = Literal["contract", "health", "ledger", "bad_rows", "models", "completeness", "track_record"]
"""What asked: the table's contract, or one of the checks beyond it. Each replaces its own results."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One expectation of one table and what became of it.

    `rows_checked` and `rows_unexpected` are None where an expectation is not about rows. `examples` are a few of
    the rows that break it, as mappings from column to value.
    """

    rule: str
    expectation: str
    severity: Severity
    success: bool
    observed: str | None
    rows_checked: int | None
    rows_unexpected: int | None
    examples: tuple[Mapping[str, Any], ...]
    sentence: str

    @property
    def blocks(self) -> bool:
        """Whether nothing downstream may be published."""
        return not self.success and self.severity == "error"


@dataclass(frozen=True, slots=True)
class TableValidation:
    """The results of one suite for one table."""

    table_name: str
    suite: Suite
    as_of: date
    results: tuple[CheckResult, ...]

    @property
    def blocks(self) -> bool:
        """Whether an expectation of severity error failed."""
        return any(result.blocks for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The results that did not succeed, errors first."""
        failed = [result for result in self.results if not result.success]
        return tuple(sorted(failed, key=lambda result: result.severity != "error"))

    @property
    def sentence(self) -> str:
        """All of it in a sentence or two."""
        failed = self.failures
        if not failed:
            return f"{self.table_name}: {len(self.results)} of {len(self.results)} checks passed."
        errors = sum(result.blocks for result in failed)
        kinds = " and ".join(
            f"{count} {kind}" for count, kind in ((errors, "failed"), (len(failed) - errors, "gave a warning")) if count
        )
        return f"{self.table_name}: of {len(self.results)} checks {kinds}. {failed[0].sentence}"


def warning(table_name: str, *, rule: str, expectation: str, success: bool, observed: str, to_do: str) -> CheckResult:
    """A result that is not about single rows and never blocks; `to_do` is said only where it failed."""
    sentence = f"{table_name}: {rule}: {observed}."
    if not success:
        sentence = f"{table_name}: expected that {rule}, but found {observed}. {to_do}"
    return CheckResult(
        rule=rule,
        expectation=expectation,
        severity="warn",
        success=success,
        observed=observed,
        rows_checked=None,
        rows_unexpected=None,
        examples=(),
        sentence=sentence,
    )


def keep(warehouse: Warehouse, validation: TableValidation, *, run_id: str) -> None:
    """Put the results in `validation_results`, in place of those of the same night, table and suite."""
    declared = table("validation_results")
    rows = [
        {
            "as_of": validation.as_of,
            "run_id": run_id,
            "table_name": validation.table_name,
            "suite": validation.suite,
            "rule": result.rule,
            "expectation": result.expectation,
            "severity": result.severity,
            "success": result.success,
            "observed": result.observed,
            "rows_checked": result.rows_checked,
            "rows_unexpected": result.rows_unexpected,
            "examples": examples_as_json(result.examples),
            "sentence": result.sentence,
        }
        for result in validation.results
    ]
    types = {"DATE": pa.date32(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "BIGINT": pa.int64()}
    schema = pa.schema([(column.name, types[column.type]) for column in declared.columns])
    with warehouse.transaction():
        warehouse.run(
            "DELETE FROM validation_results WHERE as_of = :as_of AND table_name = :table_name AND suite = :suite",
            {"as_of": validation.as_of, "table_name": validation.table_name, "suite": validation.suite},
        )
        warehouse.append_from_arrow(declared, pa.Table.from_pylist(rows, schema=schema))


def examples_as_json(examples: Sequence[Mapping[str, Any]]) -> str | None:
    """The examples as a JSON array; None where there are none. Numbers that JSON lacks (NaN) become strings."""
    if not examples:
        return None
    plain = [{name: _plain(value) for name, value in example.items()} for example in examples]
    return json.dumps(plain, ensure_ascii=False, default=str, allow_nan=False)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
