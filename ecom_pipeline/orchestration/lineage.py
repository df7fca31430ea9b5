"""Which tables and columns a table comes from: taken from the SQL and the profile themselves, so that it cannot drift.

Of what models make only the columns that they read are declared here.
"""

from collections.abc import Mapping
from functools import cache

import dagster as dg

from ecom_pipeline.contracts import ALL_TABLES, Table, table
from ecom_pipeline.contracts.marts import QUANTILE_COLUMNS
from ecom_pipeline.contracts.people import STEPS
from ecom_pipeline.orchestration.sql_columns import Source, columns_behind
from ecom_pipeline.sources.expressions import checked_expression
from ecom_pipeline.sources.profile import CORE_TABLE_OF, FEEDS, Reader, SourceProfile
from ecom_pipeline.warehouse import sql_text, tables_named_in

_USER: tuple[Source, ...] = (("feat_user_events", "user_id"),)
_ITEM: tuple[Source, ...] = (("feat_user_events", "item_id"), ("feat_items", "item_id"))
_SEQUENCE: tuple[Source, ...] = tuple(
    ("feat_user_events", name) for name in ("user_id", "position", "item_id", "event", "event_ts")
)
_SERIES: tuple[Source, ...] = tuple(
    ("feat_sales_daily", name)
    for name in (
        "quantity",
        "revenue",
        "views",
        "carts",
        "on_promotion",
        "promotion_share",
        "promotion_depth",
        "average_price",
        "is_holiday",
        "is_closed",
    )
) + tuple(
    ("feat_sales_future", name)
    for name in ("on_promotion", "promotion_share", "promotion_depth", "is_holiday", "is_closed")
)
_DAYS: tuple[Source, ...] = tuple(("feat_user_events", name) for name in ("event", "event_date"))

BY_MODELS: Mapping[str, Mapping[str, tuple[Source, ...]]] = {
    "sales_forecasts": {
        "level": (("feat_sales_daily", "level"),),
        "series_id": (("feat_sales_daily", "series_id"),),
        "target_date": (("feat_sales_future", "date"),),
        **dict.fromkeys(("mean", *QUANTILE_COLUMNS), _SERIES),
        "baseline": (("feat_sales_daily", "quantity"), ("feat_sales_daily", "revenue"), ("feat_sales_daily", "date")),
    },
    "recommendations": {
        "user_id": _USER,
        "item_id": _ITEM,
        **dict.fromkeys(("rank", "score", "source", "is_repeat"), _SEQUENCE),
        "reason": (*_SEQUENCE, ("feat_items", "name"), ("feat_items", "category")),
        "reason_item_id": (("feat_user_events", "item_id"),),
    },
    "purchase_predictions": {
        "user_id": (("recommendations", "user_id"),),
        "item_id": (("recommendations", "item_id"),),
        "probability": (*_SEQUENCE, ("recommendations", "rank"), ("recommendations", "fallback")),
    },
    "similar_items": {"item_id": (("feat_items", "item_id"),), "similar_item_id": (("feat_items", "item_id"),)},
    "user_segments": {"user_id": _USER, "segment": _SEQUENCE},
    "segments": {
        "segment": _SEQUENCE,
        "description": (*_SEQUENCE, *_DAYS[1:], ("feat_items", "category")),
        "typical_items": (("feat_items", "name"), ("feat_user_events", "item_id")),
        "events_a_user": (("feat_user_events", "event"),),
        "purchase_days_a_user": _DAYS,
        "value_a_user": (("feat_user_events", "quantity"), ("feat_user_events", "price")),
    },
    "segment_items": {"segment": _SEQUENCE, "item_id": _ITEM, "lift": (("feat_user_events", "item_id"),)},
    "next_steps": {
        "user_id": _USER,
        "last_event": (("feat_user_events", "event"),),
        **dict.fromkeys((*(f"p_{step}" for step in STEPS), "likeliest", "p_buys"), _DAYS),
    },
    "next_step_reliability": {"predicted": _DAYS, "observed": _DAYS},
}
"""Table -> column -> the columns that its values come from, where a model stands between."""


def tables_read_by(declared: Table) -> frozenset[str]:
    """Names of the contract tables that the SQL file of `declared` names, itself left out."""
    return tables_named_in(sql_text(declared.layer, declared.name), ALL_TABLES.keys()) - {declared.name}


@cache
def columns_read_by(name: str) -> Mapping[str, frozenset[Source]]:
    """Column -> its sources, of a table that a model or an SQL file over contract tables makes; empty for others."""
    if name in BY_MODELS:
        return {column: frozenset(sources) for column, sources in BY_MODELS[name].items()}
    declared = ALL_TABLES.get(name)
    if declared is None or declared.layer not in ("features", "marts", "operations"):
        return {}
    try:
        sql = sql_text(declared.layer, declared.name)
    except FileNotFoundError:
        return {}
    known = {one.name: one.column_names for one in ALL_TABLES.values()}
    found = columns_behind(sql, known)
    return {column: found[column] for column in declared.column_names if found.get(column)}


def core_columns(profile: SourceProfile) -> Mapping[str, Mapping[str, frozenset[Source]]]:
    """Core table -> column -> raw columns, as the profile's expressions name them."""
    found: dict[str, dict[str, set[Source]]] = {name: {} for name in CORE_TABLE_OF.values()}
    for feed in FEEDS:
        for reader in profile.readers(feed):
            for column, expression in _expressions(reader, CORE_TABLE_OF[feed]).items():
                for parts in checked_expression(expression).columns:
                    if parts[0] not in reader.joins:
                        found[CORE_TABLE_OF[feed]].setdefault(column, set()).add((f"raw_{feed}", parts[-1]))
    # a sold line is an event too
    lines, events = found["core_order_lines"], found["core_events"]
    for column, of_line in (
        ("user_id", "user_id"), ("item_id", "item_id"), ("event", "quantity"), ("quantity", "quantity"),
        ("price", "unit_price"), ("channel", "channel"), ("event_ts", "ordered_at"), ("event_date", "order_date"),
    ):  # fmt: skip
        events.setdefault(column, set()).update(lines.get(of_line, ()))
    return {
        name: {column: frozenset(sources) for column, sources in columns.items() if sources}
        for name, columns in found.items()
    }


def _expressions(reader: Reader, core: str) -> Mapping[str, str]:
    """Core column -> its expression; the time of a row gives both of its columns."""
    given = dict(reader.columns)
    if reader.time is not None:
        for column in ("ordered_at", "order_date", "event_ts", "event_date"):
            if column in table(core).column_names:
                given[column] = reader.time.value
    return given


def as_metadata(columns: Mapping[str, frozenset[Source]]) -> dict[str, dg.TableColumnLineage]:
    """Sources as Dagster shows them; nothing where there are none."""
    if not columns:
        return {}
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            deps_by_column={
                column: [dg.TableColumnDep(asset_key=name, column_name=source) for name, source in sorted(sources)]
                for column, sources in columns.items()
            }
        )
    }
