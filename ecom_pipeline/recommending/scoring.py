"""Exact top-k over the whole catalogue, in blocks whose memory does not grow with the number of users."""

import numpy as np

BLOCK_FLOATS = 16_000_000  # scores of a block: 64 MB


def block_rows(n_items: int, *, limit: int = 1_024) -> int:
    """Users a block, so that their scores over `n_items` items stay within `BLOCK_FLOATS`."""
    return max(1, min(limit, BLOCK_FLOATS // max(n_items, 1)))


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best columns of every row, best first, ties by the lower column.

    Args:
        scores: float32 (rows, items).
        k: how many; capped at the number of items.

    Returns:
        items int32 and scores float32, both (rows, k).
    """
    import tensorflow as tf

    values, items = tf.math.top_k(scores, k=min(k, scores.shape[1]))
    return items.numpy(), values.numpy()


def factor_top_k(
    queries: np.ndarray, factors: np.ndarray, k: int, *, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest inner product, exactly, for queries (rows, d) and factors (items, d)."""
    import tensorflow as tf

    catalogue = tf.constant(factors)
    item_bias = None if bias is None else tf.constant(bias)
    k = min(k, len(factors))
    items = np.empty((len(queries), k), dtype=np.int32)
    scores = np.empty((len(queries), k), dtype=np.float32)
    step = block_rows(len(factors))
    for start in range(0, len(queries), step):
        block = tf.matmul(queries[start : start + step], catalogue, transpose_b=True)
        if item_bias is not None:
            block += item_bias
        values, index = tf.math.top_k(block, k=k)
        items[start : start + step] = index.numpy()
        scores[start : start + step] = values.numpy()
    return items, scores
