"""Settings that change a night's lists after ranking, each seen in what is published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ecom_pipeline.settings import Home
from ecom_pipeline.steps import recommend_training
from ecom_pipeline.steps.recommend import recommend
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse
from ecom_pipeline_tests.steps.model_shop import SETTINGS, new_home, open_shop

NIGHT = 60


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("shaping")) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return new_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def shop(warehouse: Warehouse, home: Home) -> CoreRows:
    shop = CoreRows(warehouse)
    open_shop(shop, days=NIGHT + 1)
    shop.build(NIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommend_training, "gain_over_floors", lambda metrics, held_out: 0.1)
        recommend_training.train_recommender(warehouse, home=home, settings=SETTINGS, as_of=day(NIGHT))
    return shop


def lists(shop: CoreRows, home: Home, **settings: Any) -> pd.DataFrame:
    """The night's recommendations under the given settings."""
    chosen = SETTINGS.model_copy(update=settings)
    recommend(shop.warehouse, home=home, settings=chosen, as_of=day(NIGHT))
    return shop.warehouse.arrow(
        "SELECT user_id, rank, item_id FROM recommendations WHERE as_of = :night ORDER BY user_id, rank",
        {"night": day(NIGHT)},
    ).to_pandas()


def test_without_these_settings_the_lists_are_the_model_s(shop: CoreRows, home: Home) -> None:
    plain = lists(shop, home)
    assert plain.groupby("user_id").size().eq(3).all()
    pd.testing.assert_frame_equal(plain, lists(shop, home))


def test_a_category_fills_no_more_of_a_list_than_its_cap(shop: CoreRows, home: Home) -> None:
    def most(rows: pd.DataFrame) -> int:
        return int(rows.assign(category=rows["item_id"].str[0]).groupby(["user_id", "category"]).size().max())

    assert most(lists(shop, home)) == 3
    capped = lists(shop, home, most_per_category=1)
    assert most(capped) == 1
    assert set(capped["rank"]) == {1, 2}


def test_a_boosted_product_rises_and_one_boosted_to_nothing_sinks(shop: CoreRows, home: Home) -> None:
    plain = lists(shop, home)
    item = plain["item_id"].value_counts().index[-1]
    lifted = lists(shop, home, item_boosts={item: 1e6})
    assert (lifted["item_id"] == item).sum() > (plain["item_id"] == item).sum()
    assert lifted.loc[lifted["item_id"] == item, "rank"].eq(1).all()
    assert not (lists(shop, home, item_boosts={item: 0.0})["item_id"] == item).any()


def test_the_penalty_takes_popular_products_back(shop: CoreRows, home: Home) -> None:
    plain, traded = lists(shop, home), lists(shop, home, popularity_penalty=2.0)
    sold = shop.warehouse.arrow("SELECT item_id, count(*) AS events FROM feat_user_events GROUP BY 1").to_pandas()
    events = sold.set_index("item_id")["events"]
    assert traded["item_id"].map(events).mean() < plain["item_id"].map(events).mean()


def test_what_was_bought_lately_is_hidden_for_the_given_days(shop: CoreRows, home: Home) -> None:
    bought = shop.warehouse.arrow(
        "SELECT DISTINCT user_id, item_id FROM feat_user_events WHERE event = 'purchase' AND event_date > :since",
        {"since": day(NIGHT - 5)},
    ).to_pandas()
    pairs = set(zip(bought["user_id"], bought["item_id"], strict=True))

    def shown(rows: pd.DataFrame) -> set[tuple[str, str]]:
        return pairs & set(zip(rows["user_id"], rows["item_id"], strict=True))

    assert shown(lists(shop, home))
    hidden = lists(shop, home, repurchase_days=5)
    assert not shown(hidden)
    assert set(hidden.loc[hidden["rank"] == 1, "user_id"]) == set(hidden["user_id"])


def test_the_interval_can_be_learnt_from_the_shop_s_own_purchases(shop: CoreRows, home: Home) -> None:
    learnt = lists(shop, home, repurchase_days="learnt")
    assert not learnt.equals(lists(shop, home))
    assert learnt["rank"].max() <= 3


def test_what_is_out_of_stock_comes_back_where_the_setting_allows_it(shop: CoreRows, home: Home) -> None:
    item = lists(shop, home)["item_id"].value_counts().index[0]
    shop.warehouse.run("UPDATE feat_items SET stock = 0 WHERE item_id = :item", {"item": item})
    try:
        assert item not in set(lists(shop, home)["item_id"])
        assert item in set(lists(shop, home, only_available_items=False)["item_id"])
    finally:
        shop.warehouse.run("UPDATE feat_items SET stock = NULL WHERE item_id = :item", {"item": item})


def test_settings_files_hold_these_settings_and_refuse_what_makes_no_sense(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings_file.write_text(
        "profile: test\nrepurchase_days: learnt\nitem_boosts: {sku-1: 1.5}\nmost_per_category: 4\n"
    )
    settings = home.settings()
    assert (settings.repurchase_days, settings.item_boosts, settings.most_per_category) == (
        "learnt",
        {"sku-1": 1.5},
        4,
    )
    for line in ("repurchase_days: never", "popularity_penalty: -1", "item_boosts: {sku-1: -2}"):
        home.settings_file.write_text(f"profile: test\n{line}\n")
        with pytest.raises(ValueError, match=line.split(":", maxsplit=1)[0]):
            home.settings()
