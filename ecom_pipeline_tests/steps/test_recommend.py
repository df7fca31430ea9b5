"""The recommender in the night: what it publishes, when it trains, what it may see, and what happens without one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ecom_pipeline.recommending import NextItemRecommender, budget
from ecom_pipeline.registry import Registry, RegistryError
from ecom_pipeline.settings import Home
from ecom_pipeline.steps import recommend as recommend_step
from ecom_pipeline.steps import recommend_events, recommend_versions
from ecom_pipeline.steps import recommend_training as night_steps
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.steps.recommend import predict_purchases, recommend, similar_items
from ecom_pipeline.steps.recommend_training import train_recommender
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse
from ecom_pipeline_tests.steps.model_shop import ITEMS, SETTINGS, new_home, open_shop

NIGHT = 60
TABLES = ("recommendations", "purchase_predictions", "similar_items")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("recommend")) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return new_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def shop(warehouse: Warehouse) -> CoreRows:
    shop = CoreRows(warehouse)
    open_shop(shop, days=NIGHT + 20)
    return shop


def train(shop: CoreRows, home: Home, night: int, **settings: Any) -> Any:
    return train_recommender(shop.warehouse, home=home, settings=SETTINGS.model_copy(update=settings), as_of=day(night))


def publish(shop: CoreRows, home: Home, night: int, **settings: Any) -> list[Any]:
    chosen = SETTINGS.model_copy(update=settings)
    return [
        step(shop.warehouse, home=home, settings=chosen, as_of=day(night))
        for step in (recommend, predict_purchases, similar_items)
    ]


def tables(shop: CoreRows, night: int) -> dict[str, pd.DataFrame]:
    return {
        name: shop.warehouse.arrow(
            f"SELECT * FROM {name} WHERE as_of = :night ORDER BY ALL", {"night": day(night)}
        ).to_pandas()
        for name in TABLES
    }


def decide_on(monkeypatch: pytest.MonkeyPatch, *gains: float) -> None:
    """Script the figures of the gate, in the order in which they are asked for: the champion's first."""
    left = list(gains)
    monkeypatch.setattr(night_steps, "gain_over_floors", lambda metrics, held_out: left.pop(0))


@pytest.fixture(scope="module")
def promoted(shop: CoreRows, home: Home) -> Any:
    """The first version, promoted whatever it is worth."""
    shop.build(NIGHT)
    with pytest.MonkeyPatch.context() as patch:
        decide_on(patch, 0.1)
        return train(shop, home, NIGHT)


