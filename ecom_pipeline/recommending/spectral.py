"""Spectral embeddings: a truncated singular value decomposition of co-visitation.

What belongs here: item embeddings in a second or two, without training. They generalise over pairs that never met
(as a network does), serve as a source of candidates, and start the networks. Randomised subspace iteration: Halko,
Martinsson and Tropp, "Finding structure with randomness" (2011).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

ROWS_A_BLOCK = 8_192  # rows whose inner products are summed at once
SCALE = 8.0  # of the cosine, so that scores are of the order of logits


@dataclass(frozen=True)
class Spectral:
    """source, target: float32 (items, width), rows of length 1 (0 for items without pairs): what follows i has a
    target near source_i.

    history_decay: weight of the item `a` steps before the end of a history is history_decay ** a.
    """

    source: np.ndarray
    target: np.ndarray
    history_decay: float

    @classmethod
    def fit(
        cls,
        strengths: sparse.csr_array,
        *,
        width: int = 128,
        history_decay: float = 0.6,
        iterations: int = 2,
        seed: int = 0,
    ) -> "Spectral":
        """Decompose normalised co-visitation (items, items); an item's pairs with itself do not count."""
        matrix = strengths.copy()
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        matrix.data = np.where(matrix.indices == rows, np.float32(0.0), matrix.data)
        n_items = matrix.shape[0]
        rank = min(width, n_items)
        transposed = sparse.csr_array(matrix.T.tocsr())
        basis = np.random.default_rng(seed).normal(size=(n_items, min(rank + 16, n_items))).astype(np.float32)
        for _ in range(iterations):
            basis = _orthonormal(matrix @ basis)
            basis = _orthonormal(transposed @ basis)
        image = matrix @ basis
        squares, right = _eigen(image)
        rank = min(rank, len(squares))
        scale = np.maximum(squares[:rank], 1e-30) ** 0.25  # roots of the singular values
        source, target = np.zeros((2, n_items, width), dtype=np.float32)
        source[:, :rank] = (image @ right[:, :rank]) / scale
        target[:, :rank] = (basis @ right[:, :rank]) * scale
        return cls(source=_unit(source), target=_unit(target), history_decay=history_decay)

    def bridge(self) -> np.ndarray:
        """The matrix (width, width) that maps targets to sources best in least squares: one table can then serve as
        both."""
        width = self.target.shape[1]
        gram = self.target.T @ self.target + 1e-3 * np.eye(width, dtype=np.float32)
        return np.linalg.solve(gram, self.target.T @ self.source).astype(np.float32)


def _gram(tall: np.ndarray) -> np.ndarray:
    """Inner products of the columns, float64, summed in blocks of rows."""
    total = np.zeros((tall.shape[1], tall.shape[1]))
    for start in range(0, len(tall), ROWS_A_BLOCK):
        block = tall[start : start + ROWS_A_BLOCK].astype(np.float64)
        total += block.T @ block
    return total


def _eigen(tall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the singular values of a tall matrix, the largest first, and its right singular vectors, float32.

    By way of the small matrix of inner products, which for a hundred columns costs a hundredth of what a decomposition
    of the tall one does; values below 1e-6 of the largest are left out, for they would be noise.
    """
    gram = _gram(tall)
    squares, vectors = np.linalg.eigh(gram)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    kept = squares > 1e-12 * max(float(squares.max(initial=0.0)), 1e-300)
    return squares[kept], vectors[:, kept].astype(np.float32)


def _orthonormal(tall: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the columns span."""
    squares, vectors = _eigen(tall)
    return np.asarray(tall @ (vectors / np.sqrt(squares).astype(np.float32)), dtype=np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-8, rows / np.maximum(length, 1e-8), 0.0).astype(np.float32)
