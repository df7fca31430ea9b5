"""How much of the forecast is the network's: a convex combination with the simple forecasts, learnt on validation.

Forecast combination with weights from past errors goes back to Bates and Granger (1969); a convex combination with a
pull towards the network cannot do worse than noise allows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecom_pipeline.forecasting.windows import BASES

Loss = Literal["absolute", "squared", "poisson"]
LARGEST_FACTOR = 1.3
LEAST_MEAN = 1e-3
PULL = 0.05
"""Share of the network's own loss that leaving it entirely must earn back."""


@dataclass
class Combination:
    """Convex weights of what is combined, and a factor for the mean.

    mean: (2 + len(BASES),) on the network's mean, the mean of its quantiles, and the bases lifted to means. median:
    (1 + len(BASES),) on the network's median and the bases.
    """

    mean: np.ndarray
    median: np.ndarray
    factor: float = 1.0

    def towards(self, other: "Combination", share: float) -> "Combination":
        """Between this one (share 0) and another (share 1)."""
        return Combination(
            mean=(1 - share) * self.mean + share * other.mean,
            median=(1 - share) * self.median + share * other.median,
            factor=float(self.factor ** (1 - share) * other.factor**share),
        )

    @staticmethod
    def network_alone() -> "Combination":
        """All weight on the network."""
        mean, median = np.zeros(2 + len(BASES)), np.zeros(1 + len(BASES))
        mean[0] = median[0] = 1.0
        return Combination(mean=mean, median=median)


def combination_weights(
    *,
    y: np.ndarray,
    members: np.ndarray,
    weight: np.ndarray,
    loss: Loss,
    networks: int = 1,
    steps: int = 300,
    rate: float = 0.2,
) -> np.ndarray:
    """(K,) weights on the simplex for members (R, K) of forecasts of y (R,), the first `networks` the network's.

    Minimises the weighted loss relative to the network's own by exponentiated gradient (Kivinen and Warmuth 1997): the
    absolute error for medians; for means, whose sums must come out right, the squared error or, where nothing is
    negative, the Poisson deviance, which outlying days cannot rule; half and half with the absolute error where more
    than half of the dates have sales, since elsewhere its minimiser is next to nothing.
    """
    count = members.shape[1]
    logits = np.zeros(count)
    logits[:networks] = 3.0
    weight = weight / weight.sum()
    residual = y - members[:, 0]
    absolute = float((weight * np.abs(residual)).sum()) + 1e-12
    squared = float((weight * residual**2).sum()) + 1e-12
    own = np.maximum(members[:, 0], LEAST_MEAN)
    deviance = float((weight * _deviance(y, own)).sum()) + 1e-12 if loss == "poisson" else 1.0
    for _ in range(steps):
        share = np.exp(logits - logits.max())
        share /= share.sum()
        forecast = members @ share
        if loss == "absolute":
            slope = weight * np.sign(forecast - y) / absolute
        elif loss == "squared":
            slope = 2 * weight * (forecast - y) / squared
        else:
            slope = 2 * weight * (1 - y / np.maximum(forecast, LEAST_MEAN)) / deviance
            if (y > 0).mean() > 0.5:
                slope = 0.5 * slope + 0.5 * weight * np.sign(forecast - y) / absolute
        gradient = members.T @ slope
        gradient[:networks] -= PULL
        logits -= rate * (gradient - gradient @ share)
        logits = np.clip(logits - logits.max(), -12.0, 0.0)
    share = np.exp(logits)
    share[share < 0.01 * share.sum()] = 0.0
    return share / share.sum()


def _deviance(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Poisson deviance of each y (R,) from its mean (R,)."""
    ratio = np.where(y > 0, y / mean, 1.0)
    return 2 * (y * np.log(ratio) - y + mean)


def level_factor(*, y: np.ndarray, forecast: np.ndarray, weight: np.ndarray, date: np.ndarray) -> float:
    """Factor for the mean, at most halfway from 1 to the one that would have made the forecasts add up to the sales.

    How far it goes depends on how surely it is not 1: what all series share on a date is one observation, so the
    standard error comes from the sums of dates, and the logarithm of the ratio is shrunk by James and Stein's rule.
    """
    _, date = np.unique(date, return_inverse=True)
    expected, sold = np.bincount(date, weight * forecast), np.bincount(date, weight * y)
    dates = len(sold)
    if expected.sum() <= 0 or sold.sum() <= 0 or dates < 2:
        return 1.0
    ratio = sold.sum() / expected.sum()
    error = np.sqrt(((sold - ratio * expected) ** 2).sum() * dates / (dates - 1)) / sold.sum()
    log_ratio = float(np.log(np.clip(ratio, 1 / LARGEST_FACTOR, LARGEST_FACTOR)))
    trust = max(0.0, 1.0 - float(error) ** 2 / max(log_ratio**2, 1e-12))
    return float(np.exp(0.5 * trust * log_ratio))
