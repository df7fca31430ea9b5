"""Candidates of the blend and what is known of each: scores of the sources, popularity, age, and its place in the
history.

What belongs here: from histories to arrays (users, candidates) of items and (users, candidates, features) of numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.sources import Allowed, Candidates, CoVisitationSource, Source
from ecom_pipeline.recommending.sparse_rows import history_matrix
from ecom_pipeline.sequences import EventSequences

LINKED_ITEMS = 10  # last items of a history whose links to a candidate are counted
HISTORY_EVENTS = 1_000  # last events of a history in which a candidate's place is looked up


@dataclass(frozen=True)
class CandidateBlock:
    """items int32 (users, candidates), -1 where there is none, no item twice in a row; values float32 (users,
    candidates, features); proposer int8 (users, candidates): index of the source that ranked the item best;
    rows (users,): which of the given histories these are."""

    items: np.ndarray
    values: np.ndarray
    proposer: np.ndarray
    rows: np.ndarray


def feature_names(sources: Mapping[str, Source], kind_names: tuple[str, ...]) -> list[str]:
    """Names of the features, in the order of the last axis."""
    names = [f"{name}_{what}" for name in sources for what in ("share", "log_share", "rank", "confidence")]
    names += ["links", "link_to_last"]
    names += ["log_count", "log_recent", "trend", "age"]
    names += ["in_history", "history_count", "recency", "time_gap", "history_length", "history_repeats"]
    return names + [f"history_{kind}" for kind in kind_names]


def build_candidates(
    histories: EventSequences,
    *,
    sources: Mapping[str, Source],
    popularity: Popularity,
    n: int,
    repeats_allowed: bool,
    allowed: Allowed,
    targets: np.ndarray | None = None,
) -> CandidateBlock:
    """Union of the n best of every source, with features.

    With `targets` (users,), only the users whose target is among the candidates are kept: nobody else can teach a
    re-ranker.
    """
    blocks = {name: source.block(histories, allowed) for name, source in sources.items()}
    proposals = []
    for block in blocks.values():
        if not repeats_allowed:
            block.bar(histories)
        proposals.append(block.top(n)[0])
    items = _distinct(np.concatenate(proposals, axis=1))
    rows = np.arange(len(items))
    if targets is not None:
        rows = np.flatnonzero((items == targets[:, None]).any(axis=1))
        items, histories = items[rows], histories.select(rows)
    valid = items >= 0
    candidates = Candidates(items=items, n_items=histories.n_items)
    columns: list[np.ndarray] = []
    ranks = []
    for block in blocks.values():
        scores = np.where(valid, block.at(candidates, rows), np.float32(-np.inf))
        best = np.max(scores, axis=1, initial=-1e30)[:, None]
        best = np.where(np.isfinite(best) & (best > -1e29), best, 0.0)
        if block.bounded:
            share = np.where(valid & (best > 0), scores / np.maximum(best, 1e-12), 0.0)
            log_share = np.log(share + 1e-3)
            confidence = np.log(best + 1e-6)
        else:
            log_share = np.where(valid, np.maximum(scores - best, -20.0), -20.0)
            share = np.exp(log_share)
            confidence = best
        order = np.argsort(-scores, axis=1)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.broadcast_to(np.arange(items.shape[1]), order.shape), axis=1)
        rank = np.where(share > 0, rank, items.shape[1])
        ranks.append(rank)
        columns += [
            share,
            log_share,
            np.float32(1.0) / (rank + np.float32(2.0)),
            np.broadcast_to(confidence, share.shape),
        ]
    columns += _link_features(candidates, histories, sources)
    columns += _popularity_features(items, popularity)
    columns += _history_features(items, histories)
    values = np.empty((*items.shape, len(columns)), dtype=np.float32)
    for number, column in enumerate(columns):
        values[..., number] = column
    stacked = np.stack(ranks)
    proposer = stacked.argmin(axis=0).astype(np.int8)
    return CandidateBlock(items=items, values=values, proposer=proposer, rows=rows)


def _distinct(items: np.ndarray) -> np.ndarray:
    """Each row sorted, without its repeats; -1 fills up at the end. Columns that are empty in all rows go."""
    ordered = np.sort(items, axis=1)[:, ::-1].copy()
    repeated = np.zeros(ordered.shape, dtype=bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    ordered[repeated] = -1
    ordered = np.sort(ordered, axis=1)[:, ::-1]
    width = max(int((ordered >= 0).sum(axis=1).max(initial=0)), 1)
    return np.ascontiguousarray(ordered[:, :width])


def _link_features(
    candidates: Candidates, histories: EventSequences, sources: Mapping[str, Source]
) -> list[np.ndarray]:
    """How many of the last items of the history ever stood near the candidate, and how strongly the last one did."""
    source = sources.get("co_visitation")
    if not isinstance(source, CoVisitationSource):
        return [np.zeros(candidates.items.shape, dtype=np.float32)] * 2
    matrix = source.model.matrix
    recent = history_matrix(histories, decay=1.0, length=LINKED_ITEMS)
    # only the rows of items that occur, each once
    sources_of, columns = np.unique(recent.indices, return_inverse=True)
    linked = sparse.csr_array(matrix[sources_of])
    linked.data = np.ones_like(linked.data)
    shape = (recent.shape[0], len(sources_of))
    held = sparse.csr_array((np.ones_like(recent.data), columns, recent.indptr), shape=shape)
    links = candidates.values_of(sparse.csr_array(held @ linked))
    last = history_matrix(histories, decay=1.0, length=1)
    strength = candidates.values_of(sparse.csr_array(last @ matrix))
    return [np.log1p(links), np.log(strength + np.float32(1e-3))]


def _popularity_features(items: np.ndarray, popularity: Popularity) -> list[np.ndarray]:
    known = np.maximum(items, 0)
    count = np.log1p(popularity.counts)
    recent = np.log(popularity.recent + 1e-2)
    trend = recent - np.log(popularity.counts + 1.0)
    return [values[known] for values in (count, recent, trend, popularity.age)]


def _history_features(items: np.ndarray, histories: EventSequences) -> list[np.ndarray]:
    """Place of each candidate in its history: whether, how often, how many steps and how long ago, and with which
    events."""
    shape = items.shape
    recent = histories.last(HISTORY_EVENTS)
    keys = recent.owners.astype(np.int64) * recent.n_items + recent.items
    order = np.argsort(keys, kind="stable")
    unique, start, count = np.unique(keys[order], return_index=True, return_counts=True)
    latest = order[start + count - 1] if len(unique) else order
    wanted = np.arange(shape[0], dtype=np.int64)[:, None] * recent.n_items + np.maximum(items, 0)
    if not len(unique):
        place, found = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        unique, count, latest = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
        steps = gaps = np.zeros(1)
    else:
        place = np.minimum(np.searchsorted(unique, wanted), len(unique) - 1)
        found = (unique[place] == wanted) & (items >= 0)
        steps = recent.ages()[latest]
        gaps = np.zeros(len(latest))
        if recent.times is not None:
            last_time = np.repeat(recent.times[recent.offsets[1:] - 1], recent.lengths)
            gaps = np.log1p(np.maximum(last_time - recent.times, 0.0))[latest]
    lengths = histories.lengths
    distinct = np.bincount((unique // max(recent.n_items, 1)).astype(np.int64), minlength=shape[0])[: shape[0]]
    repeats = 1.0 - distinct / np.maximum(recent.lengths, 1)
    features = [
        found,
        np.where(found, np.log1p(count)[place], 0.0),
        np.where(found, 1.0 / (1.0 + steps[place]), 0.0),
        np.where(found, gaps[place], 0.0),
        np.broadcast_to(np.log1p(lengths)[:, None], shape),
        np.broadcast_to(repeats[:, None], shape),
    ]
    for kind in range(len(histories.kind_names)):
        if recent.kinds is None or not len(recent.items):
            features.append(np.zeros(shape))
            continue
        of_kind = np.add.reduceat((recent.kinds[order] == kind).astype(np.float64), start)
        features.append(np.where(found, np.log1p(of_kind)[place], 0.0))
    return features
