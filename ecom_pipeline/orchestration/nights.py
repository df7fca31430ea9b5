"""Nights: the daily as-of partitions, and which night a run is for."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

SAMPLE_PROFILE = "sample"
"""The bundled shop whose data are synthetic and stand still."""
FIRST_NIGHT = date(2010, 1, 1)
"""First night that may be run; before it the Dagster UI offers none."""


def night_partitions(time_zone: str, *, until: date | None = None) -> dg.DailyPartitionsDefinition:
    """One partition a night, named by its as-of date, up to today's in the shop's zone, and at least to `until`."""
    ahead = (until - today_in(time_zone)).days if until is not None else 0
    return dg.DailyPartitionsDefinition(
        start_date=FIRST_NIGHT.isoformat(), timezone=time_zone, end_offset=1 + max(ahead, 0)
    )


def last_day_of_sample(profile_name: str) -> date | None:
    """The last day of the bundled sample shop, whose data stand still; None for every other shop."""
    if profile_name != SAMPLE_PROFILE:
        return None
    from ecom_pipeline.sample.plan import SAMPLE_SHOP

    return SAMPLE_SHOP.last_day


def today_in(time_zone: str, *, now: datetime | None = None) -> date:
    """The current day in the shop's time zone; `now` (aware) stands in for the clock."""
    zone = ZoneInfo(time_zone)
    return (now.astimezone(zone) if now is not None else datetime.now(zone)).date()


def yesterday_in(time_zone: str, *, now: datetime | None = None) -> date:
    """The last day that is over in the shop's time zone."""
    return today_in(time_zone, now=now) - timedelta(days=1)


def night_of_run(partition_key: str | None, time_zone: str) -> date:
    """The night that a run is for: its partition, or today for a run that only loads files."""
    return date.fromisoformat(partition_key) if partition_key is not None else today_in(time_zone)
