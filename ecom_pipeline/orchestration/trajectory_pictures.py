"""Plots of shopping trajectories, read from the warehouse after their steps."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from ecom_pipeline.orchestration import plots
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop

FUNNEL_DAYS = 28
COHORTS_SHOWN = 4


def funnel_of_visits(shop: Shop, step: Step) -> Mapping[str, Any]:
    """Visits of the last four weeks, and how many of them came to each step."""
    visits, *steps = shop.warehouse.rows(
        "SELECT sum(sessions), sum(sessions_with_view), sum(sessions_view_then_cart), sum(sessions_view_then_purchase) "
        "FROM funnel_daily WHERE level = 'total' AND date > :first AND date <= :as_of",
        {"first": step.as_of - timedelta(days=FUNNEL_DAYS), "as_of": step.as_of},
    )[0]
    if not visits or not steps[0]:
        return {"note": "No funnel: it needs a browse feed with views."}
    named = zip(("visits", "looked", "filled a cart", "bought"), (visits, *steps), strict=True)
    return {
        "visits that buy": round(steps[-1] / visits, 4),
        "funnel": dg.MetadataValue.md(
            plots.bars(
                [(f"{name}\n{count:,.0f}", float(count)) for name, count in named],
                title=f"Visits of the last {FUNNEL_DAYS} days: from a look to a purchase",
                unit="visits",
            )
        ),
    }


def days_to_convert(shop: Shop, step: Step) -> Mapping[str, Any]:
    """How long it took from the first view of a product to buying it."""
    rows = shop.warehouse.rows(
        "SELECT label, share FROM time_to_convert "
        "WHERE as_of = :as_of AND measure = 'product' AND level = 'total' ORDER BY bucket",
        {"as_of": step.as_of},
    )
    if not rows:
        return {"note": "No times to convert: no purchase of a product that its buyer had looked at before."}
    return {
        "time to convert": dg.MetadataValue.md(
            plots.bars(
                [(label.replace(" ", "\n"), float(share)) for label, share in rows],
                title="From the first look at a product to buying it",
                unit="share of the purchases",
            )
        )
    }


def months_of_cohorts(shop: Shop, step: Step) -> Mapping[str, Any]:
    """How many of the newest monthly cohorts bought again in the months since."""
    rows = shop.warehouse.rows(
        "SELECT cohort, period, retention FROM cohort_retention "
        "WHERE basis = 'purchase' AND grain = 'month' AND period_over AND period > 0 ORDER BY cohort, period"
    )
    curves: dict[str, list[tuple[float, float]]] = {}
    for cohort, period, retention in rows:
        curves.setdefault(f"{cohort:%b %Y}", []).append((float(period), float(retention)))
    drawn = dict(list(curves.items())[:COHORTS_SHOWN])
    if not drawn:
        return {}
    return {
        "retention": dg.MetadataValue.md(
            plots.lines(
                drawn, title="Share of each month's new buyers who buy again", x="months since", y="share that bought"
            )
        )
    }


def rfm_sizes(shop: Shop, step: Step) -> Mapping[str, Any]:
    """Buyers of each RFM segment."""
    rows = shop.warehouse.rows(
        "SELECT segment, users FROM rfm_segment_sizes WHERE as_of = :as_of ORDER BY users DESC, segment",
        {"as_of": step.as_of},
    )
    if not rows:
        return {}
    return {
        "sizes": dg.MetadataValue.md(
            plots.bars(
                [(name.replace(" ", "\n"), float(users)) for name, users in rows],
                title="Buyers by RFM segment",
                unit="buyers",
            )
        )
    }
