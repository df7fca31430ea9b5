"""Segments and next steps in the night: what they publish, what they may see, and what happens without a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline import contracts
from ecom_pipeline.contracts.people import PEOPLE_TABLES
from ecom_pipeline.quality import check_model_cutoffs
from ecom_pipeline.recommending import budget
from ecom_pipeline.recommending.segments import Segmentation, find_segments
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home
from ecom_pipeline.steps import recommend_events, segment_traits
from ecom_pipeline.steps import recommend_training as night_steps
from ecom_pipeline.steps import segments as segment_steps
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.steps.next_steps import predict_next_steps
from ecom_pipeline.steps.recommend_training import train_recommender
from ecom_pipeline.steps.segments import segment_users
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse
from ecom_pipeline_tests.steps.model_shop import SETTINGS, new_home, open_shop

NIGHT = 60
USERS = 90
NAMES = tuple(declared.name for declared in PEOPLE_TABLES)
GRU = SETTINGS.model_copy(update={"next_item_model": "gru"})


@pytest.fixture(scope="module", autouse=True)
def chance_counts() -> Iterator[None]:
    """In this shop everything is chance; typical products are told nevertheless, so that there are some to look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_traits, "largest_by_chance", lambda tested: 0.01)
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreRows]:
    with empty_warehouse(tmp_path_factory.mktemp("people")) as opened:
        shop = CoreRows(opened)
        open_shop(shop, days=NIGHT + 5, users=USERS)
        shop.build(NIGHT)
        yield shop


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shop: CoreRows) -> Home:
    """A home whose champion is a network, promoted whatever it is worth."""
    made = new_home(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(night_steps, "gain_over_floors", lambda metrics, held_out: 0.1)
        patch.setattr(budget, "MAX_EPOCHS", 1)
        assert train_recommender(shop.warehouse, home=made, settings=GRU, as_of=day(NIGHT)).decision == "promoted"
    return made


def night(shop: CoreRows, home: Home, n: int) -> dict[str, pd.DataFrame]:
    """What the night of day `n` says of people."""
    shop.build(n)
    segment_users(shop.warehouse, home=home, settings=GRU, as_of=day(n), time_zone="UTC")
    predict_next_steps(shop.warehouse, home=home, settings=GRU, as_of=day(n))
    return rows_of(shop.warehouse, n)


def rows_of(warehouse: Warehouse, n: int) -> dict[str, pd.DataFrame]:
    return {
        name: warehouse.arrow(f"SELECT * FROM {name} WHERE as_of = :night ORDER BY ALL", {"night": day(n)}).to_pandas()
        for name in NAMES
    }


@pytest.fixture(scope="module")
def published(shop: CoreRows, home: Home) -> dict[str, pd.DataFrame]:
    return night(shop, home, NIGHT)


def test_every_active_user_has_a_segment_and_the_segments_add_up(
    shop: CoreRows, home: Home, published: dict[str, pd.DataFrame]
) -> None:
    users, segments, items = (published[name] for name in ("user_segments", "segments", "segment_items"))
    active = {user for (user,) in shop.warehouse.rows("SELECT DISTINCT user_id FROM feat_user_events")}
    assert set(users["user_id"]) == active
    assert users["segment"].value_counts().to_dict() == segments.set_index("segment")["users"].to_dict()
    assert segments["segment"].tolist() == list(range(1, len(segments) + 1))
    assert segments["share"].sum() == pytest.approx(1.0)
    assert segments["description"].str.len().gt(10).all()
    assert set(items["segment"]) <= set(segments["segment"])
    assert len(items) > 0
    assert (items["lift"] > 1).all()
    (version,) = Registry(home, GRU).versions("next_item")
    for rows in published.values():
        assert set(rows["model_version"]) == {version.name}


def test_the_night_again_gives_the_same_rows(shop: CoreRows, home: Home, published: dict[str, pd.DataFrame]) -> None:
    for name, rows in night(shop, home, NIGHT).items():
        pd.testing.assert_frame_equal(rows, published[name])


def test_users_may_be_read_a_few_at_a_time(
    shop: CoreRows, home: Home, published: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommend_events, "EVENTS_A_PART", 40)
    for name, rows in night(shop, home, NIGHT).items():
        pd.testing.assert_frame_equal(rows, published[name])


def test_segments_mean_the_same_in_the_nights_of_a_version(
    shop: CoreRows, home: Home, published: dict[str, pd.DataFrame]
) -> None:
    later = night(shop, home, NIGHT + 1)
    before = published["user_segments"].set_index("user_id")["segment"]
    after = later["user_segments"].set_index("user_id")["segment"]
    shop.build(NIGHT + 1)
    moved = {
        user
        for (user,) in shop.warehouse.rows(
            "SELECT DISTINCT user_id FROM feat_user_events WHERE event_date > :night", {"night": day(NIGHT)}
        )
    }
    stayed = [user for user in before.index if user not in moved]
    assert len(stayed) > 10
    assert before[stayed].equals(after[stayed])
    assert later["segments"]["stability"].tolist() == published["segments"]["stability"].tolist()


def test_centres_are_learnt_from_the_same_drawn_users_in_every_night_of_a_version(
    shop: CoreRows, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt_from = []

    def spy(states: np.ndarray, *, seed: int) -> Segmentation | None:
        learnt_from.append(states)
        return find_segments(states, seed=seed)

    monkeypatch.setattr(segment_steps, "MOST_USERS", USERS - 20)
    monkeypatch.setattr(segment_steps, "find_segments", spy)
    for n in (NIGHT, NIGHT + 1):
        assert len(night(shop, home, n)["user_segments"]) == USERS
    first, later = learnt_from
    assert len(first) == USERS - 20
    np.testing.assert_array_equal(later, first)


def test_what_happens_after_the_night_changes_nothing(
    shop: CoreRows, home: Home, published: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    with empty_warehouse(tmp_path) as other:
        elsewhere = CoreRows(other)
        open_shop(elsewhere, days=NIGHT + 1, users=USERS)
        open_shop(elsewhere, days=5, first=NIGHT + 1, seed=7, users=USERS)
        after = night(elsewhere, home, NIGHT)
    for name, rows in after.items():
        pd.testing.assert_frame_equal(rows, published[name])


def test_no_row_comes_from_a_version_that_saw_later_days(shop: CoreRows, published: dict[str, pd.DataFrame]) -> None:
    for name in NAMES:
        found = check_model_cutoffs(shop.warehouse, contracts.table(name), as_of=day(NIGHT), run_id="r")
        assert not found.failures
    shop.warehouse.run("UPDATE model_versions SET data_cutoff = :later", {"later": day(NIGHT + 1)})
    try:
        for name in NAMES:
            found = check_model_cutoffs(shop.warehouse, contracts.table(name), as_of=day(NIGHT), run_id="r")
            assert found.blocks
    finally:
        shop.warehouse.run("UPDATE model_versions SET data_cutoff = :cutoff", {"cutoff": day(NIGHT)})


def test_next_steps_are_judged_beside_their_floors_in_the_figures_of_the_version(
    shop: CoreRows, home: Home, published: dict[str, pd.DataFrame]
) -> None:
    (version,) = Registry(home, GRU).versions("next_item")
    figures = {(row.dataset, row.metric): row for row in version.manifest.metrics}
    for dataset in ("next step within 7 days", "user buys within 7 days"):
        for metric in ("log_loss", "brier", "brier_skill", "ece"):
            row = figures[dataset, metric]
            assert row.n > 30
            assert row.baseline_value is not None
        fallback = published["next_steps"]["next_fallback" if "next" in dataset else "buys_fallback"]
        row = figures[dataset, "log_loss"]
        assert row.baseline_value is not None
        # what does not beat its floor is the floor
        assert fallback.all() == (row.value >= row.baseline_value)
    kept = shop.warehouse.rows("SELECT count(*) FROM model_metrics WHERE dataset = 'user buys within 7 days'")
    assert kept == [(6,)]


def test_everybody_has_a_next_step_and_the_curves_count_them(published: dict[str, pd.DataFrame]) -> None:
    steps, curves = published["next_steps"], published["next_step_reliability"]
    assert len(steps) == len(published["user_segments"])
    assert (steps["window_days"] == 7).all()
    assert {"nothing", "view", "purchase", "buys"} <= set(curves["outcome"])
    assert curves.groupby("outcome")["users"].sum().nunique() == 1


def test_without_a_champion_there_are_no_segments_and_it_says_why(shop: CoreRows, tmp_path: Path) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    version = train_recommender(shop.warehouse, home=own, settings=SETTINGS, as_of=day(NIGHT))
    assert version.decision == "rejected"
    report = segment_users(shop.warehouse, home=own, settings=SETTINGS, as_of=day(NIGHT), time_zone="UTC")
    assert (report.users, report.note) == (
        0,
        "no model of the next item is in force, so there are no states to group",
    )
    assert all(rows.empty for name, rows in rows_of(shop.warehouse, NIGHT).items() if "segment" in name)
    # next steps do not need the recommender to win
    assert predict_next_steps(shop.warehouse, home=own, settings=SETTINGS, as_of=day(NIGHT)).rows == USERS


def test_a_champion_that_only_counts_has_no_segments(
    shop: CoreRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = new_home(tmp_path)
    shop.build(NIGHT)
    monkeypatch.setattr(night_steps, "gain_over_floors", lambda metrics, held_out: 0.1)
    train_recommender(shop.warehouse, home=own, settings=SETTINGS, as_of=day(NIGHT))
    report = segment_users(shop.warehouse, home=own, settings=SETTINGS, as_of=day(NIGHT), time_zone="UTC")
    assert report.users == 0
    assert "holds no sequence network" in (report.note or "")


def test_too_little_history_has_no_next_steps_and_says_so(shop: CoreRows, tmp_path: Path) -> None:
    own = new_home(tmp_path)
    shop.build(4)
    train_recommender(shop.warehouse, home=own, settings=SETTINGS, as_of=day(4))
    report: Any = predict_next_steps(shop.warehouse, home=own, settings=SETTINGS, as_of=day(4))
    assert report.rows == 0
    assert "has no model of next steps" in report.note


def test_features_of_another_night_are_refused(shop: CoreRows, home: Home) -> None:
    shop.build(NIGHT)
    with pytest.raises(FeatureError, match="stands for the night"):
        segment_users(shop.warehouse, home=home, settings=GRU, as_of=day(NIGHT + 1), time_zone="UTC")
    with pytest.raises(FeatureError, match="stands for the night"):
        predict_next_steps(shop.warehouse, home=home, settings=GRU, as_of=day(NIGHT + 1))
