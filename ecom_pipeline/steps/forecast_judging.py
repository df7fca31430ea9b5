"""How good a forecaster is on held-out windows: forecasts at past cutoffs, figures beside the profile's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import better_by_class
from ecom_pipeline.forecasting.metrics import bias, coverage, rmsse, wape, weighted_pinball
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.registry import Metric
from ecom_pipeline.steps.forecast_baseline import PROFILE_DAYS, profile_forecasts
from ecom_pipeline.steps.forecast_days import DayForecasts, days_ahead, squared_changes
from ecom_pipeline.steps.forecast_frames import series_at_cutoff
from ecom_pipeline.steps.forecast_making import MadeForecasts, make_forecasts
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_training import Forecaster
from ecom_pipeline.warehouse import Warehouse

MOST_SERIES = 10**9  # of one window


@dataclass(frozen=True)
class Window:
    """What happened in the H days after a past night to the n series that would have been forecast.

    actual (n, H): NaN where not recorded, and where the shop was known to be closed: everyone forecasts nothing then.
    baseline: the profile's forecasts; squared (n,): denominators of RMSSE.
    """

    outlook: Outlook
    series: pd.DataFrame
    actual: np.ndarray
    baseline: DayForecasts
    squared: np.ndarray


def held_out_cutoffs(*, first_day: date, as_of: date, horizon: int, windows: int) -> tuple[date, ...]:
    """The last `windows` cutoffs, a horizon apart, that leave two horizons and a profile's length before them."""
    cutoffs = [as_of - timedelta(days=horizon * back) for back in range(windows, 0, -1)]
    needed = max(2 * horizon, PROFILE_DAYS)
    return tuple(cutoff for cutoff in cutoffs if (cutoff - first_day).days + 1 >= needed)


def open_windows(
    warehouse: Warehouse, *, cutoffs: Sequence[date], horizon: int, active_days: int, country: str | None
) -> tuple[Window, ...]:
    """Read what happened after each cutoff, and forecast it with the seasonal profile by what was known then.

    `country`: whose public holidays the shop's closed days are learnt by.
    """
    chosen = [
        series_at_cutoff(warehouse, cutoff=cutoff, horizon=horizon, active_days=active_days) for cutoff in cutoffs
    ]
    squared = squared_changes(warehouse, pd.concat(chosen), cutoffs=cutoffs)
    ends = np.cumsum([len(series) for series in chosen])
    windows = []
    for number, (cutoff, series, end) in enumerate(zip(cutoffs, chosen, ends, strict=True)):
        outlook = Outlook.back_then(warehouse, cutoff=cutoff, horizon=horizon, country=country)
        after = days_ahead(warehouse, series, outlook=outlook, horizon=horizon)
        windows.append(
            Window(
                outlook=outlook,
                series=series,
                actual=np.where(after.closed, np.nan, after.y),
                baseline=profile_forecasts(warehouse, series, outlook=outlook, horizon=horizon),
                squared=squared[end - len(series) : end, number],
            )
        )
    return tuple(windows)


def predict_windows(
    warehouse: Warehouse, forecaster: Forecaster, windows: Sequence[Window], *, on_share: Callable[[float], None]
) -> tuple[MadeForecasts, ...]:
    """The forecaster's forecasts of every window, as they would have been published."""
    return tuple(
        make_forecasts(
            warehouse,
            forecaster,
            window.series,
            baseline=window.baseline,
            outlook=window.outlook,
            horizon=window.actual.shape[1],
            on_share=lambda share, done=number: on_share((done + share) / len(windows)),  # type: ignore[misc]
        )
        for number, window in enumerate(windows)
    )


def classes_left_to_profile(windows: Sequence[Window], predictions: Sequence[MadeForecasts]) -> tuple[str, ...]:
    """Classes of products, as they stood at each cutoff, of which the profile's pinball loss is no higher than the
    model's.

    Only products that the network forecasts are asked; the long tail is not its business.
    """
    asked = [pd.notna(made.series_class) for made in predictions]
    classes = pd.concat(
        [
            pd.DataFrame(
                {"unique_id": _ids(number, len(some))[some], "series_class": predictions[number].series_class[some]}
            )
            for number, some in enumerate(asked)
        ],
        ignore_index=True,
    )
    ours = _rows(windows, [made.forecasts for made in predictions], asked)
    theirs = _rows(windows, [window.baseline for window in windows], asked)
    better = better_by_class(ours, theirs, classes)
    present = set(classes["series_class"])
    return tuple(name for name, which in better.items() if which == "profile" and name in present)


def figures(windows: Sequence[Window], predictions: Sequence[MadeForecasts]) -> tuple[Metric, ...]:
    """Metrics by measure and level, of the predictions and of the profile on the same rows."""
    scales = pd.concat(
        [
            pd.DataFrame({"cutoff": number, "unique_id": _ids(number, len(window.series)), "squared": window.squared})
            for number, window in enumerate(windows)
        ],
        ignore_index=True,
    )
    rows: list[Metric] = []
    for measure, level in sorted({pair for window in windows for pair in _groups(window.series)}):
        some = [
            ((window.series["measure"] == measure) & (window.series["level"] == level)).to_numpy() for window in windows
        ]
        model = _rows(windows, [made.forecasts for made in predictions], some)
        if not np.abs(model["y"]).sum() > 0:
            continue
        ours = _scores(model, scales)
        theirs = _scores(_rows(windows, [window.baseline for window in windows], some), scales)
        rows += [
            Metric(
                dataset=f"{measure}, {level}",
                metric=name,
                value=ours[name],
                baseline_value=theirs[name] if np.isfinite(theirs[name]) else None,
                n=len(model),
            )
            for name in ours
            if np.isfinite(ours[name])
        ]
    return tuple(rows)


def _groups(series: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(series["measure"], series["level"], strict=True))


def _ids(number: int, count: int) -> np.ndarray:
    """Numbers for the `count` series of a window; no two windows share one, since a series changes its class."""
    return number * MOST_SERIES + np.arange(count)


def _rows(windows: Sequence[Window], forecasts: Sequence[DayForecasts], some: Sequence[np.ndarray]) -> pd.DataFrame:
    """Rows unique_id, ds (days after the cutoff), cutoff (numbers all), y, mean, p05 … p95 of what was recorded.

    some: for each window which of its series are wanted, (n,) bool.
    """
    parts = []
    for number, (window, made, wanted) in enumerate(zip(windows, forecasts, some, strict=True)):
        series, day = np.nonzero(wanted[:, None] & made.asked & ~np.isnan(window.actual))
        values = made.quantiles[series, day]
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": number * MOST_SERIES + series,
                    "ds": day,
                    "cutoff": number,
                    "y": window.actual[series, day],
                    "mean": made.mean[series, day],
                    **{name: values[:, place] for place, name in enumerate(QUANTILES)},
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


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
