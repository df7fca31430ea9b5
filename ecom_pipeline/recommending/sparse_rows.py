"""Sparse matrices by rows: histories of users, and the strongest entries of a row."""

import numpy as np
from scipy import sparse

from ecom_pipeline.sequences import EventSequences, ranges


def narrow(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same matrix with int32 for columns and offsets where they fit: products, which wait for memory, take a
    fifth less time."""
    if max(matrix.nnz, *matrix.shape) > np.iinfo(np.int32).max:
        return sparse.csr_array(matrix)
    indices, offsets = (part.astype(np.int32, copy=False) for part in (matrix.indices, matrix.indptr))
    return sparse.csr_array((matrix.data, indices, offsets), shape=matrix.shape)


def history_matrix(histories: EventSequences, *, decay: float, length: int = 30) -> sparse.csr_array:
    """CSR float32 (users, items): decay ** steps from the end, summed over the repeats of an item."""
    recent = histories.last(length)
    weights = (decay ** recent.ages()).astype(np.float32)
    matrix = sparse.csr_array(
        (weights, recent.items, recent.offsets), shape=(len(recent), recent.n_items), dtype=np.float32
    )
    matrix.sum_duplicates()
    return narrow(matrix)


def keep_largest(matrix: sparse.csr_array, n: int) -> sparse.csr_array:
    """The n largest entries of every row, which must not be negative; of equal ones the first."""
    lengths = np.diff(matrix.indptr)
    long = np.flatnonzero(lengths > n)
    if not len(long):
        return matrix
    entries = ranges(starts=matrix.indptr[long], lengths=lengths[long])
    row = np.repeat(np.arange(len(long), dtype=np.uint64), lengths[long])
    values = matrix.data[entries].astype(np.float32, copy=False)
    # the bits of non-negative floats are in the order of the floats: one sort of integers orders all rows
    bits = values.view(np.uint32).astype(np.uint64)
    ordered = np.sort((row << np.uint64(32)) | bits)
    ends = np.cumsum(lengths[long], dtype=np.int64)
    limit = (ordered[ends - n] & np.uint64(0xFFFFFFFF))[row.astype(np.int64)]
    above = bits > limit
    tied = bits == limit
    room = n - np.bincount(row[above].astype(np.int64), minlength=len(long))
    before = np.cumsum(tied)
    at_start = np.concatenate([[0], before[ends[:-1] - 1]])
    tied &= (before - at_start[row.astype(np.int64)]) <= room[row.astype(np.int64)]
    kept = np.ones(len(matrix.data), dtype=bool)
    kept[entries] = above | tied
    indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, n), dtype=np.int64)])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
