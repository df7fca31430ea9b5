"""How contract tables look in the Dagster UI: specs before a run, previews and counts after a step."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from ecom_pipeline.contracts import Between, Column, Holds, NotNull, OneOf, Rule, Table, Unique
from ecom_pipeline.warehouse import Warehouse

PREVIEW_ROWS = 5
PREVIEW_WIDTH = 60

OWNERS = {
    "raw": "team:data-engineering",
    "core": "team:data-engineering",
    "features": "team:data-engineering",
    "models": "team:data-science",
    "marts": "team:data-science",
    "published": "team:analytics",
}
NIGHTLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=26), fail_window=timedelta(hours=50))
"""What a night makes is stale when the next night is two hours late, and wrong to rely on when two are missing."""


def table_spec(
    declared: Table,
    *,
    group: str,
    deps: Iterable[str],
    kinds: set[str],
    partitions: dg.PartitionsDefinition | None = None,
) -> dg.AssetSpec:
    """The asset of a contract's table."""
    return dg.AssetSpec(
        declared.name,
        deps=sorted(set(deps)),
        description=declared.meaning,
        group_name=group,
        owners=[OWNERS[group]],
        kinds=kinds,
        partitions_def=partitions,
        freshness_policy=NIGHTLY if group == "marts" else None,
        metadata={
            "dagster/column_schema": column_schema(declared),
            "dagster/table_name": f"warehouse.{declared.name}",
            **({"published as": declared.published_as} if declared.published_as else {}),
        },
    )


def column_schema(declared: Table) -> dg.TableSchema:
    """The contract's columns and rules as Dagster shows them."""
    keys = [rule.columns for rule in declared.all_rules if isinstance(rule, Unique)]
    single_keys = {columns[0] for columns in keys if len(columns) == 1}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type.lower(),
                description=column.meaning,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=column.name in single_keys,
                    other=[rule.words for rule in declared.rules if _speaks_of(rule, column)],
                ),
            )
            for column in declared.columns
        ],
        constraints=dg.TableConstraints(
            other=[
                rule.words
                for rule in declared.all_rules
                if isinstance(rule, Holds) or (isinstance(rule, Unique) and len(rule.columns) > 1)
            ]
        ),
    )


def _speaks_of(rule: Rule, column: Column) -> bool:
    return isinstance(rule, OneOf | Between | NotNull) and rule.column == column.name


def table_metadata(warehouse: Warehouse, declared: Table, *, where: str | None = None) -> dict[str, Any]:
    """Row count and first rows of the table; `where` narrows both to what the step wrote."""
    source = f"{declared.name}{f' WHERE {where}' if where else ''}"
    count = int(warehouse.scalar(f"SELECT count(*) FROM {source}"))
    counted = {"dagster/partition_row_count": count} if where else {"dagster/row_count": count}
    if count == 0:
        return counted
    order = ", ".join(declared.key) if declared.key and count < 100_000 else ""
    rows = warehouse.rows(f"SELECT * FROM {source}{f' ORDER BY {order}' if order else ''} LIMIT {PREVIEW_ROWS}")
    return {**counted, "preview": dg.MetadataValue.md(markdown_table(declared.column_names, rows))}


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows as a Markdown table; values are shortened, and cannot break out of their cell."""
    names = list(header)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    if len(text) > PREVIEW_WIDTH:
        text = text[: PREVIEW_WIDTH - 1] + "…"
    for special in "\\|`*_<>[]":
        text = text.replace(special, "\\" + special)
    return text


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
