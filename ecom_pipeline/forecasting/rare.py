"""Forecasts of what sells too rarely to have a pattern: its recent mean, drawn towards that of its like.

Credibility (Bühlmann and Straub 1970): the mean of a series counts by its number of records against how much the means
of all series really differ; the rest is the mean of all. A series' very first record is left out throughout: series
begin with a sale, so it tells when one began, not what it sells.
"""

import numpy as np

from ecom_pipeline.forecasting.profile import row_quantiles

FEWEST_SERIES = 2


def without_first_record(y: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Sales (N, T), NaN where not recorded, without each series' first listed date, if that is not the first of all.

    A series that is listed from the first of the T dates on may have begun long before.
    """
    first = listed.argmax(axis=1)
    begun = np.flatnonzero(listed.any(axis=1) & (first > 0))
    result = y.copy()
    result[begun, first[begun]] = np.nan
    return result


def credible_means(y: np.ndarray) -> np.ndarray:
    """(N,) expected sales a date from records (N, T), gaps NaN: each series' mean and that of all, by credibility.

    Where the means differ by no more than chance would make them differ, all series get the mean of all; a series
    alone keeps its own; without any record the answer is zero.
    """
    recorded = ~np.isnan(y)
    count = recorded.sum(axis=1).astype(np.float64)
    total = np.nansum(y, axis=1)
    known = count > 0
    if not known.any():
        return np.zeros(len(y))
    own = total / np.maximum(count, 1)
    common = total.sum() / count.sum()
    if known.sum() < FEWEST_SERIES:
        return np.where(known, own, common)
    within = np.nansum((y - own[:, None]) ** 2) / max(float((count[known] - 1).sum()), 1.0)
    spread = float((count * (own - common) ** 2).sum()) - (known.sum() - 1) * within
    between = spread / (count.sum() - (count**2).sum() / count.sum())
    if between <= 0:
        return np.full(len(y), common)
    trust = count / (count + within / between)
    return trust * own + (1 - trust) * common


def recent_quantiles(y: np.ndarray) -> np.ndarray:
    """(N, 7) quantiles of each series' records (N, T), gaps NaN; zero without a record."""
    return np.nan_to_num(row_quantiles(y))
