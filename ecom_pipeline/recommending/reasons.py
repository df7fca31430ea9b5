"""Why an item is recommended: the item of the history that weighed most, and words for a merchandiser.

What belongs here: reason items and reason texts of ranked blocks. The weight of a history item is its co-visitation
with the recommended item times its place in the history; where nothing ever stood together, the last item of the
history is named.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from ecom_pipeline.recommending.ranker import POPULAR, Ranked
from ecom_pipeline.sequences import EventSequences

WEEK_S = 7 * 86_400.0
HISTORY = 30  # last events among which the item that weighed most is looked for
OWN = 500  # last events in which a recommended item counts as seen before
ReasonKind = Literal["again", "goes_with", "resembles", "popular"]
KINDS: tuple[ReasonKind, ...] = ("again", "goes_with", "resembles", "popular")


@dataclass(frozen=True)
class Reasons:
    """items: int32 (users, k), the reason item or -1; kind: int8 (users, k), index into `KINDS`; times_seen: int32
    (users, k), how often the item itself is in the history (of its last week where times are known)."""

    items: np.ndarray
    kind: np.ndarray
    times_seen: np.ndarray
    bought: np.ndarray


def find_reasons(
    histories: EventSequences,
    ranked: Ranked,
    *,
    strengths: sparse.csr_array | None,
    decay: float,
    purchase_kinds: tuple[int, ...],
) -> Reasons:
    """The reason of every recommended item.

    Args:
        histories: the block of users.
        ranked: their items.
        strengths: co-visitation (items, items), or None where the model has none.
        decay: weight of the item `a` steps from the end is decay ** a.
        purchase_kinds: codes of the events that count as bought.
    """
    rows, k = ranked.items.shape
    own = histories.padded(min(OWN, int(histories.lengths.max(initial=1)) or 1))
    shown = np.maximum(ranked.items, 0)
    same = (own[:, None, :] == ranked.items[:, :, None]) & (own[:, None, :] >= 0)
    again = same.any(axis=2)
    seen = same
    index = np.maximum(histories.offsets[1:, None] - 1 - np.arange(own.shape[1]), 0)
    if histories.times is not None and len(histories.times):
        when = histories.times[np.minimum(index, len(histories.times) - 1)]
        fresh = (when[:, :1] - when) <= WEEK_S
        seen = same & fresh[:, None, :]
    bought = np.zeros(own.shape, dtype=bool)
    if histories.kinds is not None and len(histories.kinds):
        bought = np.isin(histories.kinds[np.minimum(index, len(histories.kinds) - 1)], purchase_kinds)
    history = own[:, :HISTORY]
    length = history.shape[1]
    weight = np.zeros((rows, k, length), dtype=np.float32)
    if strengths is not None:
        held = np.broadcast_to(history[:, None, :] >= 0, weight.shape)
        row, place, step = np.nonzero(held)
        weight[row, place, step] = _entries(strengths, history[row, step], shown[row, place])
        weight *= decay ** np.arange(length, dtype=np.float32)
    best = weight.argmax(axis=2)
    goes_with = weight.max(axis=2, initial=0.0) > 0
    kind = np.where(goes_with, 1, 2)
    kind = np.where(again, 0, kind)
    kind = np.where((ranked.proposer == POPULAR) | (histories.lengths == 0)[:, None], 3, kind)
    reason = np.where(kind == 0, ranked.items, np.where(kind == 1, np.take_along_axis(history, best, axis=1), -1))
    reason = np.where(kind == 2, history[:, :1], reason)
    return Reasons(
        items=np.where(kind == 3, -1, reason).astype(np.int32),
        kind=kind.astype(np.int8),
        times_seen=seen.sum(axis=2).astype(np.int32),
        bought=np.where(kind == 0, (same & bought[:, None, :]).any(axis=2), np.take_along_axis(bought, best, axis=1)),
    )


def _entries(matrix: sparse.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """matrix[rows, columns] by binary search in the sorted keys of the stored entries."""
    sources, inverse = np.unique(rows, return_inverse=True)
    part = sparse.csr_array(matrix[sources])
    part.sort_indices()
    keys = np.repeat(np.arange(len(sources), dtype=np.int64), np.diff(part.indptr)) * matrix.shape[1] + part.indices
    if not len(keys):
        return np.zeros(len(rows), dtype=np.float32)
    wanted = inverse.astype(np.int64) * matrix.shape[1] + columns
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, part.data[place], np.float32(0.0))


def reason_texts(reasons: Reasons, names: pa.Array, context: pa.Array, *, week: bool, kinds_known: bool) -> pa.Array:
    """Sentences, one a recommendation in row order.

    Args:
        reasons: of a block.
        names: name of the reason item of each recommendation, strings, null where there is none.
        context: the category of each recommended item, strings, null where unknown.
        week: whether `times_seen` counts the last week only.
        kinds_known: whether the types of the events are known; without them nothing is said of looking or buying.
    """
    kind, seen, bought = reasons.kind.ravel(), reasons.times_seen.ravel(), reasons.bought.ravel()
    names = pc.fill_null(names, "")
    since = " this week" if week else ""
    times = np.where(seen == 1, "once", np.where(seen == 2, "twice", np.char.add(seen.astype(str), " times")))
    again = pc.binary_join_element_wise(
        pa.scalar("you looked at"), names, pa.array(np.char.add(times.astype(str), since)), " "
    )
    again = pc.if_else(pa.array(seen > 0), again, pc.binary_join_element_wise("you looked at", names, "before", " "))
    again = pc.if_else(pa.array(bought), pc.binary_join_element_wise("you bought", names, "before", " "), again)
    together = pc.binary_join_element_wise("goes with", names, " ")
    if kinds_known:
        suffix = pa.array(np.where(bought, "that you bought", "that you looked at"))
        together = pc.binary_join_element_wise(together, suffix, " ")
    else:
        again = pc.binary_join_element_wise(names, "is in your history", " ")
    resembles = pc.binary_join_element_wise("chosen after", names, "in sequences like yours", " ")
    popular = pa.array(np.full(len(kind), "popular now"))
    in_category = pc.binary_join_element_wise("popular in", pc.fill_null(context, ""), " ")
    popular = pc.if_else(pc.is_valid(context), in_category, popular)
    text = pc.if_else(pa.array(kind == 0), again, popular)
    text = pc.if_else(pa.array(kind == 1), together, text)
    return pc.if_else(pa.array(kind == 2), resembles, text)
