"""What is bought once in a while: how long until an item is bought again, and hiding it until then.

What belongs here: learning intervals from purchases, and the step after ranking that uses them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import (
    Frame,
    as_table,
    encoded_ids,
    frame_kind,
    id_column,
    make_frame,
    seconds_column,
    seconds_of,
)
from ecom_pipeline.recommending.purchase_labels import DAY_S, is_purchase

ENOUGH = 5  # intervals from which an item's own median is taken
NEVER = np.inf


def learn_repurchase_days(
    events: Frame, *, share: float = 0.25, purchase_events: Sequence[str] = ("purchase",)
) -> Frame:
    """Days after a purchase in which an item is hardly ever bought again by the same user: item_id, days.

    It is the quantile `share` of the item's intervals between purchases on different days, of the whole shop's
    where an item has fewer than five, and infinite where nobody in the shop ever bought anything twice.

    Args:
        events: user_id, item_id, event_ts; optionally event (without it every event is a purchase).
        share: quantile of the intervals; a lower one hides for a shorter time.
        purchase_events: names of the events that mean "bought".
    """
    table = _purchases(events, purchase_events)
    item, item_ids = encoded_ids(table, "item_id", name="events")
    user, _ = encoded_ids(table, "user_id", name="events")
    day = np.floor(seconds_column(table, "event_ts", name="events") / DAY_S)
    order = np.lexsort((day, item, user))
    item, user, day = item[order], user[order], day[order]
    again = (item[1:] == item[:-1]) & (user[1:] == user[:-1]) & (day[1:] > day[:-1])
    gaps, of = np.diff(day)[again], item[1:][again]
    days = np.full(len(item_ids), np.quantile(gaps, share) if len(gaps) else NEVER)
    by_item = np.lexsort((gaps, of))
    codes, start, count = np.unique(of[by_item], return_index=True, return_counts=True)
    place = start + np.floor(share * (count - 1)).astype(np.int64)
    many = count >= ENOUGH
    days[codes[many]] = gaps[by_item][place[many]]
    return make_frame({"item_id": item_ids, "days": pa.array(days)}, frame_kind(events))


def hide_recent_purchases(
    recommendations: Frame,
    events: Frame,
    *,
    as_of: Any,
    days: float | Frame,
    k: int,
    purchase_events: Sequence[str] = ("purchase",),
) -> Frame:
    """Drop what the user bought too short a time before `as_of`; the first k that stay are ranked anew from 1.

    Args:
        recommendations: as `NextItemRecommender.recommend` gives them; ask it for more than `k`.
        events: user_id, item_id, event_ts [, event].
        as_of: the moment of the recommendation.
        days: one interval for all items, or item_id, days as `learn_repurchase_days` gives them (other items are
            not hidden).
        k: items a user that stay.
        purchase_events: names of the events that mean "bought".
    """
    from ecom_pipeline.recommending.diversity import renumber

    table = as_table(recommendations, name="recommendations", required=("user_id", "rank", "item_id"))
    bought = _purchases(events, purchase_events)
    users = pc.unique(id_column(table, "user_id", name="recommendations"))
    items = pc.unique(id_column(table, "item_id", name="recommendations"))
    limit = np.full(len(items), days) if isinstance(days, int | float) else _limits(days, items)
    age = (seconds_of(as_of) - seconds_column(bought, "event_ts", name="events")) / DAY_S
    user, item = _places(bought, users, items)
    recent = (user >= 0) & (item >= 0) & (age >= 0)
    recent[recent] = age[recent] < limit[item[recent]]
    hidden = np.unique(user[recent].astype(np.int64) * len(items) + item[recent])
    their_user, their_item = _places(table, users, items)
    kept = ~np.isin(their_user.astype(np.int64) * len(items) + their_item, hidden)
    return renumber(table.filter(pa.array(kept)), k, frame_kind(recommendations))


def _purchases(events: Frame, purchase_events: Sequence[str]) -> pa.Table:
    table = as_table(events, name="events", required=("user_id", "item_id", "event_ts"))
    return table.filter(pa.array(is_purchase(table, purchase_events)))


def _limits(days: Frame, items: pa.Array) -> np.ndarray:
    table = as_table(days, name="days", required=("item_id", "days"))
    place = pc.index_in(items, value_set=id_column(table, "item_id", name="days"))
    values = table.column("days").combine_chunks().cast(pa.float64()).take(place)
    return pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)


def _places(table: pa.Table, users: pa.Array, items: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Place of each row's user and item in the given ids, -1 where it is not there."""
    user = pc.index_in(id_column(table, "user_id", name="events"), value_set=users)
    item = pc.index_in(id_column(table, "item_id", name="events"), value_set=items)
    return (
        pc.fill_null(user, -1).to_numpy(zero_copy_only=False),
        pc.fill_null(item, -1).to_numpy(zero_copy_only=False),
    )
