"""Past forecasts beside what came, worked out by hand."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from ecom_pipeline import contracts
from ecom_pipeline.steps.accuracy import forecast_accuracy
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.row_changes import note_everything, note_reading, unread
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse
from ecom_pipeline_tests.steps.test_refreshing import UndoneError


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("accuracy")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> CoreRows:
    for name in ("sales_forecasts", "sales_forecast_accuracy"):
        warehouse.run(f"DELETE FROM {name}")
        note_everything(warehouse, contracts.table(name))
    warehouse.run("DELETE FROM feature_days")
    return CoreRows(warehouse)


def forecast(warehouse: Warehouse, night: int, target: int, series: str, mean: float, **more: Any) -> None:
    row: dict[str, Any] = {
        "as_of": day(night),
        "level": "product",
        "series_id": series,
        "measure": "quantity",
        "target_date": day(target),
        "horizon": target - night,
        "mean": mean,
        **dict.fromkeys(("p05", "p10", "p25", "p50", "p75", "p90", "p95"), mean),
        "baseline": 0.0,
        "model": "lstm",
        "model_version": "v",
        "fallback": False,
    } | more
    warehouse.append_from_arrow(contracts.table("sales_forecasts"), pa.table({name: [row[name]] for name in row}))


def scored(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT as_of, series_id, measure, target_date, actual, abs_error, baseline_abs_error, in_80 "
        "FROM sales_forecast_accuracy ORDER BY ALL"
    )


def test_only_days_that_are_over_are_scored_and_only_forecasts_of_earlier_nights(shop: CoreRows) -> None:
    for n in range(5):
        shop.order(n, "a", n + 1)
    forecast(shop.warehouse, 1, 2, "a", 2.0, p10=1.0, p90=2.5, baseline=1.0)
    forecast(shop.warehouse, 1, 3, "a", 3.5, p10=3.0, p90=6.0, baseline=1.0)
    forecast(shop.warehouse, 1, 4, "a", 9.0)
    shop.build(3)

    assert forecast_accuracy(shop.warehouse, as_of=day(3)) == 2

    assert scored(shop.warehouse) == [
        (day(1), "a", "quantity", day(2), 3.0, 1.0, 2.0, False),
        (day(1), "a", "quantity", day(3), 4.0, 0.5, 3.0, True),
    ]


def test_a_night_adds_to_what_earlier_nights_scored_and_scoring_again_changes_nothing(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    for night in range(3):
        for target in range(night + 1, night + 4):
            forecast(shop.warehouse, night, target, "a", 1.0)
    for night in (1, 2, 3):
        shop.build(night)
        forecast_accuracy(shop.warehouse, as_of=day(night))
    after = scored(shop.warehouse)
    assert [(row[0], row[3]) for row in after] == [(day(a), day(t)) for a in range(3) for t in range(a + 1, 4)]

    shop.build(2)
    forecast_accuracy(shop.warehouse, as_of=day(2))
    assert scored(shop.warehouse) == after


def test_a_backfilled_night_from_long_ago_is_scored_by_the_next_night(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.order(200, "a", 1)
    forecast(shop.warehouse, 199, 200, "a", 1.0)
    shop.build(200)
    forecast_accuracy(shop.warehouse, as_of=day(200))
    forecast(shop.warehouse, 50, 51, "a", 3.0)
    forecast_accuracy(shop.warehouse, as_of=day(200))
    assert [(row[0], row[5]) for row in scored(shop.warehouse)] == [(day(50), 3.0), (day(199), 0.0)]


def test_a_late_return_changes_what_came(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.order(1, "a", 5)
    forecast(shop.warehouse, 0, 1, "a", 5.0)
    shop.build(1)
    forecast_accuracy(shop.warehouse, as_of=day(1))
    shop.order(1, "a", -2)
    shop.build(2)
    forecast_accuracy(shop.warehouse, as_of=day(2))
    assert [(row[4], row[5]) for row in scored(shop.warehouse)] == [(3.0, 2.0)]


def test_a_product_that_left_the_shop_sold_nothing_and_an_unknown_price_is_not_scored(shop: CoreRows) -> None:
    shop.product("gone", active_to=day(0))
    shop.order(0, "gone", 1)
    shop.order(0, "free", 1, None)
    shop.order(1, "free", 1, None)
    forecast(shop.warehouse, 0, 1, "gone", 2.0)
    forecast(shop.warehouse, 0, 1, "free", 2.0, measure="revenue")
    shop.build(1)
    assert forecast_accuracy(shop.warehouse, as_of=day(1)) == 1
    assert [(row[1], row[4]) for row in scored(shop.warehouse)] == [("gone", 0.0)]


def everything_scored(shop: CoreRows, night: int) -> list[tuple[Any, ...]]:
    """What scoring everything says; it is taken back."""
    rows = []
    with suppress(UndoneError), shop.warehouse.transaction():
        note_everything(shop.warehouse, contracts.table("sales_forecasts"))
        forecast_accuracy(shop.warehouse, as_of=day(night))
        rows = scored(shop.warehouse)
        raise UndoneError
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_scores_are_those_of_scoring_everything_and_readers_are_told(
    shop: CoreRows, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    warehouse, table = shop.warehouse, contracts.table("sales_forecast_accuracy")
    written: list[tuple[Any, ...]] = []
    in_part, last = 0, 1
    shop.order(0, "a", 1)
    for _ in range(16):
        what = chance.choice(("night", "night", "night", "late", "again", "left", "past night"))
        night = last
        if what == "night":
            last = night = last + 1
            shop.order(night, chance.choice("abc"), chance.randint(1, 5))
        elif what == "late":
            shop.order(chance.randrange(max(1, last - 3), last + 1), chance.choice("abc"), chance.choice((-1, 2)))
        elif what == "left":
            shop.warehouse.run("DELETE FROM core_order_lines WHERE item_id = 'c'")
            shop.warehouse.run("DELETE FROM core_events WHERE item_id = 'c'")
        elif what == "past night":
            night = chance.randrange(max(1, last - 3), last + 1)
        shop.build(night)
        if what in ("night", "again"):
            made = night if what == "night" else chance.randrange(max(1, last - 4), last + 1)
            warehouse.run("DELETE FROM sales_forecasts WHERE as_of = :night", {"night": day(made)})
            for target in range(made + 1, made + 4):
                for series in "abc":
                    forecast(warehouse, made, target, series, float(chance.randint(0, 4)))
        if chance.random() < 0.2:
            continue
        expected = everything_scored(shop, night)
        rows = forecast_accuracy(warehouse, as_of=day(night))
        found = scored(warehouse)
        assert found == expected, f"seed {seed}, {what}, night {night} of {last}"
        in_part += 0 < rows < len(found)
        told = unread(warehouse, table, "publishing", read_with="it")
        days = {row[3] for row in (*found, *written)} if told is None else told.days
        assert [row for row in found if row[3] not in days] == [row for row in written if row[3] not in days]
        note_reading(warehouse, table, "publishing", read_with="it", after=told)
        written = found
    assert in_part >= 3, "little was scored in part"


def forecast_again(shop: CoreRows, night: int, mean: float) -> None:
    shop.build(night)
    shop.warehouse.run("DELETE FROM sales_forecasts WHERE as_of = :night", {"night": day(night)})
    for target in range(night + 1, night + 5):
        forecast(shop.warehouse, night, target, "a", mean)
    forecast_accuracy(shop.warehouse, as_of=day(night))


def scored_otherwise(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Scores of forecasts that are no longer said."""
    return warehouse.rows(
        "SELECT scored.as_of, target_date FROM sales_forecast_accuracy AS scored "
        "JOIN sales_forecasts AS said USING (as_of, level, series_id, measure, target_date) "
        "WHERE scored.mean <> said.mean ORDER BY ALL"
    )


