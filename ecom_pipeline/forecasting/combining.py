"""How much of the forecast is the network's: a convex combination with the simple forecasts, learnt on validation.

Forecast combination with weights from past errors goes back to Bates and Granger (1969). Weights learnt on few dates
follow these dates, and an average nobody learnt is hard to beat (the combination puzzle; Stock and Watson 2004,
Timmermann 2006): learnt weights count by the number of dates they rest on, the rest is such an average. Groups of
series (a static column's categories) have combinations of their own: thousands of products must not decide how much of
the total's forecast is the network's, nor by what factor its level was off. Their weights are partially pooled (Gelman
and Hill 2007, ch. 12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ecom_pipeline.forecasting.windows import BASES

Loss = Literal["absolute", "squared", "poisson"]
LARGEST_FACTOR = 1.3
LEAST_MEAN = 1e-3
PULL = 0.05
"""Share of the network's own loss that leaving it entirely must earn back."""
LEAST_SIMPLE, DATES_TO_LEARN = 0.15, 12
"""What the simple forecasts weigh together before anything is learnt, for a network that was trained on endless dates;
the number of training dates with which they weigh half of the rest as well."""
PRIOR_DATES = 56
"""Dates at which learnt weights count half: those of all series against an average, those of a group against these."""
FEWEST_ROWS = 50
FEWEST_DATES = 14
"""Dates below which a group has the weights of all series; its level is then its own, uncorrected."""


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


@dataclass
class Weights:
    """Combinations of W windows: mean (W, K), median (W, K - 1), factor (W,); K as in Combination."""

    mean: np.ndarray
    median: np.ndarray
    factor: np.ndarray


@dataclass
class Combinations:
    """The combination of all series, and those of the groups that have one, by name."""

    common: Combination
    groups: dict[str, Combination] = field(default_factory=dict)

    def weights(self, levels: Sequence[str], codes: np.ndarray) -> Weights:
        """For windows with codes (W,): 0 is an unknown group, k + 1 the group levels[k]."""
        chosen = [self.common, *(self.groups.get(level, self.common) for level in levels)]
        return Weights(
            mean=np.stack([c.mean for c in chosen])[codes],
            median=np.stack([c.median for c in chosen])[codes],
            factor=np.array([c.factor for c in chosen])[codes],
        )

    def towards(self, other: "Combinations", share: float) -> "Combinations":
        """Between this one (share 0) and another (share 1); a group that one of them lacks is as in the other."""
        groups = {**self.groups, **other.groups}
        for name in self.groups.keys() & other.groups.keys():
            groups[name] = self.groups[name].towards(other.groups[name], share)
        return Combinations(common=self.common.towards(other.common, share), groups=groups)


@dataclass
class Evidence:
    """Forecasts of R dates of series that the model had not seen, beside what came, y (R,).

    means (R, K), medians (R, K - 1): what is combined; weight (R,) in the loss, volume (R,) in sums; date (R,);
    code (R,): of the series' group, 0 where it has none.
    """

    y: np.ndarray
    means: np.ndarray
    medians: np.ndarray
    weight: np.ndarray
    volume: np.ndarray
    date: np.ndarray
    code: np.ndarray

    def of(self, code: int) -> "Evidence":
        """The rows of one group."""
        rows = self.code == code
        return Evidence(**{name: value[rows] for name, value in self.__dict__.items()})


def learn_combinations(evidence: Evidence, *, levels: Sequence[str], trained: int, negative: bool) -> Combinations:
    """The combination of all series, and of each group (code k + 1 is levels[k]).

    trained: dates that the network was trained on; negative: whether sales may be.
    """
    y, weight = evidence.y, evidence.weight
    average = Combination(
        mean=prior_weights(y=y, members=evidence.means, weight=weight, networks=2, trained=trained),
        median=prior_weights(y=y, members=evidence.medians, weight=weight, networks=1, trained=trained),
    )
    common = _learn(evidence, prior=average, negative=negative)
    groups: Mapping[int, Evidence] = {
        code: evidence.of(code) for code in range(1, len(levels) + 1) if (evidence.code == code).any()
    }
    return Combinations(
        common=common,
        groups={
            levels[code - 1]: _learn(own, prior=common, negative=negative)
            if len(np.unique(own.date)) >= FEWEST_DATES
            else Combination(mean=common.mean, median=common.median)
            for code, own in groups.items()
        },
    )


def _learn(evidence: Evidence, *, prior: Combination, negative: bool) -> Combination:
    """Weights and factor; weights are drawn to the prior's, the factor to 1, by how few dates there are."""
    y, weight = evidence.y, evidence.weight
    trusted = trust(evidence.date)
    learnt = Combination(
        mean=combination_weights(
            y=y, members=evidence.means, weight=weight, loss="squared" if negative else "poisson", networks=2
        ),
        median=combination_weights(y=y, members=evidence.medians, weight=weight, loss="absolute"),
    )
    learnt = Combination(mean=prior.mean, median=prior.median).towards(learnt, trusted)
    factor = level_factor(y=y, forecast=evidence.means @ learnt.mean, weight=evidence.volume, date=evidence.date)
    learnt.factor = factor**trusted
    return learnt


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


def prior_weights(*, y: np.ndarray, members: np.ndarray, weight: np.ndarray, networks: int, trained: int) -> np.ndarray:
    """(K,) weights before any is learnt, for a network trained on `trained` dates; arguments as in combination_weights.

    The networks share alike what is theirs, the simple forecasts theirs by the inverse of their squared error.
    """
    simple = LEAST_SIMPLE + (1 - LEAST_SIMPLE) * DATES_TO_LEARN / (DATES_TO_LEARN + trained)
    error = (weight[:, None] * np.abs(members[:, networks:] - y[:, None])).sum(axis=0)
    inverse = 1 / np.maximum(error, 1e-9 * error.max(initial=0.0) + 1e-12) ** 2
    return np.concatenate([np.full(networks, (1 - simple) / networks), simple * inverse / inverse.sum()])


def trust(date: np.ndarray) -> float:
    """How much what was learnt from rows of these dates (R,) counts: rows of one date say one thing."""
    dates = len(np.unique(date))
    return dates / (dates + PRIOR_DATES)


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
