"""The funnel, on visits small enough to count by hand."""

from ecom_pipeline_tests.steps.core_rows import day
from ecom_pipeline_tests.steps.trajectories.trajectory_shop import SESSIONS, TrajectoryShop

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
