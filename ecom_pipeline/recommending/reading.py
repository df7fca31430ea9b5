"""From long frames of events to flat sequences."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import Frame, FrameError, as_table, id_column, seconds_column
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
    user_ids = pc.dictionary_encode(id_column(table, "user_id", name=name))
    user_codes = user_ids.indices.to_numpy(zero_copy_only=False)
    item_ids = id_column(table, "item_id", name=name, nulls=vocabulary is not None)
    times = seconds_column(table, "event_ts", name=name) if has_time else None
    if vocabulary is None:
        encoded = pc.dictionary_encode(item_ids)
        vocabulary = Vocabulary(ids=encoded.dictionary)
        items = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    else:
        items = encode_ids(vocabulary, item_ids, name=name)
    order_by = "position" if has_position else "event_ts"
    order_key = seconds_column(table, order_by, name=name)
    kinds, names = _kinds(table, kind_names)
    order = _order(user_codes, order_key)
    known = items[order] >= 0
    order = order[known]
    counts = np.bincount(user_codes[order], minlength=len(user_ids.dictionary))
    interactions = EventSequences(
        items=items[order],
        offsets=offsets_of(counts),
        users=user_ids.dictionary,
        n_items=len(vocabulary),
        times=None if times is None else times[order],
        kinds=None if kinds is None else kinds[order],
        kind_names=names,
    )
    return interactions, vocabulary


def _order(users: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The order of rows by user and key; rows that stand in it already, as a night's do, are not sorted again."""
    if not ((users[1:] < users[:-1]) | ((users[1:] == users[:-1]) & (keys[1:] < keys[:-1]))).any():
        return np.arange(len(users))
    return np.lexsort((keys, users))


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
    values = table.column("event").cast(pa.string())
    if known is None:
        known = tuple(sorted(value for value in pc.unique(values).to_pylist() if value is not None))
        if len(known) > 127:
            raise FrameError(f"event: {len(known)} different event types; at most 127 are supported")
    codes = pc.fill_null(pc.index_in(values, value_set=pa.array(known, type=pa.string())), -1)
    return codes.to_numpy().astype(np.int8), known
