"""How much of the final forecast is the network's: a convex combination with the simple forecasts, learnt on validation.

Forecast combination with weights from past errors goes back to Bates and Granger (1969); a convex combination with a
pull towards the network cannot do worse than noise allows.
"""

import numpy as np

PULL = 0.02
"""Share of the network's own loss that leaving it entirely must earn back."""


def combination_weights(
    *, y: np.ndarray, members: np.ndarray, weight: np.ndarray, steps: int = 300, rate: float = 0.2
) -> np.ndarray:
    """(K,) weights on the simplex for members (R, K) of forecasts of y (R,), the network first.

    Minimises the weighted sum of absolute and squared errors, each relative to the network's, by exponentiated
    gradient (Kivinen and Warmuth 1997).
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
        slope = weight * (np.sign(error) / absolute + 2 * error / squared)
        gradient = members.T @ slope
        gradient[0] -= PULL
        logits -= rate * (gradient - gradient @ share)
        logits = np.clip(logits - logits.max(), -12.0, 0.0)
    share = np.exp(logits)
    share[share < 0.01 * share.sum()] = 0.0
    return share / share.sum()
