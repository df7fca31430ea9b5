"""How good a forecaster is on held-out windows: forecasts at past cutoffs, figures beside the profile's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import better_by_class, series_classes
from ecom_pipeline.forecasting.metrics import bias, coverage, rmsse, wape, weighted_pinball
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.registry import Metric
from ecom_pipeline.steps.forecast_baseline import PROFILE_DAYS, profile_forecasts
from ecom_pipeline.steps.forecast_frames import Covariates, history_of, series_at_cutoff
from ecom_pipeline.steps.forecast_making import made_by_network, make_forecasts
from ecom_pipeline.steps.forecast_training import Forecaster
from ecom_pipeline.warehouse import Warehouse

GROUP = ["measure", "level"]
NO_COVARIATES = Covariates(known_future=(), past_only=())

_SCALES = """
WITH changes AS (
  SELECT level, series_id,
         quantity - lag(quantity) OVER (PARTITION BY level, series_id ORDER BY date) AS quantity_change,
         revenue - lag(revenue) OVER (PARTITION BY level, series_id ORDER BY date) AS revenue_change
  FROM feat_sales_daily
  WHERE date <= :cutoff
)
SELECT 'quantity' AS measure, level, series_id, avg(quantity_change * quantity_change) AS squared
FROM changes GROUP BY level, series_id
UNION ALL
SELECT 'revenue' AS measure, level, series_id, avg(revenue_change * revenue_change) AS squared
FROM changes GROUP BY level, series_id
ORDER BY measure, level, series_id
"""


@dataclass(frozen=True)
class Windows:
    """What happened after past cutoffs: rows unique_id, measure, level, cutoff, ds, y, and the profile's forecasts.

    scales: measure, level, series_id, cutoff, squared: the denominators of RMSSE.
    """

    cutoffs: tuple[date, ...]
    actual: pd.DataFrame
    baseline: pd.DataFrame
    scales: pd.DataFrame
    series: dict[date, pd.DataFrame]
    horizon: int


def held_out_cutoffs(*, first_day: date, as_of: date, horizon: int, windows: int) -> tuple[date, ...]:
    """The last `windows` cutoffs, a horizon apart, that leave two horizons and a profile's length before them."""
    cutoffs = [as_of - timedelta(days=horizon * back) for back in range(windows, 0, -1)]
    needed = max(2 * horizon, PROFILE_DAYS)
    return tuple(cutoff for cutoff in cutoffs if (cutoff - first_day).days + 1 >= needed)


def open_windows(warehouse: Warehouse, *, cutoffs: Sequence[date], horizon: int, active_days: int) -> Windows:
    """Read what happened after each cutoff, and forecast it with the seasonal profile."""
    actual, baseline, scales, series = [], [], [], {}
    for cutoff in cutoffs:
        chosen = series_at_cutoff(warehouse, cutoff=cutoff, horizon=horizon, active_days=active_days)
        after = history_of(
            warehouse, chosen, covariates=NO_COVARIATES, first=cutoff, cutoff=cutoff + timedelta(days=horizon)
        )[["unique_id", "ds", "y"]]
        actual.append(
            after.merge(chosen[["unique_id", "measure", "level"]], on="unique_id").assign(cutoff=pd.Timestamp(cutoff))
        )
        floor = profile_forecasts(warehouse, chosen, cutoff=cutoff, horizon=horizon, planned=False)
        baseline.append(floor.assign(cutoff=pd.Timestamp(cutoff)))
        scale = warehouse.arrow(_SCALES, {"cutoff": cutoff}).to_pandas().assign(cutoff=pd.Timestamp(cutoff))
        scale["unique_id"] = scale["measure"] + "/" + scale["level"] + "/" + scale["series_id"]
        scales.append(scale[["unique_id", "cutoff", "squared"]])
        series[cutoff] = chosen
    return Windows(
        cutoffs=tuple(cutoffs),
        actual=pd.concat(actual, ignore_index=True),
        baseline=pd.concat(baseline, ignore_index=True),
        scales=pd.concat(scales, ignore_index=True),
        series=series,
        horizon=horizon,
    )


