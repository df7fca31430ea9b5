"""Volume and freshness of a feed against the shop's own past. Both warn; neither stops a night.

Volume: the night's rows beside those of the same weekday in the weeks before, on a log scale with the median and the
median absolute deviation, so that neither growth nor one odd day moves the band. Freshness: the days since the last
row beside the gaps that the shop usually has. Public holidays excuse both.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import expm1, log, log1p
from statistics import median, quantiles
from typing import Literal

from ecom_pipeline.calendar import public_holidays
from ecom_pipeline.quality.queries import kept
from ecom_pipeline.quality.results import CheckResult, TableValidation, warning
from ecom_pipeline.warehouse import Warehouse

FeedTable = Literal["core_order_lines", "core_events"]

WEEKS = 8
FEWEST_WEEKS = 4
DEVIATIONS = 4.0
SMALLEST_FACTOR = 3.0  # a day within a third and three times the usual is never odd
SMALLEST_SPREAD = 0.1
FEWEST_GAPS = 20
GAP_FACTOR = 3
PAST_DAYS = 400
FRESH = "the last row is not older than the shop's usual gaps explain"

_DAILY: Mapping[FeedTable, str] = {
    "core_order_lines": """
    SELECT order_date AS day, count(*) AS n FROM core_order_lines
    WHERE order_date <= :as_of AND order_date >= :first GROUP BY order_date ORDER BY order_date
    """,
    "core_events": """
    SELECT event_date AS day, count(*) AS n FROM core_events
    WHERE feed = 'browse' AND event_date <= :as_of AND event_date >= :first GROUP BY event_date ORDER BY event_date
    """,
}


def check_health(
    warehouse: Warehouse, table_name: FeedTable, *, as_of: date, run_id: str, country: str | None = None
) -> TableValidation:
    """Rows of the night, and days since the last row, against the shop's own past up to the night.

    `core_order_lines` speaks of the orders feed, `core_events` of the browse feed. Without any row of the feed there
    is nothing to say, and no result; without any of the last PAST_DAYS days, only that the feed is old. `country`
    (ISO 3166) excuses its public holidays.
    """
    first = as_of - timedelta(days=PAST_DAYS)
    by_day = dict(warehouse.rows(_DAILY[table_name], {"as_of": as_of, "first": first}))
    holidays = frozenset(public_holidays(country=country, first=first, last=as_of))
    if by_day:
        results = [
            _volume(table_name, by_day, as_of=as_of, holidays=holidays),
            _freshness(table_name, sorted(by_day), as_of=as_of, holidays=holidays),
        ]
    else:
        before = warehouse.rows(_DAILY[table_name], {"as_of": as_of, "first": date.min})
        results = [_long_silent(table_name, before[-1][0], as_of=as_of)] if before else []
    return kept(warehouse, table_name, "health", results, as_of=as_of, run_id=run_id)


def usual_volume(past: Sequence[int]) -> tuple[float, float]:
    """The band (lowest, highest) of rows that are not odd, from the counts of comparable past days."""
    logs = [log1p(count) for count in past]
    middle = median(logs)
    spread = max(1.4826 * median([abs(value - middle) for value in logs]), SMALLEST_SPREAD)
    half = max(DEVIATIONS * spread, log(SMALLEST_FACTOR))
    return max(expm1(middle - half), 0.0), expm1(middle + half)


def _volume(
    table_name: FeedTable, by_day: Mapping[date, int], *, as_of: date, holidays: frozenset[date]
) -> CheckResult:
    first = min(by_day)
    past = [
        by_day.get(day, 0)
        for day in (as_of - timedelta(weeks=week) for week in range(1, WEEKS + 1))
        if day >= first and day not in holidays
    ]
    rows, weekday = by_day.get(as_of, 0), f"{as_of:%A}s"
    success, observed, to_do = True, f"{rows:,} rows; too few {weekday} before to compare", ""
    if len(past) >= FEWEST_WEEKS:
        lowest, highest = usual_volume(past)
        observed = f"{rows:,} rows; usual on {weekday}: {lowest:,.0f} to {highest:,.0f}"
        excused = as_of in holidays and rows <= highest
        success = excused or lowest <= rows <= highest
        if excused:
            observed += "; a public holiday"
        elif rows < lowest:
            to_do = "See whether an export is missing or cut short."
        else:
            to_do = "See whether an export came twice, or whether something happened in the shop."
    return warning(
        table_name,
        rule="the rows of the night are as many as is usual on its weekday",
        expectation="volume_is_usual",
        success=success,
        observed=observed,
        to_do=to_do,
    )


def _long_silent(table_name: FeedTable, last: date, *, as_of: date) -> CheckResult:
    return warning(
        table_name,
        rule=FRESH,
        expectation="feed_is_fresh",
        success=False,
        observed=f"last row on {last}, {(as_of - last).days:,} days before the night",
        to_do=f"Of an old export run the night it ends with: nightly --as-of {last}. Else see whether the shop's "
        "export still runs and reaches landing.",
    )


def _freshness(table_name: FeedTable, days: Sequence[date], *, as_of: date, holidays: frozenset[date]) -> CheckResult:
    last = days[-1]
    silent = [day for day in (last + timedelta(days=n + 1) for n in range((as_of - last).days)) if day not in holidays]
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    success, observed = True, f"last row on {last}, {(as_of - last).days} days before the night"
    if len(gaps) < FEWEST_GAPS:
        observed += "; too short a past to compare"
    else:
        allowed = GAP_FACTOR * quantiles(gaps, n=20, method="inclusive")[-1]
        success = len(silent) <= allowed
        observed += f"; up to {allowed:.0f} are not unusual"
    return warning(
        table_name,
        rule=FRESH,
        expectation="feed_is_fresh",
        success=success,
        observed=observed,
        to_do="See whether the shop's export still runs and reaches landing; forecasts and recommendations rest on "
        "old data.",
    )
