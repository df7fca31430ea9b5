"""Segments of states: groups that are there are found, those that are not are not, and the same comes out twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.recommending.segments import adjusted_rand_index, find_segments
from ecom_pipeline_tests.recommending.shops import cyclic_shop

WIDTH = 32


def states(*sizes: int, spread: float = 0.08, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Users around as many directions as there are sizes: states, and the group of each."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0][: len(sizes)]
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(group))
    group = group[order]
    length = rng.uniform(0.5, 5.0, size=(len(group), 1))
    around = directions[group] + spread * rng.normal(size=(len(group), WIDTH))
    return (length * around).astype(np.float32), group


@pytest.mark.parametrize("sizes", [(80, 60, 40), (90, 70, 60, 50, 30)])
def test_groups_that_are_there_are_found_the_greatest_first(sizes: tuple[int, ...]) -> None:
    made, group = states(*sizes)
    found = find_segments(made)
    assert found is not None
    assert found.agreements[len(sizes)] == pytest.approx(1.0, abs=0.02)
    assert np.array_equal(found.assign(made), group)
    assert (found.stability > 0.95).all()


def test_a_state_belongs_to_the_same_group_however_sure_the_network_is() -> None:
    made, _ = states(80, 60, 40)
    found = find_segments(made)
    assert found is not None
    assert np.array_equal(found.assign(made), found.assign(7 * made))


def test_groups_drawn_by_chance_are_told_by_their_agreement() -> None:
    clear, vague = (find_segments(states(60, 60, 60, 60, spread=spread)[0]) for spread in (0.05, 0.6))
    assert clear is not None
    assert vague is not None
    assert max(vague.agreements.values()) < 0.8 < max(clear.agreements.values())
    assert vague.stability.min() < clear.stability.min()


def test_the_same_states_give_the_same_segments() -> None:
    made, _ = states(50, 50, 50, spread=0.4)
    one, other = find_segments(made, seed=3), find_segments(made.copy(), seed=3)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.assign(made), other.assign(made))
    assert one.agreements == other.agreements


def test_too_few_users_and_states_that_are_all_alike_are_no_segments() -> None:
    assert find_segments(states(20, 20, 10)[0]) is None
    assert find_segments(np.ones((200, WIDTH), dtype=np.float32)) is None


@pytest.mark.parametrize(
    ("one", "other", "index"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        # by hand: 1 pair together in both; 2 and 3 of 6 pairs together; by chance 1, at most 2.5
        ([0, 0, 1, 1], [0, 0, 0, 1], 0.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
    ],
)
def test_agreement_is_what_it_is_by_hand(one: list[int], other: list[int], index: float) -> None:
    assert adjusted_rand_index(np.array(one), np.array(other)) == pytest.approx(index)


def test_a_recommender_tells_the_states_of_its_network_and_keeps_them_in_its_folder(tmp_path: Path) -> None:
    events = cyclic_shop(users=80, items=20)
    fitted = NextItemRecommender(model="gru", time_budget_s=0.5).fit(events)
    known = fitted.user_states(events)
    assert known is not None
    users, made = known
    assert users.to_pylist() == events["user_id"].drop_duplicates().tolist()
    assert len(made) == 80
    assert np.ptp(made, axis=0).max() > 0
    # a state is that of its user alone, whoever else is asked for
    alone = fitted.user_states(events[events["user_id"] == 5])
    assert alone is not None
    np.testing.assert_allclose(alone[1][0], made[users.to_pylist().index(5)], atol=1e-5)
    fitted.save(tmp_path)
    again = NextItemRecommender.load(tmp_path).user_states(events)
    assert again is not None
    np.testing.assert_array_equal(again[1], made)


def test_a_recommender_without_a_network_has_no_states() -> None:
    events = cyclic_shop(users=60, items=20)
    fitted = NextItemRecommender(model="co_visitation").fit(events)
    assert fitted.user_states(pd.DataFrame(events)) is None
