"""Feature tables on cases that were worked out by hand."""

from collections.abc import Iterator

import pytest

from ecom_pipeline import contracts
from ecom_pipeline.steps.features import (
    FEATURE_INPUTS,
    FEATURE_ORDER,
    FeatureError,
    build_feature,
    require_night,
    with_inputs,
)
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("features")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> CoreRows:
    return CoreRows(warehouse)


def test_every_feature_table_of_the_contracts_is_built() -> None:
    assert set(FEATURE_ORDER) == {declared.name for declared in contracts.tables_of_layer("features")}


def test_the_order_puts_every_table_after_those_that_it_reads() -> None:
    for place, table_name in enumerate(FEATURE_ORDER):
        assert set(FEATURE_INPUTS[table_name]) <= set(FEATURE_ORDER[:place])


def test_tables_come_after_all_that_they_are_made_from() -> None:
    assert with_inputs(["feat_items"]) == ("feat_user_events", "feat_item_clicks", "feat_items")
    assert with_inputs(FEATURE_ORDER) == FEATURE_ORDER
    assert with_inputs([]) == ()


def test_an_empty_shop_has_empty_features(shop: CoreRows) -> None:
    shop.build(0)
    assert all(shop.features(table_name) == [] for table_name in FEATURE_ORDER)


# Sales


def test_days_without_a_sale_are_zero_from_the_first_sale_to_the_night(shop: CoreRows) -> None:
    shop.order(0, "a", 2)
    shop.order(1, "b", 1)
    shop.order(3, "b", 4)
    shop.build(4)
    assert shop.daily("product", "a", "quantity") == [2, 0, 0, 0, 0]
    assert shop.daily("product", "b", "quantity") == [1, 0, 4, 0]
    assert shop.daily("total", "total", "quantity") == [2, 1, 0, 4, 0]
    assert shop.daily("total", "total", "revenue") == [20, 10, 0, 40, 0]
    assert shop.daily("total", "total", "orders") == [1, 1, 0, 1, 0]
    assert shop.daily("product", "b", "average_price") == [10, None, 10, None]


def test_a_product_is_on_sale_from_the_day_that_the_shop_says_to_its_last(shop: CoreRows) -> None:
    shop.product("a", active_from=day(1), active_to=day(4))
    shop.order(0, "b", 1)
    shop.order(3, "a", 1)
    shop.build(6)
    assert shop.daily("product", "a", "date") == [day(1), day(2), day(3), day(4)]


def test_a_sale_after_the_last_day_on_sale_prolongs_the_series(shop: CoreRows) -> None:
    shop.product("a", active_to=day(1))
    shop.order(0, "a", 1)
    shop.order(3, "a", 1)
    shop.build(6)
    assert shop.daily("product", "a", "quantity") == [1, 0, 0, 1]


def test_a_return_counts_on_the_day_that_it_happens(shop: CoreRows) -> None:
    shop.order(0, "a", 5)
    shop.order(2, "a", -2)
    shop.build(2)
    assert shop.daily("product", "a", "quantity") == [5, 0, -2]
    assert shop.daily("product", "a", "revenue") == [50, 0, -20]
    assert shop.daily("product", "a", "orders") == [1, 0, 0]


def test_a_cancelled_order_line_never_was_a_sale(shop: CoreRows) -> None:
    shop.order(0, "a", 3)
    shop.order(1, "a", 80_995, price=2.08)
    shop.order(2, "a", -80_995, price=2.08, status="cancellation")
    shop.build(2)
    assert shop.daily("product", "a", "quantity") == [3, 0, 0]
    assert shop.daily("product", "a", "revenue") == [30, 0, 0]
    assert shop.daily("product", "a", "orders") == [1, 0, 0]


def test_a_cancellation_after_the_night_does_not_change_what_the_night_saw(shop: CoreRows) -> None:
    shop.order(0, "a", 70)
    shop.order(2, "a", -70, status="cancellation")
    shop.build(1)
    assert shop.daily("product", "a", "quantity") == [70, 0]


