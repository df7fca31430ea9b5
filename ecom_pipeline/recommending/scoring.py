"""Exact top-k over the whole catalogue, in blocks whose memory does not grow with the number of users."""

from typing import Any

import numpy as np

from ecom_pipeline.tensorflow_threads import use_one_thread

BLOCK_FLOATS = 16_000_000  # scores of a block: 64 MB
GROUP = 32  # neighbouring items whose maximum stands for them in the first pass


def block_rows(n_items: int, *, limit: int = 1_024) -> int:
    """Users a block, so that their scores over `n_items` items stay within `BLOCK_FLOATS`."""
    return max(1, min(limit, BLOCK_FLOATS // max(n_items, 1)))


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best columns of every row, best first; equal scores in a fixed order.

    Args:
        scores: float32 (rows, items).
        k: how many; capped at the number of items.

    Returns:
        items int32 and scores float32, both (rows, k).
    """
    import tensorflow as tf

    use_one_thread()

    items, values = _best(tf.convert_to_tensor(scores), min(k, scores.shape[1]))
    return items.numpy(), values.numpy()


def factor_top_k(
    queries: np.ndarray, factors: np.ndarray, k: int, *, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest inner product, exactly, for queries (rows, d) and factors (items, d)."""
    import tensorflow as tf

    use_one_thread()

    # whole groups, so that a block of scores is never copied to be cut
    padding = -len(factors) % GROUP
    catalogue = tf.constant(np.pad(factors, ((0, padding), (0, 0))))
    item_bias = np.zeros(len(factors), dtype=np.float32) if bias is None else bias
    offset = tf.constant(np.pad(item_bias, (0, padding), constant_values=np.float32(-np.inf)))
    k = min(k, len(factors))
    items = np.empty((len(queries), k), dtype=np.int32)
    scores = np.empty((len(queries), k), dtype=np.float32)
    step = block_rows(len(factors))
    plain = bias is None and not padding
    for start in range(0, len(queries), step):
        block = tf.matmul(queries[start : start + step], catalogue, transpose_b=True)
        index, values = _best(block if plain else block + offset, k)
        items[start : start + step] = index.numpy()
        scores[start : start + step] = values.numpy()
    return items, scores


def _best(scores: Any, k: int) -> tuple[Any, Any]:
    """Exact top-k of a tensor (rows, items) in two passes.

    The k best items stand in the k groups whose best items are best, so only those groups are searched: one cheap
    pass for the maxima instead of a heap over every score.
    """
    import tensorflow as tf

    use_one_thread()

    rows, n_items = scores.shape
    groups = n_items // GROUP
    if groups <= 2 * k:
        values, index = tf.math.top_k(scores, k=k)
        return index, values
    whole = groups * GROUP
    body = scores if whole == n_items else scores[:, :whole]
    grouped = tf.reshape(body, (rows, groups, GROUP))
    _, best_groups = tf.math.top_k(tf.reduce_max(grouped, axis=2), k=k)
    inside = tf.reshape(tf.gather(grouped, best_groups, batch_dims=1), (rows, k * GROUP))
    index = tf.reshape(best_groups[:, :, None] * GROUP + tf.range(GROUP), (rows, k * GROUP))
    if whole < n_items:
        rest = tf.range(whole, n_items)
        inside = tf.concat([inside, scores[:, whole:]], axis=1)
        index = tf.concat([index, tf.broadcast_to(rest, (rows, n_items - whole))], axis=1)
    values, place = tf.math.top_k(inside, k=k)
    return tf.gather(index, place, batch_dims=1), values
