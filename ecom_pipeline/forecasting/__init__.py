"""Sales forecasting: a library of its own, without Dagster; the night and a notebook run the same code.

`SalesForecaster` is the door; docs/forecasting.md explains what is behind it. TensorFlow is imported on the first fit.
"""

from ecom_pipeline.forecasting.backtesting import backtest, backtest_profile, scales_at
from ecom_pipeline.forecasting.classes import better_by_class, series_classes
from ecom_pipeline.forecasting.forecaster import SalesForecaster
from ecom_pipeline.forecasting.profile import seasonal_profile
from ecom_pipeline.forecasting.reconciliation import reconcile
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.types import FORECAST_COLUMNS, LEVELS, QUANTILES, ForecastingError

__all__ = [
    "FORECAST_COLUMNS",
    "LEVELS",
    "QUANTILES",
    "ForecastingError",
    "SalesForecaster",
    "TrainingSettings",
    "backtest",
    "backtest_profile",
    "better_by_class",
    "reconcile",
    "scales_at",
    "seasonal_profile",
    "series_classes",
]
