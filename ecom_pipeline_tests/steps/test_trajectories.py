"""Trajectory tables on cases that were worked out by hand."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from ecom_pipeline import contracts
from ecom_pipeline.contracts.trajectories import RFM_SEGMENTS, TRAJECTORY_TABLES
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.steps.trajectories import TRAJECTORY_INPUTS, TRAJECTORY_ORDER, TrajectoryError, build_trajectory
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment


class TrajectoryShop(CoreRows):
    """Builds the features and the trajectory tables of a night."""

    def trajectories(self, n: int, **settings: Any) -> None:
        self.build(n, **settings)
        chosen = self.settings.model_copy(update=settings)
        for table_name in TRAJECTORY_ORDER:
            build_trajectory(self.warehouse, table_name, profile=self.profile, settings=chosen, as_of=day(n))

    def visit(self, n: int, *events: str, user: str = "u1", hour: int = 12, **more: Any) -> None:
        """A session of one event a minute, each written as 'event' or 'event item'."""
        for minute, text in enumerate(events):
            event, _, item = text.partition(" ")
            self.event(n, item or "a", event, user_id=user, at=moment(n, hour, minute), **more)

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(sql)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("trajectories")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> TrajectoryShop:
    for declared in TRAJECTORY_TABLES:
        warehouse.run(f"DELETE FROM {declared.name}")
    return TrajectoryShop(warehouse)


def test_every_trajectory_table_of_the_contracts_is_built_after_those_that_it_reads() -> None:
    assert set(TRAJECTORY_ORDER) == {declared.name for declared in TRAJECTORY_TABLES}
    for place, table_name in enumerate(TRAJECTORY_ORDER):
        for needed in TRAJECTORY_INPUTS[table_name]:
            assert needed in TRAJECTORY_ORDER[:place] or contracts.table(needed).layer == "features"


def test_every_trajectory_table_is_published() -> None:
    assert all(declared.published_as == declared.name for declared in TRAJECTORY_TABLES)


def test_an_empty_shop_has_empty_trajectories(shop: TrajectoryShop) -> None:
    shop.trajectories(0)
    assert all(shop.features(table_name) == [] for table_name in TRAJECTORY_ORDER)


def test_features_of_another_night_are_refused(shop: TrajectoryShop) -> None:
    shop.build(0)
    with pytest.raises(FeatureError, match=r"stands for the night of 2026-01-05, not for that of 2026-01-06"):
        build_trajectory(shop.warehouse, "funnel_daily", profile=shop.profile, settings=shop.settings, as_of=day(1))


def test_a_table_that_is_none_of_them_is_refused(shop: TrajectoryShop) -> None:
    with pytest.raises(TrajectoryError, match="feat_items: no such trajectory table; there are funnel_daily"):
        build_trajectory(shop.warehouse, "feat_items", profile=shop.profile, settings=shop.settings, as_of=day(0))


# Funnel

SESSIONS = """
SELECT sessions, sessions_with_view, sessions_with_cart, sessions_with_purchase, sessions_view_then_cart,
       sessions_view_then_purchase
