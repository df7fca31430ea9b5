"""Segments of users in the night: from the states of the champion's network to tables.

Centres are learnt from the histories as they stood at the champion's cutoff, of `MOST_USERS` users at most, so that a
segment means the same in every night of that version; the night itself only says who is in it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.recommending.evaluation import draw_users
from ecom_pipeline.recommending.frames import is_among
from ecom_pipeline.recommending.segments import FEWEST_USERS, MOST_USERS, Segmentation, find_segments
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.recommend import of_night
from ecom_pipeline.steps.recommend_events import parts_by_user
from ecom_pipeline.steps.recommend_versions import SERVING, champion_of, require_features
from ecom_pipeline.steps.segment_traits import ITEMS_NAMED, Traits, describe, read_traits, typical_items
from ecom_pipeline.warehouse import Warehouse

TABLES = ("user_segments", "segments", "segment_items")
LATEST_EVENTS = 200
"""Events of a user that are read; the network itself reads fewer."""

_ACTIVE = """
SELECT user_id, max(position) AS last_position
FROM feat_user_events
WHERE event_date <= :day AND event NOT IN ('return', 'remove')
GROUP BY user_id
HAVING max(event_date) > :active_since
"""

_HISTORIES = f"""
WITH known AS ({_ACTIVE})
SELECT events.user_id, events.item_id, events.position, events.event_ts, events.event
FROM feat_user_events AS events
JOIN known ON known.user_id = events.user_id
WHERE events.event NOT IN ('return', 'remove')
  AND events.position <= known.last_position AND events.position > known.last_position - :latest
