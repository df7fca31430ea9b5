"""What was bought: purchases among events, and which recommended pairs were bought within a window."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import Frame, as_table, id_column, is_among, seconds_column, seconds_of

DAY_S = 86_400.0


def is_purchase(table: pa.Table, purchase_events: Sequence[str]) -> np.ndarray:
    """Which events are purchases, bool (events,); where events carry no type, every one is."""
    if "event" not in table.column_names:
        return np.ones(table.num_rows, dtype=bool)
    names = pa.array(list(purchase_events), type=pa.string())
    return is_among(table, "event", names, name="events", nulls=True)


def bought_within(
    pairs: Frame, events: Frame, *, since: Any, days: float, purchase_events: Sequence[str] = ("purchase",)
) -> np.ndarray:
    """Whether the user of each pair bought its item after `since`, in so many days; bool (pairs,).

    Args:
        pairs: user_id, item_id.
        events: user_id, item_id, event_ts; optionally event.
        since: the moment at which the window opens (itself left out).
        days: length of the window.
        purchase_events: names of the events that mean "bought".
    """
    table = as_table(events, name="events", required=("user_id", "item_id", "event_ts"))
    wanted = as_table(pairs, name="pairs", required=("user_id", "item_id"))
    moment, start = seconds_column(table, "event_ts", name="events"), seconds_of(since)
    inside = (moment > start) & (moment <= start + days * DAY_S) & is_purchase(table, purchase_events)
    bought = table.filter(pa.array(inside))
    users = pc.unique(id_column(wanted, "user_id", name="pairs"))
    items = pc.unique(id_column(wanted, "item_id", name="pairs"))
    theirs = pair_keys(bought, users, items, missing=-2)
    return np.isin(pair_keys(wanted, users, items), theirs)


def pair_keys(table: pa.Table, users: pa.Array, items: pa.Array, *, missing: int = -1) -> np.ndarray:
    """One integer a pair of known user and item, `missing` for the others, int64 (rows,)."""
    user = place_in(id_column(table, "user_id", name="pairs"), users).astype(np.int64)
    item = place_in(id_column(table, "item_id", name="pairs"), items).astype(np.int64)
    return np.where((user >= 0) & (item >= 0), user * len(items) + item, missing)


def place_in(ids: pa.Array, of: pa.Array) -> np.ndarray:
    """Place of each id in `of`, -1 where it is not there."""
    if ids.type != of.type:
        ids = ids.cast(of.type)
    return np.asarray(pc.fill_null(pc.index_in(ids, value_set=of), -1).to_numpy(zero_copy_only=False))
