"""All users' event sequences as flat arrays: one array a column, and offsets that say where each user begins.

What belongs here: the arrays and how they are filled from `feat_user_events`. No model code, no Python object a user.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.contracts.core import EVENTS
from ecom_pipeline.warehouse import Warehouse

BATCH_ROWS = 1_000_000

EVENT_NAMES: tuple[str, ...] = tuple(name for name in EVENTS if name != "search")
"""Name of the event with code 0, 1, 2, …"""

# The slot of an event follows from its user's offset and its position, so nothing has to be sorted.
_EVENTS = """
WITH lengths AS (
  SELECT user_id, count(*) AS events FROM feat_user_events GROUP BY user_id
),
users AS (
  SELECT user_id, coalesce(sum(events) OVER (
    ORDER BY user_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ), 0) AS first_slot
  FROM lengths
),
items AS (
  SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS code
  FROM (SELECT DISTINCT item_id FROM feat_user_events) AS known
)
SELECT
  CAST(u.first_slot + e.position - 1 AS BIGINT) AS slot,
  CAST(i.code AS INTEGER) AS item,
  e.event,
  e.event_ts,
  e.session_number
FROM feat_user_events AS e
JOIN users AS u ON e.user_id = u.user_id
JOIN items AS i ON e.item_id = i.item_id
"""


@dataclass(frozen=True)
class UserSequences:
    """The histories of `len(users)` users; user u owns the slots `offsets[u]:offsets[u + 1]`, oldest event first.

    items: int32 (events,), codes into `item_ids`. kinds: int8 (events,), codes into `EVENT_NAMES`.
    times: int64 (events,), microseconds since 1970 in UTC. sessions: int32 (events,), the user's session, from 1.
    offsets: int64 (users + 1,). users, item_ids: Arrow strings, sorted.
    """

    items: np.ndarray
    kinds: np.ndarray
    times: np.ndarray
    sessions: np.ndarray
    offsets: np.ndarray
    users: pa.Array
    item_ids: pa.Array

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> np.ndarray:
        """Events of each user, int64 (users,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> np.ndarray:
        """Index of the user of each event, int32 (events,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)


def load_user_sequences(warehouse: Warehouse) -> UserSequences:
    """Read `feat_user_events` into flat arrays, batch by batch.

    Raises:
        ValueError: if positions are not 1, 2, 3, … for every user.
    """
    users = warehouse.arrow(
        "SELECT user_id, count(*) AS events FROM feat_user_events GROUP BY user_id ORDER BY user_id"
    )
    item_ids = warehouse.arrow("SELECT DISTINCT item_id FROM feat_user_events ORDER BY item_id")
    offsets = np.concatenate([[0], np.cumsum(users.column("events").to_numpy(), dtype=np.int64)])
    events = int(offsets[-1])
    slots_filled = np.zeros(events, dtype=np.bool_)
    items = np.zeros(events, dtype=np.int32)
    kinds = np.zeros(events, dtype=np.int8)
    times = np.zeros(events, dtype=np.int64)
    sessions = np.zeros(events, dtype=np.int32)
    names = pa.array(EVENT_NAMES)
    with warehouse.connection.sql(_EVENTS).to_arrow_reader(BATCH_ROWS) as reader:
        for batch in reader:
            slot = batch.column("slot").to_numpy()
            if len(slot) and (slot.min() < 0 or slot.max() >= events):
                raise ValueError("feat_user_events: a user's positions are not 1, 2, 3, …; build the table anew")
            items[slot] = batch.column("item").to_numpy()
            kinds[slot] = pc.index_in(batch.column("event"), value_set=names).to_numpy(zero_copy_only=False)
            times[slot] = batch.column("event_ts").cast(pa.int64()).to_numpy()
            sessions[slot] = batch.column("session_number").to_numpy()
            slots_filled[slot] = True
    if not slots_filled.all():
        raise ValueError("feat_user_events: a user's positions are not 1, 2, 3, …; build the table anew")
    return UserSequences(
        items=items,
        kinds=kinds,
        times=times,
        sessions=sessions,
        offsets=offsets,
        users=_strings(users.column("user_id")),
        item_ids=_strings(item_ids.column("item_id")),
    )


def _strings(column: pa.ChunkedArray) -> pa.Array:
    """One Arrow array of strings."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
