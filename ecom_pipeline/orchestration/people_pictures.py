"""Plots of segments and next steps, read from the warehouse after their steps."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ecom_pipeline.orchestration import plots
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop

CURVES_DRAWN = ("buys", "nothing", "purchase")


def segment_sizes(shop: Shop, step: Step) -> Mapping[str, Any]:
    """Users of each segment, and what sets it apart."""
    rows = shop.warehouse.rows(
        "SELECT segment, users, description FROM segments WHERE as_of = :as_of ORDER BY segment",
        {"as_of": step.as_of},
    )
    if not rows:
        return {}
    return {
        "segments": dg.MetadataValue.md("\n".join(f"{n}. **{users:,} users**: {words}" for n, users, words in rows)),
        "sizes": dg.MetadataValue.md(
            plots.bars([(f"{n}", float(users)) for n, users, _ in rows], title="Users by segment", unit="users")
        ),
    }


def likeliest_steps(shop: Shop, step: Step) -> Mapping[str, Any]:
    """How many users each next step is likeliest for, and how many purchases are expected."""
    rows = shop.warehouse.rows(
        "SELECT likeliest, count(*) FROM next_steps WHERE as_of = :as_of GROUP BY likeliest ORDER BY count(*) DESC",
        {"as_of": step.as_of},
    )
    if not rows:
        return {}
    buyers = shop.warehouse.scalar("SELECT sum(p_buys) FROM next_steps WHERE as_of = :as_of", {"as_of": step.as_of})
    return {
        "expected buyers": round(float(buyers), 1),
        "likeliest next steps": dg.MetadataValue.md(
            plots.bars([(name, float(users)) for name, users in rows], title="Likeliest next step", unit="users")
        ),
    }


def reliability(shop: Shop, step: Step) -> Mapping[str, Any]:
    """Said beside observed on the days held out last."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for outcome, predicted, observed in shop.warehouse.rows(
        "SELECT outcome, predicted, observed FROM next_step_reliability WHERE as_of = :as_of ORDER BY outcome, bin",
        {"as_of": step.as_of},
    ):
        curves.setdefault(outcome, []).append((predicted, observed))
    drawn = {name: curves[name] for name in CURVES_DRAWN if name in curves}
    if not drawn:
        return {}
    return {
        "reliability": dg.MetadataValue.md(
            plots.reliability(drawn, title="Next steps: what was said beside what came, on held-out days")
        )
    }
