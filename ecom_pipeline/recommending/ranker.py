"""From histories to ranked items: one source alone, or several with a re-ranker.

What belongs here: ranking blocks of users, and the ranks of known targets for validation. No frames, no ids.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ecom_pipeline.recommending.features import build_candidates
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.reranker import Reranker
from ecom_pipeline.recommending.scoring import block_rows
from ecom_pipeline.recommending.sources import Allowed, Source
from ecom_pipeline.recommending.threads import in_order
from ecom_pipeline.recommending.validation import Cases
from ecom_pipeline.sequences import EventSequences

UNRANKED = np.iinfo(np.int64).max
POPULAR = -1


@dataclass(frozen=True)
class Ranked:
    """items int32, scores float32, proposer int8 (index of the source, or `POPULAR`), all (users, k); item -1:
    none."""

    items: np.ndarray
    scores: np.ndarray
    proposer: np.ndarray


@dataclass(frozen=True)
class Ranker:
    """Sources, popularity, and a re-ranker where there are several sources.

    candidates: items that each source proposes to the re-ranker.
    """

    sources: Mapping[str, Source]
    popularity: Popularity
    reranker: Reranker | None
    repeats_allowed: bool
    candidates: int = 50

    def blocks(self, n_users: int) -> Iterator[np.ndarray]:
        """Indices of users, in blocks whose scores stay within the memory of a block."""
        size = block_rows(len(self.popularity.counts), limit=512)
        for start in range(0, n_users, size):
            yield np.arange(start, min(start + size, n_users))

    def everything(self) -> Allowed:
        """All items that anybody did anything with, or that traits speak for."""
        if "new_items" in self.sources:
            return Allowed.of(np.ones(len(self.popularity.counts), dtype=bool))
        return Allowed.of(self.popularity.counts > 0)

    def rank(self, histories: EventSequences, k: int, *, allowed: Allowed | None = None) -> Ranked:
        """The k best of the allowed items for a block of users; rows that no source fills are filled by popularity."""
        allowed = allowed or self.everything()
        if self.reranker is None:
            ranked = self._rank_one(histories, k, allowed)
        else:
            block = build_candidates(
                histories,
                sources=self.sources,
                popularity=self.popularity,
                n=max(self.candidates, k),
                repeats_allowed=self.repeats_allowed,
                allowed=allowed,
            )
            valid = block.items >= 0
            logits = np.where(valid, self.reranker.score(block.values), -np.inf)
            shares = np.exp(logits - np.max(logits, axis=1, keepdims=True, initial=-1e30))
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
            order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
            ranked = Ranked(
                items=np.take_along_axis(block.items, order, axis=1),
                scores=np.take_along_axis(shares, order, axis=1).astype(np.float32),
                proposer=np.take_along_axis(block.proposer, order, axis=1),
            )
        return self._fill(ranked, histories, k, allowed)

    def _rank_one(self, histories: EventSequences, k: int, allowed: Allowed) -> Ranked:
        (source,) = self.sources.values()
        block = source.block(histories, allowed)
        if not self.repeats_allowed:
            block.bar(histories)
        items, scores = block.top(k)
        scores = np.where(items >= 0, scores, np.float32(0.0))
        return Ranked(items=items, scores=scores, proposer=np.zeros(items.shape, dtype=np.int8))

    def _fill(self, ranked: Ranked, histories: EventSequences, k: int, allowed: Allowed) -> Ranked:
        """Popular items where a row has fewer than k."""
        rows, width = ranked.items.shape
        empty = histories.lengths == 0
        items = np.full((rows, k), -1, dtype=np.int32)
        scores = np.zeros((rows, k), dtype=np.float32)
        proposer = np.full((rows, k), POPULAR, dtype=np.int8)
        own = np.where(empty[:, None], -1, ranked.items)
        items[:, :width], scores[:, :width] = own, np.where(own >= 0, ranked.scores, 0.0)
        proposer[:, :width] = np.where(own >= 0, ranked.proposer, POPULAR)
        short = np.flatnonzero((items < 0).any(axis=1))
        if not len(short):
            return Ranked(items=items, scores=scores, proposer=proposer)
        popular = self.popularity.scores()
        # as many as are needed where all that a user has, or must not get, stands at the top
        most = k + int((histories.lengths if not self.repeats_allowed else np.zeros(1)).max(initial=0))
        pool = allowed.codes[np.argsort(-popular[allowed.codes], kind="stable")[: most + k]]
        taken = np.zeros((len(short), len(popular)), dtype=bool)
        row, column = np.nonzero(items[short] >= 0)
        taken[row, items[short][row, column]] = True
        if not self.repeats_allowed:
            theirs = histories.select(short)
            taken[theirs.owners, theirs.items] = True
        have = (items[short] >= 0).sum(axis=1)
        free = ~taken[:, pool]
        place = have[:, None] + np.cumsum(free, axis=1) - 1
        row, index = np.nonzero(free & (place < k))
        place = place[row, index]
        last = np.where(have > 0, scores[short, np.maximum(have - 1, 0)], 1.0)
        share = (popular / max(float(popular.max(initial=0.0)), 1e-30))[pool[index]]
        # below what the sources proposed, whatever the scale of their scores
        filled = np.where(have[row] > 0, last[row] - np.abs(last[row]) * (1.0 - 0.5 * share), share)
        items[short[row], place], scores[short[row], place] = pool[index], filled
        return Ranked(items=items, scores=scores, proposer=proposer)

    def target_ranks(self, cases: Cases, *, k: int = 100) -> np.ndarray:
        """Rank of each target, 0 for the best, int64 (cases,); `UNRANKED` beyond k."""
        ranks = np.full(len(cases), UNRANKED, dtype=np.int64)
        allowed = self.everything()

        def ranks_of(users: np.ndarray) -> None:
            hits = self.rank(cases.histories.select(users), k, allowed=allowed).items == cases.targets[users, None]
            ranks[users] = np.where(hits.any(axis=1), hits.argmax(axis=1), UNRANKED)

        for _ in in_order(ranks_of, self.blocks(len(cases))):
            pass
        return ranks
