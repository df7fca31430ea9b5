"""SQL that reads written times: the moment in UTC, and the day in the shop's time zone."""

from dataclasses import dataclass
from functools import cache

import duckdb

from ecom_pipeline.sources.profile import Reader, Shop
from ecom_pipeline.sources.readers import literal

_FIRST_YEAR, _LAST_YEAR = 1971, 2040
_DAY = 86_400_000_000
# hours and minutes come before an offset; a date alone may end in what looks like one
_OFFSET = r":\d{2}([.,]\d+)?\s*([zZ]|[+-]\d{2}(:?\d{2})?)$"


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """Select items: `read` over `_given_time`, then `typed` over what `read` gives."""

    read: tuple[str, ...]
    typed: tuple[str, ...]


def times_of(reader: Reader, shop: Shop, names: tuple[str, str]) -> TimeColumns:
    """The columns (moment, day) of a reader that has a time.

    Local times that daylight saving skips are read as if the clock had not been put forward yet; of those that happen
    twice the later one is meant.
    """
    time = reader.time
    if time is None:
        raise ValueError("the reader has no time")
    stamp, day = names
    zone = time.zone or shop.time_zone
    shop_day = f"{day_in_zone('_utc', shop.time_zone)} AS {day}"
    if time.formats == ("epoch_s",):
        return TimeColumns(
            ("TRY(make_timestamp(CAST(round(TRY_CAST(_given_time AS DOUBLE) * 1000000) AS BIGINT))) AS _utc",),
            (f"_utc AS {stamp}", shop_day),
        )
    if time.formats == ("epoch_ms",):
        return TimeColumns(
            ("TRY(make_timestamp(TRY_CAST(_given_time AS BIGINT) * 1000)) AS _utc",),
            (f"_utc AS {stamp}", shop_day),
        )
    if time.formats == ("iso",):
        local = _from_zone("TRY_CAST(_given_time AS TIMESTAMP)", zone)
        return TimeColumns(
            (
                f"CASE WHEN regexp_matches(_given_time, {literal(_OFFSET)}) "
                f"THEN timezone('UTC', TRY_CAST(_given_time AS TIMESTAMPTZ)) ELSE {local} END AS _utc",
            ),
            (f"_utc AS {stamp}", shop_day),
        )
    formats = ", ".join(literal(text) for text in time.formats)
    local = f"try_strptime(_given_time, [{formats}])"
    if zone == shop.time_zone:
        return TimeColumns(
            (f"{local} AS _local",), (f"{_from_zone('_local', zone)} AS {stamp}", f"CAST(_local AS DATE) AS {day}")
        )
    return TimeColumns((f"{_from_zone(local, zone)} AS _utc",), (f"_utc AS {stamp}", shop_day))


def _from_zone(local: str, zone: str) -> str:
    return local if zone == "UTC" else f"timezone('UTC', timezone({literal(zone)}, {local}))"


def day_in_zone(utc: str, zone: str) -> str:
    """The day of a column of moments.

    Asking for the offset of each moment takes ten times as long as all else that is done with it. So it is asked for
    only near midnight, where the day depends on it, and outside of the years whose offsets were looked through.
    """
    if zone == "UTC":
        return f"CAST({utc} AS DATE)"
    least, most = _offsets(zone)
    of_day = f"epoch_us({utc}) % {_DAY}"
    arms = [(f"{of_day} >= {max(0, -least)} AND {of_day} < {_DAY - max(0, most)}", 0)]
    if least > 0:
        arms.append((f"{of_day} >= {_DAY - least}", 1))
    elif most < 0:
        arms.append((f"{of_day} < {-most}", -1))
    in_years = f"{utc} >= TIMESTAMP '{_FIRST_YEAR}-01-01' AND {utc} < TIMESTAMP '{_LAST_YEAR}-01-01'"
    cases = " ".join(f"WHEN {in_years} AND {within} THEN CAST({utc} AS DATE) + {days}" for within, days in arms)
    return f"CASE {cases} ELSE CAST(timezone({literal(zone)}, timezone('UTC', {utc})) AS DATE) END"


@cache
def _offsets(zone: str) -> tuple[int, int]:
    """The least and the greatest offset of a zone from UTC, in microseconds; none held for less than a day."""
    with duckdb.connect() as clock:
        rows = clock.execute(
            "SELECT min(away), max(away) FROM (SELECT epoch_us(timezone($zone, timezone('UTC', moment))) - "
            f"epoch_us(moment) AS away FROM range(TIMESTAMP '{_FIRST_YEAR}-01-01', TIMESTAMP '{_LAST_YEAR}-01-01', "
            "INTERVAL 1 DAY) AS days (moment))",
            {"zone": zone},
        ).fetchall()
    ((least, most),) = rows
    return int(least), int(most)
