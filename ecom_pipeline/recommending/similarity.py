"""Similar items: what stands near an item, by co-visitation, by the angle between embeddings, or both."""

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.scoring import FactorIndex, block_rows, top_k
from ecom_pipeline.recommending.sources import (
    Allowed,
    CoVisitationSource,
    EmbeddingSource,
    NewItemSource,
    SpectralSource,
)

BLOCK = 1_024  # items whose neighbours are looked at together


def most_similar(ranker: Ranker, items: np.ndarray, k: int, *, allowed: Allowed) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar items of each of `items` (n,) among the allowed ones that have events, never the item itself.

    The score is the mean of what the model has: co-visitation as a share of the row's largest, and the cosine of
    embeddings (negative ones count as 0). Items without events are compared by their traits.

    Returns:
        items int32 (n, k), -1 where there are fewer, and scores float32 (n, k) between 0 and 1.
    """
    counts = ranker.popularity.counts
    found = np.full((len(items), k), -1, dtype=np.int32)
    scores = np.zeros((len(items), k), dtype=np.float32)
    shown = allowed.codes[counts[allowed.codes] > 0]
    matrix = next(
        (
            source.model.matrix
            for name, source in ranker.sources.items()
            if isinstance(source, CoVisitationSource) and name != "transitions"
        ),
        None,
    )
    tables = [_unit(table) for table in _tables(ranker)]
    parts = (matrix is not None) + bool(tables)
    if not parts or not len(shown):
        return found, scores
    warm = np.flatnonzero(counts[items] > 0)
    # the mean of the cosines of several tables is the inner product of the tables side by side
    embedding = np.concatenate(tables, axis=1) / np.float32(np.sqrt(len(tables))) if tables else None
    index = None if embedding is None else FactorIndex(embedding[shown])
    for start in range(0, len(warm), BLOCK):
        rows = warm[start : start + BLOCK]
        chosen = items[rows]
        candidates, values = _near(chosen, shown, matrix, counts)
        if embedding is not None and index is not None:
            # what never stood near has the cosine alone, so that the nearest of these are the nearest by cosine
            places, _ = index.search(embedding[chosen], k + 1)
            candidates, values = _with_cosines(chosen, candidates, values, shown[places], embedding)
        best, place = _best(candidates, values / parts, k)
        width = best.shape[1]
        found[rows, :width], scores[rows, :width] = place, best
    new = ranker.sources.get("new_items")
    if isinstance(new, NewItemSource):
        cold = np.flatnonzero(counts[items] == 0)
        step = block_rows(len(shown), limit=512)
        for start in range(0, len(cold), step):
            rows = cold[start : start + step]
            alike = (new.model.traits[items[rows]] @ new.model.traits[shown].T).toarray()
            place, best = top_k(alike, k)
            width = place.shape[1]
            found[rows, :width] = np.where(best > 0, shown[place], -1)
            scores[rows, :width] = np.maximum(best, 0.0)
    return found, np.minimum(scores, np.float32(1.0))


def _near(
    chosen: np.ndarray, shown: np.ndarray, matrix: sparse.csr_array | None, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What stood near each item, int32 (n, width) with -1 for none, and how near as a share of the row's nearest."""
    if matrix is None:
        return np.full((len(chosen), 0), -1, dtype=np.int32), np.zeros((len(chosen), 0), dtype=np.float32)
    part = sparse.csr_array(matrix[chosen])
    may = np.zeros(len(counts), dtype=bool)
    may[shown] = True
    lengths = np.diff(part.indptr)
    columns = np.arange(int(lengths.max(initial=0)))
    inside = columns < lengths[:, None]
    index = np.where(inside, part.indptr[:-1, None] + columns, 0)
    if not len(part.data):
        return np.full(inside.shape, -1, dtype=np.int32), np.zeros(inside.shape, dtype=np.float32)
    items = part.indices[index]
    inside &= may[items] & (items != chosen[:, None])
    values = np.where(inside, part.data[index], np.float32(0.0))
    return (
        np.where(inside, items, -1).astype(np.int32),
        values / np.maximum(values.max(axis=1, keepdims=True, initial=0.0), np.float32(1e-12)),
    )


def _with_cosines(
    chosen: np.ndarray, near: np.ndarray, values: np.ndarray, close: np.ndarray, embedding: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The items that stood near and those that are close, each once, with cosines added to the values."""
    close = np.where(close == chosen[:, None], -1, close)
    rows = np.arange(len(chosen), dtype=np.int64)[:, None] * len(embedding)
    known = np.isin((rows + close).ravel(), (rows + near)[near >= 0]).reshape(close.shape)
    close = np.where(known, -1, close).astype(np.int32)
    items = np.concatenate([near, close], axis=1)
    row, column = np.nonzero(items >= 0)
    cosine = np.einsum("nd,nd->n", embedding[chosen[row]], embedding[items[row, column]])
    total = np.concatenate([values, np.zeros(close.shape, dtype=np.float32)], axis=1)
    total[row, column] += np.maximum(cosine, 0.0)
    return items, total


def _best(items: np.ndarray, values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest positive values of every row, and their items; -1 where there are fewer."""
    place, best = top_k(np.where(items >= 0, values, np.float32(0.0)).astype(np.float32), k)
    chosen = np.take_along_axis(items, place, axis=1)
    return np.maximum(best, 0.0), np.where(best > 0, chosen, -1)


def _tables(ranker: Ranker) -> list[np.ndarray]:
    """The item embeddings of a ranker: those of its networks, else the spectral ones."""
    trained = [source.embedding for source in ranker.sources.values() if isinstance(source, EmbeddingSource)]
    if trained:
        return trained
    return [s.model.target for s in ranker.sources.values() if isinstance(s, SpectralSource)]


def _unit(embedding: np.ndarray) -> np.ndarray:
    return embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
