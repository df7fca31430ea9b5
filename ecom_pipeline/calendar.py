"""The shop's calendar: public holidays of its country, and the days on which it takes no orders.

What belongs here: what is known of a date before it comes. No sales, no features of models.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

MIN_WEEKDAYS_SEEN = 4
# How probable the absence of trade may be, if the day were a day like others, before it is called closed.
MAX_CHANCE_WEEKDAY = 0.001
MAX_CHANCE_HOLIDAY = 0.05


def public_holidays(*, country: str | None, first: date, last: date) -> dict[date, str]:
    """Public holidays from `first` to `last`, day -> name; none where the shop names no country.

    `country` is an ISO 3166 code of a country, or of a part of one: `GB`, `GB-ENG`.

    Raises:
        ValueError: for a country whose holidays are not known.
    """
    if country is None:
        return {}
    import holidays

    code, _, subdivision = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=subdivision or None, years=range(first.year, last.year + 1))
    except NotImplementedError as error:
        raise ValueError(
            f"shop.country: no public holidays are known for {country!r} ({error}); "
            "give an ISO 3166 code such as GB or GB-ENG, or leave it out"
        ) from None
    return {day: name for day, name in sorted(found.items()) if first <= day <= last}


@dataclass(frozen=True)
class ClosedDays:
    """Weekdays (0 = Monday) and holidays on which the shop has never traded so far, and hardly by chance."""

    weekdays: frozenset[int]
    holidays: frozenset[str]
    all_holidays: bool
    """Whether every holiday lived through was closed; then one with a new name will be, too."""
    open_holidays: frozenset[str]

    def holds(self, day: date, holiday: str | None) -> bool:
        """Whether the shop takes no orders on `day`."""
        if day.weekday() in self.weekdays:
            return True
        if holiday is None:
            return False
        name = _festival(holiday)
        return name in self.holidays or (self.all_holidays and name not in self.open_holidays)


def closed_days(trading_days: Collection[date], *, named: dict[date, str], as_of: date) -> ClosedDays:
    """Learn closed days from the days with a sale up to `as_of` and the holidays by name.

    If the shop trades on a share r of its other days, n such days without a trade have the probability (1 - r)^n;
    a weekday is closed below 0.001 (and after four of them), a holiday below 0.05.
    """
    traded = frozenset(day for day in trading_days if day <= as_of)
    if not traded:
        return ClosedDays(frozenset(), frozenset(), all_holidays=False, open_holidays=frozenset())
    first = min(traded)
    lived = [first + timedelta(days=n) for n in range((as_of - first).days + 1)]
    ever = frozenset(day.weekday() for day in traded)
    usual = [day for day in lived if day.weekday() in ever and day not in named]
    chance = 1 - sum(day in traded for day in usual) / len(usual) if usual else 1.0

    weekdays = frozenset(
        weekday
        for weekday in range(7)
        if weekday not in ever
        and (seen := sum(day.weekday() == weekday for day in lived)) >= MIN_WEEKDAYS_SEEN
        and chance**seen <= MAX_CHANCE_WEEKDAY
    )
    outcomes: defaultdict[str, list[bool]] = defaultdict(list)
    for day in lived:
        if day in named and day.weekday() not in weekdays:
            outcomes[_festival(named[day])].append(day in traded)
    shut = {name: len(traded_then) for name, traded_then in outcomes.items() if not any(traded_then)}
    return ClosedDays(
        weekdays=weekdays,
        holidays=frozenset(name for name, seen in shut.items() if chance**seen <= MAX_CHANCE_HOLIDAY),
        all_holidays=bool(outcomes)
        and len(shut) == len(outcomes)
        and chance ** sum(shut.values()) <= MAX_CHANCE_HOLIDAY,
        open_holidays=frozenset(outcomes) - frozenset(shut),
    )


def shop_calendar(
    *, first: date, last: date, trading_days: Collection[date], as_of: date, country: str | None
) -> pa.Table:
    """One row a day from `first` to `last`: date, is_holiday, is_closed as learnt up to `as_of`."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    named = public_holidays(country=country, first=first, last=last)
    closed = closed_days(trading_days, named=named, as_of=as_of)
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "is_holiday": pa.array([day in named for day in days], pa.bool_()),
            "is_closed": pa.array([closed.holds(day, named.get(day)) for day in days], pa.bool_()),
        }
    )


def _festival(name: str) -> str:
    """The holiday itself, without the note that this is its substitute day."""
    return name.partition(" (")[0]