@pytest.mark.parametrize(
    "cancellation",
    [
        {"user_id": "u2"},
        {"user_id": None},
        {"price": 9.0},
        {"n": 40},
        {"quantity": -6},
        {"status": "return"},
    ],
    ids=["of another user", "of a guest", "at another price", "too late", "of a part of the line", "a return"],
)
def test_what_does_not_cancel_that_very_line_counts_on_its_own_day(
    shop: CoreRows, cancellation: dict[str, object]
) -> None:
    shop.order(0, "a", 7)
    line: dict[str, object] = {"n": 2, "quantity": -7, "status": "cancellation"} | cancellation
    shop.order(item="a", **line)  # type: ignore[arg-type]
    shop.build(40)
    quantities = shop.daily("product", "a", "quantity")
    assert quantities[0] == 7
    assert quantities[line["n"]] == line["quantity"]  # type: ignore[call-overload]


def test_each_cancellation_undoes_one_sale(shop: CoreRows) -> None:
    shop.order(0, "a", 7)
    shop.order(1, "a", 7)
    shop.order(2, "a", -7, status="cancellation")
    shop.order(3, "a", -7, status="cancellation")
    shop.build(3)
    assert shop.daily("product", "a", "quantity") == [7, 0, 0, -7]


def test_guests_count_and_codes_that_are_not_products_do_not(shop: CoreRows) -> None:
    shop.order(0, "a", 1, user_id=None)
    shop.order(0, "POST", 1, is_product=False)
    shop.build(0)
    assert shop.daily("total", "total", "quantity") == [1]
    assert shop.daily("product", "POST", "quantity") == []


def test_an_order_with_two_products_is_one_order_of_the_shop(shop: CoreRows) -> None:
    shop.order(0, "a", 1, order_id="o")
    shop.order(0, "b", 1, order_id="o")
    shop.order(0, "a", 3, order_id="o")
    shop.build(0)
    assert shop.daily("total", "total", "orders") == [1]
    assert shop.daily("product", "a", "orders") == [1]


def test_a_line_without_a_price_counts_in_quantity_and_leaves_revenue_to_the_others(shop: CoreRows) -> None:
    shop.order(0, "a", 2, price=None)
    shop.order(0, "b", 1, price=4.0)
    shop.order(1, "b", 1, price=4.0)
    shop.build(2)
    assert shop.daily("product", "a", "revenue") == [None, None, None]
    assert shop.daily("total", "total", "quantity") == [3, 1, 0]
    assert shop.daily("total", "total", "revenue") == [4, 4, 0]


def test_the_average_price_is_that_of_sales_alone(shop: CoreRows) -> None:
    shop.order(0, "a", 3, price=2.0)
    shop.order(0, "a", 1, price=6.0)
    shop.order(0, "a", -1, price=5.0)
    shop.build(0)
    assert shop.daily("product", "a", "average_price") == [3.0]


def test_categories_are_the_widest_of_the_path(shop: CoreRows) -> None:
    shop.product("a", category_path="Kitchen > Pans")
    shop.product("b", category_path="Kitchen")
    shop.order(0, "a", 2)
    shop.order(0, "b", 3)
    shop.order(0, "c", 4)
    shop.build(0)
    assert shop.daily("category", "Kitchen", "quantity") == [5]
    assert shop.daily("category", "uncategorised", "quantity") == [4]


def test_a_shop_without_categories_has_no_category_series(shop: CoreRows) -> None:
    shop.order(0, "a", 2)
    shop.build(0)
    assert shop.warehouse.rows("SELECT DISTINCT level FROM feat_sales_daily ORDER BY 1") == [("product",), ("total",)]


def test_a_category_goes_on_when_its_products_are_gone(shop: CoreRows) -> None:
    shop.product("a", category_path="Kitchen", active_to=day(0))
    shop.order(0, "a", 2)
    shop.build(2)
    assert shop.daily("category", "Kitchen", "quantity") == [2, 0, 0]
    assert shop.daily("category", "Kitchen", "revenue") == [20, 0, 0]


