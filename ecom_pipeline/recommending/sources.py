"""Sources of candidates: each scores the items that may be recommended after a block of histories.

What belongs here: the common face of co-visitation, neighbours, embeddings and networks towards the blend, and how
blocks of scores are barred, ranked and looked up.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation
from ecom_pipeline.recommending.content import NewItems
from ecom_pipeline.recommending.neighbours import Neighbours
from ecom_pipeline.recommending.scoring import top_k
from ecom_pipeline.recommending.sparse_rows import history_matrix
from ecom_pipeline.recommending.spectral import SCALE, Spectral
from ecom_pipeline.sequences import EventSequences

BARRED = np.float32(-1e30)
HISTORY_LENGTH = 500  # last events of a history whose items propose themselves
HISTORY_DECAY = 0.99


@dataclass(frozen=True)
class Allowed:
    """The items that may be recommended: codes, int32 ascending; place, int32 (items,), of each item among them, -1
    for the others."""

    codes: np.ndarray
    place: np.ndarray
    _tables: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, mask: np.ndarray) -> "Allowed":
        """From a mask bool (items,)."""
        codes = np.flatnonzero(mask).astype(np.int32)
        place = np.full(len(mask), -1, dtype=np.int32)
        place[codes] = np.arange(len(codes), dtype=np.int32)
        return cls(codes=codes, place=place)

    def rows(self, table: np.ndarray) -> np.ndarray:
        """The rows of a table (items, …) that stand for allowed items; cut out once a table."""
        if len(self.codes) == len(table):
            return table
        if id(table) not in self._tables:
            self._tables[id(table)] = (table, table[self.codes])
        return self._tables[id(table)][1]


@dataclass(frozen=True)
class Candidates:
    """items int32 (users, candidates), -1 where there is none, no item twice in a row; of a catalogue of n_items."""

    items: np.ndarray
    n_items: int

    @cached_property
    def _slots(self) -> np.ndarray:
        """Column of each item among its user's candidates, flat (users * items), -1 for the others."""
        users, width = self.items.shape
        slots = np.full(users * self.n_items, -1, dtype=np.int16 if width < 2**15 else np.int32)
        row, column = np.nonzero(self.items >= 0)
        slots[row * self.n_items + self.items[row, column]] = column
        return slots

    def values_of(self, scores: sparse.csr_array) -> np.ndarray:
        """Entries of a matrix (users, items) at the candidates, float32 (users, candidates); 0 where nothing is
        stored. One pass over the stored entries, which need no order."""
        users, width = self.items.shape
        owner = np.repeat(np.arange(users, dtype=np.int64), np.diff(scores.indptr))
        place = self._slots[owner * self.n_items + scores.indices]
        wanted = place >= 0
        out = np.zeros((users, width), dtype=np.float32)
        out[owner[wanted], place[wanted]] = scores.data[wanted]
        return out


