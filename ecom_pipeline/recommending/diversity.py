"""Steps after ranking: caps by category, boosts, and trading popularity for coverage."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import Frame, FrameKind, as_table, frame_kind, id_column


def diversify(
    recommendations: Frame, item_features: Frame, *, per_category: int, k: int, column: str = "category"
) -> Frame:
    """At most `per_category` items of one category a user, then the first `k`, ranks renumbered from 1.

    Args:
        recommendations: as `NextItemRecommender.recommend` gives them; ask it for more than `k`, since what is
            capped falls out.
        item_features: item_id and `column`; items without a category are never capped.
        per_category: the cap.
        k: items a user that stay.
        column: name of the category column.
    """
    if per_category < 1 or k < 1:
        raise ValueError(f"per_category and k must be at least 1, not {per_category} and {k}")
    table = as_table(recommendations, name="recommendations", required=("user_id", "rank", "item_id"))
    features = as_table(item_features, name="item_features", required=("item_id", column))
    users = _codes_of(id_column(table, "user_id", name="recommendations"))
    rank = table.column("rank").to_numpy()
    order = np.lexsort((rank, users))
    table, users = table.take(pa.array(order)), users[order]
    place = pc.index_in(
        id_column(table, "item_id", name="recommendations"),
        value_set=id_column(features, "item_id", name="item_features"),
    )
    category = features.column(column).combine_chunks().take(place)
    codes = _codes_of(category.cast(pa.string()))
    capped = _occurrence(users.astype(np.int64) * (codes.max(initial=0) + 1) + codes) < per_category
    capped |= category.is_null().to_numpy(zero_copy_only=False)
    return renumber(table.filter(pa.array(capped)), k, frame_kind(recommendations))


def boost(recommendations: Frame, boosts: Frame) -> Frame:
    """Multiply the scores of items by `boost` (item_id, boost; above 1 lifts, 0 sinks to the end) and rank each
    user's list anew.

    Scores that can be negative (one network alone) are shifted by the user's lowest first, so that a lift always lifts.
    """
    table = as_table(recommendations, name="recommendations", required=("user_id", "rank", "item_id", "score"))
    factors = as_table(boosts, name="boosts", required=("item_id", "boost"))
    place = pc.index_in(
        id_column(table, "item_id", name="recommendations"),
        value_set=id_column(factors, "item_id", name="boosts"),
    )
    factor = pc.fill_null(factors.column("boost").combine_chunks().take(place).cast(pa.float64()), 1.0).to_numpy()
    if (factor < 0).any():
        raise ValueError("boosts.boost: must not be negative")
    return _rescored(table, lambda score: score * factor, frame_kind(recommendations))


def trade_popularity(recommendations: Frame, popularity: Frame, *, strength: float) -> Frame:
    """Divide scores by (1 + events of the item) ** strength and rank each user's list anew: 0 changes nothing, 0.5
    is strong.

    Args:
        recommendations: longer lists than are shown; what stands low can rise.
        popularity: item_id, events.
        strength: at least 0.
    """
    if strength < 0:
        raise ValueError(f"strength must be at least 0, not {strength}")
    table = as_table(recommendations, name="recommendations", required=("user_id", "rank", "item_id", "score"))
    counts = as_table(popularity, name="popularity", required=("item_id", "events"))
    place = pc.index_in(
        id_column(table, "item_id", name="recommendations"),
        value_set=id_column(counts, "item_id", name="popularity"),
    )
    events = pc.fill_null(counts.column("events").combine_chunks().take(place).cast(pa.float64()), 0.0).to_numpy()
    return _rescored(table, lambda score: score * (1.0 + events) ** -strength, frame_kind(recommendations))


def _rescored(table: pa.Table, change: Callable[[np.ndarray], np.ndarray], kind: FrameKind) -> Frame:
    users = _codes_of(id_column(table, "user_id", name="recommendations"))
    score = table.column("score").to_numpy().astype(np.float64)
    lowest = np.zeros(users.max(initial=-1) + 1)
    np.minimum.at(lowest, users, score)
    changed = change(score - lowest[users])
    order = np.lexsort((table.column("rank").to_numpy(), -changed, users))
    index = table.column_names.index("score")
    table = table.set_column(index, "score", pa.array(changed.astype(np.float32)))
    return renumber(table.take(pa.array(order)), len(table), kind)


def renumber(table: pa.Table, k: int, kind: FrameKind) -> Frame:
    """The first k rows of every user in the order of the table, ranks from 1."""
    place = _occurrence(_codes_of(id_column(table, "user_id", name="recommendations")))
    index = table.column_names.index("rank")
    table = table.set_column(index, "rank", pa.array((place + 1).astype(np.int32))).filter(pa.array(place < k))
    return table.to_pandas() if kind == "pandas" else table


def _codes_of(ids: pa.Array) -> np.ndarray:
    codes = pc.dictionary_encode(ids, null_encoding="encode").indices
    return codes.to_numpy(zero_copy_only=False)


def _occurrence(keys: np.ndarray) -> np.ndarray:
    """How many equal keys stand before each, int64 of the same shape."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, dtype=bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    out = np.empty(len(keys), dtype=np.int64)
    out[order] = np.arange(len(keys)) - first
    return out
