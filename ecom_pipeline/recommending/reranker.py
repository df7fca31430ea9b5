"""A small re-ranker: scores candidates from their features, learnt with a softmax over the candidates of each case.

What belongs here: a multilayer perceptron with one hidden layer in NumPy, its training, and its arrays. The
listwise softmax loss is that of ListNet (Cao et al., 2007) with one relevant item.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Reranker:
    """Standardisation and weights. `score` maps features (…, features) to logits (…)."""

    mean: np.ndarray
    scale: np.ndarray
    weights: list[np.ndarray]
    history: list[float] = field(default_factory=list)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Logits float32 of candidates."""
        return self.score_standardised((values - self.mean) / self.scale)

    def score_standardised(self, x: np.ndarray) -> np.ndarray:
        """Logits of candidates whose features are standardised."""
        w1, b1, w2, skip = self.weights
        hidden = np.maximum(x @ w1 + b1, 0.0)
        return np.asarray((hidden @ w2 + x @ skip)[..., 0])

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `from_arrays` needs."""
        named = {f"weight_{i}": w for i, w in enumerate(self.weights)}
        return {"mean": self.mean, "scale": self.scale, **named}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Reranker":
        """A re-ranker as `arrays` describes it."""
        weights = [arrays[f"weight_{i}"] for i in range(4)]
        return cls(mean=arrays["mean"], scale=arrays["scale"], weights=weights)


@dataclass(frozen=True)
class Lesson:
    """Cases to learn from: standardised values float32 (cases, candidates, features) with the mean and scale
    (features,) that were taken out, valid bool (cases, candidates), and target int (cases,), the column of the item
    that followed."""

    values: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    valid: np.ndarray
    target: np.ndarray


def make_lesson(values: np.ndarray, valid: np.ndarray, target: np.ndarray) -> Lesson:
    """Standardise `values` in place, by the valid candidates."""
    weights = valid.reshape(-1).astype(np.float32)
    flat = values.reshape(-1, values.shape[-1])
    total = max(float(weights.sum(dtype=np.float64)), 1.0)
    mean = (weights @ flat / total).astype(np.float32)
    flat -= mean
    scale = np.sqrt(np.einsum("n,nf,nf->f", weights, flat, flat, optimize=True) / total)
    scale = np.maximum(scale, 1e-3).astype(np.float32)
    flat /= scale
    return Lesson(values=values, mean=mean, scale=scale, valid=valid, target=target)


def train_reranker(
    lesson: Lesson,
    chosen: np.ndarray,
    *,
    start: np.ndarray | None = None,
    hidden: int = 32,
    epochs: int = 8,
    rate: float = 3e-3,
    decay: float = 0.03,
    batch: int = 128,
    seed: int = 0,
) -> Reranker:
    """Learn from cases.

    Args:
        lesson: the cases.
        chosen: indices of the cases to learn from.
        start: linear weights (features,) on standardised features to start from; zeros where None.
        hidden: units of the hidden layer; 0 leaves a linear model.
        epochs: passes; the learning rate falls to zero along a cosine.
        rate: peak learning rate of Adam.
        decay: weight decay.
        batch: cases a step.
        seed: of the initial weights and the order of cases.
    """
    rng = np.random.default_rng(seed)
    n_features = lesson.values.shape[-1]
    weights = [
        (rng.normal(size=(n_features, hidden)) * np.sqrt(1.0 / n_features)).astype(np.float32),
        np.zeros(hidden, dtype=np.float32),
        (rng.normal(size=(hidden, 1)) * np.sqrt(1.0 / max(hidden, 1))).astype(np.float32),
        np.zeros((n_features, 1), dtype=np.float32),
    ]
    if start is not None:
        weights[3] = start.astype(np.float32)[:, None]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    history: list[float] = []
    steps = max(epochs * -(-len(chosen) // batch), 1)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(chosen)
        losses = []
        for begin in range(0, len(order), batch):
            cases = order[begin : begin + batch]
            loss, gradients = _gradients(weights, lesson.values[cases], lesson.valid[cases], lesson.target[cases])
            losses.append(loss)
            step += 1
            current = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
            for i, gradient in enumerate(gradients):
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.99 * second[i] + 0.01 * gradient**2
                update = (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.99**step)) + 1e-8)
                weights[i] = (weights[i] - current * (update + decay * weights[i])).astype(np.float32)
        history.append(float(np.mean(losses)) if losses else 0.0)
    return Reranker(mean=lesson.mean, scale=lesson.scale, weights=weights, history=history)


def _gradients(
    weights: list[np.ndarray], x: np.ndarray, valid: np.ndarray, target: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    w1, b1, w2, skip = weights
    rows, columns, n_features = x.shape
    flat = x.reshape(-1, n_features)
    hidden = np.maximum(flat @ w1 + b1, 0.0)
    logits = (hidden @ w2 + flat @ skip).reshape(rows, columns)
    logits = np.where(valid, logits, -1e9)
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    loss = float(-np.log(share[np.arange(rows), target] + 1e-12).mean())
    share[np.arange(rows), target] -= 1.0
    d_logits = (share / rows).reshape(-1, 1).astype(np.float32)
    d_hidden = (d_logits @ w2.T) * (hidden > 0)
    return loss, [flat.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_logits, flat.T @ d_logits]


def merge_rerankers(rerankers: Sequence[Reranker]) -> Reranker:
    """The mean of several re-rankers that share their standardisation, as one with all their hidden units."""
    n = len(rerankers)
    first = rerankers[0]
    weights: list[np.ndarray] = [
        np.concatenate([one.weights[0] for one in rerankers], axis=1),
        np.concatenate([one.weights[1] for one in rerankers]),
        np.concatenate([one.weights[2] for one in rerankers]) / np.float32(n),
        np.asarray(np.mean([one.weights[3] for one in rerankers], axis=0, dtype=np.float32)),
    ]
    return Reranker(mean=first.mean, scale=first.scale, weights=weights, history=first.history)


def lesson_scores(reranker: Reranker, lesson: Lesson, chosen: np.ndarray) -> np.ndarray:
    """Logits (cases, candidates) of cases of a lesson, -inf where there is no candidate."""
    return np.where(lesson.valid[chosen], reranker.score_standardised(lesson.values[chosen]), -np.inf)


def mean_log_loss(reranker: Reranker, lesson: Lesson, chosen: np.ndarray) -> float:
    """Mean negative log share of the target among the candidates of its case."""
    logits = lesson_scores(reranker, lesson, chosen)
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(chosen)), lesson.target[chosen]]
    return float((np.log(np.exp(logits).sum(axis=1)) - own).mean())
