"""Transitions and paths, on visits small enough to count by hand."""

from ecom_pipeline_tests.steps.trajectories.trajectory_shop import TrajectoryShop


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
