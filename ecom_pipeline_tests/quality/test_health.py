"""Volume and freshness: quiet about a shop's ordinary life, loud about what is not."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import duckdb
import pytest

from ecom_pipeline.quality import check_health
from ecom_pipeline.quality.health import usual_volume
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.real_data import shared_data

START = date(2024, 1, 1)  # a Monday


def fill(warehouse: Warehouse, by_day: Mapping[date, int]) -> None:
    warehouse.run("DELETE FROM core_order_lines")
    for day, rows in by_day.items():
        warehouse.run(
            f"INSERT INTO core_order_lines (order_date) SELECT CAST(:day AS DATE) FROM range({rows})", {"day": day}
        )


def daily(days: int, rows: Callable[[date], int]) -> dict[date, int]:
    return {day: rows(day) for day in (START + timedelta(days=n) for n in range(days)) if rows(day)}


def warnings(warehouse: Warehouse, as_of: date, country: str | None = None) -> list[str]:
    validation = check_health(warehouse, "core_order_lines", as_of=as_of, run_id="run-1", country=country)
    assert not validation.blocks
    return [failure.expectation for failure in validation.failures]


def weekdays_only(day: date) -> int:
    return (20 + 3 * day.weekday() + day.day % 5) * (day.weekday() < 6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [(1.0, []), (0.5, []), (2.5, []), (0.1, ["volume_is_usual"]), (10.0, ["volume_is_usual"])],
)
def test_a_tenth_and_tenfold_are_odd_and_half_and_double_are_not(
    warehouse: Warehouse, change: float, expected: list[str]
) -> None:
    by_day = daily(70, weekdays_only)
    last = max(by_day)
    fill(warehouse, {**by_day, last: round(by_day[last] * change)})
    assert warnings(warehouse, last) == expected


def test_a_weekday_on_which_the_shop_never_sells_is_not_odd(warehouse: Warehouse) -> None:
    fill(warehouse, daily(70, weekdays_only))
    sunday = START + timedelta(days=62)
    assert sunday.weekday() == 6
    assert warnings(warehouse, sunday) == []


def test_the_first_weeks_say_nothing(warehouse: Warehouse) -> None:
    fill(warehouse, {START: 100, START + timedelta(days=1): 1, START + timedelta(days=9): 5000})
    for days in range(12):
        assert warnings(warehouse, START + timedelta(days=days)) == []


def test_a_feed_that_stops_is_odd_at_once_and_stale_after_a_while(warehouse: Warehouse) -> None:
    by_day = daily(68, weekdays_only)
    fill(warehouse, by_day)
    last = max(by_day)
    found = {n: warnings(warehouse, last + timedelta(days=n)) for n in range(1, 12)}
    assert found[1] == ["volume_is_usual"]
    assert "feed_is_fresh" not in found[4]
    assert all("feed_is_fresh" in found[n] for n in range(7, 12))


def test_a_public_holiday_excuses_an_empty_day(warehouse: Warehouse) -> None:
    by_day = daily(360, weekdays_only)
    fill(warehouse, {day: rows for day, rows in by_day.items() if day < date(2024, 12, 25)})
    assert warnings(warehouse, date(2024, 12, 25)) == ["volume_is_usual"]
    assert warnings(warehouse, date(2024, 12, 25), "GB") == []


def test_growth_is_not_odd(warehouse: Warehouse) -> None:
    by_day = daily(100, lambda day: round(10 * 1.02 ** (day - START).days))
    fill(warehouse, by_day)
    for n in range(60, 100):
        assert warnings(warehouse, START + timedelta(days=n)) == []


def test_the_future_does_not_change_what_is_said_of_a_night(warehouse: Warehouse) -> None:
    by_day = daily(70, weekdays_only)
    night = START + timedelta(days=60)
    fill(warehouse, {day: rows for day, rows in by_day.items() if day <= night})
    before = check_health(warehouse, "core_order_lines", as_of=night, run_id="run-1").results
    fill(warehouse, {day: rows if day <= night else 999 for day, rows in by_day.items()})
    assert check_health(warehouse, "core_order_lines", as_of=night, run_id="run-1").results == before


def test_an_export_that_ended_long_ago_is_told_with_the_night_to_run(warehouse: Warehouse) -> None:
    fill(warehouse, daily(30, lambda _: 20))
    night = START + timedelta(days=1000)
    (found,) = check_health(warehouse, "core_order_lines", as_of=night, run_id="run-1").failures
    assert found.expectation == "feed_is_fresh"
    assert "last row on 2024-01-30, 971 days before the night" in found.sentence
    assert "nightly --as-of 2024-01-30" in found.sentence


def test_a_shop_without_the_feed_has_nothing_to_be_said_of_it(warehouse: Warehouse) -> None:
    warehouse.run("INSERT INTO core_events (feed, event_date) VALUES ('orders', DATE '2024-01-01')")
    assert check_health(warehouse, "core_events", as_of=START, run_id="run-1").results == ()


def test_one_odd_day_in_the_past_does_not_move_the_band() -> None:
    assert usual_volume([100, 110, 95, 105, 100, 98, 102, 100_000])[1] < 500
    assert usual_volume([100, 110, 95, 105, 0, 98, 102, 101])[0] > 20


def test_a_real_year_of_a_shop_without_saturdays_warns_on_days_without_any_order_only(warehouse: Warehouse) -> None:
    files = shared_data("online_retail", "by-day")
    days = duckdb.execute(
        "SELECT CAST(InvoiceDate AS DATE), count(*) FROM read_csv(? || '/*.csv', all_varchar = true) GROUP BY 1",
        [str(files)],
    ).fetchall()
    warehouse.run("CREATE OR REPLACE TEMP TABLE days (day DATE, n BIGINT)")
    warehouse.connection.executemany("INSERT INTO days VALUES (?, ?)", days)
    warehouse.run("INSERT INTO core_order_lines (order_date) SELECT day FROM days, range(n)")
    by_day = dict(days)
    nights = [date(2011, 1, 4) + timedelta(days=n) for n in range(0, 340, 5)]
    noisy = [night for night in nights if warnings(warehouse, night, "GB")]
    assert len(noisy) <= 5
    assert not any(night in by_day for night in noisy)
