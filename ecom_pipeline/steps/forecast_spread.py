"""The spread of sales above the products: what the network's quantiles, learnt mostly from products, do not know.

Days of a category or of the total scatter far less than days of a product, so their quantiles are put around the
network's mean as far as the series' own last weeks lay from what had been usual before them: for each of the last
origins, a week apart, the days ahead of it are compared with the mean of their weekday in the eight weeks up to it. So
the spread holds what a level does while nobody can see it yet, and grows with the weeks ahead.
"""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import LEVELS
from ecom_pipeline.steps.forecast_days import days_before
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

WEEK = 7
USUAL_WEEKS = 8
ORIGINS = 8
MOST_WEEKS_AHEAD = 8
FEWEST_DAYS = 20
"""Days that an origin needs before it, and that a quantile is taken from; with fewer it stays the network's."""


def spread_groups(
    warehouse: Warehouse, mean: np.ndarray, quantiles: np.ndarray, series: pd.DataFrame, *, outlook: Outlook
) -> np.ndarray:
    """Quantiles (n, H, 7) with those of categories and of the total taken from their own last weeks up to the night.

    They are put around the means (n, H); both are in the order of `series`.
    """
    place = np.flatnonzero(series["level"] != "product")
    horizon = mean.shape[1]
    weeks_ahead = min(-(-horizon // WEEK), MOST_WEEKS_AHEAD)
    length = WEEK * (USUAL_WEEKS + ORIGINS + weeks_ahead - 1)
    days = days_before(warehouse, series.iloc[place], outlook=outlook, days=length)
    ratios = relative_quantiles(np.where(days.closed, np.nan, days.y), weeks_ahead=weeks_ahead)
    week = np.minimum(np.arange(horizon) // WEEK, weeks_ahead - 1)
    spread = np.round(mean[place][:, :, None] * ratios[:, week], 4)
    result = quantiles.copy()
    result[place] = np.where(np.isnan(spread), quantiles[place], spread)
    return result


def relative_quantiles(y: np.ndarray, *, weeks_ahead: int) -> np.ndarray:
    """(n, weeks ahead, 7): quantiles of sales relative to what was usual, from the days (n, T) up to now, gaps NaN.

    Their mean is 1 by construction, and none is negative. A week with too few days takes the week's before it; NaN
    where there is none.
    """
    length = WEEK * (USUAL_WEEKS + ORIGINS + weeks_ahead - 1)
    padded = np.full((len(y), length), np.nan)
    if y.shape[1]:
        padded[:, -y.shape[1] :] = y[:, -length:]
    result = np.full((len(y), weeks_ahead, len(LEVELS)), np.nan)
    for ahead in range(weeks_ahead):
        ratios = np.concatenate(
            [
                _relative_to_usual(padded, origin=length - WEEK * back, ahead=ahead)
                for back in range(1 + ahead, 1 + ahead + ORIGINS)
            ],
            axis=1,
        )
        if ahead:
            result[:, ahead] = result[:, ahead - 1]
        for row in np.flatnonzero((~np.isnan(ratios)).sum(axis=1) >= FEWEST_DAYS):
            known = ratios[row][~np.isnan(ratios[row])]
            if known.sum() > 0:
                result[row, ahead] = np.quantile(known / known.mean(), LEVELS).clip(min=0.0)
    return result


def _relative_to_usual(y: np.ndarray, *, origin: int, ahead: int) -> np.ndarray:
    """(n, 7): the days of the week that begins `ahead` weeks after `origin`, by the mean of their weekday before it."""
    past = y[:, origin - WEEK * USUAL_WEEKS : origin].reshape(len(y), USUAL_WEEKS, WEEK)
    recorded = (~np.isnan(past)).sum(axis=1)
    usual = np.nansum(past, axis=1) / np.maximum(recorded, 1)
    enough = recorded.sum(axis=1, keepdims=True) >= FEWEST_DAYS
    usual = np.where(enough & (usual > 0), usual, np.nan)
    first = origin + WEEK * ahead
    return y[:, first : first + WEEK] / usual
