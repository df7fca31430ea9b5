"""Decayed co-visitation: which items follow each other, weighted by how close they stood.

What belongs here: counting pairs, normalising, and scoring histories with the resulting sparse matrix.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.interactions import Interactions

PAIRS_A_BLOCK = 24_000_000


@dataclass(frozen=True)
class CoVisitationSettings:
    """How pairs are counted and how a history is scored.

    window: pairs at most this many steps apart.
    decay: weight of a pair `d` steps apart is decay ** (d - 1).
    backward: weight of the pair against the direction of time, relative to the forward one.
    source_power, target_power: counts are divided by count_i ** source_power * count_j ** target_power.
    history_decay: weight of the item `a` steps before the end of a history is history_decay ** a.
    half_life: age, as a share of the log's span, at which a pair weighs half; None weighs all alike.
    repeats: count pairs of an item with itself, so that what is looked at again and again proposes itself.
    neighbours: strengths kept a row.
    """

    window: int = 10
    decay: float = 0.9
    backward: float = 0.5
    source_power: float = 0.5
    target_power: float = 0.3
    history_decay: float = 0.7
    half_life: float | None = None
    repeats: bool = False
    neighbours: int = 300


@dataclass(frozen=True)
class CoVisitation:
    """matrix: CSR float32 (items, items), row i holds the strengths of what belongs to i; at most
    `settings.neighbours` a row."""

    matrix: sparse.csr_array
    settings: CoVisitationSettings

    @classmethod
    def fit(cls, log: Interactions, settings: CoVisitationSettings | None = None) -> "CoVisitation":
        """Count the pairs of a log, in blocks of rows whose memory does not grow with the log."""
        settings = settings or CoVisitationSettings()
        weights = _recency(log, settings.half_life)
        counts = np.bincount(log.items, minlength=log.n_items).astype(np.float32)
        source = np.maximum(counts, 1.0) ** -settings.source_power
        target = np.maximum(counts, 1.0) ** -settings.target_power
        blocks = []
        for low, high in _row_blocks(counts, settings.window):
            block = _count(log, settings, weights, low=low, high=high)
            block.data *= target[block.indices] * np.repeat(source[low:high], np.diff(block.indptr))
            blocks.append(keep_largest(block, settings.neighbours))
        matrix = sparse.csr_array(sparse.vstack(blocks, format="csr"))
        return cls(matrix=matrix, settings=settings)


def history_matrix(histories: Interactions, *, decay: float, length: int = 30) -> sparse.csr_array:
    """CSR float32 (users, items): decay ** steps from the end, summed over the repeats of an item."""
    recent = histories.last(length)
    weights = (decay ** recent.ages()).astype(np.float32)
    matrix = sparse.csr_array(
        (weights, recent.items, recent.offsets), shape=(len(recent), recent.n_items), dtype=np.float32
    )
    matrix.sum_duplicates()
    return matrix


def keep_largest(matrix: sparse.csr_array, n: int) -> sparse.csr_array:
    """The n largest entries of every row."""
    lengths = np.diff(matrix.indptr)
    if not len(lengths) or lengths.max(initial=0) <= n:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), lengths)
    order = np.lexsort((-matrix.data, rows))
    rank = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths)
    kept = np.sort(order[rank < n])
    new_lengths = np.bincount(rows[kept], minlength=matrix.shape[0])
    indptr = np.concatenate([[0], np.cumsum(new_lengths)])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _recency(log: Interactions, half_life: float | None) -> np.ndarray | None:
    if half_life is None or not len(log.items):
        return None
    if log.times is not None:
        span = max(float(np.ptp(log.times)), 1e-9)
        age = (log.times.max() - log.times) / span
    else:
        age = 1.0 - log.owners / max(len(log) - 1, 1)
    return np.exp2(-age / half_life).astype(np.float32)


def _row_blocks(counts: np.ndarray, window: int) -> list[tuple[int, int]]:
    """Ranges of items whose pairs number at most about `PAIRS_A_BLOCK`."""
    block = (np.cumsum(counts, dtype=np.float64) * 2 * window // PAIRS_A_BLOCK).astype(np.int64)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(block)) + 1, [len(counts)]])
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def _count(
    log: Interactions, settings: CoVisitationSettings, weights: np.ndarray | None, *, low: int, high: int
) -> sparse.csr_array:
    owners = log.owners
    sources, targets, values = [], [], []
    for distance in range(1, settings.window + 1):
        same = owners[:-distance] == owners[distance:]
        earlier, later = log.items[:-distance], log.items[distance:]
        if not settings.repeats:
            same &= earlier != later
        strength = settings.decay ** (distance - 1)
        for source, target, direction in ((earlier, later, 1.0), (later, earlier, settings.backward)):
            if direction == 0.0:
                continue
            chosen = same & (source >= low) & (source < high)
            sources.append(source[chosen] - low)
            targets.append(target[chosen])
            value = np.full(len(sources[-1]), strength * direction, dtype=np.float32)
            values.append(value if weights is None else value * weights[distance:][chosen])
    matrix = sparse.coo_array(
        (np.concatenate(values), (np.concatenate(sources), np.concatenate(targets))),
        shape=(high - low, log.n_items),
        dtype=np.float32,
    ).tocsr()
    matrix.sum_duplicates()
    return sparse.csr_array(matrix)