"""


@dataclass(frozen=True)
class SegmentReport:
    """What was written: users and segments, of which version; the agreement by number of segments that chose how many;
    `note` says why there are none."""

    users: int
    segments: int
    model_version: str | None
    agreements: dict[int, float]
    note: str | None = None


def segment_users(
    warehouse: Warehouse, *, home: Home, settings: Settings, as_of: date, time_zone: str
) -> SegmentReport:
    """Replace the night's rows of `user_segments`, `segments` and `segment_items`.

    Raises:
        FeatureError: if the features stand for another night.
        RegistryError: if the champion's files are damaged.
    """
    require_features(warehouse, as_of)
    registry = Registry(home, settings)
    champion = champion_of(registry, as_of)
    if champion is None:
        return _none(warehouse, as_of, None, "no model of the next item is in force, so there are no states to group")
    recommender = NextItemRecommender.load(registry.folder(champion) / SERVING)
    known = _states(warehouse, recommender, settings=settings, day=as_of)
    if known is None:
        why = f"the champion {champion.name} holds no sequence network: it only counts"
        return _none(warehouse, as_of, champion.name, why)
    users, states = known
    then = known
    drawn = _drawn_users(warehouse, settings=settings, day=champion.data_cutoff)
    if drawn is not None or champion.data_cutoff < as_of:
        then = _states(warehouse, recommender, settings=settings, day=champion.data_cutoff, only=drawn) or known
    found = find_segments(then[1], seed=settings.seed)
    if found is None or not len(users):
        why = f"fewer than {FEWEST_USERS} active users, or they do not fall into groups of a useful size"
        return _none(warehouse, as_of, champion.name, why)
    segment = found.assign(states)
    traits = read_traits(
        warehouse,
        users,
        segment,
        segments=len(found.centres),
        as_of=as_of,
        days=settings.trajectory_days,
        time_zone=time_zone,
    )
    tables = _tables(warehouse, users, found, traits, settings=settings)
    with warehouse.transaction():
        for name, rows in tables.items():
            warehouse.replace_night_from_arrow(
                contracts.table(name), as_of, of_night(rows, as_of=as_of, version=champion)
            )
    return SegmentReport(
        users=len(users), segments=len(found.centres), model_version=champion.name, agreements=found.agreements
    )


def _drawn_users(warehouse: Warehouse, *, settings: Settings, day: date) -> pa.Array | None:
    """So many active users as of the end of `day` as centres are learnt from, drawn by the seed; None for all."""
    rows = warehouse.arrow(f"SELECT user_id FROM ({_ACTIVE}) AS known ORDER BY user_id", _days(settings, day))
    if rows.num_rows <= MOST_USERS:
        return None
    return draw_users(rows.column("user_id").combine_chunks(), MOST_USERS, seed=settings.seed)


def _days(settings: Settings, day: date) -> dict[str, date]:
    return {"day": day, "active_since": day - timedelta(days=settings.active_user_days)}


def _states(
    warehouse: Warehouse,
    recommender: NextItemRecommender,
    *,
    settings: Settings,
    day: date,
    only: pa.Array | None = None,
) -> tuple[pa.Array, np.ndarray] | None:
    """Active users as of the end of `day`, all or those of `only`, and the states that the network is in after their
    histories; those of whom it knows nothing are left out. None where there is no network."""
    parts = []
    for histories in parts_by_user(warehouse, _HISTORIES, {**_days(settings, day), "latest": LATEST_EVENTS}):
        wanted = None if only is None else pa.array(is_among(histories, "user_id", only, name="events"))
        found = recommender.user_states(histories if wanted is None else histories.filter(wanted))
        if found is None:
            return None
        users, states = found
        something = states.any(axis=1)
        parts.append((users.filter(pa.array(something)), states[something]))
    return pa.concat_arrays([users for users, _ in parts]), np.concatenate([states for _, states in parts])


def _tables(
    warehouse: Warehouse,
    users: pa.Array,
    found: Segmentation,
    traits: Traits,
    *,
    settings: Settings,
) -> dict[str, pa.Table]:
    names = dict(warehouse.rows("SELECT item_id, coalesce(name, item_id) FROM feat_items"))
    rows, items = [], []
    for number in range(len(found.centres)):
        members = traits.segment == number
        size = int(members.sum())
        typical = typical_items(traits, number)
        ids = [traits.item_ids[item] for item in typical.items]
        named = [str(names.get(item, item)) for item in ids[:ITEMS_NAMED]]
        items += [
            (number + 1, rank, item, *figures)
            for rank, (item, *figures) in enumerate(
                zip(ids, typical.users.tolist(), typical.share.tolist(), typical.lift.tolist(), strict=True), start=1
            )
        ]
        rows.append(
            {
                "segment": number + 1,
                "users": size,
                "share": size / len(users),
                "description": describe(traits, number, typical=named[0] if named else None) if size else "nobody now",
                "typical_items": "; ".join(named) or None,
                "events_a_user": _mean(traits.habits["events"], members),
                "purchase_days_a_user": _mean(traits.habits["purchase_days"], members),
                "value_a_user": _mean(traits.habits["value"], members) if traits.has_prices else None,
                "stability": float(found.stability[number]),
                "period_days": settings.trajectory_days,
            }
        )
    return {
        "user_segments": pa.table({"user_id": users, "segment": pa.array(traits.segment + 1, pa.int32())}),
        "segments": pa.Table.from_pylist(rows, schema=SEGMENTS_SCHEMA),
        "segment_items": pa.Table.from_pylist(
            [dict(zip(ITEMS_SCHEMA.names, row, strict=True)) for row in items], schema=ITEMS_SCHEMA
        ),
    }


def _mean(values: np.ndarray, members: np.ndarray) -> float:
    return float(values[members].mean()) if members.any() else 0.0


def _none(warehouse: Warehouse, as_of: date, version: str | None, why: str) -> SegmentReport:
    with warehouse.transaction():
        for name in TABLES:
            warehouse.run(f"DELETE FROM {name} WHERE as_of = :as_of", {"as_of": as_of})
    return SegmentReport(users=0, segments=0, model_version=version, agreements={}, note=why)


SEGMENTS_SCHEMA = pa.schema(
    [
        ("segment", pa.int32()),
        ("users", pa.int64()),
        ("share", pa.float64()),
        ("description", pa.string()),
        ("typical_items", pa.string()),
        ("events_a_user", pa.float64()),
        ("purchase_days_a_user", pa.float64()),
        ("value_a_user", pa.float64()),
        ("stability", pa.float64()),
        ("period_days", pa.int32()),
    ]
)
ITEMS_SCHEMA = pa.schema(
    [
        ("segment", pa.int32()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("users", pa.int64()),
        ("share", pa.float64()),
        ("lift", pa.float64()),
    ]
)
