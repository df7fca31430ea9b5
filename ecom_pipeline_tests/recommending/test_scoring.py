"""Exact top-k: screening in bfloat16 loses nothing, whatever the signs, sizes and ties of the scores."""

import numpy as np
import pytest

from ecom_pipeline.recommending.scoring import FactorIndex, factor_top_k, top_k


def brute_force(queries: np.ndarray, factors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries.astype(np.float64) @ factors.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize("n_items", [700, 1_279, 2_048])
def test_screened_scores_find_exactly_the_best_items(n_items: int) -> None:
    rng = np.random.default_rng(n_items)
    queries = rng.normal(size=(300, 16)).astype(np.float32)
    factors = (rng.normal(size=(n_items, 16)) * rng.uniform(0.1, 3.0, size=(n_items, 1))).astype(np.float32)
    items, scores = factor_top_k(queries, factors, 8)
    expected, values = brute_force(queries, factors, 8)
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_allclose(scores, values, rtol=1e-5)


def test_near_ties_that_bfloat16_cannot_tell_apart_are_ranked_by_their_exact_scores() -> None:
    factors = np.ones((1_000, 4), dtype=np.float32)
    factors[:, 0] += np.arange(1_000, dtype=np.float32) * 1e-5
    items, _ = factor_top_k(np.ones((3, 4), dtype=np.float32), factors, 5)
    assert items.tolist() == [[999, 998, 997, 996, 995]] * 3


def test_rows_whose_best_scores_are_negative_or_zero_are_exact_too() -> None:
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.5, 1.0, size=(900, 6)).astype(np.float32)
    queries = np.stack([-np.ones(6), np.zeros(6), np.ones(6)]).astype(np.float32)
    items, scores = FactorIndex(factors).search(queries, 4)
    expected, values = brute_force(queries[[0, 2]], factors, 4)
    np.testing.assert_array_equal(items[[0, 2]], expected)
    np.testing.assert_allclose(scores[[0, 2]], values, rtol=1e-5)
    assert scores[1].tolist() == [0.0] * 4


def test_blocks_of_queries_change_nothing_and_k_is_capped() -> None:
    rng = np.random.default_rng(1)
    queries, factors = rng.normal(size=(520, 5)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
    items, scores = factor_top_k(queries, factors, 20)
    assert items.shape == scores.shape == (520, 6)
    np.testing.assert_array_equal(items, brute_force(queries, factors, 6)[0])


@pytest.mark.parametrize("n_items", [10, 500, 2_000])
def test_the_best_columns_of_a_matrix_are_those_of_a_full_sort(n_items: int) -> None:
    scores = np.random.default_rng(n_items).normal(size=(40, n_items)).astype(np.float32)
    items, values = top_k(scores, 7)
    np.testing.assert_array_equal(items, np.argsort(-scores, axis=1, kind="stable")[:, :7])
    np.testing.assert_array_equal(values, -np.sort(-scores, axis=1)[:, :7])
