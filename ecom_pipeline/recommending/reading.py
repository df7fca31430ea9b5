"""From long frames of events to flat sequences."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import Frame, FrameError, as_table, encoded_ids, seconds_column
from ecom_pipeline.sequences import EventSequences, IdTypeError, Vocabulary, offsets_of


def read_events(
    frame: Frame, *, name: str, vocabulary: Vocabulary | None = None, kind_names: tuple[str, ...] | None = None
) -> tuple[EventSequences, Vocabulary]:
    """EventSequences of a long frame `user_id, item_id, position or event_ts [, event]`, rows in any order.

    Without a vocabulary one is made; with one, a null item_id stands for a user without events, and items that
    it does not know are left out (their users stay). `position` orders a user's events where it is
    present, else `event_ts`; ties keep the order of the rows.

    Raises:
        FrameError: for missing columns, nulls, or id types that do not fit.
    """
    table = as_table(frame, name=name, required=("user_id", "item_id"))
    has_position, has_time = "position" in table.column_names, "event_ts" in table.column_names
    if not has_position and not has_time:
        raise FrameError(f"{name}: needs a column position or event_ts to order the events of a user")
    user_codes, users = encoded_ids(table, "user_id", name=name)
    items, item_ids = encoded_ids(table, "item_id", name=name, nulls=vocabulary is not None)
    times = seconds_column(table, "event_ts", name=name) if has_time else None
    if vocabulary is None:
        vocabulary = Vocabulary(ids=item_ids)
    else:
        # the last place is that of rows without an item
        items = np.append(encode_ids(vocabulary, item_ids, name=name), np.int32(-1))[items]
    order_key = seconds_column(table, "position", name=name) if has_position or times is None else times
    kinds, names = _kinds(table, kind_names)
    order = _order(user_codes, order_key, items >= 0)
    interactions = EventSequences(
        items=items[order],
        offsets=offsets_of(np.bincount(user_codes[order], minlength=len(users))),
        users=users,
        n_items=len(vocabulary),
        times=None if times is None else times[order],
        kinds=None if kinds is None else kinds[order],
        kind_names=names,
    )
    return interactions, vocabulary


def _order(users: np.ndarray, keys: np.ndarray, known: np.ndarray) -> np.ndarray | slice:
    """The known rows in order of user and key; rows that stand in it already, as a night's do, are not sorted again,
    and not copied where all are known."""
    if ((users[1:] < users[:-1]) | ((users[1:] == users[:-1]) & (keys[1:] < keys[:-1]))).any():
        order = np.lexsort((keys, users))
        return order[known[order]]
    return slice(None) if known.all() else np.flatnonzero(known)


def encode_ids(vocabulary: Vocabulary, ids: pa.Array, *, name: str) -> np.ndarray:
    """Codes of the ids of a frame called `name`, int32, -1 for unknown ones.

    Raises:
        FrameError: when integer ids meet string ids.
    """
    try:
        return vocabulary.encode(ids)
    except IdTypeError as error:
        raise FrameError(f"{name}: {error}; use the ids that the recommender was fitted on") from error


def _kinds(table: pa.Table, known: tuple[str, ...] | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Event types as int8 codes; types that `known` does not hold get the code -1."""
    if "event" not in table.column_names or known == ():
        return None, known or ()
    codes, values = encoded_ids(table, "event", name="events", nulls=True)
    found = values.cast(pa.string())
    if known is None:
        known = tuple(sorted(value for value in found.to_pylist() if value is not None))
        if len(known) > 127:
            raise FrameError(f"event: {len(known)} different event types; at most 127 are supported")
    place = pc.fill_null(pc.index_in(found, value_set=pa.array(known, type=pa.string())), -1)
    # the last place is that of events without a type
    return np.append(place.to_numpy(zero_copy_only=False), -1).astype(np.int8)[codes], known
