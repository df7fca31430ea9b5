"""The seasonal profile: the floor of every comparison, and the fallback where there is nothing to learn from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.calendar import season_of
from ecom_pipeline.forecasting.panel import Panel, read_panel
from ecom_pipeline.forecasting.points import point_of
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES, Point

SEASONS = 8


def profile_arrays(panel: Panel, *, seasons: int = SEASONS) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, H) and quantiles (N, H, 7) of the records of the same phase in the last `seasons` cycles.

    A phase without a record takes the statistics of all phases, a series without a record zero.
    """
    cycle = season_of(panel.offset).cycle
    horizon = panel.horizon
    count, length = panel.y.shape
    padded = np.full((count, seasons * cycle), np.nan)
    use = min(length, seasons * cycle)
    padded[:, seasons * cycle - use :] = panel.y[:, length - use :]
    whole = np.nan_to_num(row_quantiles(padded))
    whole_mean = np.nan_to_num(_mean(padded))
    mean = np.empty((count, horizon))
    quantiles = np.empty((count, horizon, len(LEVELS)))
    for phase in range(min(cycle, horizon)):
        values = padded.reshape(count, seasons, cycle)[:, :, phase]
        empty = np.isnan(values).all(axis=1)
        q = np.where(empty[:, None], whole, np.nan_to_num(row_quantiles(values)))
        m = np.where(empty, whole_mean, np.nan_to_num(_mean(values)))
        mean[:, phase::cycle] = m[:, None]
        quantiles[:, phase::cycle] = q[:, None]
    return mean, quantiles


def _mean(values: np.ndarray) -> np.ndarray:
    count = (~np.isnan(values)).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def row_quantiles(values: np.ndarray) -> np.ndarray:
    """(N, 7) quantiles of the records in each row, linear between them; NaN for an empty row."""
    ordered = np.sort(values, axis=1)
    count = (~np.isnan(values)).sum(axis=1)
    place = np.maximum(count - 1, 0)[:, None] * np.asarray(LEVELS)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    below, above = np.take_along_axis(ordered, low, axis=1), np.take_along_axis(ordered, high, axis=1)
    return below + (place - low) * (above - below)


def seasonal_profile(
    history: pd.DataFrame,
    horizon: int,
    freq: object,
    *,
    future: pd.DataFrame | None = None,
    seasons: int = SEASONS,
    point: Point = "mean",
) -> pd.DataFrame:
    """Forecast each date by the records of the same phase (weekday for days) in the last `seasons` cycles.

    Frequencies without a short season (weeks, months) take the last `seasons` records. history: unique_id, ds, y.
    Returns the frame of `SalesForecaster.predict`: one row a series and date of `future`, or of the whole horizon.
    """
    panel = read_panel(history=history, future=future, freq=freq, horizon=horizon)
    mean, quantiles = profile_arrays(panel, seasons=seasons)
    return forecast_frame(panel=panel, mean=mean, quantiles=quantiles, future=future, point=point)


def forecast_frame(
    *, panel: Panel, mean: np.ndarray, quantiles: np.ndarray, future: pd.DataFrame | None, point: Point
) -> pd.DataFrame:
    """Frame unique_id, ds, mean, p05 … p95, point from arrays (N, H) and (N, H, 7), rows in the order of `future`."""
    ahead = panel.grid[panel.observed :]
    if future is None:
        rows = np.repeat(np.arange(len(panel.ids)), panel.horizon)
        cols = np.tile(np.arange(panel.horizon), len(panel.ids))
        frame = pd.DataFrame({"unique_id": panel.ids.to_numpy()[rows], "ds": ahead[cols]})
    else:
        rows = panel.ids.get_indexer(pd.Index(future["unique_id"], dtype=object))
        cols = ahead.get_indexer(pd.DatetimeIndex(pd.to_datetime(future["ds"])))
        frame = future[["unique_id", "ds"]].reset_index(drop=True)
    chosen = quantiles[rows, cols]
    frame["mean"] = mean[rows, cols]
    names: Sequence[str] = QUANTILES
    for k, name in enumerate(names):
        frame[name] = chosen[:, k]
    frame["point"] = point_of(mean=frame["mean"].to_numpy(), quantiles=chosen, point=point)
    return frame
