"""Nearest sequences: items of past sequences that share items with the history (VSKNN and STAN families).

Sources: Ludewig and Jannach, "Evaluation of session-based recommendation algorithms" (2018); Garg et al.,
"Sequence and time aware neighborhood for session-based recommendations" (2019).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.sparse_rows import history_matrix, narrow
from ecom_pipeline.sequences import EventSequences, offsets_of, ranges


@dataclass(frozen=True)
class NeighbourSettings:
    """length: last items of each past sequence that are kept; events: last ones of a history that are looked up;
    history_decay: weight by steps from the end of the history;
    power: exponent of the similarity, above 1 favours sequences that share several items;
    half_life: age of a past sequence, as a share of all of them, at which it weighs half; item_power: exponent of an
    item's rarity; sequences: newest ones of each item that are searched, so that a popular item costs no more than
    another.
    """

    length: int = 30
    events: int = 15
    history_decay: float = 0.8
    power: float = 1.5
    half_life: float | None = None
    item_power: float = 0.5
    sequences: int = 120


@dataclass(frozen=True)
class Neighbours:
    """by_item: CSR (items, sequences), by_sequence: CSR (sequences, items): which sequence holds which item."""

    by_item: sparse.csr_array
    by_sequence: sparse.csr_array
    settings: NeighbourSettings

    @classmethod
    def fit(cls, log: EventSequences, settings: NeighbourSettings | None = None) -> "Neighbours":
        """Index the sequences of a log."""
        settings = settings or NeighbourSettings()
        recent = _by_last_event(log).last(settings.length)
        held = sparse.csr_array(
            (np.ones(len(recent.items), dtype=np.float32), recent.items, recent.offsets),
            shape=(len(recent), log.n_items),
        )
        held.sum_duplicates()
        held.data[:] = 1.0
        lengths = np.maximum(np.diff(held.indptr), 1).astype(np.float32)
        counts = np.bincount(held.indices, minlength=log.n_items).astype(np.float32)
        rarity = np.maximum(counts, 1.0) ** -settings.item_power
        by_item = _newest(sparse.csr_array(held.T.tocsr()), settings.sequences)
        by_item.data = np.repeat(rarity, np.diff(by_item.indptr)) * lengths[by_item.indices] ** -0.5
        weight = np.ones(len(recent), dtype=np.float32)
        if settings.half_life is not None:
            age = 1.0 - np.arange(len(recent)) / max(len(recent) - 1, 1)
            weight = np.exp2(-age / settings.half_life).astype(np.float32)
        by_sequence = held.copy()
        by_sequence.data = np.repeat(weight, np.diff(held.indptr))
        return cls(by_item=narrow(by_item), by_sequence=narrow(by_sequence), settings=settings)

    def strengths(self, histories: EventSequences) -> sparse.csr_array:
        """Sum of the similarities of the sequences that hold an item, CSR float32 (users, items)."""
        history = history_matrix(histories, decay=self.settings.history_decay, length=self.settings.events)
        similarity = history @ self.by_item
        similarity.data **= self.settings.power
        return sparse.csr_array(similarity @ self.by_sequence)


def _by_last_event(log: EventSequences) -> EventSequences:
    """The sequences that hold anything, the one with the oldest last event first; as they stand where no times are
    known."""
    filled = np.flatnonzero(log.lengths)
    if log.times is None:
        return log.select(filled)
    return log.select(filled[np.argsort(log.times[log.offsets[filled + 1] - 1], kind="stable")])


def _newest(by_item: sparse.csr_array, n: int) -> sparse.csr_array:
    """The n last columns of every row."""
    by_item.sort_indices()
    lengths = np.diff(by_item.indptr)
    kept = np.minimum(lengths, n)
    index = ranges(starts=by_item.indptr[1:] - kept, lengths=kept)
    return sparse.csr_array((by_item.data[index], by_item.indices[index], offsets_of(kept)), shape=by_item.shape)