def test_days_out_of_stock_are_unknown_and_not_zero(shop: CoreRows) -> None:
    shop.product("a", valid_from=day(0), stock=5, category_path="K")
    shop.product("a", valid_from=day(2), stock=0, category_path="K")
    shop.product("a", valid_from=day(4), stock=9, category_path="K")
    shop.product("b", valid_from=day(0), stock=5, category_path="K")
    shop.order(0, "a", 1)
    shop.order(0, "b", 1)
    shop.order(3, "a", 2)
    shop.build(5)
    assert shop.daily("product", "a", "quantity") == [1, 0, None, 2, 0, 0]
    assert shop.daily("product", "a", "revenue") == [10, 0, None, 20, 0, 0]
    assert shop.daily("product", "b", "quantity") == [1, 0, 0, 0, 0, 0]
    assert shop.daily("category", "K", "quantity") == [2, 0, 0, 2, 0, 0]


def test_stock_without_a_date_says_nothing_of_the_past(shop: CoreRows) -> None:
    shop.product("a", stock=0)
    shop.order(0, "a", 1)
    shop.build(1)
    assert shop.daily("product", "a", "quantity") == [1, 0]


def test_views_and_carts_count_for_the_product_its_category_and_the_total(shop: CoreRows) -> None:
    shop.product("a", category_path="K")
    shop.product("never sold", category_path="K")
    shop.order(0, "a", 1)
    shop.event(0, "a", "view", user_id=None)
    shop.event(0, "a", "cart")
    shop.event(1, "never sold", "view")
    shop.build(1)
    assert shop.daily("product", "a", "views") == [1, 0]
    assert shop.daily("product", "a", "carts") == [1, 0]
    assert shop.daily("category", "K", "views") == [1, 1]
    assert shop.daily("total", "total", "views") == [1, 1]


def test_without_orders_the_purchases_of_the_browse_feed_are_the_sales(shop: CoreRows) -> None:
    shop.event(0, "a", "purchase")
    shop.event(1, "a", "purchase", quantity=3, price=2.0)
    shop.event(1, "a", "purchase", quantity=1, price=2.0, session_id="s")
    shop.event(1, "a", "return", quantity=1, price=2.0)
    shop.build(1)
    assert shop.daily("product", "a", "quantity") == [1, 3]
    assert shop.daily("product", "a", "revenue") == [None, 6]
    assert shop.daily("total", "total", "orders") == [1, 2]


def test_purchases_that_a_browse_log_repeats_beside_the_orders_count_once(shop: CoreRows) -> None:
    shop.order(0, "a", 2)
    shop.event(0, "a", "view", at=moment(0, 11))
    shop.event(0, "a", "purchase", quantity=2)
    shop.build(0)
    assert shop.daily("total", "total", "quantity") == [2]
    assert [row[3] for row in shop.features("feat_user_events")] == ["view", "purchase"]


# Promotions and calendar


def test_promotions_of_a_product_and_of_a_category_mark_their_days(shop: CoreRows) -> None:
    shop.product("a", category_path="Kitchen > Pans")
    shop.product("b", category_path="Kitchen > Pots")
    shop.product("c", category_path="Kitchenware")
    for item in "abc":
        shop.order(0, item, 1)
    shop.promotion(1, 1, item_id="a", depth=0.2)
    shop.promotion(1, 2, category="Kitchen", depth=0.1)
    shop.promotion(2, 2, category="Kitchen > Pots", kind="ad")
    shop.promotion(4, 9, item_id="c", depth=0.5)
    shop.build(3, horizon_days=3)
    assert shop.daily("product", "a", "on_promotion") == [False, True, True, False]
    assert shop.daily("product", "a", "promotion_depth") == [0, 0.2, 0.1, 0]
    assert shop.daily("product", "c", "on_promotion") == [False, False, False, False]
    assert shop.daily("category", "Kitchen", "promotion_share") == [0, 1, 1, 0]
    assert shop.daily("category", "Kitchen", "promotion_depth") == pytest.approx([0, 0.15, 0.1, 0])
    assert shop.daily("total", "total", "promotion_share") == pytest.approx([0, 2 / 3, 2 / 3, 0], abs=1e-6)
    future = shop.warehouse.rows(
        "SELECT date, on_promotion, promotion_depth FROM feat_sales_future WHERE series_id = 'c' ORDER BY date"
    )
    assert future == [(day(4), True, 0.5), (day(5), True, 0.5), (day(6), True, 0.5)]


