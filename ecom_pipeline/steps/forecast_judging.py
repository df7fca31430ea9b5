"""How good a forecaster is on held-out windows: forecasts at past cutoffs, figures beside the profile's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import abc_classes, better_by_class
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.registry import Metric
from ecom_pipeline.steps.forecast_baseline import PROFILE_DAYS, profile_forecasts
from ecom_pipeline.steps.forecast_days import DayForecasts, changes_before, days_ahead
from ecom_pipeline.steps.forecast_frames import series_at_cutoff
from ecom_pipeline.steps.forecast_making import MadeForecasts, make_forecasts
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_scores import WindowErrors, scores
from ecom_pipeline.steps.forecast_training import Forecaster
from ecom_pipeline.warehouse import Warehouse

MOST_SERIES = 10**9  # of one window


@dataclass(frozen=True)
class Window:
    """What happened in the H days after a past night to the n series that would have been forecast.

    actual (n, H): NaN where not recorded, and where the shop was known to be closed: everyone forecasts nothing then.
    baseline: the profile's forecasts; squared, absolute (n,): denominators of RMSSE and of MASE.
    """

    outlook: Outlook
    series: pd.DataFrame
    actual: np.ndarray
    baseline: DayForecasts
    squared: np.ndarray
    absolute: np.ndarray

    def errors(self, forecasts: DayForecasts, some: np.ndarray) -> WindowErrors:
        """Of forecasts of `some` of the series, (n,) bool."""
        return WindowErrors.of(self.actual, forecasts, squared=self.squared, absolute=self.absolute, some=some)

    def of_level(self, measure: str, level: str) -> np.ndarray:
        """Which series are of this measure and level, (n,) bool."""
        return ((self.series["measure"] == measure) & (self.series["level"] == level)).to_numpy()


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
    squared, absolute = changes_before(warehouse, pd.concat(chosen), cutoffs=cutoffs)
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
                absolute=absolute[end - len(series) : end, number],
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
    """Metrics by measure and level, of the predictions and of the profile on the same days. The gate reads these."""
    rows: list[Metric] = []
    for measure, level in _groups(windows):
        ours, theirs = _errors(windows, predictions, measure, level)
        rows += _metrics(f"{measure}, {level}", ours, theirs)
    return tuple(rows)


def figures_of_parts(windows: Sequence[Window], predictions: Sequence[MadeForecasts]) -> tuple[Metric, ...]:
    """Metrics by measure, level and part: days ahead, and classes of products as they stood at each cutoff.

    Parts of the days are weeks, or single days where no more than a week is forecast. Classes: those by the record, the
    long tail apart, and A, B, C by what they had sold (in money, where prices are known).
    """
    rows: list[Metric] = []
    for measure, level in _groups(windows):
        ours, theirs = _errors(windows, predictions, measure, level)
        for name, days in parts_of_days(windows[0].actual.shape[1]).items():
            some = ([of.part(days=days) for of in errors] for errors in (ours, theirs))
            rows += _metrics(f"{measure}, {level}, {name}", *some, names=PART_METRICS)
        if level != "product":
            continue
        products = [window.of_level(measure, level) for window in windows]
        labels = [
            np.where(made.in_tail, "long tail", made.series_class)[chosen]
            for made, chosen in zip(predictions, products, strict=True)
        ]
        sizes = [
            abc_classes(window.series["size"][chosen]).to_numpy()
            for window, chosen in zip(windows, products, strict=True)
        ]
        for of_window, names in ((labels, RECORD_CLASSES), (sizes, "ABC")):
            for name in names:
                some = (
                    [of.part(series=label == name) for of, label in zip(errors, of_window, strict=True)]
                    for errors in (ours, theirs)
                )
                rows += _metrics(f"{measure}, {level}, {name}", *some, names=PART_METRICS)
    return tuple(rows)


RECORD_CLASSES = ("smooth", "intermittent", "new", "dying", "empty", "long tail")
PART_METRICS = ("wape", "rmsse", "mase", "bias", "wpl", "coverage_80")


def parts_of_days(horizon: int) -> dict[str, slice]:
    """Name -> days of a horizon: its weeks, or its days where it is no longer than a week."""
    if horizon <= 7:
        return {f"day {day + 1}": slice(day, day + 1) for day in range(horizon)}
    ends = [min(first + 7, horizon) for first in range(0, horizon, 7)]
    return {f"days {7 * k + 1} to {end}": slice(7 * k, end) for k, end in enumerate(ends)}


def _groups(windows: Sequence[Window]) -> list[tuple[str, str]]:
    return sorted(
        {pair for window in windows for pair in zip(window.series["measure"], window.series["level"], strict=True)}
    )


def _errors(
    windows: Sequence[Window], predictions: Sequence[MadeForecasts], measure: str, level: str
) -> tuple[list[WindowErrors], list[WindowErrors]]:
    """Of the predictions and of the profile."""
    some = [window.of_level(measure, level) for window in windows]
    ours = [w.errors(made.forecasts, chosen) for w, made, chosen in zip(windows, predictions, some, strict=True)]
    theirs = [w.errors(w.baseline, chosen) for w, chosen in zip(windows, some, strict=True)]
    return ours, theirs


def _metrics(
    dataset: str, ours: Sequence[WindowErrors], theirs: Sequence[WindowErrors], *, names: Sequence[str] | None = None
) -> list[Metric]:
    """None where nothing was sold."""
    model, profile = scores(ours), scores(theirs)
    if not np.isfinite(model["wape"]):
        return []
    return [
        Metric(
            dataset=dataset,
            metric=name,
            value=model[name],
            baseline_value=profile[name] if np.isfinite(profile[name]) else None,
            n=int(model["n"]),
        )
        for name in names or [name for name in model if name != "n"]
        if np.isfinite(model[name])
    ]


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
