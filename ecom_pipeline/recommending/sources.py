"""Sources of candidates: each scores every item after a block of histories, and says which items it proposes.

What belongs here: the common face of co-visitation, neighbours and networks towards the blend, and how blocks of
scores are masked, ranked and looked up.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation, history_matrix
from ecom_pipeline.recommending.content import NewItems
from ecom_pipeline.recommending.interactions import Interactions
from ecom_pipeline.recommending.neighbours import Neighbours
from ecom_pipeline.recommending.scoring import top_k
from ecom_pipeline.recommending.spectral import SCALE, Spectral

BARRED = np.float32(-1e30)


@dataclass
class ScoreBlock:
    """Scores of a block of users.

    dense: float32 (users, items). pattern: CSR whose stored entries are the only non-zero scores, or None. bounded:
    scores are non-negative strengths (True) or unbounded logits (False).
    """

    dense: np.ndarray
    pattern: sparse.csr_array | None
    bounded: bool

    def bar(self, *, histories: Interactions | None, allowed: np.ndarray | None) -> None:
        """Bar the items of the histories, and the items that are not `allowed` (bool (items,))."""
        value = np.float32(0.0) if self.pattern is not None else BARRED
        if histories is not None:
            self.dense[histories.owners, histories.items] = value
        if allowed is not None:
            self.dense[:, ~allowed] = value

    def top(self, n: int) -> np.ndarray:
        """The n best items of every user, int32 (users, n), -1 where there are fewer."""
        if self.pattern is None:
            items, scores = top_k(self.dense, n)
            return np.where(scores > BARRED / 2, items, -1)
        lengths = np.diff(self.pattern.indptr)
        out = np.full((len(lengths), n), -1, dtype=np.int32)
        width = int(lengths.max(initial=0))
        if width == 0:
            return out
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        index = np.where(inside, self.pattern.indptr[:-1, None] + columns, 0)
        items = self.pattern.indices[index]
        values = np.where(inside, np.take_along_axis(self.dense, items, axis=1), 0.0)
        place, best = top_k(values.astype(np.float32), n)
        chosen = np.where(best > 0.0, np.take_along_axis(items, place, axis=1), -1)
        out[:, : chosen.shape[1]] = chosen
        return out

    def at(self, items: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Scores of given items, float32 of the shape of `items` (users, n); negative items score as item 0.

        `rows` names the users of the block that `items` has; None for all of them.
        """
        if rows is None:
            rows = np.arange(len(items))
        return self.dense[rows[:, None], np.maximum(items, 0)]


class Source(Protocol):
    """Something that scores every item after a history."""

    def block(self, histories: Interactions) -> ScoreBlock:
        """Scores of all items after each history."""
        ...


@dataclass(frozen=True)
class CoVisitationSource:
    """Decayed co-visitation as a source."""

    model: CoVisitation

    def block(self, histories: Interactions) -> ScoreBlock:
        """Strengths; zero for what never stood near an item of the history."""
        product = sparse.csr_array(
            history_matrix(histories, decay=self.model.settings.history_decay) @ self.model.matrix
        )
        return ScoreBlock(dense=product.toarray(), pattern=product, bounded=True)


@dataclass(frozen=True)
class NeighbourSource:
    """Nearest sequences as a source."""

    model: Neighbours

    def block(self, histories: Interactions) -> ScoreBlock:
        """Summed similarities; zero for what no neighbouring sequence holds."""
        product = self.model.strengths(histories)
        return ScoreBlock(dense=product.toarray(), pattern=product, bounded=True)


@dataclass(frozen=True)
class SpectralSource:
    """Spectral embeddings as a source."""

    model: Spectral

    def block(self, histories: Interactions) -> ScoreBlock:
        """Scaled inner products of the decayed sum of the history's embeddings with all items."""
        queries = history_matrix(histories, decay=self.model.history_decay) @ self.model.source
        dense = (np.float32(SCALE) * queries) @ self.model.target.T
        return ScoreBlock(dense=dense, pattern=None, bounded=False)


@dataclass(frozen=True)
class NewItemSource:
    """New items by their traits as a source."""

    model: NewItems

    def block(self, histories: Interactions) -> ScoreBlock:
        """Likeness of new items to the history; zero for all others."""
        product = self.model.strengths(histories)
        return ScoreBlock(dense=product.toarray(), pattern=product, bounded=True)


@dataclass(frozen=True)
class PopularitySource:
    """The same scores for everybody."""

    scores: np.ndarray

    def block(self, histories: Interactions) -> ScoreBlock:
        """Popularity, one row a user."""
        dense = np.repeat(self.scores[None, :].astype(np.float32), len(histories), axis=0)
        return ScoreBlock(dense=dense, pattern=None, bounded=True)
