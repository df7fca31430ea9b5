"""The spread of sales above the products: what the network's quantiles, learnt mostly from products, do not know.

Days of a category or of the total scatter far less than days of a product, so their quantiles are taken from how the
last eight weeks of the series itself lay around its weekdays, and put around the network's mean.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.steps.forecast_baseline import PROFILE_DAYS
from ecom_pipeline.steps.forecast_frames import Covariates, history_of
from ecom_pipeline.warehouse import Warehouse

WEEKS = PROFILE_DAYS // 7
FEWEST_DAYS = 20
"""Open days that a series needs; with fewer its quantiles stay the network's."""

_CLOSED = Covariates(known_future=("is_closed",), past_only=())


def spread_groups(
    warehouse: Warehouse, mean: np.ndarray, quantiles: np.ndarray, series: pd.DataFrame, *, cutoff: date
) -> np.ndarray:
    """Quantiles (n, H, 7) with those of categories and of the total taken from their own last weeks up to `cutoff`.

    They are put around the means (n, H); both are in the order of `series`.
    """
    groups = series[series["level"] != "product"]
    first = cutoff - timedelta(days=PROFILE_DAYS)
    history = history_of(warehouse, groups, covariates=_CLOSED, cutoff=cutoff, first=first)
    ratios = relative_quantiles(history[history["is_closed"] <= 0])
    place = pd.Index(series["unique_id"]).get_indexer(pd.Index(ratios.index))
    result = quantiles.copy()
    result[place] = np.round(mean[place][:, :, None] * ratios[list(QUANTILES)].to_numpy()[:, None, :], 4)
    return result


def relative_quantiles(history: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of sales relative to the mean of their weekday, by series: index unique_id, columns p05 … p95.

    history: unique_id, ds, y. Widened by the degree of freedom that each weekday's mean costs; never negative.
    """
    recorded = history.dropna(subset=["y"])
    weekday = recorded["ds"].dt.day_of_week
    mean = recorded.groupby([recorded["unique_id"], weekday])["y"].transform("mean")
    usable = recorded.assign(ratio=recorded["y"] / mean.where(mean > 0)).dropna(subset=["ratio"])
    counts = usable.groupby("unique_id")["ratio"].transform("size")
    usable = usable[counts >= FEWEST_DAYS]
    if usable.empty:
        return pd.DataFrame(columns=list(QUANTILES), dtype=np.float64)
    table = usable.groupby("unique_id")["ratio"].quantile(np.array(LEVELS)).unstack()
    table.columns = pd.Index(QUANTILES)
    widened: pd.DataFrame = 1.0 + (table - 1.0) * np.sqrt(WEEKS / (WEEKS - 1))
    return widened.clip(lower=0.0)
