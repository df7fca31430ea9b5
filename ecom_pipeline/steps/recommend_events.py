"""Events, users and products of one night as the recommender reads them."""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import encoded_ids
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

# Taking something back says nothing of what comes next.
_EVENTS = """
SELECT user_id, item_id, position, event_ts, event
FROM feat_user_events
WHERE event NOT IN ('return', 'remove') AND event_date >= :since
ORDER BY user_id, position
"""

_FIRST_DAY = """
SELECT min(event_date)
FROM (
  SELECT event_date, sum(count(*)) OVER (ORDER BY event_date DESC) - count(*) AS newer
  FROM feat_user_events
  WHERE event NOT IN ('return', 'remove')
  GROUP BY event_date
) AS days
WHERE newer < :most
"""

_HISTORIES = """
WITH active AS (
  SELECT user_id FROM feat_user_events GROUP BY user_id HAVING max(event_date) > :active_since
)
SELECT events.user_id, events.item_id, events.position, events.event_ts, events.event
FROM feat_user_events AS events
JOIN active ON active.user_id = events.user_id
WHERE events.event NOT IN ('return', 'remove')
ORDER BY events.user_id, events.position
"""

_SOLD = """
SELECT item_id
FROM feat_items
WHERE (active_to IS NULL OR active_to > :as_of)
  AND (stock IS NULL OR stock > 0)
  AND last_seen > :seen_since
ORDER BY item_id
"""


def events_of_night(warehouse: Warehouse, *, most: int | None = None) -> pa.Table:
    """What users did, in order: user_id, item_id, position, event_ts, event; texts as dictionaries.

    `most` leaves out all days but the newest whose events come to so many (the oldest of these days is there whole).
    """
    first = None if most is None else warehouse.scalar(_FIRST_DAY, {"most": most})
    return warehouse.arrow_encoded(_EVENTS, {"since": first or date.min})


def histories_of_active_users(warehouse: Warehouse, *, settings: Settings, as_of: date) -> pa.Table:
    """The events of users who did something within `active_user_days` before the night."""
    return warehouse.arrow_encoded(*histories_query(settings=settings, as_of=as_of))


def histories_query(*, settings: Settings, as_of: date) -> tuple[str, dict[str, date]]:
    """The query of `histories_of_active_users`, which other engines run as it is, and its parameters."""
    return _HISTORIES, {"active_since": as_of - timedelta(days=settings.active_user_days)}


def active_users(events: pa.Table, *, cutoff: datetime, days: int) -> pa.Array:
    """Of the users of `events` up to `cutoff`, those who did something in its last `days`."""
    recent = pc.greater(events.column("event_ts"), pa.scalar(cutoff - timedelta(days=days), pa.timestamp("us")))
    return encoded_ids(events.select(["user_id"]).filter(recent), "user_id", name="events")[1]


def items_that_may_be_shown(warehouse: Warehouse, *, settings: Settings, as_of: date) -> pa.Array | None:
    """Products that may be recommended: on sale after the night, not out of stock, and not forgotten by everyone. None
    where the settings let everything be recommended."""
    if not settings.only_available_items:
        return None
    parameters = {"as_of": as_of, "seen_since": as_of - timedelta(days=settings.forecast_active_days)}
    return warehouse.arrow(_SOLD, parameters).column("item_id").combine_chunks()


def item_names(warehouse: Warehouse) -> pa.Table:
    """item_id, name, category: the words of reasons."""
    return warehouse.arrow("SELECT item_id, coalesce(name, item_id) AS name, category FROM feat_items ORDER BY item_id")


def end_of_day(warehouse: Warehouse, day: date) -> datetime | None:
    """Time of the last event up to the end of `day` in the shop's time zone; None without any."""
    ended: datetime | None = warehouse.scalar(
        "SELECT max(event_ts) FROM feat_user_events WHERE event_date <= :day", {"day": day}
    )
    return ended
