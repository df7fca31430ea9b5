"""SQL that reads written times: the moment in UTC, and the day in the shop's time zone."""

from dataclasses import dataclass

from ecom_pipeline.sources.profile import Reader, Shop
from ecom_pipeline.sources.readers import literal

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
    shop_day = f"CAST({_in_zone('_utc', shop.time_zone)} AS DATE) AS {day}"
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
    read = f"try_strptime(_given_time, [{formats}]) AS _local"
    if zone == shop.time_zone:
        return TimeColumns((read,), (f"{_from_zone('_local', zone)} AS {stamp}", f"CAST(_local AS DATE) AS {day}"))
    utc = _from_zone("_local", zone)
    return TimeColumns((read,), (f"{utc} AS {stamp}", f"CAST({_in_zone(utc, shop.time_zone)} AS DATE) AS {day}"))


def _from_zone(local: str, zone: str) -> str:
    return local if zone == "UTC" else f"timezone('UTC', timezone({literal(zone)}, {local}))"


def _in_zone(utc: str, zone: str) -> str:
    return utc if zone == "UTC" else f"timezone({literal(zone)}, timezone('UTC', {utc}))"
