"""How contract tables look in the Dagster UI: specs before a run, previews and counts after a step."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from ecom_pipeline.contracts import Between, Column, Holds, NotNull, OneOf, Rule, Table, Unique
from ecom_pipeline.orchestration.lineage import as_metadata, columns_read_by
from ecom_pipeline.orchestration.sql_columns import Source
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import Warehouse

PREVIEW_ROWS = 5
PREVIEW_WIDTH = 60
NIGHTS_SHOWN = 30
BARS = "▁▂▃▄▅▆▇█"

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


def table_metadata(warehouse: Warehouse, declared: Table, *, as_of: date | None = None) -> dict[str, Any]:
    """Row count, first rows, counts of past nights and column lineage of the table; of one that is kept night by night
    the rows of the night `as_of`."""
    of_night = declared.by_night and as_of is not None
    source = f"{declared.name} WHERE as_of = DATE '{as_of}'" if of_night else declared.name
    count = int(warehouse.scalar(f"SELECT count(*) FROM {source}"))
    told: dict[str, Any] = {"dagster/partition_row_count" if of_night else "dagster/row_count": count}
    if as_of is not None and len(past := past_counts(warehouse, declared, as_of)) > 1:
        told["rows of past nights"] = dg.MetadataValue.text(sparkline(past))
    told |= lineage_metadata(columns_read_by(declared.name))
    if count == 0:
        return told
    order = ", ".join(declared.key) if declared.key and count < 100_000 else ""
    rows = warehouse.rows(f"SELECT * FROM {source}{f' ORDER BY {order}' if order else ''} LIMIT {PREVIEW_ROWS}")
    return {**told, "preview": dg.MetadataValue.md(markdown_table(declared.column_names, rows))}


def lineage_metadata(columns: Mapping[str, frozenset[Source]]) -> dict[str, Any]:
    """Sources of the columns as Dagster keeps them, and as a table: its own pages show them in Dagster+ alone."""
    if not columns:
        return {}
    rows = [(name, *source) for name, sources in columns.items() for source in sorted(sources)]
    told = dg.MetadataValue.md(markdown_table(("column", "made from table", "its column"), rows))
    return {**as_metadata(columns), "where columns come from": told}


IN_THE_REPORT = {
    "sales_forecasts": "forecast",
    "sales_forecast_accuracy": "misses",
    "recommendations": "people",
    "purchase_predictions": "people",
    "segments": "segments",
    "user_segments": "segments",
    "segment_items": "segments",
    "next_steps": "next-steps",
    "next_step_reliability": "next-steps",
    "similar_items": "similar",
    "funnel_daily": "funnel",
    "path_sequences": "paths",
    "quarantine_summary": "quality",
    "model_metrics": "models",
    "model_versions": "models",
}
"""Tables that the nightly report draws, and its section of each."""


def place_in_report(home: Home, name: str, as_of: date) -> dict[str, Any]:
    """Where the report of the night says what a table says; it is written at the end of the night."""
    from ecom_pipeline.report import archived_report

    if name not in IN_THE_REPORT:
        return {}
    page = archived_report(home, as_of).resolve().as_uri()
    return {"in the report": dg.MetadataValue.url(f"{page}#{IN_THE_REPORT[name]}")}


def past_counts(warehouse: Warehouse, declared: Table, as_of: date) -> list[tuple[date, int]]:
    """Rows of the table in the nights up to `as_of`, oldest first: as they stand where nights are kept, else as the
    nights' steps wrote them."""
    if declared.by_night:
        sql = f"SELECT as_of, count(*) FROM {declared.name} WHERE as_of <= :as_of GROUP BY as_of"
    else:
        sql = (
            f"SELECT as_of, arg_max(rows, started_at) FROM runs WHERE step = '{declared.name}' AND as_of <= :as_of "
            "AND rows IS NOT NULL GROUP BY as_of"
        )
    rows = warehouse.rows(f"{sql} ORDER BY as_of DESC LIMIT {NIGHTS_SHOWN}", {"as_of": as_of})
    return [(night, int(count)) for night, count in reversed(rows)]


def sparkline(counts: Sequence[tuple[date, int]]) -> str:
    """Counts by night as a line of bars, with the first and the last of them."""
    values = [count for _, count in counts]
    low, high = min(values), max(values)
    steps = [
        round((value - low) / (high - low) * (len(BARS) - 1)) if high > low else len(BARS) // 2 for value in values
    ]
    (first, then), (last, now) = counts[0], counts[-1]
    return f"{''.join(BARS[step] for step in steps)}  {then:,} ({first}) to {now:,} ({last})"


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