@pytest.mark.parametrize("past", [(2, 3), (2, 3, 4, 5), (4, 2), (2, 2)])
def test_past_nights_forecast_again_one_after_another_are_scored_again_on_all_days(
    shop: CoreRows, past: tuple[int, ...]
) -> None:
    for n in range(8):
        shop.order(n, "a", n + 1)
    for night in range(1, 6):
        forecast_again(shop, night, 1.0)
    for night in past:
        forecast_again(shop, night, 9.0)
    forecast_again(shop, 6, 1.0)
    assert scored_otherwise(shop.warehouse) == []


def test_days_that_another_version_scored_are_scored_again_also_if_a_past_night_comes_first(shop: CoreRows) -> None:
    for n in range(8):
        shop.order(n, "a", n + 1)
    for night in range(1, 6):
        forecast_again(shop, night, 1.0)
    shop.warehouse.run("UPDATE sales_forecast_accuracy SET abs_error = 777")
    shop.warehouse.run("UPDATE table_readings SET read_with = 'another version' WHERE reader = 'accuracy'")
    for night in (3, 6):
        shop.build(night)
        forecast_accuracy(shop.warehouse, as_of=day(night))
    assert [row for row in scored(shop.warehouse) if row[5] == 777] == []


def test_a_night_scores_what_it_must_and_no_more(shop: CoreRows) -> None:
    for n in range(6):
        shop.order(n, "a", n + 1)
    for night in range(5):
        for target in range(night + 1, 6):
            forecast(shop.warehouse, night, target, "a", 1.0)
    written = []
    for night in (3, 4, 5, 5):
        shop.build(night)
        written.append(forecast_accuracy(shop.warehouse, as_of=day(night)))
    assert written == [6, 4, 5, 0]
    shop.order(2, "a", -1)
    shop.build(5)
    assert forecast_accuracy(shop.warehouse, as_of=day(5)) == 2, "the two forecasts of that day"


def test_features_of_another_night_are_refused(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.build(1)
    with pytest.raises(FeatureError, match="2026-01-07"):
        forecast_accuracy(shop.warehouse, as_of=date(2026, 1, 7))
