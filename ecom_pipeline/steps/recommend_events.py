"""Events, users and products of one night as the recommender reads them."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import encoded_ids, is_among
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

# Taking something back says nothing of what comes next.
_EVENTS = """
SELECT user_id, item_id, position, event_ts, event
FROM feat_user_events
WHERE event NOT IN ('return', 'remove')
"""

_PURCHASES = """
SELECT user_id, item_id, position, event_ts
FROM feat_user_events
WHERE event = 'purchase'
"""

_HISTORIES = """
WITH active AS (
  SELECT user_id FROM feat_user_events GROUP BY user_id HAVING max(event_date) > :active_since
)
SELECT events.user_id, events.item_id, events.position, events.event_ts, events.event
FROM feat_user_events AS events
JOIN active ON active.user_id = events.user_id
WHERE events.event NOT IN ('return', 'remove')
"""

EVENTS_A_PART = 10_000_000
"""Events, of some users after others, that are read, and so sorted, at once."""
UserRange = tuple[str, str]
"""The first and the last of some users, in order of their ids."""

_SOLD = """
SELECT item_id
FROM feat_items
WHERE (active_to IS NULL OR active_to > :as_of)
  AND (stock IS NULL OR stock > 0)
  AND last_seen > :seen_since
ORDER BY item_id
"""


def events_of_night(warehouse: Warehouse, *, most: int | None = None, seed: int = 0) -> pa.Table:
    """What users did, in order: user_id, item_id, position, event_ts, event; texts as dictionaries.

    With `most`, the whole histories of as many users, drawn by `seed`, as have so many events together.
    """
    return rows_by_user(warehouse, _EVENTS, most=most, seed=seed)


def purchases_of_night(warehouse: Warehouse) -> pa.Table:
    """What users bought, in order: user_id, item_id, position, event_ts; texts as dictionaries."""
    return rows_by_user(warehouse, _PURCHASES)


def rows_by_user(
    warehouse: Warehouse,
    query: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    most: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """The rows of a query of events (user_id, position, …) in order of users and positions, texts as dictionaries; read
    some users after others, as sorting all rows at once would take memory that grows with them. `most`, `seed`: as of
    `events_of_night`."""
    given = parameters or {}
    counts = _events_by_user(warehouse, query, given)
    drawn = None if most is None else _drawn_users(counts, most, seed)
    parts = [
        part if drawn is None else part.filter(pa.array(is_among(part, "user_id", drawn, name="events")))
        for part in _parts(warehouse, query, given, counts)
    ]
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts).unify_dictionaries().combine_chunks()


def parts_by_user(warehouse: Warehouse, query: str, parameters: Mapping[str, Any] | None = None) -> Iterator[pa.Table]:
    """The rows of `rows_by_user` a part after another, each of whole users with some `EVENTS_A_PART` events; one part
    at least, if an empty one."""
    given = parameters or {}
    yield from _parts(warehouse, query, given, _events_by_user(warehouse, query, given))


def _parts(warehouse: Warehouse, query: str, parameters: Mapping[str, Any], counts: pa.Table) -> Iterator[pa.Table]:
    ranges: list[UserRange | None] = [*_ranges(counts)]
    for users in ranges or [None]:
        yield _rows_of(warehouse, query, parameters, users)


def _drawn_users(counts: pa.Table, most: int, seed: int) -> pa.Array | None:
    """Users whose events come to `most` at most, drawn at random; one at least, and None for all."""
    events = counts.column("events").to_numpy()
    if events.sum() <= most:
        return None
    order = np.random.default_rng(seed).permutation(len(events))
    n = max(int(np.searchsorted(np.cumsum(events[order]), most, side="right")), 1)
    return counts.column("user_id").combine_chunks().take(pa.array(np.sort(order[:n])))


def histories_of_active_users(
    warehouse: Warehouse, *, settings: Settings, as_of: date, users: UserRange | None = None
) -> pa.Table:
    """The events of users who did something within `active_user_days` before the night, in order; of all of them, or
    of those of a range."""
    query, parameters = histories_query(settings=settings, as_of=as_of)
    return _rows_of(warehouse, query, parameters, users)


def ranges_of_active_users(warehouse: Warehouse, *, settings: Settings, as_of: date) -> list[UserRange]:
    """Ranges that hold all active users, each with some `EVENTS_A_PART` events; empty where nobody is active."""
    return _ranges(_events_by_user(warehouse, *histories_query(settings=settings, as_of=as_of)))


def _events_by_user(warehouse: Warehouse, query: str, parameters: Mapping[str, Any]) -> pa.Table:
    """user_id, events; in order of user_id."""
    return warehouse.arrow(
        f"SELECT user_id, count(*) AS events FROM ({query}) AS rows GROUP BY user_id ORDER BY user_id", parameters
    )


def _ranges(counts: pa.Table) -> list[UserRange]:
    part = np.cumsum(counts.column("events").to_numpy()) // EVENTS_A_PART
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), counts.num_rows]
    ids = counts.column("user_id")
    return [(ids[low].as_py(), ids[high - 1].as_py()) for low, high in pairwise(edges) if high > low]


def _rows_of(warehouse: Warehouse, query: str, parameters: Mapping[str, Any], users: UserRange | None) -> pa.Table:
    """The rows of a query of events in order of users and positions, as codes; those of all users, or of a range."""
    if users is None:
        return warehouse.arrow_encoded(f"SELECT * FROM ({query}) AS rows ORDER BY user_id, position", parameters)
    return warehouse.arrow_encoded(
        f"SELECT * FROM ({query}) AS rows WHERE user_id BETWEEN :first_user AND :last_user ORDER BY user_id, position",
        {**parameters, "first_user": users[0], "last_user": users[1]},
    )


def last_event(warehouse: Warehouse) -> datetime | None:
    """Time of the last event that recommendations know of; None without any."""
    ended: datetime | None = warehouse.scalar(
        "SELECT max(event_ts) FROM feat_user_events WHERE event NOT IN ('return', 'remove')"
    )
    return ended


def histories_query(*, settings: Settings, as_of: date) -> tuple[str, dict[str, date]]:
    """The query of `histories_of_active_users`, in any order, which other engines run as it is, and its parameters."""
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
