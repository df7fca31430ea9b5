"""Reorder suggestions: the newsvendor's answer from published quantiles, lead time and service level.

Demand over several days is a sum of days whose quantiles are known. Its mean is the sum of their means. Its variance is
that of the days plus what they share: errors of neighbouring days go the same way, by a correlation that fades with
the days between (`day_correlation`). A gamma distribution with that mean and variance gives the quantile. The
newsvendor's service level for costs of too little and too much is `critical_ratio` (Arrow, Harris and Marschak 1951).
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import gamma

from ecom_pipeline.scenarios.plan import ScenarioError

LEVELS = np.array([0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95])
COLUMNS = ("p05", "p10", "p25", "p50", "p75", "p90", "p95")
TAIL = 0.99
"""The quantile function is drawn on to here, as steeply as a normal distribution's from .90 to .95."""
TAIL_SLOPE = (2.3263 - 1.6449) / (1.6449 - 1.2816)
GRID = 400

_FORECASTS = """
SELECT f.series_id AS item_id, f.horizon, f.mean, f.p05, f.p10, f.p25, f.p50, f.p75, f.p90, f.p95,
       i.name, i.category, i.stock
FROM sales_forecasts AS f LEFT JOIN items AS i ON f.series_id = i.item_id
WHERE f.as_of = ? AND f.level = 'product' AND f.measure = 'quantity' AND f.horizon <= ?
ORDER BY f.series_id, f.horizon
"""


@dataclass(frozen=True, slots=True)
class ReorderTerms:
    """What the answer depends on besides the forecasts.

    lead_time_days: from ordering to arrival. review_days: until the next order can be made. service_level: wanted
    probability that the stock lasts through both. day_correlation: of the forecast errors of two neighbouring days.
    """

    lead_time_days: int = 7
    review_days: int = 7
    service_level: float = 0.95
    day_correlation: float = 0.5

    def __post_init__(self) -> None:
        if self.lead_time_days < 0 or self.review_days < 1:
            raise ScenarioError("The lead time is at least 0 days, and the time between orders at least 1.")
        if not 0 < self.service_level < 1:
            raise ScenarioError(f"A service level lies between 0 and 1, not at {self.service_level:g}.")
        if not 0 <= self.day_correlation < 1:
            raise ScenarioError(
                f"The correlation of neighbouring days lies in [0, 1), not at {self.day_correlation:g}."
            )


def critical_ratio(*, underage: float, overage: float) -> float:
    """The service level at which a unit too few (lost margin) and one too many (holding, waste) cost alike.

    Raises:
        ScenarioError: if a cost is not positive.
    """
    if underage <= 0 or overage <= 0:
        raise ScenarioError("The costs of a unit too few and of a unit too many are both above 0.")
    return underage / (underage + overage)


def reorder_suggestions(published: Path, terms: ReorderTerms) -> pa.Table:
    """Rows of `reorder_suggestions` for every product with a forecast in the newest night of `published`.

    Raises:
        ScenarioError: if nothing was published, or the forecasts do not reach as far as lead time and review.
    """
    if not published.is_file():
        raise ScenarioError(f"{published}: nothing was published yet. Run a night first: ecom-pipeline nightly")
    connection = duckdb.connect(str(published), read_only=True)
    days = terms.lead_time_days + terms.review_days
    try:
        ((as_of, reach),) = connection.execute(
            "SELECT max(as_of), max(horizon) FROM sales_forecasts "
            "WHERE as_of = (SELECT max(as_of) FROM sales_forecasts) AND level = 'product'"
        ).fetchall()
        if reach is None or days > reach:
            raise ScenarioError(
                f"Lead time and review are {days} days, and forecasts reach {reach or 0} days ahead. "
                "Make the setting horizon_days longer, or order more often."
            )
        rows = connection.execute(_FORECASTS, [as_of, days]).df()
    finally:
        connection.close()
    return suggestions_of(rows, terms, as_of=as_of)


