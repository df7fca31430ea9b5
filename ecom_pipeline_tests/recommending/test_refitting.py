"""Refits that keep what was chosen, budgets that become work, and predictors taught by one more window."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor, bought_within
from ecom_pipeline.recommending.budget import MAX_EPOCHS, Budget, schedule
from ecom_pipeline_tests.real_data import CHECKOUT
from ecom_pipeline_tests.recommending.shops import START, as_text_ids, visiting_shop


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return as_text_ids(visiting_shop(users=120, items=48, days=40))


@pytest.fixture(scope="module")
def earlier(shop: pd.DataFrame) -> NextItemRecommender:
    past = shop[shop["event_ts"] < START + pd.Timedelta(days=30)]
    return NextItemRecommender(networks=()).fit(past)


def test_a_refit_keeps_the_re_ranker_and_learns_the_new_events(
    shop: pd.DataFrame, earlier: NextItemRecommender
) -> None:
    fresh = pd.DataFrame({"user_id": ["u0"] * 3, "item_id": ["new", "new", "i1"], "event": "view"}).assign(
        event_ts=START + pd.Timedelta(days=41) + pd.to_timedelta([0, 1, 2], unit="min")
    )
    again = earlier.refit(pd.concat([shop, fresh], ignore_index=True))
    assert again.report()["chosen"] == earlier.report()["chosen"]
    assert again.report()["n_events"] == len(shop) + 3
    assert "new" in again.item_ids().to_pylist()
    assert "new" not in earlier.item_ids().to_pylist()
    shown = again.recommend(fresh, k=5)
    assert "new" in set(shown["item_id"])


def test_a_refit_on_the_same_events_is_deterministic_and_close_to_the_fit(
    shop: pd.DataFrame, earlier: NextItemRecommender
) -> None:
    past = shop[shop["event_ts"] < START + pd.Timedelta(days=30)]
    first, second = earlier.refit(past), earlier.refit(past)
    pd.testing.assert_frame_equal(first.recommend(past, k=5), second.recommend(past, k=5))
    pd.testing.assert_frame_equal(first.recommend(past, k=5), earlier.recommend(past, k=5))


def test_a_network_read_once_at_most_goes_on_from_its_weights_and_maps_items_by_id() -> None:
    shop = visiting_shop(users=60, items=30, days=20)
    first = NextItemRecommender("gru", time_budget_s=0.05).fit(shop)
    reordered = shop.iloc[::-1].reset_index(drop=True)
    again = first.refit(reordered, time_budget_s=0.001)
    before = dict(zip(first.item_ids().to_pylist(), _embedding(first), strict=True))
    after = dict(zip(again.item_ids().to_pylist(), _embedding(again), strict=True))
    assert first.item_ids().to_pylist() != again.item_ids().to_pylist()
    moved = [np.linalg.norm(after[item] - before[item]) / np.linalg.norm(before[item]) for item in before]
    assert max(moved) < 0.2


def _embedding(recommender: NextItemRecommender) -> np.ndarray:
    ranker, _ = recommender._fitted()
    return ranker.sources["gru"].embedding  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("events", "positions", "expected"),
    [(100, 1_000, (MAX_EPOCHS, 100)), (400, 1_000, (2, 400)), (1_000, 999, (1, 999)), (10, 10, (1, 10))],
)
def test_a_budget_becomes_epochs_or_the_newest_events(events: int, positions: int, expected: tuple[int, int]) -> None:
    assert schedule(events, positions) == expected


def test_more_seconds_mean_more_work_and_no_budget_means_the_most() -> None:
    assert Budget(10.0).positions(0.3, networks=1) < Budget(20.0).positions(0.3, networks=1)
    assert Budget(10.0).positions(0.3, networks=2) == Budget(10.0).positions(0.3, networks=1) // 2
    assert Budget().positions(0.3, networks=1) >= Budget(1e9).positions(0.3, networks=1)
    assert Budget(10.0).cases(scores_a_case=1_000_000, most=20_000) == 240
    assert Budget().cases(scores_a_case=1_000_000, most=20_000) == 20_000


def test_a_budget_too_small_for_a_network_leaves_it_out_and_tensorflow_with_it(tmp_path: Path) -> None:
    fit = """
import sys
from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline_tests.recommending.shops import visiting_shop
recommender = NextItemRecommender(time_budget_s=0.01).fit(visiting_shop(users=100, items=30, days=20))
assert "gru" not in recommender.report()["chosen"]["sources"]
assert "tensorflow" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run([sys.executable, "-c", fit], cwd=tmp_path, env=environment, check=True)


def test_seconds_too_few_for_every_user_are_spent_on_some_users(monkeypatch: pytest.MonkeyPatch) -> None:
    # the network may read fewer events than there are users: one event of each would teach it nothing
    shop = visiting_shop(users=400, items=30, days=6).drop(columns="event_ts")
    monkeypatch.setattr("ecom_pipeline.recommending.budget.POSITIONS_A_SECOND", 100)
    recommender = NextItemRecommender(model="gru", time_budget_s=10.0).fit(shop.assign(position=range(len(shop))))
    losses = recommender.report()["losses"]
    assert losses["gru"][0] > 0
    assert losses["gru_refitted"][0] > 0


def test_a_report_says_whether_the_clock_took_work_from_the_fit(
    shop: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecom_pipeline.recommending.budget.GRACE", 1e-6)  # the time is over before the first epoch is
    slow = NextItemRecommender("simple_rnn", time_budget_s=1.0).fit(shop)
    assert slow.report()["cut_short_by_clock"]


def test_a_pair_counts_as_bought_only_by_its_user_inside_the_window() -> None:
    events = pd.DataFrame(
        {
            "user_id": ["a", "a", "b", "a"],
            "item_id": ["x", "y", "x", "z"],
            "event": ["purchase", "view", "purchase", "purchase"],
            "event_ts": START + pd.to_timedelta([1, 1, 9, 0], unit="D"),
        }
    )
    pairs = pd.DataFrame({"user_id": ["a", "a", "b", "a", "c"], "item_id": ["x", "y", "x", "z", "x"]})
    bought = bought_within(pairs, events, since=START, days=7)
    assert bought.tolist() == [True, False, False, False, False]


def test_a_predictor_learns_one_more_window_and_keeps_its_held_out_figures(shop: pd.DataFrame) -> None:
    cutoff = START + pd.Timedelta(days=32)
    past = shop[shop["event_ts"] <= cutoff]
    predictor = PurchasePredictor(7, k=5).fit(past)
    shown = NextItemRecommender("co_visitation").fit(past).recommend(past, k=5)
    more = predictor.extend(shop, shown, since=cutoff)
    assert more.report()["held_out"] == predictor.report()["held_out"]
    assert more.report()["taught_by"]["pairs"] == predictor.report()["taught_by"]["pairs"] + len(shown)
    probability = more.predict(shop, shown)["probability"]
    assert probability.between(0, 1).all()
    assert not np.allclose(probability, predictor.predict(shop, shown)["probability"])
