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
    """95 % interval of a mean by the normal approximation, cases taken as independent."""
    if len(gains) < 2:
        return float("nan"), float("nan")
    half = Z_95 * float(gains.std(ddof=1)) / np.sqrt(len(gains))
    return float(gains.mean()) - half, float(gains.mean()) + half
