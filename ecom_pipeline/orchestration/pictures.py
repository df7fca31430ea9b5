"""What the metadata of one asset says beyond counts: plots and figures, read from the warehouse after the step."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version as release_of
from pathlib import Path
from typing import Any

import dagster as dg

from ecom_pipeline.orchestration import plots
from ecom_pipeline.orchestration.presentation import markdown_table
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop
from ecom_pipeline.registry import Metric, ModelVersion, Registry

DAYS_BEFORE = 84
HIT_RATE = re.compile(r"hr_\d+")
"""Hit rates themselves; the ends of their intervals are called hr_10_low and hr_10_high."""
NEXT_EVENT = "next event"


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


def recommended_by_source(shop: Shop, step: Step) -> Mapping[str, Any]:
    """What proposed the night's recommendations, and how many products they reach."""
    rows = shop.warehouse.rows(
        "SELECT source, count(*) FROM recommendations WHERE as_of = :as_of "
        "GROUP BY source ORDER BY count(*) DESC, source",
        {"as_of": step.as_of},
    )
    if not rows:
        return {"note": "No recommendations: no user did anything with a product lately."}
    reached, users, stand_ins = shop.warehouse.rows(
        "SELECT count(DISTINCT item_id), count(DISTINCT user_id), count(DISTINCT user_id) FILTER (WHERE fallback) "
        "FROM recommendations WHERE as_of = :as_of",
        {"as_of": step.as_of},
    )[0]
    return {
        "users": users,
        "users with a stand-in": stand_ins,
        "products reached": reached,
        "by source": dg.MetadataValue.md(
            plots.bars(
                [(source, float(count)) for source, count in rows],
                title="What proposed the recommendations",
                unit="recommendations",
            )
        ),
    }


def purchase_reliability(shop: Shop, step: Step) -> Mapping[str, Any]:
    """What probabilities of a purchase were worth in a window before the model's cutoff that it had not seen."""
    from ecom_pipeline.steps.recommend import predictor_of
    from ecom_pipeline.steps.recommend_versions import version_of_night

    registry = Registry(shop.home, shop.settings)
    predictor = predictor_of(registry, version_of_night(registry, step.as_of))
    if predictor is None:
        return {"note": "No probabilities: too few purchases to learn them from."}
    curve = predictor.report()["reliability"]
    return {
        "reliability": dg.MetadataValue.md(
            plots.reliability(
                {"buys the product": list(zip(curve["predicted"], curve["observed"], strict=True))},
                title="Purchases: what was said beside what came, on held-out days",
            )
        )
    }


def mlflow_run(shop: Shop, version: ModelVersion) -> dg.MetadataValue:
    """The run of a version: its address on the server of the setting mlflow_tracking_uri, or how to open it here.

    The pipeline itself holds MLflow's client alone; its pages come with the whole package, of the same release.
    """
    registry = Registry(shop.home, shop.settings)
    experiment, run = registry.tracked_as(version)
    kept, page = registry.tracking_uri, f"/#/experiments/{experiment}/runs/{run}"
    if kept.startswith("http"):
        return dg.MetadataValue.url(f"{kept.rstrip('/')}{page}")
    # in lines that wrap: a block of code would widen the page's table
    return dg.MetadataValue.md(
        f"Run `{run}` of experiment {experiment}. No MLflow server is set (`mlflow_tracking_uri`). To see the run, "
        "start one on what is kept here:\n\n"
        f"`python3 -m venv ~/mlflow && ~/mlflow/bin/pip install mlflow=={release_of('mlflow-skinny')}`\n\n"
        f"`~/mlflow/bin/mlflow ui --backend-store-uri {shlex.quote(kept)}`\n\n"
        f"and open [the run](http://127.0.0.1:5000{page})."
    )


def describe_version(shop: Shop, version: ModelVersion) -> Mapping[str, Any]:
    """What a model version saw, what was decided and why, its figures beside the baseline's, and its losses."""
    headline = [metric for metric in version.manifest.metrics if _is_headline(version, metric)]
    described: dict[str, Any] = {
        "version": version.name,
        "trained on data up to": version.data_cutoff.isoformat(),
        "decision": version.decision,
        "reason": version.reason,
        "MLflow run": mlflow_run(shop, version),
        "promote by hand": dg.MetadataValue.url(f"/guess/promote_{version.manifest.model}/playground"),
        "roll back": dg.MetadataValue.url(f"/guess/roll_back_{version.manifest.model}/playground"),
    }
    if headline:
        described["metrics"] = dg.MetadataValue.md(
            markdown_table(
                ("held out", "metric", "model", "baseline", "cases"),
                [(row.dataset, row.metric, row.value, row.baseline_value, row.n) for row in headline],
            )
        )
        picture = _beside_baseline(version, headline)
        if picture is not None:
            described["beside the baseline"] = dg.MetadataValue.md(picture)
    if version.usable:
        curves = loss_curves_of(Registry(shop.home, shop.settings).folder(version))
        if curves:
            described["losses"] = dg.MetadataValue.md(
                plots.loss_curves(curves, title=f"Training loss of {version.manifest.model} {version.name}")
            )
    return described


def loss_curves_of(folder: Path) -> dict[str, list[float]]:
    """Name -> losses in the order of training, of the networks of a version, as their libraries have written them."""
    curves: dict[str, list[float]] = {}
    for file in sorted((folder / "model").rglob("manifest.json")):
        losses = json.loads(file.read_text(encoding="utf-8")).get("report", {}).get("losses", {})
        named = losses.items() if isinstance(losses, dict) else enumerate(losses, start=1)
        curves |= {
            name if isinstance(name, str) else f"network {name}": [float(value) for value in values]
            for name, values in named
            if len(values) > 1
        }
    return curves


def _is_headline(version: ModelVersion, metric: Metric) -> bool:
    """Figures of parts (length of history, days ahead, classes) are for model_metrics, not for the overview.

    A whole is one kind of event of the recommender, one measure and level of the forecaster.
    """
    return metric.dataset.count(",") <= (0 if version.manifest.model == "next_item" else 1)


def _beside_baseline(version: ModelVersion, metrics: Sequence[Metric]) -> str | None:
    if version.manifest.model == "next_item":
        rows = [row for row in metrics if row.dataset == NEXT_EVENT and HIT_RATE.fullmatch(row.metric)]
        rows.sort(key=lambda row: int(row.metric.removeprefix("hr_")))
        return plots.bars_beside_baseline(
            [(f"first {row.metric.removeprefix('hr_')}", row.value, row.baseline_value) for row in rows],
            title="Next item: share of held-out events whose product is among the first recommendations",
            unit="hit rate",
        )
    rows = [row for row in metrics if row.metric == "wpl"]
    return plots.bars_beside_baseline(
        [(row.dataset, row.value, row.baseline_value) for row in rows],
        title="Sales: weighted pinball loss on held-out days, beside the seasonal profile (lower is better)",
        unit="loss",
    )
