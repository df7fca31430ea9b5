"""Exact top-k over the whole catalogue, in blocks whose memory does not grow with the number of users.

What belongs here: `top_k` of a matrix of scores, and `factor_top_k` of inner products, which screens in bfloat16 and
proves that nothing was lost.
"""

import numpy as np

from ecom_pipeline.tensorflow_threads import use_one_thread

BLOCK_FLOATS = 16_000_000  # scores of a block: 64 MB
GROUP = 32  # items whose maximum stands for them in the first pass
SCREENED_ROWS = 256  # users whose bfloat16 scores are looked at together, so that they stay in the cache
BFLOAT16_ERROR = 2.0**-8  # largest relative error of rounding to bfloat16


def block_rows(n_items: int, *, limit: int = 1_024) -> int:
    """Users a block, so that their scores over `n_items` items stay within `BLOCK_FLOATS`."""
    return max(1, min(limit, BLOCK_FLOATS // max(n_items, 1)))


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best columns of every row, best first; equal scores in a fixed order.

    The k best items stand in the k groups whose best items are best, so only those groups are searched: one cheap
    pass for the maxima instead of a partition of every score. A group holds every `n_items // GROUP`-th item, so that
    the maxima are taken of whole vectors.

    Args:
        scores: float32 (rows, items).
        k: how many; capped at the number of items.

    Returns:
        items int32 and scores float32, both (rows, k).
    """
    rows, n_items = scores.shape
    k = min(k, n_items)
    if not rows or not k:
        return np.zeros((rows, k), dtype=np.int32), np.zeros((rows, k), dtype=np.float32)
    groups = n_items // GROUP
    if groups <= 2 * k:
        return _ordered(scores, None, k)
    whole = groups * GROUP
    best = scores[:, :whole].reshape(rows, GROUP, groups).max(axis=1)
    chosen = np.sort(np.argpartition(best, groups - k, axis=1)[:, groups - k :], axis=1)
    index = (chosen[:, None, :] + groups * np.arange(GROUP)[:, None]).reshape(rows, GROUP * k)
    if whole < n_items:
        rest = np.broadcast_to(np.arange(whole, n_items), (rows, n_items - whole))
        index = np.concatenate([index, rest], axis=1)
    return _ordered(np.take_along_axis(scores, index, axis=1), index, k)


def _ordered(values: np.ndarray, index: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest values of every row in order, and their places (or what `index` says stands there)."""
    n = values.shape[1]
    place = np.argpartition(values, n - k, axis=1)[:, n - k :] if k < n else np.broadcast_to(np.arange(n), values.shape)
    best = np.take_along_axis(values, place, axis=1)
    items = place if index is None else np.take_along_axis(index, place, axis=1)
    order = np.lexsort((items, -best), axis=1)
    return np.take_along_axis(items, order, axis=1).astype(np.int32), np.take_along_axis(best, order, axis=1)


class FactorIndex:
    """A catalogue of factors (items, d), float32, ready to be searched for the largest inner products.

    Scores are first taken in bfloat16, for which many processors have instructions of their own. Their error is bounded
    by the lengths of query and factor (Cauchy and Schwarz), so that all items whose rough score may hide one of the k
    best are known, and only those are scored exactly.
    """

    def __init__(self, factors: np.ndarray) -> None:
        import tensorflow as tf

        use_one_thread()
        self.factors = np.ascontiguousarray(factors, dtype=np.float32)
        # whole groups; what is added can never be among the best
        self.padding = -len(factors) % GROUP
        padded = np.pad(self.factors, ((0, self.padding), (0, 0)))
        self._rough = tf.constant(tf.cast(tf.transpose(tf.constant(padded)), tf.bfloat16))
        self._longest = float(np.sqrt(np.square(self.factors).sum(axis=1)).max(initial=0.0))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k items with the largest inner product, exactly: items int32 and scores float32, both (queries, k)."""
        k = min(k, len(self.factors))
        items = np.empty((len(queries), k), dtype=np.int32)
        scores = np.empty((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), SCREENED_ROWS):
            part = slice(start, start + SCREENED_ROWS)
            items[part], scores[part] = self._search(np.asarray(queries[part], dtype=np.float32), k)
        return items, scores

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows, n_items = len(queries), len(self.factors)
        groups = (n_items + self.padding) // GROUP
        if groups <= 2 * k:
            return top_k(queries @ self.factors.T, k)
        rough = self._rough_scores(queries).reshape(rows, GROUP, groups)
        best = rough.max(axis=1)
        kth = _as_floats(np.maximum(np.partition(best, groups - k, axis=1)[:, groups - k], 0))
        # two roundings of the factors, the sum in float32, and one rounding of the result
        error = np.sqrt(np.square(queries).sum(axis=1)) * self._longest * (2 * BFLOAT16_ERROR + 2.0**-12)
        least = kth - 2.0 * (error + kth * BFLOAT16_ERROR)
        # the bits of positive numbers only are in the order of the numbers
        clear = np.flatnonzero(least > 0.0)
        limit = np.full(rows, np.iinfo(np.int16).max, dtype=np.int16)
        limit[clear] = _as_bits(least[clear])
        row, group = np.nonzero(best >= limit[:, None])
        at, member = np.nonzero(rough[row, :, group] >= limit[row, None])
        row, item = row[at], member * groups + group[at]
        real = item < n_items
        row, item = row[real], item[real]
        exact = np.einsum("nd,nd->n", queries[row], self.factors[item])
        items, scores = np.zeros((rows, k), dtype=np.int32), np.zeros((rows, k), dtype=np.float32)
        items[clear], scores[clear] = _best_of_each(np.searchsorted(clear, row), item, exact, rows=len(clear), k=k)
        unclear = np.setdiff1d(np.arange(rows), clear)
        if len(unclear):
            items[unclear], scores[unclear] = top_k(queries[unclear] @ self.factors.T, k)
        return items, scores

    def _rough_scores(self, queries: np.ndarray) -> np.ndarray:
        """The bits of the bfloat16 scores, int16 (queries, items and padding)."""
        import tensorflow as tf

        product = tf.matmul(tf.cast(tf.constant(queries), tf.bfloat16), self._rough)
        # no copy: the array keeps the tensor's memory
        return np.asarray(memoryview(tf.bitcast(product, tf.int16)))


def factor_top_k(queries: np.ndarray, factors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest inner product, exactly, for queries (rows, d) and factors (items, d)."""
    return FactorIndex(factors).search(queries, k)


def _as_floats(bits: np.ndarray) -> np.ndarray:
    """The numbers, float32, whose bfloat16 bits are given as int16."""
    return (bits.astype(np.int32) << 16).view(np.float32)


def _as_bits(numbers: np.ndarray) -> np.ndarray:
    """Bits of positive numbers, rounded down to bfloat16, int16."""
    return (numbers.astype(np.float32).view(np.int32) >> 16).astype(np.int16)


def _best_of_each(
    row: np.ndarray, item: np.ndarray, score: np.ndarray, *, rows: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best (item, score) of every row; every row has at least k."""
    order = np.lexsort((item, -score, row))
    counts = np.bincount(row, minlength=rows)
    starts = np.cumsum(counts) - counts
    chosen = order[starts[:, None] + np.arange(k)]
    return item[chosen].astype(np.int32), score[chosen].astype(np.float32)
