"""Evaluation on known targets: the full catalogue ranked, with intervals and slices; and the global temporal split.

What belongs here: from a fitted recommender, histories and targets (frames) to metrics. No items are sampled: a
target is found in the first k of all items, or it is a miss; a target that the model never saw is a miss too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import (
    Frame,
    FrameError,
    as_table,
    encoded_ids,
    frame_kind,
    id_column,
    is_among,
    make_frame,
    seconds_column,
    seconds_of,
)
from ecom_pipeline.recommending.metrics import case_gains, interval, ranking_metrics
from ecom_pipeline.recommending.recommender import NextItemRecommender


@dataclass(frozen=True)
class TemporalSplit:
    """Events up to a cutoff, and what each user with a history did first after it.

    train: all events at or before the cutoff. histories: those of the users who have a target. next_event,
    next_purchase: user_id, item_id of the first event, and of the first purchase, after the cutoff.
    """

    train: Frame
    histories: Frame
    next_event: Frame
    next_purchase: Frame


def global_temporal_split(
    events: Frame,
    cutoff: Any,
    *,
    until: Any | None = None,
    purchase_events: Sequence[str] = ("purchase",),
    most_users: int | None = None,
    seed: int = 0,
) -> TemporalSplit:
    """Split by one moment for all users, so that no model sees what happened after it.

    Args:
        events: user_id, item_id, event_ts; optionally event (without it there are no purchases) and position.
        cutoff: the last moment that may be seen (timestamp, ISO string, or a number where event_ts is one).
        until: the last moment that counts as a target; None for the end of the events.
        purchase_events: names of the events that mean "bought".
        most_users: targets in each set, at most, drawn at random by `seed`; None for all.
        seed: of the draw.
    """
    table = as_table(events, name="events", required=("user_id", "item_id", "event_ts"))
    kind = frame_kind(events)
    moment = seconds_column(table, "event_ts", name="events")
    limit = seconds_of(cutoff)
    past = moment <= limit
    future = ~past if until is None else (~past & (moment <= seconds_of(until)))
    train = table.filter(pa.array(past))
    later = table.filter(pa.array(future))
    known = encoded_ids(train, "user_id", name="events")[1]
    later = later.filter(pa.array(is_among(later, "user_id", known, name="events")))
    purchases = later.slice(0, 0)
    if "event" in table.column_names:
        names = pa.array(list(purchase_events), type=pa.string())
        purchases = later.filter(pa.array(is_among(later, "event", names, name="events", nulls=True)))
    next_event, next_purchase = (_some(_first(part), most_users, seed) for part in (later, purchases))
    wanted = pc.unique(pa.concat_tables([next_event, next_purchase]).column("user_id"))
    histories = train.filter(pa.array(is_among(train, "user_id", wanted, name="events")))
    return TemporalSplit(
        train=_as(train, kind),
        histories=_as(histories, kind),
        next_event=_as(next_event, kind),
        next_purchase=_as(next_purchase, kind),
    )


def _first(table: pa.Table) -> pa.Table:
    """user_id, item_id of each user's first row in time; ties keep `position`, then the order of the rows."""
    codes, _ = encoded_ids(table, "user_id", name="events")
    keys = [seconds_column(table, "event_ts", name="events"), codes]
    if "position" in table.column_names:
        keys.insert(0, seconds_column(table, "position", name="events"))
    order = np.lexsort(keys)
    _, first = np.unique(codes[order], return_index=True)
    chosen = table.select(["user_id", "item_id"]).take(pa.array(order[first]))
    return pa.table({column: id_column(chosen, column, name="events") for column in chosen.column_names})


def _some(targets: pa.Table, most_users: int | None, seed: int) -> pa.Table:
    """The rows of at most so many users; each user has one."""
    if most_users is None:
        return targets
    drawn = draw_users(targets.column("user_id").combine_chunks(), most_users, seed=seed)
    return targets.filter(pc.is_in(targets.column("user_id"), value_set=drawn))


