"""A night's outputs: no version from the future, sums that add up, nobody and nothing left out."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from ecom_pipeline.contracts import table
from ecom_pipeline.quality import (
    TableValidation,
    check_forecasts,
    check_model_cutoffs,
    check_recommendations,
    check_trainings,
)
from ecom_pipeline.registry import Manifest, ModelName, ModelVersion
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

NIGHT = date(2024, 3, 1)
SETTINGS = Settings(profile="sample", horizon_days=3, recommendations_per_user=2, active_user_days=30)
MEANS = {("product", "tea"): 2.0, ("product", "jam"): 1.5, ("product", "mug"): 4.0, ("product", "odd"): 0.25}
CATEGORIES = {"tea": "food", "jam": "food", "mug": "home", "odd": None}


def failed(validation: TableValidation) -> list[str]:
    assert validation.blocks == bool(validation.failures), "all of these block"
    return [failure.expectation for failure in validation.failures]


def make_forecasts(warehouse: Warehouse) -> None:
    for item, category in CATEGORIES.items():
        warehouse.run(
            "INSERT INTO feat_items (item_id, category) VALUES (:item, CAST(:category AS VARCHAR))",
            {"item": item, "category": category},
        )
    means = {**MEANS, ("category", "food"): 3.5, ("category", "home"): 4.0, ("total", "total"): 7.75}
    for (level, series_id), mean in means.items():
        for horizon in (1, 2, 3):
            day = NIGHT + timedelta(days=horizon)
            key = {"level": level, "series": series_id, "day": day}
            warehouse.run("INSERT INTO feat_sales_future (level, series_id, date) VALUES (:level, :series, :day)", key)
            for measure, factor in (("quantity", 1), ("revenue", 10)):
                warehouse.run(
                    "INSERT INTO sales_forecasts (as_of, level, series_id, measure, target_date, horizon, mean) "
                    "VALUES (:night, :level, :series, :measure, :day, :horizon, :mean)",
                    {**key, "night": NIGHT, "measure": measure, "horizon": horizon, "mean": mean * factor * horizon},
                )


def check(warehouse: Warehouse) -> list[str]:
    return failed(check_forecasts(warehouse, settings=SETTINGS, as_of=NIGHT, run_id="run-1"))


def test_forecasts_that_add_up_and_are_complete_pass(warehouse: Warehouse) -> None:
    make_forecasts(warehouse)
    assert check(warehouse) == []
    assert warehouse.scalar("SELECT count(*) FROM validation_results WHERE suite = 'completeness'") == 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE sales_forecasts SET mean = mean + 0.5 WHERE level = 'category' AND horizon = 1", "forecasts_add_up"),
        ("UPDATE sales_forecasts SET mean = mean + 0.5 WHERE series_id = 'odd'", "forecasts_add_up"),
        ("UPDATE sales_forecasts SET mean = 'nan' WHERE level = 'total'", "forecasts_add_up"),
        ("DELETE FROM sales_forecasts WHERE horizon = 3", "forecasts_cover_the_horizon"),
        ("DELETE FROM sales_forecasts WHERE horizon = 2", "forecasts_cover_the_horizon"),
        ("UPDATE sales_forecasts SET horizon = horizon + 1", "forecasts_cover_the_horizon"),
        ("DELETE FROM sales_forecasts WHERE level = 'total'", "forecasts_cover_the_series"),
        ("DELETE FROM sales_forecasts", "forecasts_cover_the_series"),
    ],
)
def test_forecasts_that_do_not_are_found(warehouse: Warehouse, change: str, expected: str) -> None:
    make_forecasts(warehouse)
    warehouse.run(change)
    assert check(warehouse) == [expected]


@pytest.mark.parametrize(
    ("highest", "expected"), [(2.4, []), (2.3, ["forecasts_are_plausible"]), (0.0, []), (-3.0, [])]
)
def test_a_mean_far_above_every_day_of_the_past_is_found(
    warehouse: Warehouse, highest: float, expected: list[str]
) -> None:
    make_forecasts(warehouse)
    for days_before, quantity in ((0, highest), (1, 0.0), (-1, 1000.0)):  # the last is after the night
        warehouse.run(
            "INSERT INTO feat_sales_daily (level, series_id, date, quantity, revenue) "
            "VALUES ('total', 'total', :day, :quantity, 1000)",
            {"day": NIGHT - timedelta(days=days_before), "quantity": quantity},
        )
    assert check(warehouse) == expected


def test_sums_that_differ_by_rounding_alone_add_up(warehouse: Warehouse) -> None:
    make_forecasts(warehouse)
    warehouse.run("UPDATE sales_forecasts SET mean = mean + 0.0001 WHERE level = 'product'")
    assert check(warehouse) == []


def test_a_shop_with_nothing_to_forecast_passes(warehouse: Warehouse) -> None:
    assert check(warehouse) == []


def make_recommendations(warehouse: Warehouse) -> None:
    for user, days_ago, event in (
        ("ann", 0, "view"),
        ("bob", 29, "purchase"),
        ("cas", 30, "view"),
        ("dee", 1, "return"),
    ):
        warehouse.run(
            "INSERT INTO feat_user_events (user_id, event, event_date) VALUES (:user, :event, :day)",
            {"user": user, "event": event, "day": NIGHT - timedelta(days=days_ago)},
        )
    for user, rank, item in (("ann", 1, "tea"), ("ann", 2, "jam"), ("bob", 1, "tea")):
        warehouse.run(
            "INSERT INTO recommendations (as_of, user_id, rank, item_id) VALUES (:night, :user, :rank, :item)",
            {"night": NIGHT, "user": user, "rank": rank, "item": item},
        )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("SELECT 1", []),
        ("DELETE FROM recommendations WHERE user_id = 'bob'", ["recommendations_cover_active_users"]),
        ("UPDATE recommendations SET as_of = DATE '2024-02-29'", ["recommendations_cover_active_users"]),
        ("UPDATE recommendations SET rank = rank + 1", ["recommendations_are_ranked_lists"]),
        ("UPDATE recommendations SET item_id = 'tea'", ["recommendations_are_ranked_lists"]),
        (
            "INSERT INTO recommendations (as_of, user_id, rank, item_id) VALUES (DATE '2024-03-01', 'ann', 3, 'mug')",
            ["recommendations_are_ranked_lists"],
        ),
    ],
)
def test_every_active_user_gets_a_ranked_list(warehouse: Warehouse, change: str, expected: list[str]) -> None:
    make_recommendations(warehouse)
    warehouse.run(change)
    assert failed(check_recommendations(warehouse, settings=SETTINGS, as_of=NIGHT, run_id="run-1")) == expected


@pytest.fixture
def made_by(warehouse: Warehouse) -> Callable[[str], list[str]]:
    for version, cutoff in (("v1", date(2024, 2, 1)), ("v2", NIGHT), ("v3", NIGHT + timedelta(days=1))):
        warehouse.run(
            "INSERT INTO model_versions (model, model_version, data_cutoff) VALUES ('next_item', :version, :cutoff)",
            {"version": version, "cutoff": cutoff},
        )
    warehouse.run("INSERT INTO similar_items (as_of, model_version) VALUES (DATE '2024-03-02', 'v3')")

    def run(version: str) -> list[str]:
        warehouse.run(
            "INSERT INTO similar_items (as_of, model_version) VALUES (:night, :version)",
            {"night": NIGHT, "version": version},
        )
        return failed(check_model_cutoffs(warehouse, table("similar_items"), as_of=NIGHT, run_id="run-1"))

    return run


@pytest.mark.parametrize(("version", "passes"), [("v1", True), ("v2", True), ("v3", False), ("unknown", False)])
def test_a_version_that_saw_the_future_or_that_nobody_knows_blocks(
    made_by: Callable[[str], list[str]], version: str, passes: bool
) -> None:
    assert made_by(version) == ([] if passes else ["model_cutoff_is_not_after_the_night"])


def test_one_row_of_a_version_from_the_future_is_enough(made_by: Callable[[str], list[str]]) -> None:
    assert made_by("v1") == []
    assert made_by("v3") != []


def test_of_a_table_that_spans_nights_each_row_is_held_to_its_own_night(
    warehouse: Warehouse, made_by: Callable[[str], list[str]]
) -> None:
    made_by("v1")
    accuracy = table("sales_forecast_accuracy")
    insert = "INSERT INTO sales_forecast_accuracy (as_of, model_version) VALUES (:night, 'v2')"
    warehouse.run(insert, {"night": NIGHT})
    assert failed(check_model_cutoffs(warehouse, accuracy, as_of=NIGHT, run_id="run-1")) == []
    warehouse.run(insert, {"night": NIGHT - timedelta(days=1)})
    assert failed(check_model_cutoffs(warehouse, accuracy, as_of=NIGHT, run_id="run-1")) != []


def trained(model: ModelName, *, reason: str, files: dict[str, str]) -> ModelVersion:
    manifest = Manifest(
        model=model,
        data_cutoff=NIGHT,
        data_fingerprint="",
        code_version="1",
        seed=0,
        settings={},
        decision="rejected",
        reason=reason,
        files=files,
    )
    return ModelVersion(manifest=manifest, decision="rejected", reason=reason, number=1)


def test_a_training_without_a_model_is_told_with_its_reason_and_a_lost_comparison_is_not(warehouse: Warehouse) -> None:
    lost = trained("next_item", reason="0.1 against 0.2", files={"model.npz": "0"})
    wrong = trained("sales_forecaster", reason="the training went wrong: its loss is no number", files={})
    assert check_trainings(warehouse, [], as_of=NIGHT, run_id="r").failures == ()
    assert check_trainings(warehouse, [lost], as_of=NIGHT, run_id="r").failures == ()
    found = check_trainings(warehouse, [lost, wrong], as_of=NIGHT, run_id="r")
    assert not found.blocks
    (failure,) = found.failures
    assert failure.observed == f"sales_forecaster {NIGHT}: the training went wrong: its loss is no number"
    kept = "SELECT expectation, success FROM validation_results WHERE table_name = 'model_versions'"
    assert warehouse.rows(kept) == [("trainings_ended_with_a_model", False)]