FROM funnel_daily
"""
USERS = """
SELECT users, users_with_view, users_with_cart, users_with_purchase, users_view_then_cart, users_view_then_purchase
FROM funnel_daily
"""


def test_the_funnel_counts_sessions_by_how_far_they_came(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "cart", "purchase", user="buys")
    shop.visit(0, "view", "cart", user="leaves the cart")
    shop.visit(0, "view", "view", user="looks")
    shop.visit(0, "favourite", user="likes")
    shop.trajectories(0)
    assert shop.select(SESSIONS) == [(4, 3, 2, 1, 2, 1)]
    assert shop.select(USERS) == [(4, 3, 2, 1, 2, 1)]


def test_a_purchase_before_the_view_is_not_its_result(shop: TrajectoryShop) -> None:
    shop.visit(0, "cart", "purchase", "view")
    shop.trajectories(0)
    assert shop.select(SESSIONS) == [(1, 1, 1, 1, 0, 0)]
    assert shop.select(USERS) == [(1, 1, 1, 1, 0, 0)]


def test_a_view_counts_as_converted_up_to_the_last_day_of_the_window(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", user="in time")
    shop.visit(2, "purchase", user="in time")
    shop.visit(0, "view", user="too late")
    shop.visit(3, "purchase", user="too late")
    shop.trajectories(9, conversion_window_days=2)
    assert shop.select(f"{USERS} WHERE date = DATE '{day(0)}'") == [(2, 2, 0, 0, 0, 1)]
    assert shop.select(f"{SESSIONS} WHERE date = DATE '{day(0)}'") == [(2, 2, 0, 0, 0, 0)]


def test_a_user_who_buys_on_two_later_days_is_counted_once(shop: TrajectoryShop) -> None:
    shop.visit(0, "view")
    shop.visit(1, "purchase")
    shop.visit(2, "purchase", "purchase")
    shop.trajectories(9)
    assert shop.select(f"{USERS} WHERE date = DATE '{day(0)}'") == [(1, 1, 0, 0, 0, 1)]


def test_two_sessions_of_a_day_are_one_user(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", hour=9)
    shop.visit(0, "view", "purchase", hour=18)
    shop.trajectories(0)
    assert shop.select(SESSIONS) == [(2, 2, 0, 1, 0, 1)]
    assert shop.select(USERS) == [(1, 1, 0, 1, 0, 1)]


def test_the_window_is_over_once_its_last_day_is_known(shop: TrajectoryShop) -> None:
    shop.visit(0, "view")
    shop.visit(1, "view")
    shop.trajectories(7, conversion_window_days=7)
    assert shop.select("SELECT date, window_days, window_over FROM funnel_daily ORDER BY date") == [
        (day(0), 7, True),
        (day(1), 7, False),
    ]


def test_categories_have_funnels_of_their_own(shop: TrajectoryShop) -> None:
    shop.product("a", category_path="tea > green")
    shop.product("b", category_path="coffee")
    shop.visit(0, "view a", "view b", "purchase b")
    shop.visit(1, "purchase a")
    shop.trajectories(1)
    rows = shop.select(
        "SELECT level, series_id, sessions, sessions_view_then_purchase, users_view_then_purchase "
        f"FROM funnel_daily WHERE date = DATE '{day(0)}' ORDER BY level, series_id"
    )
    assert rows == [("category", "coffee", 1, 1, 1), ("category", "tea", 1, 0, 1), ("total", "total", 1, 1, 1)]


def test_users_are_new_on_their_first_day_and_channels_are_those_of_the_session(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", channel="app")
    shop.visit(1, "view", channel="web")
    shop.visit(1, "view", user="u2")
    shop.trajectories(1)
    rows = shop.select("SELECT date, channel, user_type, sessions, users FROM funnel_daily ORDER BY date, channel")
    assert rows == [
        (day(0), "app", "new", 1, 1),
        (day(1), "unknown", "new", 1, 1),
        (day(1), "web", "returning", 1, 1),
    ]


def test_a_return_is_no_visit_and_no_step(shop: TrajectoryShop) -> None:
    shop.visit(0, "return")
    shop.visit(1, "view", "return", "purchase")
    shop.trajectories(1)
    assert shop.select(f"{SESSIONS} WHERE user_type = 'new'") == [(1, 1, 0, 1, 0, 1)]
    assert shop.select("SELECT path, sessions FROM path_sequences") == [("view > purchase", 1)]
    assert shop.select("SELECT count(*) FROM path_transitions WHERE 'return' IN (from_state, to_state)") == [(0,)]
    assert shop.select("SELECT DISTINCT users, active_users FROM cohort_retention WHERE basis = 'event'") == [(1, 1)]


# Paths


def test_transitions_count_what_follows_what_with_the_start_and_the_end(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "view", "purchase")
    shop.visit(0, "view", user="u2")
    shop.trajectories(0)
    rows = shop.select(
        "SELECT from_state, to_state, transitions, probability, lift FROM path_transitions "
        "ORDER BY from_state, to_state"
    )
    # Six steps: two to (end), one to purchase, three to view.
    assert rows == [
        ("(start)", "view", 2, 1.0, 2.0),
        ("purchase", "(end)", 1, 1.0, 3.0),
        ("view", "(end)", 1, 0.333333, 1.0),
        ("view", "purchase", 1, 0.333333, 2.0),
        ("view", "view", 1, 0.333333, 0.6667),
    ]


def test_transitions_between_categories_are_those_of_consecutive_events(shop: TrajectoryShop) -> None:
    shop.product("a", category_path="tea")
    shop.product("b", category_path="coffee")
    shop.visit(0, "view a", "view b", "view b")
    shop.trajectories(0)
    rows = shop.select(
        "SELECT from_state, to_state, transitions, probability FROM path_transitions WHERE kind = 'category' "
        "ORDER BY from_state, to_state"
    )
    assert rows == [
        ("(start)", "tea", 1, 1.0),
        ("coffee", "(end)", 1, 0.5),
        ("coffee", "coffee", 1, 0.5),
        ("tea", "coffee", 1, 1.0),
    ]


def test_paths_are_about_the_sessions_of_the_period(shop: TrajectoryShop) -> None:
    shop.visit(0, "favourite")
    shop.visit(1, "view")
    shop.trajectories(3, trajectory_days=3)
    assert shop.select("SELECT path, sessions, period_days FROM path_sequences") == [("view", 1, 3)]
    assert shop.select("SELECT DISTINCT to_state FROM path_transitions ORDER BY 1") == [("(end)",), ("view",)]


def test_only_the_most_frequent_are_kept_and_probabilities_do_not_change_by_it(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", user="u1")
    shop.visit(0, "view", user="u2")
    shop.visit(0, "favourite", user="u3")
    shop.trajectories(0, paths_kept=1)
    assert shop.select("SELECT from_state, to_state, probability FROM path_transitions") == [
        ("(start)", "view", 0.666667)
    ]
    assert shop.select("SELECT path, share FROM path_sequences") == [("view", 0.666667)]


def test_a_path_to_purchase_ends_at_the_first_purchase_and_counts_a_run_once(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "view", "cart", "view", "purchase", "view", "purchase")
    shop.trajectories(0)
    rows = shop.select("SELECT kind, outcome, rank, path, steps, sessions, users, share FROM path_sequences")
    assert rows == [("event", "purchase", 1, "view > cart > view > purchase", 4, 1, 1, 1.0)]


def test_paths_of_sessions_without_a_purchase_lead_to_leaving(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "cart", user="u1", hour=9)
    shop.visit(0, "view", "cart", user="u1", hour=15)
    shop.visit(0, "view", user="u2")
    shop.trajectories(0)
    rows = shop.select("SELECT outcome, rank, path, sessions, users, share FROM path_sequences ORDER BY rank")
    assert rows == [("leave", 1, "view > cart", 2, 1, 0.666667), ("leave", 2, "view", 1, 1, 0.333333)]


def test_of_a_long_path_the_last_six_steps_are_told(shop: TrajectoryShop) -> None:
    shop.visit(0, "cart", "view", "favourite", "view", "cart", "view", "purchase")
    shop.visit(0, "view", "favourite", "view", "cart", "view", "purchase", user="u2")
    shop.trajectories(0)
    told = "view > favourite > view > cart > view > purchase"
    assert shop.select("SELECT path, steps FROM path_sequences ORDER BY path") == [(told, 6), (f"… > {told}", 6)]


def test_category_paths_name_the_categories_passed_through(shop: TrajectoryShop) -> None:
    shop.product("a", category_path="tea > green")
    shop.product("b", category_path="tea > black")
    shop.product("c", category_path="coffee")
    shop.visit(0, "view a", "view b", "view c", "purchase b")
    shop.trajectories(0)
    rows = shop.select("SELECT outcome, path, steps FROM path_sequences WHERE kind = 'category'")
    assert rows == [("purchase", "tea > coffee > tea", 3)]


# Time to convert


def conversions(shop: TrajectoryShop, measure: str) -> dict[str, int]:
    rows = shop.select(
        "SELECT label, conversions FROM time_to_convert "
        f"WHERE measure = '{measure}' AND level = 'total' AND conversions > 0"
    )
    return {row[0]: row[1] for row in rows}


def test_the_time_to_convert_is_from_the_first_view_to_the_first_purchase_after_it(shop: TrajectoryShop) -> None:
    shop.visit(0, "purchase", "view", hour=9)
    shop.visit(0, "view", hour=12)
    shop.visit(5, "view")
    shop.visit(7, "purchase")
    shop.visit(9, "purchase")
    shop.trajectories(9)
    assert conversions(shop, "product") == {"4 to 7 days": 1}
    assert conversions(shop, "user") == {"4 to 7 days": 1}


def test_times_to_convert_fall_into_buckets_of_sessions_and_days(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "purchase", user="same session")
    shop.visit(0, "view", user="same day", hour=9)
    shop.visit(0, "purchase", user="same day", hour=20)
    for days in (1, 2, 3, 4, 7, 8, 14, 15, 30, 31, 90, 91):
        shop.visit(0, "view", user=f"after {days}")
        shop.visit(days, "purchase", user=f"after {days}")
    shop.trajectories(91, trajectory_days=100)
    rows = shop.select(
        "SELECT bucket, label, from_days, to_days, conversions FROM time_to_convert "
        "WHERE measure = 'product' AND level = 'total' ORDER BY bucket"
    )
    assert rows == [
        (1, "same session", 0, None, 1),
        (2, "same day, later session", 0, 0, 1),
        (3, "next day", 1, 1, 1),
        (4, "2 to 3 days", 2, 3, 2),
        (5, "4 to 7 days", 4, 7, 2),
        (6, "8 to 14 days", 8, 14, 2),
        (7, "15 to 30 days", 15, 30, 2),
        (8, "31 to 90 days", 31, 90, 2),
        (9, "over 90 days", 91, None, 1),
    ]
    last = shop.select(
        "SELECT share, cumulative_share FROM time_to_convert WHERE measure = 'product' AND bucket IN (4, 9) "
        "ORDER BY bucket"
    )
    assert last == [(0.142857, 0.357143), (0.071429, 1.0)]


def test_a_user_converts_by_any_product_and_a_product_only_by_itself(shop: TrajectoryShop) -> None:
    shop.visit(0, "view a")
    shop.visit(1, "purchase b")
    shop.trajectories(1)
    assert conversions(shop, "user") == {"next day": 1}
    assert conversions(shop, "product") == {}


def test_only_purchases_of_the_period_are_timed_with_their_categories(shop: TrajectoryShop) -> None:
    shop.product("a", category_path="tea")
    shop.visit(0, "view a", user="early")
    shop.visit(1, "purchase a", user="early")
    shop.visit(0, "view a", user="late")
    shop.visit(2, "purchase a", user="late")
    shop.trajectories(3, trajectory_days=2)
    rows = shop.select(
        "SELECT measure, series_id, label, conversions FROM time_to_convert WHERE conversions > 0 ORDER BY ALL"
    )
    assert rows == [
        ("product", "tea", "2 to 3 days", 1),
        ("product", "total", "2 to 3 days", 1),
        ("user", "total", "2 to 3 days", 1),
    ]


# Cohorts


def test_cohorts_are_followed_from_their_first_event_or_purchase(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", user="u1")  # Monday 5 January 2026
    shop.visit(6, "view", user="u2")  # Sunday of the same week
    shop.event(7, "a", "purchase", user_id="u2", price=10.0, quantity=2.0)
    shop.event(15, "a", "purchase", user_id="u2", price=5.0)
    shop.trajectories(15)
    rows = shop.select(
        "SELECT basis, cohort, period, users, active_users, retention, value, period_over FROM cohort_retention "
        "WHERE grain = 'week' ORDER BY basis, cohort, period"
    )
    assert rows == [
        ("event", day(0), 0, 2, 2, 1.0, None, True),
        ("event", day(0), 1, 2, 1, 0.5, 20.0, True),
        ("event", day(0), 2, 2, 1, 0.5, 5.0, False),
        ("purchase", day(7), 0, 1, 1, 1.0, 20.0, True),
        ("purchase", day(7), 1, 1, 1, 1.0, 5.0, False),
    ]


def test_months_are_counted_across_the_year_and_a_cohort_that_stays_away_has_zeros(shop: TrajectoryShop) -> None:
    shop.event(-20, "a", "purchase", user_id="u1", price=10.0)  # 16 December 2025
    shop.event(40, "a", "purchase", user_id="u2", price=30.0)  # 14 February 2026
    shop.trajectories(54)  # 28 February 2026
    rows = shop.select(
        "SELECT cohort, period, active_users, retention, value, period_over FROM cohort_retention "
        "WHERE grain = 'month' AND basis = 'purchase' ORDER BY cohort, period"
    )
    assert rows == [
        (date(2025, 12, 1), 0, 1, 1.0, 10.0, True),
        (date(2025, 12, 1), 2, 0, 0.0, 0.0, True),
        (date(2026, 2, 1), 0, 1, 1.0, 30.0, True),
    ]


# RFM


def buy(shop: TrajectoryShop, user: str, *days: int, price: float | None = 10.0) -> None:
    for n in days:
        shop.event(n, "a", "purchase", user_id=user, price=price)


def test_recency_frequency_and_value_are_those_of_the_purchases_net_of_returns(shop: TrajectoryShop) -> None:
    shop.event(0, "a", "purchase", price=10.0, quantity=3.0)
    shop.event(0, "b", "purchase", price=1.0)
    shop.event(4, "a", "purchase", price=8.0)
    shop.event(6, "a", "return", price=10.0, quantity=2.0)
    shop.visit(9, "view")
    shop.visit(9, "view", "cart", user="never bought")
    shop.event(9, "a", "return", user_id="bought before the data begins", price=10.0)
    shop.trajectories(10)
    rows = shop.select(
        "SELECT user_id, first_purchase, last_purchase, recency_days, frequency, units, monetary FROM user_rfm"
    )
    assert rows == [("u1", day(0), day(4), 6, 2, 3.0, 19.0)]


def test_scores_are_fifths_of_the_buyers_and_equal_figures_score_alike(shop: TrajectoryShop) -> None:
    for n in range(10):
        buy(shop, f"u{n}", n, price=10.0 + n)
    buy(shop, "u9", 3, 4)
    shop.trajectories(9)
    rows = shop.select("SELECT user_id, recency_score, frequency_score, monetary_score FROM user_rfm ORDER BY user_id")
    assert rows == [(f"u{n}", n // 2 + 1, 5 if n == 9 else 1, n // 2 + 1) for n in range(10)]


def test_without_prices_there_is_no_monetary_score(shop: TrajectoryShop) -> None:
    buy(shop, "u1", 0, price=None)
    shop.trajectories(3)
    rows = shop.select("SELECT recency_days, monetary, monetary_score, recency_score, segment FROM user_rfm")
    assert rows == [(3, None, None, 5, "new customers")]
    assert shop.select("SELECT users, monetary, monetary_share FROM rfm_segment_sizes WHERE users > 0") == [
        (1, None, None)
    ]


def test_segments_follow_from_recency_and_frequency(shop: TrajectoryShop) -> None:
    # 25 buyers, one for each pair of scores: five last days, and one to five days of purchases.
    for recency in range(5):
        for frequency in range(5):
            buy(shop, f"r{recency + 1} f{frequency + 1}", *(10 * recency + 60 - n for n in range(frequency + 1)))
    shop.trajectories(100)
    rows = shop.select("SELECT user_id, recency_score, frequency_score, segment FROM user_rfm ORDER BY user_id")
    assert all(user == f"r{recency} f{frequency}" for user, recency, frequency, _ in rows)
    segments = {user: segment for user, _, _, segment in rows}
    expected = {
        "r1": ["hibernating", "hibernating", "at risk", "at risk", "cannot lose them"],
        "r2": ["hibernating", "hibernating", "at risk", "at risk", "cannot lose them"],
        "r3": ["about to sleep", "about to sleep", "need attention", "loyal", "loyal"],
        "r4": ["promising", "potential loyalists", "potential loyalists", "loyal", "loyal"],
        "r5": ["new customers", "potential loyalists", "potential loyalists", "champions", "champions"],
    }
    assert segments == {f"{r} f{f + 1}": name for r, names in expected.items() for f, name in enumerate(names)}


def test_the_sizes_of_all_segments_are_kept_night_by_night(shop: TrajectoryShop) -> None:
    buy(shop, "u1", 0)
    shop.trajectories(0)
    buy(shop, "u2", 1, price=30.0)
    shop.trajectories(1)
    rows = shop.select(
        "SELECT as_of, segment, users, share, monetary, monetary_share, mean_recency_days, mean_frequency "
        "FROM rfm_segment_sizes WHERE users > 0 ORDER BY as_of, segment"
    )
    assert rows == [
        (day(0), "new customers", 1, 1.0, 10.0, 1.0, 0.0, 1.0),
        (day(1), "about to sleep", 1, 0.5, 10.0, 0.25, 1.0, 1.0),
        (day(1), "new customers", 1, 0.5, 30.0, 0.75, 0.0, 1.0),
    ]
    assert shop.select(
        "SELECT as_of, count(DISTINCT segment) FROM rfm_segment_sizes GROUP BY as_of ORDER BY as_of"
    ) == [
        (day(0), len(RFM_SEGMENTS)),
        (day(1), len(RFM_SEGMENTS)),
    ]


# Nights


def ordinary_days(shop: TrajectoryShop) -> None:
    shop.product("a", category_path="tea")
    shop.product("b", category_path="coffee")
    for n in range(0, 20, 2):
        shop.visit(n, "view a", "view b", "cart b", user=f"u{n % 6}", channel="app")
        shop.visit(n + 1, "view b", "purchase b", user=f"u{n % 4}", price=5.0)


def test_what_comes_after_the_night_changes_nothing(shop: TrajectoryShop) -> None:
    ordinary_days(shop)
    shop.trajectories(19)
    before = {table_name: shop.features(table_name) for table_name in TRAJECTORY_ORDER}
    assert all(before.values())
    shop.visit(20, "view a", "cart a", "purchase a", user="u0", price=99.0)
    shop.visit(21, "purchase b", user="somebody new", price=99.0)
    shop.product("a", category_path="other", valid_from=day(20))
    shop.trajectories(19)
    assert {table_name: shop.features(table_name) for table_name in TRAJECTORY_ORDER} == before


def test_the_same_night_twice_gives_the_same_rows_once(shop: TrajectoryShop) -> None:
    ordinary_days(shop)
    shop.trajectories(19)
    before = {table_name: shop.features(table_name) for table_name in TRAJECTORY_ORDER}
    shop.trajectories(19)
    assert {table_name: shop.features(table_name) for table_name in TRAJECTORY_ORDER} == before


def test_a_past_night_keeps_its_rows_when_the_next_is_built(shop: TrajectoryShop) -> None:
    ordinary_days(shop)
    shop.trajectories(18)
    kept = [declared.name for declared in TRAJECTORY_TABLES if declared.by_night]
    before = {name: set(shop.features(name)) for name in kept}
    shop.trajectories(19)
    for name in kept:
        rows = set(shop.features(name))
        assert before[name] < rows
        assert {row[0] for row in rows} == {day(18), day(19)}


def test_a_shop_with_orders_alone_has_purchases_and_no_views(shop: TrajectoryShop) -> None:
    shop.order(0, "a", 2, user_id="u1")
    shop.order(1, "a", 1, user_id="u1")
    shop.order(1, "a", 1, user_id=None)
    shop.trajectories(1)
    assert shop.select(f"{SESSIONS} ORDER BY date") == [(1, 0, 0, 1, 0, 0)] * 2
    assert shop.select("SELECT kind, outcome, path, sessions FROM path_sequences") == [
        ("event", "purchase", "purchase", 2)
    ]
    assert shop.features("time_to_convert") == []
    assert shop.select("SELECT frequency, monetary FROM user_rfm") == [(2, 30.0)]
    assert shop.select("SELECT count(*) FROM cohort_retention") == [(4,)]


def test_a_shop_that_is_only_looked_at_has_no_conversions_and_no_segments(shop: TrajectoryShop) -> None:
    shop.visit(0, "view", "view")
    shop.trajectories(0)
    assert shop.select(SESSIONS) == [(1, 1, 0, 0, 0, 0)]
    assert [name for name in TRAJECTORY_ORDER if not shop.features(name)] == [
        "time_to_convert",
        "user_rfm",
        "rfm_segment_sizes",
    ]
    assert shop.select("SELECT DISTINCT basis, value FROM cohort_retention") == [("event", None)]


def broken_rows(rule: contracts.Rule, table_name: str) -> str:
    """SQL that selects the rows that break a rule."""
    if isinstance(rule, contracts.Unique):
        key = ", ".join(rule.columns)
        return f"SELECT {key} FROM {table_name} GROUP BY {key} HAVING count(*) > 1"
    if isinstance(rule, contracts.Holds):
        broken = f"NOT ({rule.predicate})"
    elif isinstance(rule, contracts.NotNull):
        broken = f"{rule.column} IS NULL"
    elif isinstance(rule, contracts.OneOf):
        broken = f"{rule.column} NOT IN ({', '.join(contracts.literal(value) for value in rule.values)})"
    else:
        low = -1e300 if rule.minimum is None else rule.minimum
        high = 1e300 if rule.maximum is None else rule.maximum
        broken = f"{rule.column} NOT BETWEEN {low} AND {high}"
    return f"SELECT * FROM {table_name} WHERE {broken}"


def test_rows_keep_what_the_contracts_promise(shop: TrajectoryShop) -> None:
    ordinary_days(shop)
    shop.trajectories(19)
    for declared in TRAJECTORY_TABLES:
        assert shop.features(declared.name)
        for rule in declared.all_rules:
            assert shop.select(broken_rows(rule, declared.name)) == [], f"{declared.name}: {rule.words}"
