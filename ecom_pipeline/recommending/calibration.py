"""Probabilities that can be believed: logistic regression, isotonic calibration, and how well they hold.

What belongs here: fitting and scoring of binary probabilities on arrays. No frames, no items.
"""

from dataclasses import dataclass

import numpy as np

BINS = 200
RELIABILITY_BINS = 10


@dataclass(frozen=True)
class Logistic:
    """Standardised logistic regression: mean, scale float64 (features,), weights float64 (features + 1,), the last
    the intercept."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, *, ridge: float = 1.0, steps: int = 30) -> "Logistic":
        """Newton's method on the penalised likelihood; the intercept is not penalised."""
        mean = features.mean(axis=0)
        scale = np.maximum(features.std(axis=0), 1e-6)
        x = np.column_stack([(features - mean) / scale, np.ones(len(features))])
        rate = float(np.clip(labels.mean(), 1e-6, 1 - 1e-6))
        weights = np.zeros(x.shape[1])
        weights[-1] = np.log(rate / (1 - rate))
        penalty = np.full(x.shape[1], ridge)
        penalty[-1] = 1e-6
        loss = _penalised(x, labels, weights, penalty)
        for _ in range(steps):
            p = _sigmoid(x @ weights)
            gradient = x.T @ (p - labels) + penalty * weights
            hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
            change = np.linalg.solve(hessian, gradient)
            # a full step can overshoot where purchases are rare
            size = 1.0
            while (trial := _penalised(x, labels, weights - size * change, penalty)) > loss and size > 1e-4:
                size /= 2
            if trial > loss:
                break
            weights, gained, loss = weights - size * change, loss - trial, trial
            if gained < 1e-7 * max(abs(loss), 1.0):
                break
        return cls(mean=mean, scale=scale, weights=weights)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Log odds float64 (rows,)."""
        return np.asarray((features - self.mean) / self.scale @ self.weights[:-1] + self.weights[-1])


@dataclass(frozen=True)
class Isotonic:
    """A monotone map from scores to probabilities, linear between knots: scores, probabilities float64 (knots,)."""

    scores: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray, *, bins: int = BINS) -> "Isotonic":
        """Pool adjacent violators (Ayer et al., 1955) over at most `bins` bins of equal size."""
        order = np.argsort(scores, kind="stable")
        edges = np.linspace(0, len(scores), min(bins, len(scores)) + 1).astype(int)
        sizes = np.diff(edges).astype(np.float64)
        centre = np.add.reduceat(scores[order], edges[:-1]) / sizes
        rate = np.add.reduceat(labels[order].astype(np.float64), edges[:-1]) / sizes
        pooled: list[tuple[float, float, float]] = []
        for x, y, n in zip(centre, rate, sizes, strict=True):
            pooled.append((x, y, n))
            while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
                (x1, y1, n1), (x2, y2, n2) = pooled[-2:]
                total = n1 + n2
                pooled[-2:] = [((x1 * n1 + x2 * n2) / total, (y1 * n1 + y2 * n2) / total, total)]
        return cls(scores=np.array([p[0] for p in pooled]), probabilities=np.array([p[1] for p in pooled]))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities float64 (rows,)."""
        return np.interp(scores, self.scores, self.probabilities)


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = RELIABILITY_BINS
) -> dict[str, list[float]]:
    """The reliability curve over bins of equal size: mean predicted, observed share, and cases of each bin."""
    order = np.argsort(probabilities, kind="stable")
    edges = np.unique(np.linspace(0, len(order), bins + 1).astype(int))
    sizes = np.diff(edges)
    predicted = np.add.reduceat(probabilities[order], edges[:-1]) / sizes
    observed = np.add.reduceat(labels[order].astype(np.float64), edges[:-1]) / sizes
    return {"predicted": predicted.tolist(), "observed": observed.tolist(), "n": sizes.astype(float).tolist()}


def calibration_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """n, base_rate, brier, brier_base (of the base rate of these cases), and ece: the mean gap of the reliability
    curve."""
    curve = reliability(probabilities, labels)
    gaps = np.abs(np.array(curve["predicted"]) - np.array(curve["observed"]))
    base = float(labels.mean())
    return {
        "n": float(len(labels)),
        "base_rate": base,
        "mean_probability": float(probabilities.mean()),
        "brier": float(((probabilities - labels) ** 2).mean()),
        "brier_base": base * (1.0 - base),
        "ece": float((gaps * np.array(curve["n"])).sum() / len(labels)),
    }


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -35, 35))))


def _penalised(x: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: np.ndarray) -> float:
    """Negative log likelihood plus ridge penalty."""
    logits = x @ weights
    return float((np.logaddexp(0.0, logits) - labels * logits).sum() + 0.5 * (penalty * weights**2).sum())
