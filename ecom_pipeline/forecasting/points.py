"""The single number to publish: which functional of the predictive distribution the reader's loss asks for.

Gneiting (2011), "Making and evaluating point forecasts": the mean for squared error, the median for absolute error,
and for the absolute percentage error the median under weights 1 / y.
"""

import numpy as np

from ecom_pipeline.forecasting.types import LEVELS, MEDIAN, Point

GRID = np.linspace(0.0125, 0.9875, 40)
FLOOR = 0.35
"""Share of the median below which a value counts as this share: 1 / y must not rest on a guess about the lower tail.

With .05 the mean absolute percentage error of all four validation tasks was 5 to 15 % higher.
"""


def point_of(*, mean: np.ndarray, quantiles: np.ndarray, point: Point) -> np.ndarray:
    """(R,) point forecasts from means (R,) and quantiles (R, 7) at LEVELS."""
    if point == "mean":
        return mean
    if point == "median":
        return quantiles[:, MEDIAN]
    return percentage_point(quantiles)


def percentage_point(quantiles: np.ndarray) -> np.ndarray:
    """(R,) values f that minimise E |y - f| / y, where y follows the quantiles (R, 7); rows of zeros give zero.

    The quantile function is taken as linear in log y between the levels, over the normal scale of the levels, with its
    end pieces drawn on; the minimiser is the median of the distribution with density proportional to p(y) / y.
    """
    scale = np.maximum(quantiles[:, MEDIAN], 1e-12)
    floor = FLOOR * scale
    logs = np.log(np.maximum(quantiles, floor[:, None]))
    knots, grid = _normal(np.asarray(LEVELS)), _normal(GRID)
    segment = np.clip(np.searchsorted(knots, grid) - 1, 0, len(knots) - 2)
    share = (grid - knots[segment]) / (knots[segment + 1] - knots[segment])
    values = logs[:, segment] + share[None, :] * (logs[:, segment + 1] - logs[:, segment])
    weight = np.exp(-(values - values.min(axis=1, keepdims=True)))
    total = np.cumsum(weight, axis=1)
    at = np.argmax(total >= 0.5 * total[:, -1:], axis=1)
    result = np.exp(np.take_along_axis(values, at[:, None], axis=1)[:, 0])
    return np.where(quantiles[:, MEDIAN] <= 0, 0.0, result)


def _normal(level: np.ndarray) -> np.ndarray:
    """Standard normal quantile function."""
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(float(p)) for p in level])
