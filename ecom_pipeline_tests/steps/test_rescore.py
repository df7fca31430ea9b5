"""Between nights: who gets new recommendations, from which model, and what stays as the night said."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from ecom_pipeline.quality import TableValidation
from ecom_pipeline.settings import Home
from ecom_pipeline.steps import recommend_training, rescore
from ecom_pipeline.steps.recommend import predict_purchases, recommend
from ecom_pipeline.steps.rescore import RescoreError, RescoreReport, rescore_users
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment
from ecom_pipeline_tests.steps.model_shop import SETTINGS, new_home, open_shop

NIGHT = 60


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("rescore")) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return new_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(warehouse: Warehouse, home: Home) -> Any:
    shop = CoreRows(warehouse)
    open_shop(shop, days=NIGHT + 1)
    shop.build(NIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommend_training, "gain_over_floors", lambda metrics, held_out: 0.1)
        return recommend_training.train_recommender(warehouse, home=home, settings=SETTINGS, as_of=day(NIGHT))


@pytest.fixture
def shop(warehouse: Warehouse, home: Home, trained: Any) -> CoreRows:
    """The shop as its night left it."""
    shop = CoreRows(warehouse)
    open_shop(shop, days=NIGHT + 1)
    shop.build(NIGHT)
    for step in (recommend, predict_purchases):
        step(warehouse, home=home, settings=SETTINGS, as_of=day(NIGHT))
    return shop


def again(shop: CoreRows, home: Home, **settings: Any) -> RescoreReport:
    chosen = SETTINGS.model_copy(update=settings)
    return rescore_users(shop.warehouse, home=home, settings=chosen, profile=shop.profile, run_id="between")


def rows_of(shop: CoreRows, table: str, *, but: tuple[str, ...] = ()) -> pd.DataFrame:
    rows = shop.warehouse.arrow(f"SELECT * FROM {table} ORDER BY ALL").to_pandas()
    return rows[~rows["user_id"].isin(but)].reset_index(drop=True)


def do_something(shop: CoreRows, user: str, *items: str) -> None:
    for minute, item in enumerate(items):
        shop.event(NIGHT + 1, item, user_id=user, at=moment(NIGHT + 1, 10, minute))


def test_without_new_events_nothing_is_touched(shop: CoreRows, home: Home) -> None:
    before = rows_of(shop, "recommendations")
    report = again(shop, home)
    assert (report.users, report.rows, report.as_of) == (0, 0, day(NIGHT))
    pd.testing.assert_frame_equal(rows_of(shop, "recommendations"), before)


def test_users_with_new_events_and_nobody_else_get_new_rows_of_the_standing_version(
    shop: CoreRows, home: Home, trained: Any
) -> None:
    others = {name: rows_of(shop, name, but=("u1", "newcomer")) for name in ("recommendations", "purchase_predictions")}
    before = rows_of(shop, "recommendations")
    do_something(shop, "u1", "b1", "b2")
    do_something(shop, "newcomer", "a1", "a2")
    report = again(shop, home)
    assert (report.users, report.rows, report.as_of, report.model_version) == (2, 6, day(NIGHT), trained.name)
    for name, rows in others.items():
        pd.testing.assert_frame_equal(rows_of(shop, name, but=("u1", "newcomer")), rows)
    after = rows_of(shop, "recommendations")
    assert set(after["model_version"]) == {trained.name}
    new = after[after["user_id"] == "newcomer"]
    assert new["rank"].tolist() == [1, 2, 3]
    assert new["reason_item_id"].isin(["a1", "a2"]).any()
    changed = after[after["user_id"] == "u1"].reset_index(drop=True)
    assert not changed.equals(before[before["user_id"] == "u1"].reset_index(drop=True))
    predicted = rows_of(shop, "purchase_predictions")
    assert set(predicted.loc[predicted["user_id"] == "newcomer", "item_id"]) == set(new["item_id"])


def test_the_same_events_are_scored_once_and_later_ones_again(shop: CoreRows, home: Home) -> None:
    do_something(shop, "u2", "b1")
    assert again(shop, home).users == 1
    assert again(shop, home).users == 0
    shop.event(NIGHT + 1, "b3", user_id="u2", at=moment(NIGHT + 1, 18))
    assert again(shop, home).users == 1


def test_what_is_new_counts_from_the_night_again_where_the_night_is_run_again(shop: CoreRows, home: Home) -> None:
    do_something(shop, "u3", "b1", "b2", "b3")
    night = rows_of(shop, "recommendations")
    again(shop, home)
    recommend(shop.warehouse, home=home, settings=SETTINGS, as_of=day(NIGHT))
    pd.testing.assert_frame_equal(rows_of(shop, "recommendations"), night)
    assert again(shop, home).users == 1


def test_late_events_of_past_days_count_as_new(shop: CoreRows, home: Home) -> None:
    shop.event(NIGHT - 3, "a3", user_id="u4")
    assert again(shop, home).users == 1


def test_settings_shape_the_lists_as_in_the_night(shop: CoreRows, home: Home) -> None:
    do_something(shop, "u5", "a1", "b1")
    again(shop, home, blocked_items=("b1", "b2"))
    mine = rows_of(shop, "recommendations").query("user_id == 'u5'")
    assert not set(mine["item_id"]) & {"b1", "b2"}
    assert len(mine) == 3


def test_after_a_past_night_was_run_again_the_lists_are_those_of_the_last_night(shop: CoreRows, home: Home) -> None:
    do_something(shop, "u7", "a1", "b1")
    assert again(shop, home).users == 1
    expected = rows_of(shop, "recommendations")
    shop.warehouse.run("DELETE FROM rescored_users")
    shop.build(NIGHT - 1)
    report = again(shop, home)
    assert (report.as_of, report.users) == (day(NIGHT), 1)
    pd.testing.assert_frame_equal(rows_of(shop, "recommendations"), expected)


def test_a_failed_check_undoes_everything(shop: CoreRows, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows_of(shop, "recommendations")
    do_something(shop, "u6", "a1", "b1")
    real = rescore.check_recommendations

    def too_long(warehouse: Warehouse, **rest: Any) -> TableValidation:
        warehouse.run("UPDATE recommendations SET rank = 9 WHERE user_id = 'u6' AND rank = 1")
        return real(warehouse, **rest)

    monkeypatch.setattr(rescore, "check_recommendations", too_long)
    with pytest.raises(RescoreError, match="ranked"):
        again(shop, home)
    pd.testing.assert_frame_equal(rows_of(shop, "recommendations"), before)
    monkeypatch.undo()
    assert again(shop, home).users == 1


def test_before_the_first_night_there_is_nothing_to_renew(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = new_home(tmp_path_factory.mktemp("own"))
    with empty_warehouse(tmp_path_factory.mktemp("none")) as other:
        profile = CoreRows(other).profile
        report = rescore_users(other, home=own, settings=SETTINGS, profile=profile, run_id="between")
    assert (report.as_of, report.users, report.rows) == (None, 0, 0)
