"""Co-visitation, neighbours, spectral embeddings, top-k and flat arrays against plain definitions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ecom_pipeline.recommending import co_visitation as module
from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline.recommending.scoring import factor_top_k, top_k
from ecom_pipeline.recommending.sources import Allowed, CoVisitationSource, HistorySource, SparseScores
from ecom_pipeline.recommending.sparse_rows import history_matrix, keep_largest
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.sequences import EventSequences

sequences = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=8), min_size=1, max_size=6)


def log_of(rows: list[list[int]]) -> EventSequences:
    events = pd.DataFrame(
        {
            "user_id": [user for user, items in enumerate(rows) for _ in items],
            "item_id": [item for items in rows for item in items],
            "position": [place for items in rows for place in range(len(items))],
        }
    )
    return read_events(events, name="events")[0]


@settings(max_examples=40, deadline=None)
@given(rows=sequences, window=st.integers(1, 4), repeats=st.booleans())
def test_co_visitation_equals_a_brute_force_count(rows: list[list[int]], window: int, repeats: bool) -> None:
    log = log_of(rows)
    chosen = CoVisitationSettings(window=window, repeats=repeats)
    expected = np.zeros((log.n_items, log.n_items))
    for user in range(len(log)):
        items = log.items[log.offsets[user] : log.offsets[user + 1]]
        for a in range(len(items)):
            for b in range(a + 1, min(a + window + 1, len(items))):
                if items[a] == items[b] and not repeats:
                    continue
                weight = chosen.decay ** (b - a - 1)
                expected[items[a], items[b]] += weight
                expected[items[b], items[a]] += weight * chosen.backward
    counts = np.bincount(log.items, minlength=log.n_items)
    expected /= counts[:, None] ** chosen.source_power * counts[None, :] ** chosen.target_power
    np.testing.assert_allclose(CoVisitation.fit(log, chosen).matrix.toarray(), expected, rtol=1e-5)


def test_counting_in_blocks_of_rows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    log = log_of([rng.integers(30, size=12).tolist() for _ in range(40)])
    whole = CoVisitation.fit(log).matrix.toarray()
    monkeypatch.setattr(module, "PAIRS_A_BLOCK", 500)
    np.testing.assert_allclose(CoVisitation.fit(log).matrix.toarray(), whole, rtol=1e-6)


def test_only_the_largest_entries_of_a_row_stay() -> None:
    rng = np.random.default_rng(0)
    log = log_of([rng.integers(30, size=12).tolist() for _ in range(40)])
    matrix = CoVisitation.fit(log).matrix
    kept = keep_largest(matrix, 5).toarray()
    full = matrix.toarray()
    for row in range(log.n_items):
        stored = np.sort(kept[row][kept[row] > 0])
        np.testing.assert_allclose(stored, np.sort(full[row][full[row] > 0])[-5:])


@settings(max_examples=25, deadline=None)
@given(rows=sequences, events=st.integers(1, 8))
def test_neighbours_equal_a_brute_force_sum(rows: list[list[int]], events: int) -> None:
    log = log_of(rows)
    chosen = NeighbourSettings(events=events)
    got = Neighbours.fit(log, chosen).strengths(log).toarray()
    sets = [set(log.items[log.offsets[u] : log.offsets[u + 1]].tolist()) for u in range(len(log))]
    counts = np.array([sum(item in one for one in sets) for item in range(log.n_items)])
    history = history_matrix(log, decay=chosen.history_decay, length=chosen.events).toarray()
    for user in range(len(log)):
        expected = np.zeros(log.n_items)
        for one in sets:
            shared = sum(history[user, item] * counts[item] ** -chosen.item_power for item in one)
            for item in one:
                expected[item] += (shared * len(one) ** -0.5) ** chosen.power
        np.testing.assert_allclose(got[user], expected, rtol=1e-4, atol=1e-6)


def test_the_best_items_of_a_sparse_block_are_those_of_the_dense_one() -> None:
    rng = np.random.default_rng(1)
    log = log_of([rng.integers(25, size=9).tolist() for _ in range(30)])
    block = CoVisitationSource(CoVisitation.fit(log)).block(log, Allowed.of(np.arange(log.n_items) % 5 > 0))
    block.bar(log)
    best, values = block.top(6)
    for row in range(len(log)):
        scores = block.matrix.toarray()[row]  # type: ignore[attr-defined]
        found = best[row][best[row] >= 0]
        assert len(found) == min(6, int((scores > 0).sum()))
        np.testing.assert_allclose(scores[found], np.sort(scores)[::-1][: len(found)])
        np.testing.assert_allclose(values[row][: len(found)], scores[found])
        assert not set(found) & set(log.items[log.offsets[row] : log.offsets[row + 1]])
        assert (found % 5 > 0).all()


def test_exact_top_k_of_factors_equals_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    queries, factors = rng.normal(size=(37, 8)).astype(np.float32), rng.normal(size=(211, 8)).astype(np.float32)
    items, scores = factor_top_k(queries, factors, 7)
    full = queries @ factors.T
    np.testing.assert_array_equal(items, np.argsort(-full, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-full, axis=1)[:, :7], rtol=1e-5)
    np.testing.assert_array_equal(top_k(full.astype(np.float32), 7)[0], items)


def test_spectral_embeddings_put_items_of_one_taste_together() -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.integers(5, size=10) + 5 * (user % 4)).tolist() for user in range(80)]
    log = log_of(rows)
    spectral = Spectral.fit(CoVisitation.fit(log).matrix, width=8)
    likeness = spectral.source @ spectral.target.T
    group = np.zeros(log.n_items, dtype=int)
    for user in range(len(rows)):
        group[log.items[log.offsets[user] : log.offsets[user + 1]]] = user % 4
    same = group[:, None] == group[None, :]
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_settings_that_share_a_count_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    log = log_of([rng.integers(30, size=12).tolist() for _ in range(40)])
    grid = [
        CoVisitationSettings(history_decay=decay, target_power=power, neighbours=20)
        for decay in (0.5, 0.7)
        for power in (0.1, 0.3)
    ]
    for settings_of_one, model in zip(grid, CoVisitation.fit_several(log, grid), strict=True):
        alone = CoVisitation.fit(log, settings_of_one)
        assert model.settings == settings_of_one
        np.testing.assert_array_equal(model.matrix.toarray(), alone.matrix.toarray())
    with pytest.raises(ValueError, match="share a count"):
        CoVisitation.fit_several(log, [CoVisitationSettings(window=2), CoVisitationSettings(window=3)])


def test_of_equal_entries_the_first_stay() -> None:
    matrix = sparse.csr_array(np.array([[3.0, 1.0, 1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 0.0, 0.0]], dtype=np.float32))
    np.testing.assert_array_equal(keep_largest(matrix, 3).toarray(), [[3, 1, 0, 0, 2], [0, 0, 1, 0, 0]])


def test_the_history_proposes_what_comes_often_and_lately_first() -> None:
    log = log_of([[0, 1, 1, 1, 2], [3]])
    block = HistorySource(decay=0.9).block(log, Allowed.of(np.ones(log.n_items, dtype=bool)))
    items, scores = block.top(3)
    assert items.tolist() == [[1, 2, 0], [3, -1, -1]]
    np.testing.assert_allclose(scores[0], [0.9 + 0.81 + 0.729, 1.0, 0.9**4], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1_000), filled=st.sampled_from([0.0, 0.02, 0.3, 1.0]), n=st.integers(1, 40))
def test_the_best_of_stored_scores_are_those_of_a_full_sort(seed: int, filled: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.permutation(12 * 30).reshape(12, 30).astype(np.float32) * (rng.random((12, 30)) < filled)
    items, scores = SparseScores(sparse.csr_array(dense), Allowed.of(np.arange(30) % 3 > 0)).top(n)
    allowed = np.where(np.arange(30) % 3 > 0, dense, 0.0)
    for row in range(12):
        expected = [item for item in np.argsort(-allowed[row]) if allowed[row, item] > 0][:n]
        assert items[row].tolist() == expected + [-1] * (n - len(expected))
        np.testing.assert_array_equal(scores[row][: len(expected)], allowed[row, expected])


def test_the_decomposition_is_that_of_a_full_one() -> None:
    rng = np.random.default_rng(5)
    matrix = (rng.random((60, 60)) * (rng.random((60, 60)) < 0.2)).astype(np.float32)
    np.fill_diagonal(matrix, 0.0)
    spectral = Spectral.fit(sparse.csr_array(matrix), width=60)
    left, values, right = np.linalg.svd(matrix)
    expected = left * np.sqrt(values) @ (right.T * np.sqrt(values)).T
    lengths = np.linalg.norm(left * np.sqrt(values), axis=1), np.linalg.norm(right.T * np.sqrt(values), axis=1)
    cosines = expected / np.maximum(lengths[0][:, None] * lengths[1][None, :], 1e-9)
    np.testing.assert_allclose(spectral.source @ spectral.target.T, cosines, atol=2e-3)
