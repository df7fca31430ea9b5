"""Forecasts that add up: products to categories to the total, exactly.

Optimal combination by trace minimisation (Wickramasuriya, Athanasopoulos and Hyndman 2019, "Optimal forecast
reconciliation ... through trace minimization") with a diagonal weight: the error variances of the backtest (WLS-v)
or the number of products below a node (WLS-s, Athanasopoulos et al. 2017). Trees only, solved in closed form from
the leaves up and down again, so that 30,000 products cost no matrix of that size.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import QUANTILES, ForecastingError

TOTAL, CATEGORY, PRODUCT = "total", "category", "product"


def reconcile(
    forecasts: pd.DataFrame,
    parents: Mapping[str, str],
    *,
    variances: pd.DataFrame | None = None,
    non_negative: bool = True,
) -> pd.DataFrame:
    """Adjust forecasts at levels total, category and product so that the means add up on every date.

    forecasts: level ("total", "category", "product"), unique_id, ds, mean, p05 … p95; further columns stay.
    parents: product -> category. variances: level, unique_id, variance of the forecast errors (from a backtest);
    without it a node's variance is its number of products. Means of products are kept at zero or above if
    `non_negative`, and the levels above are sums of them. Quantiles move with their mean: by its ratio where it is
    positive, so that they keep their shape and order. Raises ForecastingError if a node or a date lacks forecasts.
    """
    frame = forecasts.copy()
    wide = {
        level: frame[frame["level"] == level].pivot(index="unique_id", columns="ds", values="mean")
        for level in (TOTAL, CATEGORY, PRODUCT)
    }
    products = wide[PRODUCT]
    unknown = sorted({str(p) for p in products.index} - {str(p) for p in parents})
    if unknown:
        raise ForecastingError(f"parents: no category for product(s) {unknown[:5]} ({len(unknown)} in all).")
    category_of = pd.Series([parents[p] for p in products.index], index=products.index)
    missing = sorted(set(category_of) ^ set(wide[CATEGORY].index))
    if missing:
        raise ForecastingError(f"forecasts: category node(s) {missing[:5]} and the products' categories differ.")
    if len(wide[TOTAL]) != 1:
        raise ForecastingError(f"forecasts: level 'total' must have one series, it has {len(wide[TOTAL])}.")
    dates = products.columns
    if any(set(w.columns) != set(dates) or w.isna().to_numpy().any() for w in wide.values()):
        raise ForecastingError("forecasts: every series of every level must have every date exactly once.")

    groups = pd.Index(wide[CATEGORY].index)
    member = groups.get_indexer(pd.Index(category_of))
    variance = _variances(variances, products.index, groups, wide[TOTAL].index, member)
    adjusted = reconcile_tree(
        products=products.to_numpy(dtype=float),
        categories=wide[CATEGORY][dates].to_numpy(dtype=float),
        total=wide[TOTAL][dates].to_numpy(dtype=float)[0],
        member=member,
        variances=variance,
        non_negative=non_negative,
    )
    rebuilt = np.zeros((len(groups), len(dates)))
    np.add.at(rebuilt, member, adjusted)
    values = {PRODUCT: adjusted, CATEGORY: rebuilt, TOTAL: rebuilt.sum(axis=0, keepdims=True)}
    new_mean = np.empty(len(frame))
    for level, value in values.items():
        here = (frame["level"] == level).to_numpy()
        row = wide[level].index.get_indexer(pd.Index(frame.loc[here, "unique_id"]))
        column = dates.get_indexer(pd.Index(frame.loc[here, "ds"]))
        new_mean[here] = value[row, column]
    old_mean = frame["mean"].to_numpy(dtype=float)
    positive = (old_mean > 1e-9) & (new_mean >= 0)
    ratio = np.where(positive, new_mean / np.where(positive, old_mean, 1.0), 1.0)
    shift = np.where(positive, 0.0, new_mean - old_mean)
    for name in QUANTILES:
        moved = frame[name].to_numpy(dtype=float) * ratio + shift
        frame[name] = np.maximum(moved, 0) if non_negative else moved
    frame["mean"] = new_mean
    return frame


def reconcile_tree(
    *,
    products: np.ndarray,
    categories: np.ndarray,
    total: np.ndarray,
    member: np.ndarray,
    variances: tuple[np.ndarray, np.ndarray, float],
    non_negative: bool,
) -> np.ndarray:
    """Products (P, T) that minimise the weighted squared change of all nodes; categories (C, T), total (T,).

    member: (P,) category of each product; variances of products (P,), categories (C,) and the total.
    """
    product_variance, category_variance, total_variance = variances
    # Upwards: the best estimate of each category from its own forecast and the sum of its products.
    summed = np.zeros_like(categories)
    np.add.at(summed, member, products)
    summed_variance = np.zeros(len(categories))
    np.add.at(summed_variance, member, product_variance)
    share = summed_variance / (summed_variance + category_variance)
    category = summed + share[:, None] * (categories - summed)
    combined_variance = summed_variance * category_variance / (summed_variance + category_variance)
    # At the root: the total's own forecast against the sum of the categories, and back down by variance.
    gap = total - category.sum(axis=0)
    root = combined_variance.sum() / (combined_variance.sum() + total_variance) * gap
    category = category + (combined_variance / combined_variance.sum())[:, None] * root
    down = (product_variance / np.maximum(summed_variance[member], 1e-300))[:, None]
    result = products + down * (category - summed)[member]
    return np.maximum(result, 0) if non_negative else result


def _variances(
    variances: pd.DataFrame | None, products: pd.Index, groups: pd.Index, total: pd.Index, member: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    count = np.bincount(member, minlength=len(groups)).astype(float)
    if variances is None:
        return np.ones(len(products)), np.maximum(count, 1.0), float(len(products))
    table = variances.set_index(["level", "unique_id"])["variance"].astype(float)

    def of(level: str, index: pd.Index) -> np.ndarray:
        found = table.reindex([(level, i) for i in index]).to_numpy()
        seen = found[np.isfinite(found) & (found > 0)]
        floor = 1e-3 * float(np.median(seen)) if len(seen) else 1.0
        typical = float(np.median(seen)) if len(seen) else 1.0
        return np.maximum(np.where(np.isfinite(found), found, typical), floor)

    return of(PRODUCT, products), of(CATEGORY, groups), float(of(TOTAL, total)[0])
