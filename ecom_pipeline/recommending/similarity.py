"""Similar items: what stands near an item, by co-visitation, by the angle between embeddings, or both."""

import numpy as np

from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.scoring import block_rows, top_k
from ecom_pipeline.recommending.sources import CoVisitationSource, NewItemSource, SpectralSource


def most_similar(ranker: Ranker, items: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar items of each of `items` (n,), never the item itself.

    The score is the mean of what the model has: co-visitation as a share of the row's largest, and the cosine of
    embeddings (negative ones count as 0).

    Returns:
        items int32 (n, k), -1 where there are fewer, and scores float32 (n, k) between 0 and 1.
    """
    n_items = len(ranker.popularity.counts)
    matrices = [
        source.model.matrix
        for name, source in ranker.sources.items()
        if isinstance(source, CoVisitationSource) and name != "transitions"
    ]
    embeddings = [_unit(table) for table in _tables(ranker)]
    new = ranker.sources.get("new_items")
    traits = new.model.traits if isinstance(new, NewItemSource) else None
    parts = len(matrices) + len(embeddings)
    found = np.full((len(items), k), -1, dtype=np.int32)
    scores = np.zeros((len(items), k), dtype=np.float32)
    if not parts:
        return found, scores
    step = block_rows(n_items, limit=512)
    for start in range(0, len(items), step):
        chosen = items[start : start + step]
        total = np.zeros((len(chosen), n_items), dtype=np.float32)
        for matrix in matrices:
            dense = matrix[chosen].toarray()
            dense[np.arange(len(chosen)), chosen] = 0.0
            total += dense / np.maximum(dense.max(axis=1, keepdims=True), 1e-12)
        for embedding in embeddings:
            total += np.maximum(embedding[chosen] @ embedding.T, 0.0)
        cold = ranker.popularity.counts[chosen] == 0
        if traits is not None and cold.any():
            total[cold] = parts * (traits[chosen[cold]] @ traits.T).toarray()
        total[np.arange(len(chosen)), chosen] = 0.0
        total[:, ranker.popularity.counts == 0] = 0.0
        best, values = top_k(total / parts, k)
        found[start : start + step, : best.shape[1]] = np.where(values > 0, best, -1)
        scores[start : start + step, : best.shape[1]] = np.maximum(values, 0.0)
    return found, scores


def _tables(ranker: Ranker) -> list[np.ndarray]:
    """The item embeddings of a ranker: those of its networks, else the spectral ones."""
    trained = [source.network.embedding.numpy() for source in ranker.sources.values() if hasattr(source, "network")]
    if trained:
        return trained
    return [s.model.target for s in ranker.sources.values() if isinstance(s, SpectralSource)]


def _unit(embedding: np.ndarray) -> np.ndarray:
    return embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