def draw_users(users: pa.Array, most: int, *, seed: int) -> pa.Array:
    """At most so many of different users, drawn at random, in their order."""
    if len(users) <= most:
        return users
    drawn = np.random.default_rng(seed).choice(len(users), size=most, replace=False)
    return users.take(pa.array(np.sort(drawn)))


def _as(table: pa.Table, kind: str) -> Frame:
    return table.to_pandas() if kind == "pandas" else table


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one recommender on one set of cases.

    metrics: hr@k, ndcg@k, mrr@k, n, and over all recommended lists coverage@K (share of the catalogue that is
    recommended at least once), novelty@K (mean of -log2 of an item's share of the training events) and top_share@K
    (share of recommendations among the 1 % most popular items), K the largest k. intervals: 95 %, of hr, ndcg and
    mrr. slices: name of a slice -> metrics with n. slice_intervals: name of a slice -> as intervals.
    ranks: int64 (cases,), 0 the best, the largest integer for a miss.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    slices: dict[str, dict[str, float]]
    slice_intervals: dict[str, dict[str, tuple[float, float]]]
    ranks: np.ndarray = field(repr=False)

    def intervals_of(self, name: str) -> dict[str, tuple[float, float]]:
        """The intervals of a slice, or of the whole ("all")."""
        return self.intervals if name == "all" else self.slice_intervals.get(name, {})

    def frame(self) -> Frame:
        """Long Arrow table: slice ("all" for the whole), metric, value, low, high, n."""
        rows: list[tuple[str, str, float, float, float, float]] = []
        for name, metrics in ({"all": self.metrics} | self.slices).items():
            for metric, value in metrics.items():
                low, high = self.intervals_of(name).get(metric, (np.nan, np.nan))
                if metric != "n":
                    rows.append((name, metric, value, low, high, metrics["n"]))
        columns = list(zip(*rows, strict=True))
        names = ("slice", "metric", "value", "low", "high", "n")
        return make_frame(dict(zip(names, map(list, columns), strict=True)), "arrow")


def evaluate(
    recommender: NextItemRecommender,
    histories: Frame,
    targets: Frame,
    *,
    k: int | Sequence[int] = (5, 10, 20),
    candidates: Any | None = None,
    slices: bool = True,
    recommended: Frame | None = None,
) -> Evaluation:
    """Rank the whole catalogue for every user of `targets` and score where the target stands.

    Args:
        recommender: fitted on events before the targets.
        histories: user_id, item_id, position or event_ts.
        targets: user_id, item_id; one row a case (a user may have several).
        k: cut-offs of HR, NDCG and MRR.
        candidates: as of `NextItemRecommender.recommend`.
        slices: whether to report by history length, popularity decile of the target, and cold or warm target.
        recommended: user_id, item_id, rank, where the recommender was asked for the histories already; at least the
            largest k of each user.

    Raises:
        FrameError: when no target is given.
    """
    ks = (k,) if isinstance(k, int) else tuple(k)
    table = as_table(targets, name="targets", required=("user_id", "item_id"))
    if not table.num_rows:
        raise FrameError("targets: no rows; nothing can be evaluated")
    users = id_column(table, "user_id", name="targets")
    catalogue = recommender.item_ids()
    wanted = _codes(id_column(table, "item_id", name="targets"), catalogue)
    by_user = pc.dictionary_encode(users)
    case_user = by_user.indices.to_numpy(zero_copy_only=False)
    lists = np.full((len(by_user.dictionary), max(ks)), -1, dtype=np.int32)
    chosen = as_table(histories, name="histories", required=("user_id", "item_id"))
    history_users = id_column(chosen, "user_id", name="histories")
    keep = pc.is_in(history_users, value_set=by_user.dictionary)
    chosen = chosen.filter(keep)
    blocks: Iterable[pa.Table] = (
        recommender.recommend_blocks(chosen, max(ks), candidates=candidates)
        if recommended is None
        else [as_table(recommended, name="recommended", required=("user_id", "item_id", "rank"))]
    )
    for block in blocks:
        row = pc.fill_null(pc.index_in(block.column("user_id"), value_set=by_user.dictionary), -1).to_numpy()
        place = block.column("rank").to_numpy() - 1
        wanted_rows = (row >= 0) & (place < max(ks))
        codes = _codes(block.column("item_id"), catalogue)
        lists[row[wanted_rows], place[wanted_rows]] = codes[wanted_rows]
    hits = (lists[case_user] == wanted[:, None]) & (wanted[:, None] >= 0)
    ranks = np.where(hits.any(axis=1), hits.argmax(axis=1), np.iinfo(np.int64).max)
    counts = recommender.item_counts()
    metrics = ranking_metrics(ranks, ks) | _beyond_accuracy(lists, counts, max(ks))
    lengths = np.bincount(
        pc.index_in(history_users.filter(keep), value_set=by_user.dictionary).to_numpy(zero_copy_only=False),
        minlength=len(by_user.dictionary),
    )[case_user]
    parts = {name: mask for name, mask in _slices(lengths, wanted, counts).items() if mask.any()} if slices else {}
    return Evaluation(
        metrics=metrics,
        intervals=_intervals(ranks, ks),
        slices={name: ranking_metrics(ranks[mask], ks) for name, mask in parts.items()},
        slice_intervals={name: _intervals(ranks[mask], ks) for name, mask in parts.items()},
        ranks=ranks,
    )


def _intervals(ranks: np.ndarray, ks: Sequence[int]) -> dict[str, tuple[float, float]]:
    return {f"{name}@{one}": interval(gains) for one in ks for name, gains in case_gains(ranks, one).items()}


def _codes(ids: Any, catalogue: pa.Array) -> np.ndarray:
    if ids.type != catalogue.type:
        raise FrameError(f"targets.item_id is {ids.type}, but the recommender was fitted on {catalogue.type}")
    codes = pc.fill_null(pc.index_in(ids, value_set=catalogue), -1)
    return codes.to_numpy(zero_copy_only=False) if isinstance(codes, pa.Array) else codes.to_numpy()


def _beyond_accuracy(lists: np.ndarray, counts: np.ndarray, k: int) -> dict[str, float]:
    shown = lists[lists >= 0]
    if not len(shown):
        return {}
    share = np.maximum(counts, 1.0) / max(float(counts.sum()), 1.0)
    popular = np.argsort(-counts, kind="stable")[: max(1, len(counts) // 100)]
    return {
        f"coverage@{k}": float(len(np.unique(shown)) / len(counts)),
        f"novelty@{k}": float(-np.log2(share[shown]).mean()),
        f"top_share@{k}": float(np.isin(shown, popular).mean()),
    }


def _slices(lengths: np.ndarray, wanted: np.ndarray, counts: np.ndarray) -> Mapping[str, np.ndarray]:
    parts: dict[str, np.ndarray] = {}
    edges = [0, 1, 3, 6, 11, 21, 51]
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        name = (
            f"history {low}" if high == low + 1 else f"history {low}+" if high is None else f"history {low}-{high - 1}"
        )
        parts[name] = (lengths >= low) & (lengths < (np.inf if high is None else high))
    warm = (wanted >= 0) & (counts[np.maximum(wanted, 0)] > 0)
    parts["cold target"], parts["warm target"] = ~warm, warm
    # deciles of events, not of items: each holds a tenth of what was seen
    order = np.argsort(-counts, kind="stable")
    decile = np.empty(len(counts), dtype=np.int64)
    decile[order] = np.minimum(np.cumsum(counts[order]) / max(float(counts.sum()), 1.0) * 10, 9.999).astype(int)
    for number in range(10):
        parts[f"popularity decile {number + 1}"] = warm & (decile[np.maximum(wanted, 0)] == number)
    return parts