def test_a_night_publishes_what_is_still_sold_for_every_active_user(shop: CoreRows, home: Home, promoted: Any) -> None:
    shop.build(NIGHT)
    report, purchases, similar = publish(shop, home, NIGHT)
    night = tables(shop, NIGHT)

    users = shop.warehouse.scalar("SELECT count(DISTINCT user_id) FROM feat_user_events")
    assert night["recommendations"]["user_id"].nunique() == users
    assert report.rows == len(night["recommendations"]) == 3 * users
    assert (report.model, report.fallback, report.model_version) == ("co_visitation", False, promoted.name)
    for rows in night.values():
        assert set(rows["model_version"]) == {promoted.name}
    by_user = night["recommendations"].sort_values(["user_id", "rank"]).groupby("user_id")
    assert by_user["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3]).all()
    assert by_user["item_id"].nunique().eq(3).all()
    assert night["recommendations"]["reason"].str.contains("Item").any()
    assert purchases.rows == report.rows
    assert night["purchase_predictions"]["probability"].between(0, 1).all()
    assert (night["purchase_predictions"]["window_days"] == 7).all()
    assert similar.rows == len(ITEMS) * 2
    assert (night["similar_items"]["item_id"] != night["similar_items"]["similar_item_id"]).all()


def test_purchase_probabilities_mean_what_they_say_on_held_out_days(promoted: Any) -> None:
    metrics = {(row.dataset, row.metric): row for row in promoted.manifest.metrics}
    expected = metrics["purchase within 7 days", "mean_probability"]
    assert expected.baseline_value is not None
    assert expected.value == pytest.approx(expected.baseline_value, abs=0.1)
    assert metrics["purchase within 7 days", "ece"].value < 0.1


def test_next_event_and_next_purchase_are_judged_apart_on_the_last_days(promoted: Any) -> None:
    metrics = {(row.dataset, row.metric): row for row in promoted.manifest.metrics}
    for dataset in ("next event", "next purchase"):
        assert metrics[dataset, "hr_5"].n >= 30
        assert metrics[dataset, "ndcg_10"].baseline_value is not None
    assert metrics["next event", "hr_5"].n > metrics["next purchase", "hr_5"].n
    # co-visitation is one of the floors that it is judged against, so it cannot be better than them
    assert metrics["next event", "ndcg_10"].value <= (metrics["next event", "ndcg_10"].baseline_value or 0)


def test_a_large_shop_is_judged_on_some_of_its_users_drawn_by_the_seed(
    shop: CoreRows, promoted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_steps, "JUDGED_USERS", 35)
    found = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        version = train(shop, new_home(tmp_path / name), NIGHT, seed=seed)
        found.append({(row.dataset, row.metric): row for row in version.manifest.metrics})
    whole = {(row.dataset, row.metric): row for row in promoted.manifest.metrics}
    for dataset in ("next event", "next purchase"):
        assert found[0][dataset, "ndcg_10"].n == min(35, whole[dataset, "ndcg_10"].n)
    assert whole["next event", "ndcg_10"].n > 35
    shown = SETTINGS.recommendations_per_user
    assert found[0]["purchase within 7 days", "brier"].n <= 35 * shown
    assert found[0] == found[1]
    assert found[0]["next event", "ndcg_10"].value != found[2]["next event", "ndcg_10"].value


def test_figures_come_with_their_intervals_for_the_whole_and_for_every_slice(promoted: Any) -> None:
    metrics = {(row.dataset, row.metric): row for row in promoted.manifest.metrics}
    slices = {dataset for dataset, _ in metrics if dataset.startswith("next event")}
    assert {"next event", "next event, warm target"} < slices
    assert any("history" in name for name in slices)
    assert any("popularity decile" in name for name in slices)
    for dataset in slices:
        row = metrics[dataset, "hr_10"]
        if row.n > 1:
            assert metrics[dataset, "hr_10_low"].value <= row.value <= metrics[dataset, "hr_10_high"].value
    for metric in ("coverage_20", "novelty_20", "top_share_20", "mrr_5_low"):
        assert ("next event", metric) in metrics


def test_the_same_night_again_reuses_its_model_and_gives_the_same_rows(
    shop: CoreRows, home: Home, promoted: Any
) -> None:
    shop.build(NIGHT)
    publish(shop, home, NIGHT)
    before = tables(shop, NIGHT)
    assert train(shop, home, NIGHT) == promoted
    publish(shop, home, NIGHT)
    for name, rows in tables(shop, NIGHT).items():
        pd.testing.assert_frame_equal(rows, before[name])


@pytest.mark.parametrize("repurchase_days", [None, 5, "learnt"])
def test_a_few_users_read_at_a_time_get_what_all_at_once_do(
    shop: CoreRows, home: Home, promoted: Any, repurchase_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build(NIGHT)
    publish(shop, home, NIGHT, repurchase_days=repurchase_days)
    before = tables(shop, NIGHT)
    events = recommend_events.events_of_night(shop.warehouse)
    monkeypatch.setattr(recommend_events, "EVENTS_A_PART", 40)
    ranges = recommend_events.ranges_of_active_users(shop.warehouse, settings=SETTINGS, as_of=day(NIGHT))
    assert len(ranges) > 3
    shown = [before["recommendations"]["user_id"].between(*users).sum() for users in ranges]
    assert all(shown)
    assert sum(shown) == len(before["recommendations"])
    assert recommend_events.events_of_night(shop.warehouse).to_pylist() == events.to_pylist()
    publish(shop, home, NIGHT, repurchase_days=repurchase_days)
    for name, rows in tables(shop, NIGHT).items():
        pd.testing.assert_frame_equal(rows, before[name])


def test_a_model_of_some_users_recommends_to_all(
    shop: CoreRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_on(monkeypatch, 0.1)
    shop.build(NIGHT)
    events = recommend_events.events_of_night(shop.warehouse).num_rows
    active = shop.warehouse.scalar("SELECT count(DISTINCT user_id) FROM feat_user_events")
    home = new_home(tmp_path)
    version = train(shop, home, NIGHT, next_item_events=events // 2)
    serving = NextItemRecommender.load(Registry(home, SETTINGS).folder(version) / recommend_versions.SERVING)
    assert events // 3 < serving.report()["n_events"] <= events // 2
    assert serving.report()["n_users"] < active
    publish(shop, home, NIGHT, next_item_events=events // 2)
    shown = tables(shop, NIGHT)["recommendations"]
    assert shown["user_id"].nunique() == active
    assert not shown["fallback"].all()


def test_what_happens_after_the_night_changes_nothing(
    shop: CoreRows, home: Home, promoted: Any, tmp_path: Path
) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    publish(shop, home, NIGHT)
    before = tables(shop, NIGHT)
    with empty_warehouse(tmp_path) as other:
        elsewhere = CoreRows(other)
        open_shop(elsewhere, days=NIGHT + 1)
        open_shop(elsewhere, days=10, first=NIGHT + 1, seed=7)
        elsewhere.build(NIGHT)
        with pytest.MonkeyPatch.context() as patch:
            decide_on(patch, 0.1)
            again = train(elsewhere, own, NIGHT)
        publish(elsewhere, own, NIGHT)
        after = tables(elsewhere, NIGHT)

    assert (again.name, again.manifest.metrics) == (promoted.name, promoted.manifest.metrics)
    for name, rows in after.items():
        pd.testing.assert_frame_equal(rows, before[name])


def test_a_challenger_meets_the_champion_on_the_same_days_and_only_the_better_one_scores(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build(NIGHT + 7)
    decide_on(monkeypatch, 0.1, 0.05)
    worse = train(shop, home, NIGHT + 7)
    assert worse.decision == "rejected"
    assert "0.05 against 0 of the baseline and 0.1 of the champion" in worse.reason
    assert {report.model_version for report in publish(shop, home, NIGHT + 7)} == {promoted.name}

    shop.build(NIGHT + 14)
    decide_on(monkeypatch, 0.1, 0.2)
    better = train(shop, home, NIGHT + 14)
    assert better.decision == "promoted"
    assert {report.model_version for report in publish(shop, home, NIGHT + 14)} == {better.name}
    assert promoted in Registry(home, SETTINGS).versions("next_item")

    shop.build(NIGHT + 2)
    assert train(shop, home, NIGHT + 2) == promoted
    assert {report.model_version for report in publish(shop, home, NIGHT + 2)} == {promoted.name}


def test_a_model_that_does_not_beat_its_floors_is_rejected_and_co_visitation_stands_in(
    shop: CoreRows, tmp_path: Path
) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    version = train(shop, own, NIGHT)
    assert version.decision == "rejected"
    reports = publish(shop, own, NIGHT)
    night = tables(shop, NIGHT)
    assert [report.model for report in reports] == ["co_visitation", "purchases", "co_visitation"]
    assert reports[0].fallback and set(night["recommendations"]["fallback"]) == {True}
    assert set(night["recommendations"]["model_version"]) == {version.name}


def test_a_champion_whose_files_newer_code_cannot_read_is_trained_anew(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build(NIGHT)
    for module in (night_steps, recommend_step, recommend_versions):
        monkeypatch.setattr(module, "FORMAT_VERSION", 99)
    assert publish(shop, home, NIGHT)[0].fallback
    decide_on(monkeypatch, -0.1)
    version = train(shop, home, NIGHT)
    assert version != promoted
    assert "champion" not in version.reason


def test_products_out_of_stock_blocked_or_no_longer_sold_are_not_recommended(
    shop: CoreRows, home: Home, promoted: Any
) -> None:
    shop.build(NIGHT)
    shop.warehouse.run("UPDATE feat_items SET stock = 0 WHERE item_id = 'a1'")
    shop.warehouse.run("UPDATE feat_items SET active_to = :night WHERE item_id = 'a2'", {"night": day(NIGHT)})
    shop.warehouse.run(
        "UPDATE feat_items SET last_seen = CAST(:night AS DATE) - 200 WHERE item_id = 'a3'", {"night": day(NIGHT)}
    )
    publish(shop, home, NIGHT, blocked_items=("b1",))
    night = tables(shop, NIGHT)
    assert set(night["recommendations"]["item_id"]) == {"b2", "b3"}
    assert set(night["similar_items"]["item_id"]) == {"b1", "b2", "b3"}


def test_users_who_were_away_for_long_get_no_recommendations(shop: CoreRows, home: Home, promoted: Any) -> None:
    shop.build(NIGHT)
    last_seen = dict(shop.warehouse.rows("SELECT user_id, max(event_date) FROM feat_user_events GROUP BY user_id"))
    publish(shop, home, NIGHT, active_user_days=2)
    served = set(tables(shop, NIGHT)["recommendations"]["user_id"])
    assert served == {user for user, seen in last_seen.items() if seen > day(NIGHT - 2)}
    assert 0 < len(served) < len(last_seen)


def test_a_real_network_is_trained_saved_and_used(shop: CoreRows, tmp_path: Path) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    settings = {"next_item_model": "gru"}
    with pytest.MonkeyPatch.context() as patch:
        decide_on(patch, 0.1)
        patch.setattr(budget, "MAX_EPOCHS", 1)
        version = train(shop, own, NIGHT, **settings)
    assert version.manifest.settings["model"] == "gru"
    report = publish(shop, own, NIGHT, **settings)[0]
    assert (report.model, report.fallback) == ("gru", False)
    assert tables(shop, NIGHT)["recommendations"]["source"].eq("gru").any()


def test_a_training_that_diverges_is_rejected_and_the_floor_stands_in(shop: CoreRows, tmp_path: Path) -> None:
    from ecom_pipeline.recommending import training

    loss = training.sampled_softmax
    own = new_home(tmp_path)
    shop.build(NIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "sampled_softmax", lambda *parts: loss(*parts) * float("nan"))
        version = train(shop, own, NIGHT, next_item_model="gru")
    assert version.decision == "rejected" and not version.usable
    assert "diverged" in version.reason
    reports = publish(shop, own, NIGHT, next_item_model="gru")
    assert reports[0].fallback and reports[0].rows > 0


def test_too_few_events_are_said_and_popular_products_stand_in(shop: CoreRows, tmp_path: Path) -> None:
    own = new_home(tmp_path)
    shop.build(4)
    version = train(shop, own, 4)
    assert not version.usable
    assert "too little history" in version.reason
    reports = publish(shop, own, 4)
    assert reports[0].fallback and reports[0].rows > 0
    assert (reports[1].rows, reports[1].note) == (0, "too few purchases to learn probabilities from")


def test_a_shop_without_known_users_gets_empty_tables_and_a_note(tmp_path: Path) -> None:
    own = new_home(tmp_path)
    with empty_warehouse(tmp_path) as empty:
        shop = CoreRows(empty)
        shop.order(0, "a", 1, user_id=None)
        shop.build(3)
        train(shop, own, 3)
        reports = publish(shop, own, 3)
    assert [report.rows for report in reports] == [0, 0, 0]
    assert all(report.note for report in reports)


def test_features_of_another_night_and_a_missing_training_are_refused(
    shop: CoreRows, home: Home, tmp_path: Path
) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    with pytest.raises(FeatureError, match="feat_items stands for the night"):
        train(shop, home, NIGHT + 1)
    with pytest.raises(RegistryError, match="no next_item was trained at or before"):
        publish(shop, own, NIGHT)