def suggestions_of(forecasts: pd.DataFrame, terms: ReorderTerms, *, as_of: date) -> pa.Table:
    """Suggestions from rows item_id, mean, p05 … p95, name, category, stock: lead time + review days a product."""
    days = terms.lead_time_days + terms.review_days
    items = forecasts.drop_duplicates("item_id").reset_index(drop=True)
    count = len(items)
    means = forecasts["mean"].to_numpy(dtype=float).reshape(count, days)
    deviations = day_deviations(forecasts).reshape(count, days)
    expected, sd = sum_moments(means, deviations, terms.day_correlation)
    order_up_to = np.ceil(demand_quantile(expected, sd, terms.service_level) - 1e-9).astype(np.int64)
    stock = items["stock"].to_numpy(dtype=float)
    known = np.isfinite(stock)
    units = np.where(known, np.maximum(0, np.ceil(order_up_to - np.where(known, stock, 0))), 0).astype(np.int64)
    lead = max(terms.lead_time_days, 1)
    lead_mean, lead_sd = sum_moments(means[:, :lead], deviations[:, :lead], terms.day_correlation)
    with np.errstate(divide="ignore", invalid="ignore"):
        lasting = np.where(expected > 0, np.maximum(stock, 0) / (expected / days), np.inf)
    lasts = known & np.isfinite(lasting)
    return pa.table(
        {
            "as_of": pa.array([as_of] * count, pa.date32()),
            "item_id": pa.array(items["item_id"], pa.string()),
            "name": pa.array(items["name"], pa.string(), from_pandas=True),
            "category": pa.array(items["category"], pa.string(), from_pandas=True),
            "stock": pa.array(stock, mask=~known),
            "lead_time_days": pa.array([terms.lead_time_days] * count, pa.int32()),
            "review_days": pa.array([terms.review_days] * count, pa.int32()),
            "service_level": pa.array([terms.service_level] * count, pa.float64()),
            "expected_demand": pa.array(expected.round(4)),
            "demand_sd": pa.array(sd.round(4)),
            "order_up_to": pa.array(order_up_to),
            "safety_stock": pa.array((order_up_to - expected).round(4)),
            "order_units": pa.array(units, mask=~known),
            "days_of_stock": pa.array(np.where(lasts, lasting, 0).round(1), mask=~lasts),
            "stock_out_probability": pa.array(
                exceedance(lead_mean, lead_sd, np.where(known, stock, 0)).round(4), mask=~known
            ),
        }
    )


def day_deviations(forecasts: pd.DataFrame) -> np.ndarray:
    """Standard deviation of each day's demand about its mean, from its quantiles, (n,).

    The quantile function is drawn straight between the known levels, down to half-way below p05, and up to .99.
    """
    quantiles = forecasts[list(COLUMNS)].to_numpy(dtype=float)
    top = quantiles[:, -1] + (quantiles[:, -1] - quantiles[:, -2]) * TAIL_SLOPE
    bottom = np.maximum(quantiles[:, 0] - (quantiles[:, 1] - quantiles[:, 0]), 0)
    drawn = np.column_stack([bottom, quantiles, top])
    levels = np.concatenate([[0.0], LEVELS, [TAIL]])
    grid = (np.arange(GRID) + 0.5) / GRID
    place = np.clip(np.searchsorted(levels, grid) - 1, 0, len(levels) - 2)
    share = np.clip((grid - levels[place]) / (levels[place + 1] - levels[place]), 0, 1)
    values = drawn[:, place] * (1 - share) + drawn[:, place + 1] * share
    mean = forecasts["mean"].to_numpy(dtype=float)
    return np.asarray(np.sqrt(((values - mean[:, None]) ** 2).mean(axis=1)))


def sum_moments(means: np.ndarray, deviations: np.ndarray, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the sum over days, from (n, days) arrays; the correlation fades geometrically."""
    steps = np.abs(np.subtract.outer(np.arange(means.shape[1]), np.arange(means.shape[1])))
    shared = np.where(steps == 0, 1.0, correlation**steps)
    variance = np.einsum("nd,de,ne->n", deviations, shared, deviations)
    return means.sum(axis=1), np.sqrt(variance)


def demand_quantile(mean: np.ndarray, sd: np.ndarray, level: float) -> np.ndarray:
    """The quantile of a gamma distribution with this mean and deviation; the mean itself where there is no spread."""
    spread = (mean > 0) & (sd > 0)
    safe_mean, safe_sd = np.where(spread, mean, 1), np.where(spread, sd, 1)
    found = gamma.ppf(level, (safe_mean / safe_sd) ** 2, scale=safe_sd**2 / safe_mean)
    return np.where(spread, found, mean)


def exceedance(mean: np.ndarray, sd: np.ndarray, stock: np.ndarray) -> np.ndarray:
    """Probability that demand is above the stock, under the same distribution."""
    spread = (mean > 0) & (sd > 0)
    safe_mean, safe_sd = np.where(spread, mean, 1), np.where(spread, sd, 1)
    found = gamma.sf(np.maximum(stock, 0), (safe_mean / safe_sd) ** 2, scale=safe_sd**2 / safe_mean)
    return np.where(spread, found, (mean > stock).astype(float))
