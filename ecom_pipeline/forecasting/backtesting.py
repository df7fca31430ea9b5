"""Rolling-origin backtests: what would have been forecast at each cutoff, beside what came."""

from collections.abc import Callable, Sequence
from typing import Literal

import pandas as pd

from ecom_pipeline.forecasting.calendar import resolve_offset
from ecom_pipeline.forecasting.forecaster import SalesForecaster
from ecom_pipeline.forecasting.metrics import training_scales
from ecom_pipeline.forecasting.profile import seasonal_profile
from ecom_pipeline.forecasting.types import QUANTILES, ForecastingError, Point

Refit = Literal["each", "first"] | int
FoldProgress = Callable[[int, int], None]


def cut(sales: pd.DataFrame, *, cutoff: pd.Timestamp, freq: object, horizon: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """History up to the cutoff, and the rows (y included) of the horizon after it of series recorded by then.

    Steps are dates of the frequency, whether or not a series has rows there.
    """
    dates = pd.to_datetime(sales["ds"])
    history = sales[dates <= cutoff]
    if history.empty:
        raise ForecastingError(f"cutoff {cutoff}: no row of the sales is that old (the first is {dates.min()}).")
    offset = resolve_offset(freq, pd.DatetimeIndex(dates.unique()))
    last = dates[dates <= cutoff].max()
    ahead = pd.date_range(last, periods=horizon + 1, freq=offset)[1:]
    recorded = history.loc[history["y"].notna(), "unique_id"].unique()
    future = sales[dates.isin(ahead) & sales["unique_id"].isin(recorded)]
    return history, future


def _result(future: pd.DataFrame, forecast: pd.DataFrame, *, cutoff: pd.Timestamp, dates: pd.Series) -> pd.DataFrame:
    rows = forecast.reset_index(drop=True)
    rows.insert(2, "cutoff", cutoff)
    rows.insert(3, "y", future["y"].to_numpy())
    ranks = {date: k + 1 for k, date in enumerate(sorted(dates.unique()))}
    rows["horizon"] = rows["ds"].map(ranks).astype("int64")
    return rows[["unique_id", "ds", "cutoff", "y", "mean", *QUANTILES, "point", "horizon"]]


def backtest(
    forecaster: SalesForecaster,
    sales: pd.DataFrame,
    cutoffs: Sequence[object],
    refit: Refit = "each",
    *,
    point: Point = "mean",
    on_fold: FoldProgress | None = None,
) -> pd.DataFrame:
    """Forecast the horizon after each cutoff from what was known then. The forecaster given is not changed.

    sales: unique_id, ds, y and covariates over all dates. A cutoff is the last date whose y may be seen. refit: "first"
    fits at the first cutoff only; "each" fits there and updates (a warm refit) at every later one; a number k, at
    every k-th. Returns unique_id, ds, cutoff, y, mean, p05 … p95, point and horizon (1 for the first date ahead),
    for the rows that `sales` has there.
    """
    every = {"each": 1, "first": 0}.get(refit, refit) if isinstance(refit, str) else refit
    if not isinstance(every, int) or every < 0:
        raise ForecastingError(f"refit={refit!r}: must be 'each', 'first' or a number of cutoffs.")
    model = forecaster.fresh()
    parts = []
    ordered = sorted(pd.Timestamp(str(c)) for c in cutoffs)
    for fold, cutoff in enumerate(ordered):
        history, future = cut(sales, cutoff=cutoff, freq=forecaster.freq, horizon=forecaster.horizon)
        if fold == 0:
            model.fit(history)
        elif every and fold % every == 0:
            model.update(history)
        forecast = model.predict(history, future.drop(columns="y"), point=point)
        parts.append(_result(future, forecast, cutoff=cutoff, dates=future["ds"]))
        if on_fold is not None:
            on_fold(fold + 1, len(ordered))
    return pd.concat(parts, ignore_index=True)


def backtest_profile(
    sales: pd.DataFrame, cutoffs: Sequence[object], *, freq: object, horizon: int, point: Point = "mean"
) -> pd.DataFrame:
    """The same frame from the seasonal profile."""
    parts = []
    for cutoff in sorted(pd.Timestamp(str(c)) for c in cutoffs):
        history, future = cut(sales, cutoff=cutoff, freq=freq, horizon=horizon)
        forecast = seasonal_profile(history, horizon, freq, future=future, point=point)
        parts.append(_result(future, forecast, cutoff=cutoff, dates=future["ds"]))
    return pd.concat(parts, ignore_index=True)


def scales_at(sales: pd.DataFrame, cutoffs: Sequence[object], *, lag: int = 1, fill: str = "zero") -> pd.DataFrame:
    """Denominators of RMSSE and MASE at each cutoff: cutoff, unique_id, squared, absolute (see metrics)."""
    parts = []
    for cutoff in sorted(pd.Timestamp(str(c)) for c in cutoffs):
        scales = training_scales(sales[pd.to_datetime(sales["ds"]) <= cutoff], lag=lag, fill=fill).reset_index()
        scales.insert(0, "cutoff", cutoff)
        parts.append(scales)
    return pd.concat(parts, ignore_index=True)
