"""The time grid of a panel: from a pandas frequency to positions, seasons and calendar features.

Belongs here: everything that depends on dates alone. Does not: values of series.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ecom_pipeline.forecasting.types import ForecastingError

DAYS_IN_YEAR = 365.25


@dataclass(frozen=True)
class Season:
    """Periods of a frequency, in steps.

    `cycle` is the short season that a step of the encoder spans (7 for days, 1 where there is none), `year` the
    number of steps, a multiple of the cycle, nearest to a year; `steps_per_year` is not rounded.
    """

    cycle: int
    year: int
    steps_per_year: float


def season_of(offset: pd.offsets.BaseOffset) -> Season:
    """Season of a pandas offset, from the average spacing of its dates."""
    dates = pd.date_range("2001-01-01", periods=401, freq=offset)
    days = (dates[-1] - dates[0]).total_seconds() / 86400 / 400
    steps_per_year = DAYS_IN_YEAR / days
    if days < 0.9:
        cycle = max(1, round(1 / days))
    elif days < 2.5:
        cycle = max(1, round(7 / days))
    else:
        cycle = 1
    return Season(cycle=cycle, year=cycle * max(1, round(steps_per_year / cycle)), steps_per_year=steps_per_year)


def resolve_offset(freq: str | Any, dates: pd.DatetimeIndex) -> pd.offsets.BaseOffset:
    """Offset on which all `dates` lie; a weekly or monthly alias takes its anchor from the dates.

    Raises ForecastingError with the first date that does not fit the frequency.
    """
    offset = to_offset(freq)
    if offset is None:
        raise ForecastingError(f"freq={freq!r} is not a pandas frequency; use for example 'D', 'W-MON', 'MS' or 'B'.")
    first = dates.min()
    if not offset.is_on_offset(first):
        if isinstance(offset, pd.offsets.Week):
            offset = pd.offsets.Week(n=offset.n, weekday=first.weekday())
        elif isinstance(offset, pd.offsets.MonthEnd | pd.offsets.MonthBegin):
            anchor = pd.offsets.MonthBegin if first.day == 1 else pd.offsets.MonthEnd
            offset = anchor(n=offset.n)
    off_grid = [date for date in dates if not offset.is_on_offset(date)]
    if off_grid:
        raise ForecastingError(
            f"Column ds: {off_grid[0]} is not a date of freq={freq!r} ({len(off_grid)} such dates); "
            "aggregate the series to the frequency, or pass an offset that has these dates, "
            "such as pandas.offsets.CustomBusinessDay(weekmask=...)."
        )
    return offset


def time_grid(
    *, offset: pd.offsets.BaseOffset, start: pd.Timestamp, end: pd.Timestamp, horizon: int
) -> pd.DatetimeIndex:
    """All dates from start to end, and `horizon` more."""
    observed = pd.date_range(start, end, freq=offset)
    ahead = pd.date_range(end, periods=horizon + 1, freq=offset)[1:]
    return pd.DatetimeIndex(observed.append(ahead))


def calendar_features(grid: pd.DatetimeIndex, season: Season, *, yearly: bool) -> np.ndarray:
    """Features of each date, (T, C) float32: phase in the cycle (one-hot); if `yearly`, place in year and month too.

    A history of little more than a year cannot tell the season from the trend: leave `yearly` off there.

    The phase counts from a fixed date, so that a later history gives a date the same phase.
    """
    columns: list[np.ndarray] = []
    if season.cycle > 1:
        phase = cycle_phase(grid, season)
        columns.extend((phase == k).astype(np.float32) for k in range(season.cycle))
    if not yearly:
        return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(grid), 0), np.float32)
    day = grid.day_of_year.to_numpy() / DAYS_IN_YEAR
    for k in (1, 2):
        columns += [np.sin(2 * np.pi * k * day), np.cos(2 * np.pi * k * day)]
    if season.cycle > 1:
        month = (grid.day.to_numpy() - 1) / 31
        columns += [np.sin(2 * np.pi * month), np.cos(2 * np.pi * month)]
    return np.stack(columns, axis=1).astype(np.float32)


def cycle_phase(grid: pd.DatetimeIndex, season: Season) -> np.ndarray:
    """Phase of each date in the short cycle, (T,) int: weekday rank for days, hour for hours."""
    if season.cycle == 1:
        return np.zeros(len(grid), dtype=np.int64)
    if season.cycle <= 7:
        key = grid.day_of_week.to_numpy()
    else:
        key = (grid.hour.to_numpy() * 60 + grid.minute.to_numpy()).astype(np.int64)
    _, phase = np.unique(key, return_inverse=True)
    return phase % season.cycle
