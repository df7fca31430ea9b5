"""Closed days are learnt from what happened, and only where it can hardly be chance."""

from datetime import date, timedelta

import pytest

from ecom_pipeline.calendar import public_holidays, shop_calendar

MONDAY = date(2024, 1, 1)


def days(count: int) -> list[date]:
    return [MONDAY + timedelta(days=n) for n in range(count)]


def closed(*, trading: list[date], as_of: date, last: date, country: str | None = None) -> set[date]:
    table = shop_calendar(first=MONDAY, last=last, trading_days=trading, as_of=as_of, country=country)
    columns = (table.column("date").to_pylist(), table.column("is_closed").to_pylist())
    return {day for day, is_closed in zip(*columns, strict=True) if is_closed}


def test_a_weekday_without_trade_is_closed_in_the_past_and_ahead() -> None:
    trading = [day for day in days(56) if day.weekday() != 6]
    found = closed(trading=trading, as_of=days(56)[-1], last=days(70)[-1])
    assert found == {day for day in days(70) if day.weekday() == 6}


def test_three_weeks_are_too_few_to_call_a_weekday_closed() -> None:
    trading = [day for day in days(21) if day.weekday() != 6]
    assert closed(trading=trading, as_of=days(21)[-1], last=days(28)[-1]) == set()


def test_a_shop_that_trades_now_and_then_has_no_closed_weekdays() -> None:
    trading = [day for n, day in enumerate(days(63)) if n % 4 == 0 and day.weekday() != 6]
    assert closed(trading=trading, as_of=days(63)[-1], last=days(70)[-1]) == set()


def test_one_trading_sunday_opens_all_sundays() -> None:
    trading = [day for n, day in enumerate(days(56)) if day.weekday() != 6 or n == 13]
    assert closed(trading=trading, as_of=days(56)[-1], last=days(70)[-1]) == set()


def test_trade_after_the_night_is_not_seen() -> None:
    trading = [day for n, day in enumerate(days(70)) if day.weekday() != 6 or n > 60]
    found = closed(trading=trading, as_of=days(56)[-1], last=days(70)[-1])
    assert found == {day for day in days(70) if day.weekday() == 6}


def test_a_holiday_without_trade_is_closed_again_next_year_and_an_open_one_is_not() -> None:
    shut = {date(2024, 12, 25), date(2024, 12, 26)}
    trading = [day for day in days(500) if day not in shut]
    found = closed(trading=trading, as_of=days(500)[-1], last=date(2025, 12, 31), country="DE")
    assert found == shut | {date(2025, 12, 25), date(2025, 12, 26)}


def test_where_all_holidays_are_closed_a_new_one_is_too() -> None:
    named = public_holidays(country="GB", first=MONDAY, last=date(2024, 12, 31))
    as_of = date(2024, 6, 30)
    trading = [day for day in days(182) if day not in named]
    found = closed(trading=trading, as_of=as_of, last=date(2024, 12, 31), country="GB")
    assert {date(2024, 12, 25), date(2024, 12, 26)} <= found
    assert found <= set(named)


def test_a_shop_without_a_country_has_no_holidays() -> None:
    assert public_holidays(country=None, first=MONDAY, last=date(2024, 12, 31)) == {}


def test_an_unknown_country_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(ValueError, match=r"'XX'.*ISO 3166 code such as GB"):
        public_holidays(country="XX", first=MONDAY, last=MONDAY)
