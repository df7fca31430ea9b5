"""Forecasts that add up: products to categories to the total.

Method: weighted least squares reconciliation (Hyndman, Lee and Wang 2016; MinT with a diagonal covariance,
Wickramasuriya, Athanasopoulos and Hyndman 2019). On a tree the solution needs no matrix: one pass up combines each node
with the sum of its children, one pass down spreads what is left. The variance of a node is the sum of the means of its
products: structural scaling (Athanasopoulos et al. 2017) by size instead of by number, so that every level has an equal
say and a product moves in proportion to what it sells. Variances of the errors would let the products alone decide:
their errors are small one by one, but go together, which a diagonal covariance does not see.
"""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import QUANTILES, ForecastingError

SMALLEST_VARIANCE = 1e-9
LARGEST_STRETCH = 5.0  # of quantiles; a mean near zero may be moved to many times itself
DECIMALS = 4  # of what is published, so that sums agree to the last digit shown


def reconcile(forecasts: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Forecasts (unique_id, ds, mean, p05 … p95) with means that add up, measure by measure and day by day.

    `series` names each unique_id's measure, level, series_id and category. Quantiles are stretched with their mean, so
    they stay ordered and non-negative. Rows come back in the same order.
    """
    series = series.set_index("unique_id")
    rows = forecasts.join(series[["measure", "level", "series_id", "category"]], on="unique_id")
    result = forecasts.copy()
    mean = forecasts["mean"].to_numpy(dtype=np.float64, copy=True)
    for places in rows.groupby("measure", sort=True).indices.values():
        mean[places] = _reconcile_measure(rows.iloc[places], mean=mean[places])
    before = forecasts["mean"].to_numpy(dtype=np.float64)
    ratio = np.where(before > 0, mean / np.where(before > 0, before, 1.0), 1.0).clip(max=LARGEST_STRETCH)
    result["mean"] = mean
    for name in QUANTILES:
        result[name] = np.round(forecasts[name].to_numpy(dtype=np.float64) * ratio, DECIMALS)
    return result


def _reconcile_measure(rows: pd.DataFrame, *, mean: np.ndarray) -> np.ndarray:
    level = rows["level"].to_numpy()
    day = pd.factorize(rows["ds"], sort=True)[0]
    days = int(day.max()) + 1
    is_product, is_category, is_total = level == "product", level == "category", level == "total"
    if not is_product.any():
        raise ForecastingError(
            "reconciliation needs forecasts of products: they are what categories and the total are summed from"
        )

    # categories are numbered 0 … n - 1; products without one share the last number, which has no forecast of its own
    names = pd.Index(sorted(rows["series_id"][is_category].unique()))
    of_product = names.get_indexer(pd.Index(rows["category"][is_product].fillna("")))
    parent = np.where(of_product >= 0, of_product, len(names))
    node = parent * days + day[is_product]
    nodes = (len(names) + 1) * days

    own_mean, own_variance = np.zeros(nodes), np.full(nodes, np.inf)
    at = names.get_indexer(pd.Index(rows["series_id"][is_category])) * days + day[is_category]
    sums = np.bincount(node, weights=mean[is_product], minlength=nodes)
    variance = np.maximum(mean[is_product], SMALLEST_VARIANCE)
    sum_variance = np.bincount(node, weights=variance, minlength=nodes)
    own_mean[at], own_variance[at] = mean[is_category], sum_variance[at]
    total_mean, total_variance = np.zeros(days), np.full(days, np.inf)
    total_mean[day[is_total]] = mean[is_total]
    total_variance[day[is_total]] = sum_variance.reshape(-1, days).sum(axis=0)[day[is_total]]

    has_products = sum_variance > 0
    category, category_variance = _combined(sums, sum_variance, own_mean, own_variance)
    category_variance = np.where(has_products, category_variance, 0.0)
    category = np.where(has_products, category, 0.0)
    all_sums = category.reshape(-1, days).sum(axis=0)
    all_variance = category_variance.reshape(-1, days).sum(axis=0)
    total, _ = _combined(all_sums, all_variance, total_mean, total_variance)

    share = category_variance.reshape(-1, days) / np.where(all_variance > 0, all_variance, 1.0)
    category = _spread(category.reshape(-1, days), share, total).ravel()
    weight = variance / sum_variance[node]
    moved = np.maximum(mean[is_product] + weight * (category - sums)[node], 0.0)
    reached = np.bincount(node, weights=moved, minlength=nodes)
    stretch = np.where(reached > 0, category / np.where(reached > 0, reached, 1.0), 1.0)
    products = np.round(moved * stretch[node], DECIMALS)

    result = np.empty_like(mean)
    result[is_product] = products
    by_category = np.round(np.bincount(node, weights=products, minlength=nodes), DECIMALS)
    result[is_category] = by_category[at]
    result[is_total] = np.round(by_category.reshape(-1, days).sum(axis=0), DECIMALS)[day[is_total]]
    return result


def _combined(
    mean: np.ndarray, variance: np.ndarray, other: np.ndarray, other_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two independent estimates in one, weighted by precision; an infinite variance counts for nothing."""
    known = np.isfinite(other_variance) & (variance > 0)
    weight = np.where(known, variance, 0.0) / np.where(known, variance + other_variance, 1.0)
    return mean + weight * (other - mean), variance * (1.0 - weight)


def _spread(parts: np.ndarray, share: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Parts (k, days) moved by their share of the gap to `whole` (days,), never below zero, adding up to it."""
    moved = np.maximum(parts + share * (whole - parts.sum(axis=0)), 0.0)
    reached = moved.sum(axis=0)
    return moved * np.where(reached > 0, np.maximum(whole, 0.0) / np.where(reached > 0, reached, 1.0), 1.0)
