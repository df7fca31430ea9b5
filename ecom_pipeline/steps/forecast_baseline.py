"""The seasonal profile in the night: the floor under the forecaster, and its stand-in where there is none."""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.profile import profile_arrays
from ecom_pipeline.forecasting.types import LEVELS
from ecom_pipeline.steps.forecast_days import DayForecasts, days_ahead, days_before
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

SEASONAL_PROFILE = "seasonal_profile"
PROFILE_DAYS = 56
AT_ONCE = 10_000  # series; bounds memory


def profile_forecasts(warehouse: Warehouse, series: pd.DataFrame, *, outlook: Outlook, horizon: int) -> DayForecasts:
    """The profile's forecasts of `series` after the night; never negative.

    Closed days do not count in the past and are zero ahead.
    """
    past = days_before(warehouse, series, outlook=outlook, days=PROFILE_DAYS)
    ahead = days_ahead(warehouse, series, outlook=outlook, horizon=horizon)
    y = np.where(past.closed, np.nan, past.y)
    mean = np.empty((len(series), horizon))
    quantiles = np.empty((len(series), horizon, len(LEVELS)))
    grid = pd.date_range(outlook.day(1 - PROFILE_DAYS), periods=PROFILE_DAYS + horizon)
    for start in range(0, len(series), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        panel = Panel(
            ids=series.index[some],
            grid=grid,
            offset=pd.offsets.Day(),
            observed=PROFILE_DAYS,
            y=y[some],
            known={},
            past={},
            static={},
        )
        mean[some], quantiles[some] = profile_arrays(panel)
    counts = ahead.listed & ~ahead.closed
    return DayForecasts(
        mean=np.where(counts, mean.clip(min=0.0), 0.0),
        quantiles=np.where(counts[:, :, None], quantiles.clip(min=0.0), 0.0),
        asked=ahead.listed,
    )
