"""What the metadata of one asset says beyond counts: plots and figures, read from the warehouse after the step."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from ecom_pipeline.orchestration import plots
from ecom_pipeline.orchestration.presentation import markdown_table
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop

DAYS_BEFORE = 84
WORDS_OF_METRIC = {"wape": "WAPE", "rmsse": "RMSSE", "bias": "bias", "coverage_80": "share within the 80 % interval"}


def nothing(shop: Shop, step: Step) -> Mapping[str, Any]:
    """No further metadata."""
    return {}


def forecast_of_total(shop: Shop, step: Step) -> Mapping[str, Any]:
    """The forecast of the shop's total beside what was sold in the weeks before."""
    forecast = shop.warehouse.rows(
        "SELECT target_date, mean, p10, p90 FROM sales_forecasts "
        "WHERE as_of = :as_of AND level = 'total' AND measure = 'quantity' ORDER BY target_date",
        {"as_of": step.as_of},
    )
    if not forecast:
        return {}
    actual = shop.warehouse.rows(
        "SELECT date, quantity FROM feat_sales_daily "
        "WHERE level = 'total' AND date > :first AND date <= :as_of ORDER BY date",
        {"first": step.as_of - timedelta(days=DAYS_BEFORE), "as_of": step.as_of},
    )
    series = shop.warehouse.rows(
        "SELECT level, measure, count(DISTINCT series_id) AS series, round(sum(mean), 0), round(sum(baseline), 0) "
        "FROM sales_forecasts WHERE as_of = :as_of GROUP BY level, measure ORDER BY level, measure",
        {"as_of": step.as_of},
    )
    return {
        "forecast": dg.MetadataValue.md(
            plots.forecast_against_actual(
                actual=actual,
                forecast=forecast,
                unit="units a day",
                title=f"Total sales: the forecast of {step.as_of}",
            )
        ),
        "by level": dg.MetadataValue.md(
            markdown_table(("level", "measure", "series", "forecast in all", "seasonal profile"), series)
        ),
    }


def accuracy_by_horizon(shop: Shop, step: Step) -> Mapping[str, Any]:
    """WAPE of past nights' forecasts by week of the horizon, beside the seasonal profile."""
    rows = shop.warehouse.rows(
        "SELECT CAST(floor((horizon - 1) / 7) AS INTEGER) + 1 AS week, sum(abs_error) / sum(abs(actual)), "
        "sum(baseline_abs_error) / sum(abs(actual)) FROM sales_forecast_accuracy "
        "WHERE level = 'total' AND measure = 'quantity' GROUP BY 1 HAVING sum(abs(actual)) > 0 ORDER BY 1"
    )
    if not rows:
        return {"note": "No forecast of a past night has come due yet; a backfill over past nights fills this table."}
    return {
        "accuracy": dg.MetadataValue.md(
            plots.bars_beside_baseline(
                [(f"week {week}", model, baseline) for week, model, baseline in rows],
                title="Total sales: error of past forecasts (WAPE), by week ahead",
                unit="WAPE",
            )
        )
    }


def hit_rate_by_rank(shop: Shop, step: Step) -> Mapping[str, Any]:
    """Hit rate of the recommender by length of its list, beside the better of popularity and co-visitation."""
    rows = [
        (int(metric.partition("_")[2]), value, baseline)
        for metric, value, baseline in shop.warehouse.rows(
            "SELECT metric, value, baseline_value FROM model_metrics "
            "WHERE as_of = :as_of AND model = 'next_item' AND is_champion "
            "AND dataset = 'next event' AND metric LIKE 'hr_%'",
            {"as_of": step.as_of},
        )
    ]
    if not rows:
        return {}
    return {
        "hit rate": dg.MetadataValue.md(
            plots.bars_beside_baseline(
                [(f"first {length}", value, baseline) for length, value, baseline in sorted(rows)],
                title="Next item: share of held-out events whose product is among the first recommendations",
                unit="hit rate",
            )
        )
    }
