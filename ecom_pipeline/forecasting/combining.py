"""How much of the forecast is the network's: a convex combination with the simple forecasts, learnt on validation.

Forecast combination with weights from past errors goes back to Bates and Granger (1969); a convex combination with a
pull towards the network cannot do worse than noise allows.
"""

from typing import Literal

import numpy as np

Loss = Literal["absolute", "both"]
LARGEST_FACTOR = 1.3
PULL = 0.05
"""Share of the network's own loss that leaving it entirely must earn back."""


def combination_weights(
    *, y: np.ndarray, members: np.ndarray, weight: np.ndarray, loss: Loss, steps: int = 300, rate: float = 0.2
) -> np.ndarray:
    """(K,) weights on the simplex for members (R, K) of forecasts of y (R,), the network first.

    Minimises the weighted absolute error, or its average with the squared error ("both"), each relative to the
    network's own, by exponentiated gradient (Kivinen and Warmuth 1997).
    """
    count = members.shape[1]
    logits = np.zeros(count)
    logits[0] = 3.0
    weight = weight / weight.sum()
    residual = y - members[:, 0]
    absolute = float((weight * np.abs(residual)).sum()) + 1e-12
    squared = float((weight * residual**2).sum()) + 1e-12
    for _ in range(steps):
        share = np.exp(logits - logits.max())
        share /= share.sum()
        error = members @ share - y
        slope = weight * np.sign(error) / absolute
        if loss == "both":
            slope = 0.5 * slope + weight * error / squared
        gradient = members.T @ slope
        gradient[0] -= PULL
        logits -= rate * (gradient - gradient @ share)
        logits = np.clip(logits - logits.max(), -12.0, 0.0)
    share = np.exp(logits)
    share[share < 0.01 * share.sum()] = 0.0
    return share / share.sum()


def level_factor(*, y: np.ndarray, forecast: np.ndarray, weight: np.ndarray) -> float:
    """Factor for the mean, halfway from 1 to the one that would have made the forecasts add up to the sales."""
    expected = float((weight * forecast).sum())
    if expected <= 0:
        return 1.0
    ratio = float((weight * y).sum()) / expected
    return float(np.sqrt(np.clip(ratio, 1 / LARGEST_FACTOR, LARGEST_FACTOR)))
