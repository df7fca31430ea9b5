"""The long tail in the night: products that sell too rarely to be worth the network's time."""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.rare import credible_means, recent_quantiles, without_first_record
from ecom_pipeline.forecasting.types import LEVELS
from ecom_pipeline.steps.forecast_days import days_ahead, days_before
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

RECENT_MEAN = "recent_mean"
RECENT_DAYS = 56


def tail_forecasts(
    warehouse: Warehouse, series: pd.DataFrame, *, outlook: Outlook, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, H) and quantiles (n, H, 7) of `series` after the night, every day alike; never negative.

    Each measure's means are drawn towards their common one. Closed days do not count in the past and are zero ahead.
    """
    past = days_before(warehouse, series, outlook=outlook, days=RECENT_DAYS)
    ahead = days_ahead(warehouse, series, outlook=outlook, horizon=horizon)
    records = without_first_record(np.where(past.closed, np.nan, past.y), past.listed)
    mean, quantiles = np.zeros(len(series)), np.zeros((len(series), len(LEVELS)))
    for measure in series["measure"].unique():
        of = (series["measure"] == measure).to_numpy()
        mean[of], quantiles[of] = credible_means(records[of]), recent_quantiles(records[of])
    counts = (ahead.listed & ~ahead.closed).astype(np.float64)
    return mean.clip(min=0.0)[:, None] * counts, quantiles.clip(min=0.0)[:, None, :] * counts[:, :, None]
