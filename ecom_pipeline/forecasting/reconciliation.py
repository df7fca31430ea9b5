"""Forecasts that add up: products to categories to the total.

Method: weighted least squares reconciliation (Hyndman, Lee and Wang 2016; MinT with a diagonal covariance,
Wickramasuriya, Athanasopoulos and Hyndman 2019). On a tree the solution needs no matrix: one pass up combines each node
with the sum of its children, one pass down spreads what is left. The variance of a node is the sum of the means of its
products: structural scaling (Athanasopoulos et al. 2017) by size instead of by number, so that a product moves in
proportion to what it sells. What is above the products counts for more than its size says (LEVEL_FACTORS): the errors
of products go together, which a diagonal covariance does not see. For the same reason variances of the errors would let
the products alone decide: their errors are small one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import QUANTILES, ForecastingError

SMALLEST_VARIANCE = 1e-9
LARGEST_STRETCH = 5.0  # of quantiles; a mean near zero may be moved to many times itself
LEVEL_FACTORS: Mapping[str, float] = {"total": 0.25, "category": 0.25, "product": 1.0}
"""On the variance that structural scaling gives a level; chosen on held-out windows of four shops."""

DECIMALS = 4  # of what is published, so that sums agree to the last digit shown


@dataclass(frozen=True)
class Tree:
    """The series of one measure by their places: products (k,), categories (c,), at most one total.

    parent (k,): the place of each product's category among the categories, c for products without one.
    """

    products: np.ndarray
    categories: np.ndarray
    total: np.ndarray
    parent: np.ndarray

    @classmethod
    def of(cls, level: np.ndarray, series_id: np.ndarray, category: np.ndarray) -> "Tree":
        """From the level, the id and the category (None: it has none) of each series, (n,) each.

        Raises ForecastingError if no series is a product.
        """
        products, categories = np.flatnonzero(level == "product"), np.flatnonzero(level == "category")
        if not len(products):
            raise ForecastingError(
                "reconciliation needs forecasts of products: they are what categories and the total are summed from"
            )
        place = pd.Index(series_id[categories]).get_indexer(pd.Index(category[products]))
        return cls(
            products=products,
            categories=categories,
            total=np.flatnonzero(level == "total")[:1],
            parent=np.where(place >= 0, place, len(categories)),
        )

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(k, H) values of products as (c + 1, H) sums of their categories; the last are those without a category."""
        days = values.shape[1]
        node = (self.parent[:, None] * days + np.arange(days)).ravel()
        summed = np.bincount(node, weights=values.ravel(), minlength=(len(self.categories) + 1) * days)
        return summed.reshape(-1, days)