def predict_windows(
    warehouse: Warehouse, forecaster: Forecaster, windows: Windows, *, on_share: Callable[[float], None]
) -> pd.DataFrame:
    """The forecaster's reconciled forecasts at every cutoff: unique_id, ds, cutoff, mean, p05 … p95."""
    predicted = []
    for number, cutoff in enumerate(windows.cutoffs):
        forecasts, _ = make_forecasts(
            warehouse,
            forecaster,
            windows.series[cutoff],
            baseline=windows.baseline[windows.baseline["cutoff"] == pd.Timestamp(cutoff)].drop(columns="cutoff"),
            cutoff=cutoff,
            horizon=windows.horizon,
            planned=False,
            on_share=lambda share, done=number: on_share((done + share) / len(windows.cutoffs)),  # type: ignore[misc]
        )
        predicted.append(forecasts.assign(cutoff=pd.Timestamp(cutoff)))
    return pd.concat(predicted, ignore_index=True)


def classes_left_to_profile(warehouse: Warehouse, windows: Windows, predictions: pd.DataFrame) -> tuple[str, ...]:
    """Classes of products, as they stood at each cutoff, of which the profile's WAPE is no higher than the model's.

    Only products that the network forecasts are asked; the long tail has the profile's forecasts anyway.
    """
    found = []
    for cutoff, series in windows.series.items():
        products = series[(series["level"] == "product") & made_by_network(series)]
        history = history_of(warehouse, products, covariates=NO_COVARIATES, cutoff=cutoff)
        found.append(_by_cutoff(series_classes(history).assign(cutoff=pd.Timestamp(cutoff))))
    classes = pd.concat(found, ignore_index=True)
    keys = ["unique_id", "cutoff", "ds"]
    products_only = windows.actual[windows.actual["level"] == "product"]
    better = better_by_class(
        _by_cutoff(products_only.merge(predictions, on=keys)),
        _by_cutoff(products_only[keys].merge(windows.baseline, on=keys)),
        classes,
    )
    present = set(classes["series_class"])
    return tuple(name for name, which in better.items() if which == "profile" and name in present)


def _by_cutoff(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose unique_id tells the cutoffs apart, since a series changes its class."""
    return rows.assign(unique_id=rows["cutoff"].dt.strftime("%Y%m%d/") + rows["unique_id"])


def figures(windows: Windows, predictions: pd.DataFrame) -> tuple[Metric, ...]:
    """Metrics by measure and level, of the predictions and of the profile on the same rows."""
    keys = ["unique_id", "cutoff", "ds"]
    actual = windows.actual.dropna(subset=["y"])
    model = actual.merge(predictions, on=keys)
    profile = actual.merge(windows.baseline, on=keys)
    rows: list[Metric] = []
    for (measure, level), group in model.groupby(GROUP, sort=True):
        floor = profile[(profile["measure"] == measure) & (profile["level"] == level)]
        if not np.abs(group["y"]).sum() > 0:
            continue
        ours, theirs = _scores(group, windows.scales), _scores(floor, windows.scales)
        rows += [
            Metric(
                dataset=f"{measure}, {level}",
                metric=name,
                value=ours[name],
                baseline_value=theirs[name] if np.isfinite(theirs[name]) else None,
                n=len(group),
            )
            for name in ours
            if np.isfinite(ours[name])
        ]
    return tuple(rows)


def _scores(rows: pd.DataFrame, scales: pd.DataFrame) -> dict[str, float]:
    y = rows["y"].to_numpy()
    pinball = {
        name: weighted_pinball(y, rows[name].to_numpy(), level) for level, name in zip(LEVELS, QUANTILES, strict=True)
    }
    return {
        "wape": wape(y, rows["mean"].to_numpy()),
        "wape_median": wape(y, rows["p50"].to_numpy()),
        "rmsse": rmsse(rows, scales),
        "bias": bias(y, rows["mean"].to_numpy()),
        "wpl": float(np.mean(list(pinball.values()))),
        "wpl_90": pinball["p90"],
        "coverage_80": coverage(y, rows["p10"].to_numpy(), rows["p90"].to_numpy()),
    }


def gain_over_profile(metrics: Sequence[Metric]) -> float:
    """One figure for the gate: the share of the profile's error that the model saves, 0 where they are equal.

    The mean, over measures and levels, of the savings in weighted pinball loss (the whole distribution) and in RMSSE
    (the mean).
    """
    savings = [
        1.0 - row.value / row.baseline_value
        for row in metrics
        if row.metric in ("wpl", "rmsse") and row.baseline_value is not None and row.baseline_value > 0
    ]
    return float(np.mean(savings)) if savings else float("nan")
