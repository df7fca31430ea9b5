"""Links between sales and the scale on which effects add up (identity, square root, logarithm).

z is sales divided by a positive scale; u = g(z). Every link is increasing, so quantiles pass through it unchanged.
"""

import numpy as np

from ecom_pipeline.forecasting.types import Link

LOG_FLOOR = 0.05
"""Share of a series' scale added before the logarithm, so that a day without sales is low and not minus infinity."""


def forward(z: np.ndarray, link: Link) -> np.ndarray:
    """u = g(z), elementwise; z below zero counts as zero except under the identity."""
    if link == "identity":
        return z
    z = np.maximum(z, 0)
    return 2 * np.sqrt(z) if link == "sqrt" else np.log(z + LOG_FLOOR)


def inverse(u: np.ndarray, link: Link) -> np.ndarray:
    """z = g^-1(u), elementwise."""
    if link == "identity":
        return u
    if link == "sqrt":
        return np.square(np.maximum(u, 0) / 2)
    return np.maximum(np.exp(np.minimum(u, 30.0)) - LOG_FLOOR, 0)


def stretch(ratio: np.ndarray, link: Link) -> np.ndarray:
    """Factor by which a distance in u grows when z is multiplied by `ratio`; 1 under the logarithm."""
    if link == "identity":
        return ratio
    return np.sqrt(ratio) if link == "sqrt" else np.ones_like(ratio)