@pytest.mark.parametrize(("night", "known"), [(2, False), (3, True)])
def test_a_night_plans_with_the_promotions_that_were_announced_by_then(shop: CoreRows, night: int, known: bool) -> None:
    shop.order(0, "a", 1)
    shop.promotion(5, 5, item_id="a", announced_on=day(3))
    shop.build(night, horizon_days=4)
    promoted = shop.warehouse.rows(
        "SELECT on_promotion FROM feat_sales_future WHERE series_id = 'a' AND date = :date", {"date": day(5)}
    )
    assert promoted == [(known,)]


def test_a_promotion_without_a_discount_has_depth_zero(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.promotion(0, 0, item_id="a", kind="feature")
    shop.build(0)
    assert shop.daily("product", "a", "on_promotion") == [True]
    assert shop.daily("product", "a", "promotion_depth") == [0]


def test_wildcards_in_a_category_name_mean_themselves(shop: CoreRows) -> None:
    shop.product("a", category_path="100% cotton > Shirts")
    shop.product("b", category_path="100 other > Shirts")
    shop.order(0, "a", 1)
    shop.order(0, "b", 1)
    shop.promotion(0, 0, category="100% cotton", depth=0.1)
    shop.build(0)
    assert shop.daily("product", "a", "on_promotion") == [True]
    assert shop.daily("product", "b", "on_promotion") == [False]


def test_the_future_holds_what_sold_lately_and_is_still_on_sale(shop: CoreRows) -> None:
    shop.product("gone", active_to=day(39))
    for item in ("gone", "stale", "fresh"):
        shop.order(0, item, 1)
    shop.order(38, "gone", 1)
    shop.order(38, "fresh", 1)
    shop.build(40, forecast_active_days=20, horizon_days=2)
    series = shop.warehouse.rows("SELECT level, series_id, count(*) FROM feat_sales_future GROUP BY ALL ORDER BY ALL")
    assert series == [("product", "fresh", 2), ("total", "total", 2)]


def test_a_weekday_on_which_the_shop_never_trades_is_closed(shop: CoreRows) -> None:
    for n in range(60):
        if n % 7 != 5:
            shop.order(n, "a", 1)
    shop.build(59, horizon_days=7)
    closed = shop.daily("total", "total", "is_closed")
    assert [n for n, is_closed in enumerate(closed) if is_closed] == [n for n in range(60) if n % 7 == 5]
    future = shop.warehouse.rows("SELECT date FROM feat_sales_future WHERE is_closed AND level = 'total'")
    assert future == [(day(61),)]


# Sequences


def test_positions_follow_time_and_then_feed_file_and_line(shop: CoreRows) -> None:
    shop.event(0, "late", at=moment(0, 13))
    shop.event(0, "line 2", at=moment(0, 12))
    shop.event(0, "line 3", at=moment(0, 12))
    shop.order(0, "bought", 1, at=moment(0, 12))
    shop.event(0, "file 0", at=moment(0, 12), file_id=0)
    shop.build(0)
    assert [row[2] for row in shop.features("feat_user_events")] == ["file 0", "line 2", "line 3", "bought", "late"]
    assert [row[1] for row in shop.features("feat_user_events")] == [1, 2, 3, 4, 5]


def test_guests_and_searches_make_no_sequence(shop: CoreRows) -> None:
    shop.event(0, "a", user_id=None)
    shop.event(0, None, "search")
    shop.order(0, "POST", 1, is_product=False)
    shop.build(0)
    assert shop.features("feat_user_events") == []


def test_a_gap_longer_than_the_setting_starts_a_session(shop: CoreRows) -> None:
    shop.event(0, "a", at=moment(0, 10, 0))
    shop.event(0, "b", at=moment(0, 10, 30))
    shop.event(0, "c", at=moment(0, 11, 1))
    shop.event(0, "other user", at=moment(0, 11, 2), user_id="u2")
    shop.build(0)
    numbers = [(row[0], row[2], row[6]) for row in shop.features("feat_user_events")]
    assert numbers == [("u1", "a", 1), ("u1", "b", 1), ("u1", "c", 2), ("u2", "other user", 1)]
    shop.build(0, session_gap_minutes=31)
    assert [row[6] for row in shop.features("feat_user_events")] == [1, 1, 1, 1]


def test_the_feeds_own_session_counts_where_it_is_known(shop: CoreRows) -> None:
    shop.event(0, "a", at=moment(0, 10), session_id="s1")
    shop.event(0, "b", at=moment(0, 12), session_id="s1")
    shop.event(0, "c", at=moment(0, 12, 1), session_id="s2")
    shop.order(0, "c", 1, at=moment(0, 12, 2))
    shop.build(0)
    assert [row[6] for row in shop.features("feat_user_events")] == [1, 1, 2, 2]


def test_a_session_says_how_it_went(shop: CoreRows) -> None:
    shop.event(0, "a", at=moment(0, 23, 50), channel="app")
    shop.event(0, "a", "cart", at=moment(0, 23, 55))
    shop.event(1, "b", at=moment(1, 0, 10))
    shop.order(1, "a", 2, price=3.5, at=moment(1, 0, 15))
    shop.build(1)
    (session,) = shop.features("feat_sessions")
    names = contracts.table("feat_sessions").column_names
    assert dict(zip(names, session, strict=True)) == {
        "user_id": "u1",
        "session_number": 1,
        "started_at": moment(0, 23, 50),
        "ended_at": moment(1, 0, 15),
        "session_date": day(0),
        "minutes": 25.0,
        "events": 4,
        "items": 2,
        "views": 2,
        "carts": 1,
        "purchases": 1,
        "converted": True,
        "value": 7.0,
        "entry_item_id": "a",
        "exit_item_id": "a",
        "channel": "app",
    }


def test_a_session_may_last_days(shop: CoreRows) -> None:
    shop.event(0, "a", at=moment(0, 10), session_id="s")
    shop.event(2, "b", at=moment(2, 12, 30), session_id="s")
    shop.build(2)
    assert shop.features("feat_sessions")[0][5] == 2 * 1440 + 150


# Items


def test_an_item_is_what_the_latest_state_of_the_night_says(shop: CoreRows) -> None:
    shop.product("a", name="always", price=1.0)
    shop.product("a", name="then", price=2.0, valid_from=day(1))
    shop.product("a", name="later", price=3.0, valid_from=day(5))
    shop.product("planned", active_from=day(9))
    shop.order(0, "a", 1, item_name="on the order")
    shop.build(2)
    (item,) = shop.features("feat_items")
    assert (item[1], item[5]) == ("then", 2.0)


def test_items_that_the_products_feed_leaves_out_are_known_from_their_orders(shop: CoreRows) -> None:
    shop.order(0, "a", 1, price=3.0, item_name="old name")
    shop.order(2, "a", 1, price=4.0, item_name="new name")
    shop.order(3, "a", -1, price=9.0)
    shop.event(4, "a")
    shop.build(5)
    names = contracts.table("feat_items").column_names
    item = dict(zip(names, shop.features("feat_items")[0], strict=True))
    assert item["name"] == "new name"
    assert item["price"] == 4.0
    assert (item["active_from"], item["first_seen"], item["last_seen"], item["last_sold"]) == (
        day(0),
        day(0),
        day(4),
        day(2),
    )
    assert item["category"] is None


# Nights


def test_a_feature_says_for_which_night_it_stands(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.build(1)
    nights = shop.warehouse.rows("SELECT table_name, as_of FROM feature_nights ORDER BY 1")
    assert nights == sorted((table_name, day(1)) for table_name in FEATURE_ORDER)
    require_night(shop.warehouse, "feat_items", as_of=day(1))
    with pytest.raises(
        FeatureError, match=r"feat_items stands for the night of 2026-01-06, not for that of 2026-01-07"
    ):
        require_night(shop.warehouse, "feat_items", as_of=day(2))


def test_a_feature_refuses_to_mix_nights(shop: CoreRows) -> None:
    shop.build(1)
    with pytest.raises(FeatureError, match="feat_user_events stands for the night"):
        build_feature(shop.warehouse, "feat_sessions", profile=shop.profile, settings=shop.settings, as_of=day(2))


def test_a_failed_build_leaves_the_table_as_it_was(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.build(0)
    before = shop.features("feat_sales_daily")
    shop.profile.shop.country = "XX"
    with pytest.raises(ValueError, match="no public holidays are known for 'XX'"):
        shop.build(1)
    assert shop.features("feat_sales_daily") == before
    assert shop.warehouse.rows("SELECT as_of FROM feature_nights WHERE table_name = 'feat_sales_daily'") == [(day(0),)]
