"""Metrics against hand-computed cases, the temporal split, diversity steps, and purchase probabilities."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_pipeline.recommending import (
    NextItemRecommender,
    PurchasePredictor,
    boost,
    diversify,
    evaluate,
    global_temporal_split,
    hide_recent_purchases,
    learn_repurchase_days,
    trade_popularity,
)
from ecom_pipeline.recommending.calibration import Isotonic, calibration_metrics
from ecom_pipeline.recommending.metrics import interval, ranking_metrics
from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline.recommending.validation import choose_holdout, hold_out
from ecom_pipeline_tests.recommending.shops import START, visiting_shop


def test_metrics_of_a_case_computed_by_hand() -> None:
    metrics = ranking_metrics(np.array([0, 2, 9, 10, 10**9]), [1, 10])
    assert metrics["n"] == 5
    assert metrics["hr@1"] == pytest.approx(1 / 5)
    assert metrics["hr@10"] == pytest.approx(3 / 5)
    assert metrics["mrr@10"] == pytest.approx((1 + 1 / 3 + 1 / 10) / 5)
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / 2 + 1 / np.log2(11)) / 5)


@settings(max_examples=50, deadline=None)
@given(ranks=st.lists(st.integers(0, 40), min_size=1, max_size=30), k=st.integers(1, 25))
def test_metrics_equal_a_plain_loop(ranks: list[int], k: int) -> None:
    metrics = ranking_metrics(np.array(ranks), [k])
    hits = [rank for rank in ranks if rank < k]
    assert metrics[f"hr@{k}"] == pytest.approx(len(hits) / len(ranks))
    assert metrics[f"mrr@{k}"] == pytest.approx(sum(1 / (rank + 1) for rank in hits) / len(ranks))
    assert metrics[f"ndcg@{k}"] == pytest.approx(sum(1 / np.log2(rank + 2) for rank in hits) / len(ranks))


def test_an_interval_covers_the_mean_and_shrinks_with_more_cases() -> None:
    gains = np.random.default_rng(0).random(100) < 0.3
    low, high = interval(gains.astype(float))
    assert low < gains.mean() < high
    wide = high - low
    low, high = interval(np.tile(gains, 16).astype(float))
    assert high - low == pytest.approx(wide / 4, rel=0.02)


@given(hits=st.integers(0, 300), misses=st.integers(0, 300))
def test_an_interval_holds_the_mean_and_stays_between_zero_and_one(hits: int, misses: int) -> None:
    gains = np.repeat([1.0, 0.0], [hits, misses])
    if len(gains) > 1:
        low, high = interval(gains)
        assert 0.0 <= low <= gains.mean() <= high <= 1.0
        assert low < high


def test_the_whole_catalogue_is_ranked_and_an_unknown_target_is_a_miss() -> None:
    # popularity ranks items 5, 4, 3, … by their counts
    items = np.repeat(np.arange(6), np.arange(1, 7))
    events = pd.DataFrame({"user_id": np.arange(len(items)) % 3, "item_id": items, "position": np.arange(len(items))})
    recommender = NextItemRecommender("popularity").fit(events.sample(frac=1.0, random_state=0))
    targets = pd.DataFrame({"user_id": [0, 1, 2], "item_id": [5, 3, 999]})
    order = recommender.recommend(events, k=6).query("user_id == 0")["item_id"].tolist()
    result = evaluate(recommender, events, targets, k=(1, 6))
    assert result.ranks[:2].tolist() == [order.index(5), order.index(3)]
    assert result.metrics["hr@6"] == pytest.approx(2 / 3)
    assert result.slices["cold target"]["n"] == 1
    assert result.metrics["coverage@6"] == 1.0
    frame = result.frame()
    assert {"slice", "metric", "value", "low", "high", "n"} == set(frame.column_names)


def test_slices_partition_the_cases() -> None:
    shop = visiting_shop()
    split = global_temporal_split(shop, START + pd.Timedelta(days=30))
    recommender = NextItemRecommender("co_visitation").fit(split.train)
    result = evaluate(recommender, split.histories, split.next_event)
    for kind in ("history", "popularity decile", "target"):
        parts = [m["n"] for name, m in result.slices.items() if kind in name]
        cold = result.slices.get("cold target", {"n": 0})["n"] if kind == "popularity decile" else 0
        assert sum(parts) + cold == result.metrics["n"]
    assert result.metrics["hr@20"] > 0.4


def test_the_split_gives_the_first_event_and_the_first_purchase_after_the_cutoff() -> None:
    events = pd.DataFrame(
        {
            "user_id": ["a", "a", "a", "a", "b", "c", "c"],
            "item_id": ["x", "y", "z", "w", "x", "x", "y"],
            "event_ts": START + pd.to_timedelta([0, 2, 3, 5, 4, 0, 1], unit="D"),
            "event": ["view", "view", "purchase", "purchase", "view", "view", "view"],
        }
    )
    split = global_temporal_split(events.sample(frac=1.0, random_state=2), START + pd.Timedelta(days=1))
    assert split.next_event.values.tolist() == [["a", "y"]]
    assert split.next_purchase.values.tolist() == [["a", "z"]]
    assert sorted(split.train["user_id"]) == ["a", "c", "c"]
    assert split.histories["user_id"].tolist() == ["a"]


@pytest.mark.parametrize("repeats", [True, False])
def test_held_out_events_are_not_in_what_is_trained_on(repeats: bool) -> None:
    log, _ = read_events(visiting_shop(), name="events")
    assert log.times is not None
    train, cases = hold_out(log, how=choose_holdout(log, repeats_allowed=repeats))
    assert train.times is not None
    assert cases.histories.times is not None
    cutoff = train.times.max()
    lasts = cases.histories.times[cases.histories.offsets[1:] - 1]
    assert len(train.items) < len(log.items)
    assert (np.bincount(train.items, minlength=log.n_items) <= np.bincount(log.items, minlength=log.n_items)).all()
    assert (log.times > cutoff).sum() == len(log.items) - len(train.items)
    assert len(cases) == len(lasts) > 100


def recommendations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": [1] * 5 + [2] * 5,
            "rank": [1, 2, 3, 4, 5] * 2,
            "item_id": [10, 11, 12, 13, 14] * 2,
            "score": np.array([0.5, 0.4, 0.3, 0.2, 0.1] * 2, dtype=np.float32),
        }
    )


def test_a_category_holds_at_most_its_cap_and_ranks_close_up() -> None:
    features = pd.DataFrame({"item_id": [10, 11, 12, 13], "category": ["a", "a", "a", "b"]})
    out = diversify(recommendations(), features, per_category=2, k=4)
    for user in (1, 2):
        mine = out[out["user_id"] == user]
        assert mine["item_id"].tolist() == [10, 11, 13, 14]
        assert mine["rank"].tolist() == [1, 2, 3, 4]


def test_a_boost_lifts_and_zero_sinks() -> None:
    out = boost(recommendations(), pd.DataFrame({"item_id": [14, 10], "boost": [10.0, 0.0]}))
    assert out[out["user_id"] == 1]["item_id"].tolist() == [14, 11, 12, 13, 10]


def test_trading_popularity_moves_rare_items_up_and_strength_zero_changes_nothing() -> None:
    popularity = pd.DataFrame({"item_id": [10, 11, 12, 13, 14], "events": [1000, 1000, 1000, 1000, 0]})
    same = trade_popularity(recommendations(), popularity, strength=0.0)
    assert same["item_id"].tolist() == recommendations()["item_id"].tolist()
    out = trade_popularity(recommendations(), popularity, strength=0.5)
    assert out["item_id"].tolist()[0] == 14


def test_an_item_bought_again_every_month_is_hidden_until_then() -> None:
    days = [0, 30, 60, 90, 120, 150]
    events = pd.DataFrame(
        {
            "user_id": [1] * 6 + [2, 2],
            "item_id": [10] * 6 + [11, 11],
            "event_ts": START + pd.to_timedelta([*days, 0, 7], unit="D"),
            "event": "purchase",
        }
    )
    learnt = learn_repurchase_days(events).set_index("item_id")["days"]
    assert learnt[10] == 30
    assert 7 <= learnt[11] <= 30  # too few intervals of its own: the shop's
    for later, hidden in ((5, True), (31, False)):
        as_of = START + pd.Timedelta(days=150 + later)
        out = hide_recent_purchases(recommendations(), events, as_of=as_of, days=learn_repurchase_days(events), k=3)
        mine = out[out["user_id"] == 1]
        assert mine["item_id"].tolist() == ([11, 12, 13] if hidden else [10, 11, 12])
        assert mine["rank"].tolist() == [1, 2, 3]
    out = hide_recent_purchases(recommendations(), events, as_of=START + pd.Timedelta(days=8), days=2, k=5)
    assert 11 not in out[out["user_id"] == 2]["item_id"].tolist()


def test_a_shop_without_repeat_purchases_never_recommends_them_again() -> None:
    events = pd.DataFrame({"user_id": [1, 2], "item_id": [10, 11], "event_ts": [START, START]})
    assert np.isinf(learn_repurchase_days(events)["days"]).all()
    late = START + pd.Timedelta(days=9_999)
    out = hide_recent_purchases(recommendations(), events, as_of=late, days=learn_repurchase_days(events), k=5)
    assert out[out["user_id"] == 1]["item_id"].tolist() == [11, 12, 13, 14]


def test_isotonic_probabilities_rise_and_match_the_shares_of_their_pools() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=4_000)
    labels = (rng.random(4_000) < 1 / (1 + np.exp(-2 * scores))).astype(float)
    calibrated = Isotonic.fit(scores, labels)
    grid = calibrated(np.linspace(-3, 3, 50))
    assert (np.diff(grid) >= 0).all()
    metrics = calibration_metrics(calibrated(scores), labels)
    assert metrics["ece"] < 0.02
    assert metrics["brier"] < metrics["brier_base"]


@pytest.fixture(scope="module")
def predictor() -> PurchasePredictor:
    return PurchasePredictor(5, k=10).fit(visiting_shop(users=400))


def test_purchase_probabilities_are_calibrated_on_held_out_time(predictor: PurchasePredictor) -> None:
    held_out = predictor.report()["held_out"]
    assert held_out["ece"] < 0.02
    assert held_out["brier"] < held_out["brier_base"]


def test_purchases_after_the_cutoff_change_no_probability(predictor: PurchasePredictor) -> None:
    shop = visiting_shop(users=400)
    cutoff = START + pd.Timedelta(days=32)
    past = shop[shop["event_ts"] <= cutoff]
    pairs = NextItemRecommender("co_visitation").fit(past).recommend(past, k=5)
    first = PurchasePredictor(5, k=10).fit(shop, cutoff=cutoff).predict(past, pairs, as_of=cutoff)
    second = PurchasePredictor(5, k=10).fit(past, cutoff=cutoff).predict(shop, pairs, as_of=cutoff)
    pd.testing.assert_frame_equal(first, second)
    assert list(first.columns) == ["user_id", "item_id", "probability", "window_days"]
    assert first["probability"].between(0, 1).all()


def test_a_loaded_predictor_predicts_the_same(predictor: PurchasePredictor, tmp_path: Path) -> None:
    shop = visiting_shop(users=400)
    pairs = NextItemRecommender("popularity").fit(shop).recommend(shop, k=3)
    predictor.save(tmp_path)
    loaded = PurchasePredictor.load(tmp_path)
    assert loaded.predict(shop, pairs).equals(predictor.predict(shop, pairs))
    arrow = loaded.predict(pa.Table.from_pandas(shop), pa.Table.from_pandas(pairs))
    assert isinstance(arrow, pa.Table)


def test_too_short_a_past_is_refused() -> None:
    with pytest.raises(ValueError, match="need at least 90 days"):
        PurchasePredictor(30).fit(visiting_shop())
