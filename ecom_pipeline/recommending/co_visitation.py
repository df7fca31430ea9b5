"""Decayed co-visitation: which items follow each other, weighted by how close they stood.

What belongs here: counting pairs, normalising, and scoring histories with the resulting sparse matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.sparse_rows import keep_largest, narrow
from ecom_pipeline.sequences import EventSequences, offsets_of

PAIRS_A_BLOCK = 12_000_000


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
    def fit(cls, log: EventSequences, settings: CoVisitationSettings | None = None) -> "CoVisitation":
        """Count the pairs of a log, in blocks of rows whose memory does not grow with the log."""
        return cls.fit_several(log, [settings or CoVisitationSettings()])[0]

    @classmethod
    def fit_several(cls, log: EventSequences, grid: Sequence[CoVisitationSettings]) -> list["CoVisitation"]:
        """One model a setting from one count; the settings may differ in powers, history decay and neighbours only.

        Raises:
            ValueError: for settings that would count other pairs.
        """
        first = grid[0]
        if any(_counting(settings) != _counting(first) for settings in grid):
            raise ValueError("settings that share a count may differ in powers, history_decay and neighbours only")
        weights = _recency(log, first.half_life)
        events = _EventsByItem.of(log)
        counts = np.maximum(np.diff(events.offsets), 1.0).astype(np.float32)
        strengths = {(s.source_power, s.target_power, s.neighbours): [] for s in grid}  # type: dict[tuple[float, float, int], list[sparse.csr_array]]
        for low, high in _row_blocks(np.diff(events.offsets), first.window):
            block = _count(log, events, first, weights, low=low, high=high)
            lengths = np.diff(block.indptr)
            for (source_power, target_power, neighbours), blocks in strengths.items():
                scale = np.repeat(counts[low:high] ** -source_power, lengths)
                data = block.data * (counts**-target_power)[block.indices] * scale
                blocks.append(
                    keep_largest(sparse.csr_array((data, block.indices, block.indptr), shape=block.shape), neighbours)
                )
        matrices = {key: narrow(sparse.vstack(blocks, format="csr")) for key, blocks in strengths.items()}
        return [cls(matrix=matrices[s.source_power, s.target_power, s.neighbours], settings=s) for s in grid]


@dataclass(frozen=True)
class _EventsByItem:
    """Flat positions of the events of each item: item i owns positions[offsets[i]:offsets[i + 1]]; and for every event
    the ends of its user's slice, int32 or int64 (events,)."""

    positions: np.ndarray
    offsets: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, log: EventSequences) -> "_EventsByItem":
        place = np.int32 if len(log.items) < np.iinfo(np.int32).max // 2 else np.int64
        return cls(
            positions=np.argsort(log.items, kind="stable").astype(place),
            offsets=offsets_of(np.bincount(log.items, minlength=log.n_items)),
            first=np.repeat(log.offsets[:-1].astype(place), log.lengths),
            last=np.repeat(log.offsets[1:].astype(place), log.lengths),
        )


def _recency(log: EventSequences, half_life: float | None) -> np.ndarray | None:
    if half_life is None or not len(log.items):
        return None
    if log.times is not None:
        span = max(float(np.ptp(log.times)), 1e-9)
        age = (log.times.max() - log.times) / span
    else:
        age = 1.0 - log.owners / max(len(log) - 1, 1)
    return np.exp2(-age / half_life).astype(np.float32)


def _counting(settings: CoVisitationSettings) -> tuple[object, ...]:
    """What decides which pairs are counted, and with what weight."""
    return settings.window, settings.decay, settings.backward, settings.half_life, settings.repeats


def _row_blocks(counts: np.ndarray, window: int) -> list[tuple[int, int]]:
    """Ranges of items whose pairs number at most about `PAIRS_A_BLOCK`."""
    block = (np.cumsum(counts, dtype=np.float64) * 2 * window // PAIRS_A_BLOCK).astype(np.int64)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(block)) + 1, [len(counts)]])
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def _count(
    log: EventSequences,
    events: _EventsByItem,
    settings: CoVisitationSettings,
    weights: np.ndarray | None,
    *,
    low: int,
    high: int,
) -> sparse.csr_array:
    """Weighted pairs of the items low to high with all items: CSR with sorted columns, each once.

    Only the events of these items are looked at, so that all blocks together cost what one would.
    """
    at = events.positions[events.offsets[low] : events.offsets[high], None]
    row = np.repeat(np.arange(low, high, dtype=np.int32), np.diff(events.offsets[low : high + 1]))
    distance = np.arange(1, settings.window + 1, dtype=at.dtype)
    step = np.concatenate([distance, -distance]) if settings.backward else distance
    strength = (settings.decay ** (np.abs(step) - 1) * np.where(step > 0, 1.0, settings.backward)).astype(np.float32)
    other = at + step
    inside = (other < events.last[at]) & (other >= events.first[at])
    if not settings.repeats:
        inside &= log.items[np.where(inside, other, 0)] != row[:, None]
    values = np.broadcast_to(strength, inside.shape)[inside]
    if weights is not None:
        values = values * weights[np.maximum(at, other)[inside]]
    pairs = np.bincount(row - low, weights=inside.sum(axis=1), minlength=high - low).astype(np.int64)
    counted = sparse.csr_array((values, log.items[other[inside]], offsets_of(pairs)), shape=(high - low, log.n_items))
    # to columns and back: two passes in linear time leave every row sorted, so that equal pairs stand together
    block = sparse.csr_array(counted.tocsc().tocsr())
    block.sum_duplicates()
    return block
