"""The seasonal profile in the night: the floor under the forecaster, and its stand-in where there is none."""

from datetime import date, timedelta

import pandas as pd

from ecom_pipeline.forecasting.profile import seasonal_profile
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.steps.forecast_frames import Covariates, history_of, known_ahead
from ecom_pipeline.warehouse import Warehouse

SEASONAL_PROFILE = "seasonal_profile"
PROFILE_DAYS = 56
AT_ONCE = 10_000  # series; bounds memory
_CLOSED = Covariates(known_future=("is_closed",), past_only=())


def profile_forecasts(
    warehouse: Warehouse, series: pd.DataFrame, *, cutoff: date, horizon: int, planned: bool
) -> pd.DataFrame:
    """The profile's forecasts of `series` after `cutoff`: unique_id, ds, mean, p05 … p95; never negative.

    Closed days do not count in the past and are zero ahead. `planned` as in `known_ahead`.
    """
    blocks = [
        _profile_of_block(
            warehouse, series.iloc[start : start + AT_ONCE], cutoff=cutoff, horizon=horizon, planned=planned
        )
        for start in range(0, len(series), AT_ONCE)
    ]
    return pd.concat(blocks, ignore_index=True)


def _profile_of_block(
    warehouse: Warehouse, series: pd.DataFrame, *, cutoff: date, horizon: int, planned: bool
) -> pd.DataFrame:
    first = cutoff - timedelta(days=PROFILE_DAYS)
    history = history_of(warehouse, series, covariates=_CLOSED, cutoff=cutoff, first=first)
    future = known_ahead(warehouse, series, covariates=_CLOSED, cutoff=cutoff, horizon=horizon, planned=planned)
    history["y"] = history["y"].mask(history["is_closed"] > 0)
    forecasts = seasonal_profile(history, horizon, "D", future=future).drop(columns="point")
    values = ["mean", *QUANTILES]
    is_open = (future["is_closed"] <= 0).to_numpy(dtype=float)
    forecasts[values] = forecasts[values].clip(lower=0.0).mul(is_open, axis=0)
    return forecasts
