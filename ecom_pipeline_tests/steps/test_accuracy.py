"""Past forecasts beside what came, worked out by hand."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from ecom_pipeline import contracts
from ecom_pipeline.steps.accuracy import forecast_accuracy
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("accuracy")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> CoreRows:
    for name in ("sales_forecasts", "sales_forecast_accuracy"):
        warehouse.run(f"DELETE FROM {name}")
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


def test_features_of_another_night_are_refused(shop: CoreRows) -> None:
    shop.order(0, "a", 1)
    shop.build(1)
    with pytest.raises(FeatureError, match="2026-01-07"):
        forecast_accuracy(shop.warehouse, as_of=date(2026, 1, 7))
