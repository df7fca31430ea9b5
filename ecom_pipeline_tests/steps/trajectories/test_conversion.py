"""Time to convert, and cohorts."""

from datetime import date

from ecom_pipeline_tests.steps.core_rows import day
from ecom_pipeline_tests.steps.trajectories.trajectory_shop import TrajectoryShop


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
