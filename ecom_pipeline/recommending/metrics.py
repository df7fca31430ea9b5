"""Ranking metrics of one relevant item over the whole catalogue, with intervals."""

from collections.abc import Iterable

import numpy as np

Z_95 = 1.959964


def ranking_metrics(ranks: np.ndarray, ks: Iterable[int]) -> dict[str, float]:
    """HR, NDCG and MRR at each k, and `n`.

    With one relevant item at rank r (0 is the best): HR@k = [r < k], NDCG@k = [r < k] / log2(r + 2), MRR@k = [r <
    k] / (r + 1).

    Args:
        ranks: int (cases,), any value of at least k for a miss.
        ks: cut-offs.
    """
    metrics: dict[str, float] = {"n": float(len(ranks))}
    for k in ks:
        for name, gains in case_gains(ranks, k).items():
            metrics[f"{name}@{k}"] = float(gains.mean()) if len(ranks) else float("nan")
    return metrics


def case_gains(ranks: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Gain of every case, by metric, float64 (cases,)."""
    hit = ranks < k
    safe = np.where(hit, ranks, 0)
    return {
        "hr": hit.astype(np.float64),
        "ndcg": np.where(hit, 1.0 / np.log2(safe + 2.0), 0.0),
        "mrr": np.where(hit, 1.0 / (safe + 1.0), 0.0),
    }


def interval(gains: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of gains between 0 and 1, cases taken as independent: the score interval of Wilson,
    Probable Inference, the Law of Succession, and Statistical Inference (1927).

    It stays between 0 and 1, and says something of a handful of cases too. For hits it is exact in that sense; for
    gains in between, whose variance is smaller, it is cautious.
    """
    count = len(gains)
    if count < 2:
        return float("nan"), float("nan")
    mean, weight = float(gains.mean()), Z_95**2 / count
    centre = mean + weight / 2
    half = np.sqrt(weight * (mean * (1.0 - mean) + weight / 4))
    low, high = float(centre - half) / (1 + weight), float(centre + half) / (1 + weight)
    # the mean lies within, 0 and 1 are its bounds: only rounding says otherwise
    return max(0.0, min(low, mean)), min(1.0, max(high, mean))