class ScoreBlock(Protocol):
    """Scores of a block of users. bounded: non-negative strengths (True) or logits (False)."""

    bounded: bool

    def bar(self, histories: EventSequences) -> None:
        """Bar the items of each user's own history."""
        ...

    def top(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of every user, int32 (users, n), -1 where there are fewer; and their scores, float32."""
        ...

    def at(self, candidates: Candidates, rows: np.ndarray) -> np.ndarray:
        """Scores of candidates, float32 (users, candidates); `rows` names the users of the block that they are of."""
        ...


@dataclass
class SparseScores:
    """Strengths of few items: CSR float32 (users, items), everything else is 0."""

    matrix: sparse.csr_array
    allowed: Allowed
    bounded: bool = True

    def __post_init__(self) -> None:
        if len(self.allowed.codes) < self.matrix.shape[1]:
            self.matrix.data = np.where(self.allowed.place[self.matrix.indices] >= 0, self.matrix.data, np.float32(0.0))

    def bar(self, histories: EventSequences) -> None:
        """Bar the items of each user's own history."""
        users, n_items = self.matrix.shape
        own = np.zeros(users * n_items, dtype=bool)
        own[histories.owners.astype(np.int64) * n_items + histories.items] = True
        owner = np.repeat(np.arange(users, dtype=np.int64), np.diff(self.matrix.indptr))
        barred = own[owner * n_items + self.matrix.indices]
        self.matrix.data = np.where(barred, np.float32(0.0), self.matrix.data)

    def top(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of every user and their scores; -1 where fewer are above 0."""
        lengths = np.diff(self.matrix.indptr)
        width = max(int(lengths.max(initial=0)), n)
        inside = np.arange(width) < lengths[:, None]
        scores = np.zeros(inside.shape, dtype=np.float32)
        items = np.full(inside.shape, -1, dtype=np.int32)
        scores[inside], items[inside] = self.matrix.data, self.matrix.indices
        place = np.argpartition(scores, width - n, axis=1)[:, width - n :]
        scores, items = np.take_along_axis(scores, place, axis=1), np.take_along_axis(items, place, axis=1)
        order = np.lexsort((items, -scores), axis=1)
        scores, items = np.take_along_axis(scores, order, axis=1), np.take_along_axis(items, order, axis=1)
        return np.where(scores > 0.0, items, -1), scores

    def at(self, candidates: Candidates, rows: np.ndarray) -> np.ndarray:
        """Strengths of candidates."""
        return candidates.values_of(sparse.csr_array(self.matrix[rows]) if len(rows) < len(self) else self.matrix)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])


@dataclass
class DenseScores:
    """Scores of all allowed items, float32 (users, allowed items)."""

    dense: np.ndarray
    allowed: Allowed
    bounded: bool = False

    def bar(self, histories: EventSequences) -> None:
        """Bar the items of each user's own history."""
        place = self.allowed.place[histories.items]
        known = place >= 0
        self.dense[histories.owners[known], place[known]] = BARRED

    def top(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n best items of every user and their scores; -1 where fewer are allowed."""
        items = np.full((len(self.dense), n), -1, dtype=np.int32)
        scores = np.full((len(self.dense), n), BARRED, dtype=np.float32)
        place, best = top_k(self.dense, n)
        found = place.shape[1]
        scores[:, :found] = best
        items[:, :found] = np.where(best > BARRED / 2, self.allowed.codes[place], -1)
        return items, scores

    def at(self, candidates: Candidates, rows: np.ndarray) -> np.ndarray:
        """Scores of candidates; barred where they are not allowed."""
        if not len(self.allowed.codes):
            return np.full(candidates.items.shape, BARRED, dtype=np.float32)
        place = self.allowed.place[np.maximum(candidates.items, 0)]
        return np.where(place >= 0, self.dense[rows[:, None], np.maximum(place, 0)], BARRED)


class Source(Protocol):
    """Something that scores items after a history."""

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Scores of the allowed items after each history."""
        ...


@runtime_checkable
class EmbeddingSource(Protocol):
    """A source with a trained table float32 (items, width), and states of users in the same space."""

    embedding: np.ndarray

    def states(self, histories: EventSequences) -> np.ndarray:
        """States float32 (users, width) after each history; zeros after empty ones."""
        ...


@dataclass(frozen=True)
class CoVisitationSource:
    """Decayed co-visitation as a source."""

    model: CoVisitation

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Strengths; zero for what never stood near an item of the history."""
        history = history_matrix(histories, decay=self.model.settings.history_decay)
        return SparseScores(sparse.csr_array(history @ self.model.matrix), allowed)


@dataclass(frozen=True)
class NeighbourSource:
    """Nearest sequences as a source."""

    model: Neighbours

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Summed similarities; zero for what no neighbouring sequence holds."""
        return SparseScores(self.model.strengths(histories), allowed)


@dataclass(frozen=True)
class SpectralSource:
    """Spectral embeddings as a source."""

    model: Spectral

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Scaled inner products of the decayed sum of the history's embeddings with the allowed items."""
        queries = history_matrix(histories, decay=self.model.history_decay) @ self.model.source
        return DenseScores((np.float32(SCALE) * queries) @ allowed.rows(self.model.target).T, allowed)


@dataclass(frozen=True)
class NewItemSource:
    """New items by their traits as a source."""

    model: NewItems

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Likeness of new items to the history; zero for all others."""
        return SparseScores(self.model.strengths(histories), allowed)


@dataclass(frozen=True)
class HistorySource:
    """The user's own items as a source: each weighs the sum of decay ** steps from the end over its events."""

    decay: float = HISTORY_DECAY
    length: int = HISTORY_LENGTH

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Decayed counts of the items of the history; zero for all others."""
        return SparseScores(history_matrix(histories, decay=self.decay, length=self.length), allowed)


@dataclass(frozen=True)
class PopularitySource:
    """The same scores for everybody."""

    scores: np.ndarray

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Popularity, one row a user."""
        row = self.scores[allowed.codes].astype(np.float32)
        return DenseScores(np.repeat(row[None, :], len(histories), axis=0), allowed, bounded=True)
