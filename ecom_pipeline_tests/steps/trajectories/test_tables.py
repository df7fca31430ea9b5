"""Trajectory tables as a whole: their order, their nights, and the promises of their contracts."""

import pytest

from ecom_pipeline import contracts
from ecom_pipeline.contracts.trajectories import TRAJECTORY_TABLES
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.steps.trajectories import TRAJECTORY_INPUTS, TRAJECTORY_ORDER, TrajectoryError, build_trajectory
from ecom_pipeline_tests.steps.core_rows import day
from ecom_pipeline_tests.steps.trajectories.trajectory_shop import SESSIONS, TrajectoryShop


def test_every_trajectory_table_of_the_contracts_is_built_after_those_that_it_reads() -> None:
    assert set(TRAJECTORY_ORDER) == {declared.name for declared in TRAJECTORY_TABLES}
    for place, table_name in enumerate(TRAJECTORY_ORDER):
        for needed in TRAJECTORY_INPUTS[table_name]:
            assert needed in TRAJECTORY_ORDER[:place] or contracts.table(needed).layer == "features"


def test_every_trajectory_table_is_published_but_those_that_others_sum_up() -> None:
    kept_back = {declared.name for declared in TRAJECTORY_TABLES if declared.published_as != declared.name}
    assert kept_back == {"session_paths", "transitions_daily", "conversions_daily"}


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
        "conversions_daily",
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