def reconcile(forecasts: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Forecasts (unique_id, ds, mean, p05 … p95) with means that add up, measure by measure and day by day.

    `series` names each unique_id's measure, level, series_id and category. Quantiles are stretched with their mean, so
    they stay ordered and non-negative. Rows come back in the same order.
    """
    row, ids = pd.factorize(forecasts["unique_id"])
    column, days = pd.factorize(forecasts["ds"])
    shape = (len(ids), len(days))
    mean, present = np.zeros(shape), np.zeros(shape, dtype=bool)
    quantiles = np.zeros((*shape, len(QUANTILES)))
    mean[row, column], present[row, column] = forecasts["mean"], True
    quantiles[row, column] = forecasts[list(QUANTILES)]
    named = series.set_index("unique_id").loc[pd.Index(ids)]
    mean, quantiles = reconcile_arrays(mean, quantiles, present, series=named)
    result = forecasts.copy()
    result["mean"] = mean[row, column]
    result[list(QUANTILES)] = quantiles[row, column]
    return result


def reconcile_arrays(
    mean: np.ndarray,
    quantiles: np.ndarray,
    present: np.ndarray,
    *,
    series: pd.DataFrame,
    variance: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`reconcile` of arrays: mean (n, H), quantiles (n, H, 7), in the order of the n rows of `series`.

    present (n, H): whether there is a forecast; where there is none, nothing is changed and nothing counts.
    variance (n, H): of each forecast's error, up to a factor; infinite: not to be heard. None: structural scaling.
    """
    names = {name: series[name].to_numpy(dtype=object) for name in ("measure", "level", "series_id", "category")}
    if variance is None:
        variance = structural_variance(mean, present, series=series)
    result = mean.copy()
    for measure in pd.unique(names["measure"]):
        of = np.flatnonzero(names["measure"] == measure)
        tree = Tree.of(*(names[name][of] for name in ("level", "series_id", "category")))
        result[of] = _reconcile_measure(mean[of], present[of], variance[of], tree)
    ratio = np.where(mean > 0, result / np.where(mean > 0, mean, 1.0), 1.0).clip(max=LARGEST_STRETCH)
    result = np.where(present, result, mean)
    return result, np.where(present[:, :, None], np.round(quantiles * ratio[:, :, None], DECIMALS), quantiles)


def _reconcile_measure(mean: np.ndarray, present: np.ndarray, variance: np.ndarray, tree: Tree) -> np.ndarray:
    """Means (n, H) that add up."""
    products = tree.products
    sums = tree.sums(np.where(present[products], mean[products], 0.0))
    sum_variance = tree.sums(np.where(present[products], variance[products], 0.0))

    own_mean, own_variance = np.zeros_like(sums), np.full_like(sums, np.inf)
    own_mean[:-1] = mean[tree.categories]
    own_variance[:-1] = np.where(present[tree.categories], variance[tree.categories], np.inf)
    has_products = sum_variance > 0
    category, category_variance = _combined(sums, sum_variance, own_mean, own_variance)
    category = np.where(has_products, category, 0.0)
    category_variance = np.where(has_products, category_variance, 0.0)

    all_sums, all_variance = category.sum(axis=0), category_variance.sum(axis=0)
    total = all_sums
    for place in tree.total:
        own = np.where(present[place], variance[place], np.inf)
        total, _ = _combined(all_sums, all_variance, mean[place], own)

    share = category_variance / np.where(all_variance > 0, all_variance, 1.0)
    category = _spread(category, share, total)
    weight = (
        np.where(present[products], variance[products], 0.0) / np.where(has_products, sum_variance, 1.0)[tree.parent]
    )
    moved = np.maximum(mean[products] + weight * (category - sums)[tree.parent], 0.0)
    moved = np.where(present[products], moved, 0.0)
    reached = tree.sums(moved)
    stretch = np.where(reached > 0, category / np.where(reached > 0, reached, 1.0), 1.0)

    result = np.empty_like(mean)
    result[products] = np.round(moved * stretch[tree.parent], DECIMALS)
    by_category = np.round(tree.sums(result[products]), DECIMALS)
    result[tree.categories] = by_category[:-1]
    result[tree.total] = np.round(by_category.sum(axis=0), DECIMALS)
    return result


def structural_variance(
    mean: np.ndarray, present: np.ndarray, *, series: pd.DataFrame, factors: Mapping[str, float] = LEVEL_FACTORS
) -> np.ndarray:
    """(n, H) variances for `reconcile_arrays`: structural scaling, times the factor of each level.

    Below 1 a level is trusted more than its size says, above 1 less; infinite: it is not heard.
    """
    names = {name: series[name].to_numpy(dtype=object) for name in ("measure", "level", "series_id", "category")}
    variance = np.zeros_like(mean)
    for measure in pd.unique(names["measure"]):
        of = np.flatnonzero(names["measure"] == measure)
        tree = Tree.of(*(names[name][of] for name in ("level", "series_id", "category")))
        variance[of] = _sums_of_means(mean[of], present[of], tree)
    factor = np.array([factors[level] for level in names["level"]])[:, None]
    return np.where(np.isinf(factor), np.inf, variance * np.where(np.isinf(factor), 1.0, factor))


def _sums_of_means(mean: np.ndarray, present: np.ndarray, tree: Tree) -> np.ndarray:
    """(n, H): the sum of the means (n, H) of the products below each node, never quite zero for a product."""
    variance = np.zeros_like(mean)
    variance[tree.products] = np.where(present[tree.products], np.maximum(mean[tree.products], SMALLEST_VARIANCE), 0.0)
    sums = tree.sums(variance[tree.products])
    variance[tree.categories] = sums[:-1]
    variance[tree.total] = sums.sum(axis=0)
    return variance


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
