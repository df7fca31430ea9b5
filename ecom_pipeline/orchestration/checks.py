"""Asset checks: what the quality library finds, as Dagster shows it. One check for each question asked of a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from ecom_pipeline.orchestration.presentation import markdown_table
from ecom_pipeline.orchestration.recording import Step, recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.quality.results import CheckResult, TableValidation

CHECKS_SUFFIX = "_checks"


@dataclass(frozen=True)
class Question:
    """One check of one table: `ask` runs it and returns what was found; `deps` are other tables that it reads."""

    name: str
    description: str
    blocking: bool
    ask: Callable[[Shop, Step], TableValidation]
    deps: tuple[str, ...] = ()


def table_checks(asset: str, questions: Sequence[Question]) -> dg.AssetChecksDefinition:
    """All checks of one table as one step."""
    specs = [
        dg.AssetCheckSpec(
            question.name,
            asset=asset,
            description=question.description,
            blocking=question.blocking,
            additional_deps=question.deps,
        )
        for question in questions
    ]

    @dg.multi_asset_check(name=f"{asset}{CHECKS_SUFFIX}", pool=WAREHOUSE_POOL, specs=specs)
    def checks(context: dg.AssetCheckExecutionContext, shop: dg.ResourceParam[Shop]) -> Iterator[dg.AssetCheckResult]:
        with recorded_step(context, shop) as step:
            found = [(question.name, question.ask(shop, step)) for question in questions]
        for name, validation in found:
            yield as_check_result(asset, name, validation)

    return checks


def as_check_result(asset: str, name: str, validation: TableValidation) -> dg.AssetCheckResult:
    """What was found, with the severity of the worst failure; a warning does not block, whatever the check."""
    failures = validation.failures
    metadata: dict[str, dg.MetadataValue] = {
        "rules": dg.MetadataValue.int(len(validation.results)),
        "rules broken": dg.MetadataValue.int(len(failures)),
        "found": dg.MetadataValue.md(_found(validation)),
    }
    if failures:
        worst = failures[0]
        metadata["severity"] = dg.MetadataValue.text(worst.severity)
        metadata["observed"] = dg.MetadataValue.text(worst.observed or "")
        if worst.rows_unexpected is not None:
            metadata["rows that break it"] = dg.MetadataValue.int(worst.rows_unexpected)
        if worst.examples:
            header = list(worst.examples[0])
            rows = [[example.get(column) for column in header] for example in worst.examples]
            metadata["examples"] = dg.MetadataValue.md(markdown_table(header, rows))
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not failures,
        severity=dg.AssetCheckSeverity.ERROR if validation.blocks else dg.AssetCheckSeverity.WARN,
        description=_said(validation),
        metadata=metadata,
    )


def _said(validation: TableValidation) -> str:
    """What was expected, what was found, and what to do, in one sentence."""
    if validation.failures:
        return validation.sentence
    rules = len(validation.results)
    if not rules:
        return f"{validation.table_name}: no rule applies to this shop, so nothing was asked; nothing to do."
    if rules == 1:
        return f"{validation.table_name}: one rule was expected to hold, and it does; nothing to do."
    return f"{validation.table_name}: {rules} rules were expected to hold, and all of them do; nothing to do."


def _found(validation: TableValidation) -> str:
    """All rules with what was observed, failures first."""
    passed = [result for result in validation.results if result.success]
    return markdown_table(
        ("", "expected", "severity", "observed"),
        [(_mark(result), result.rule, result.severity, result.observed) for result in (*validation.failures, *passed)],
    )


def _mark(result: CheckResult) -> str:
    if result.success:
        return "passed"
    return "FAILED" if result.severity == "error" else "warning"
