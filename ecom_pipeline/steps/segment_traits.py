"""What sets a segment apart, in words: its users' habits, categories and typical products beside those of all others.

What belongs here: figures of users over the last days before a night, and how differences of segments are told. Which
user is in which segment is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.warehouse import Warehouse

EVENING = (18, 24)
"""Hours of the shop's time zone that count as evening."""
NOTEWORTHY = 0.3
"""Standardised difference from which on a habit is told; .2 is small and .5 medium (Cohen, 1988)."""
HABITS_TOLD = 3
CATEGORY_SHARE, CATEGORY_LIFT = 0.1, 1.25
"""A category is told where a segment gives it at least so much of its attention, and so many times what others do."""
ITEMS_KEPT, ITEMS_NAMED = 10, 5
FEWEST_ITEM_USERS = 3
PRIOR_USERS = 10.0
"""Users as usual that every product has before any is counted; with few users of its own its lift stays near 1."""
LEAST_DEVIATION = 2.0
LIKE_ALL = "in its habits like the shop's users as a whole"

# habit -> words for more and for less of it than others, and how its figure is written
WORDS: dict[str, tuple[str, str, str]] = {
    "events": ("does much", "does little", "{:,.0f} events"),
    "purchase_days": ("buys often", "buys seldom", "bought on {:.1f} days"),
    "value": ("spends much", "spends little", "{:,.0f} in value"),
    "days_since": ("not seen lately", "seen lately", "last seen {:.0f} days before"),
    "tenure": ("long known", "new", "known for {:.0f} days"),
    "purchase_share": ("looks little before buying", "looks long before buying", "{:.0%} of the events are purchases"),
    "cart_share": ("fills carts", "fills few carts", "{:.0%} of the events fill a cart"),
    "favourite_share": ("marks favourites", "marks few favourites", "{:.0%} of the events are favourites"),
    "variety": (
        "turns to ever new products",
        "comes back to the same products",
        "{:.0%} of the events are new to them",
    ),
    "evening": ("comes in the evening", "comes by day", "{:.0%} of the events after 18:00"),
    "weekend": ("comes at weekends", "comes on weekdays", "{:.0%} of the events on Saturday or Sunday"),
}

ALIKE = ({"events", "purchase_days", "value"}, {"purchase_share", "cart_share", "favourite_share"})
"""Habits that mostly go together: of these only the strongest is told."""

_EVENTS = """
SELECT events.user_id, events.item_id, items.category, events.event, events.event_ts, events.event_date,
       CASE WHEN events.event = 'purchase' THEN events.quantity * events.price END AS value
FROM feat_user_events AS events
LEFT JOIN feat_items AS items ON items.item_id = events.item_id
WHERE events.event NOT IN ('return', 'remove') AND events.event_date > :since AND events.event_date <= :as_of
ORDER BY events.user_id, events.position
"""

_KNOWN_SINCE = """
SELECT user_id, min(event_date) AS first_date, max(event_date) AS last_date
FROM feat_user_events WHERE event_date <= :as_of GROUP BY user_id
"""


@dataclass(frozen=True)
class Traits:
    """Figures of users: habits name -> float64 (users,), NaN where a user has none; categories float64 (users,
    categories) shares of each user's events; and who did something with which product: `item_user`, `item` (pairs,).
    """

    habits: dict[str, np.ndarray]
    categories: np.ndarray
    category_names: tuple[str, ...]
    item_user: np.ndarray
    item: np.ndarray
    item_ids: pa.Array
    has_prices: bool


@dataclass(frozen=True)
class SegmentItems:
    """The most typical products of one segment, best first."""

    items: np.ndarray
    users: np.ndarray
    share: np.ndarray
    lift: np.ndarray


def read_traits(warehouse: Warehouse, users: pa.Array, *, as_of: date, days: int, time_zone: str) -> Traits:
    """Figures of `users` over the `days` up to and including `as_of`."""
    table = warehouse.arrow(_EVENTS, {"since": as_of - timedelta(days=days), "as_of": as_of})
    user = _place(table.column("user_id"), users)
    table, user = table.filter(pa.array(user >= 0)), user[user >= 0]
    n = len(users)
    items = pc.dictionary_encode(table.column("item_id").combine_chunks())
    item = items.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kind = table.column("event").to_numpy(zero_copy_only=False)
    day = table.column("event_date").combine_chunks().cast(pa.int32()).to_numpy(zero_copy_only=False)
    events = np.bincount(user, minlength=n).astype(np.float64)
    some = np.maximum(events, 1.0)

    def share(mask: np.ndarray) -> np.ndarray:
        counted = np.bincount(user[mask], minlength=n) / some
        return np.where(events > 0, counted, np.nan)

    bought = kind == "purchase"
    purchase_days = np.unique(user[bought] * 100_000 + day[bought]) // 100_000
    value = table.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    pairs = np.unique(user * max(len(items.dictionary), 1) + item)
    pair_user, pair_item = np.divmod(pairs, max(len(items.dictionary), 1))
    first, last = _known(warehouse, users, as_of)
    today = as_of.toordinal()
    habits = {
        "events": events,
        "purchase_days": np.bincount(purchase_days, minlength=n).astype(np.float64),
        "value": np.bincount(user, weights=np.nan_to_num(value), minlength=n),
        "days_since": today - last,
        "tenure": today - first,
        "purchase_share": share(bought),
        "cart_share": share(kind == "cart"),
        "favourite_share": share(kind == "favourite"),
        "variety": np.where(events > 0, np.bincount(pair_user, minlength=n) / some, np.nan),
        "evening": share(_in_the_evening(table.column("event_ts"), time_zone)),
        "weekend": share((day + 3) % 7 >= 5),  # 1970-01-01 was a Thursday
    }
    names = pc.dictionary_encode(table.column("category").combine_chunks())
    code = pc.fill_null(names.indices, -1).to_numpy(zero_copy_only=False)
    categories = np.zeros((n, len(names.dictionary)))
    np.add.at(categories, (user[code >= 0], code[code >= 0]), 1.0)
    return Traits(
        habits=habits,
        categories=categories / some[:, None],
        category_names=tuple(names.dictionary.to_pylist()),
        item_user=pair_user,
        item=pair_item,
        item_ids=items.dictionary,
        has_prices=bool(np.isfinite(value).any()),
    )


def describe(traits: Traits, members: np.ndarray, *, typical: str | None = None) -> str:
    """What sets the users of a segment, bool (users,), apart from the others, strongest first.

    Where no habit and no category does, what they turn to: `typical` is the name of their most typical product.
    """
    told: list[tuple[float, str, str]] = []
    for name, values in traits.habits.items():
        if name == "value" and not traits.has_prices:
            continue
        ours, theirs = values[members], values[~members]
        ours, theirs = ours[np.isfinite(ours)], theirs[np.isfinite(theirs)]
        if not len(ours) or not len(theirs):
            continue
        spread = float(np.nanstd(values))
        effect = (ours.mean() - theirs.mean()) / spread if spread > 1e-9 else 0.0
        if abs(effect) < NOTEWORTHY:
            continue
        more, less, figure = WORDS[name]
        mine, others = (figure.format(part.mean()) for part in (ours, theirs))
        told.append((abs(effect), name, f"{more if effect > 0 else less} ({mine}, others {_bare(others)})"))
    told.sort(key=lambda one: -one[0])
    parts: list[str] = []
    said: set[str] = set()
    for _, name, words in told:
        if name not in said and len(parts) < HABITS_TOLD:
            parts.append(words)
            said |= next((group for group in ALIKE if name in group), {name})
    category = _category(traits, members)
    if category is not None:
        parts.append(category)
    if parts:
        return "; ".join(parts)
    return LIKE_ALL if typical is None else f"turns to {typical} and the like, with habits like everybody's"


def largest_by_chance(tested: int) -> float:
    """Standard deviations that the largest of so many figures lies above what is expected, where nothing is at work."""
    return max(LEAST_DEVIATION, float(np.sqrt(2.0 * np.log(max(tested, 1)))))


def typical_items(traits: Traits, members: np.ndarray) -> SegmentItems:
    """The products that the users of a segment turn to more often than all users do.

    Lift is observed by expected users, both with `PRIOR_USERS` more. Of many products some are far above what is
    expected by chance alone: only those count whose standardised excess is beyond what the greatest of as many chance
    figures comes to, sqrt(2 ln n) (Donoho and Johnstone, 1994, Ideal spatial adaptation by wavelet shrinkage).
    """
    n_items = len(traits.item_ids)
    size, everybody = int(members.sum()), len(members)
    share = size / everybody
    inside = np.bincount(traits.item[members[traits.item_user]], minlength=n_items)
    touched = np.bincount(traits.item, minlength=n_items)
    expected = touched * share
    lift = (inside + PRIOR_USERS) / (expected + PRIOR_USERS)
    excess = (inside - expected) / np.maximum(np.sqrt(expected * (1.0 - share)), 1e-12)
    tested = int((touched >= FEWEST_ITEM_USERS).sum())
    known = np.flatnonzero((inside >= FEWEST_ITEM_USERS) & (excess >= largest_by_chance(tested)))
    # by lift, of the widely touched first; the order of products breaks ties
    best = known[np.lexsort((known, -inside[known], -lift[known]))][:ITEMS_KEPT]
    return SegmentItems(items=best, users=inside[best], share=inside[best] / max(size, 1), lift=lift[best])


def _category(traits: Traits, members: np.ndarray) -> str | None:
    if not traits.category_names:
        return None
    ours, theirs = traits.categories[members].mean(axis=0), traits.categories[~members].mean(axis=0)
    lift = ours / np.maximum(theirs, 1e-3)
    told = np.flatnonzero((ours >= CATEGORY_SHARE) & (lift >= CATEGORY_LIFT))
    if not len(told):
        return None
    best = told[np.argmax(ours[told] - theirs[told])]
    return f"mostly {traits.category_names[best]} ({ours[best]:.0%} of the events, others {theirs[best]:.0%})"


def _bare(figure: str) -> str:
    """The number of a figure, without the words that were said already."""
    return next(word for word in figure.split() if any(letter.isdigit() for letter in word))


def _known(warehouse: Warehouse, users: pa.Array, as_of: date) -> tuple[np.ndarray, np.ndarray]:
    """First and last day of each user, as ordinals."""
    table = warehouse.arrow(_KNOWN_SINCE, {"as_of": as_of})
    place = _place(table.column("user_id"), users)
    epoch = date(1970, 1, 1).toordinal()
    found = []
    for column in ("first_date", "last_date"):
        values = table.column(column).combine_chunks().cast(pa.int32()).to_numpy(zero_copy_only=False)
        days = np.full(len(users), float(as_of.toordinal()))
        days[place[place >= 0]] = values[place >= 0] + epoch
        found.append(days)
    return found[0], found[1]


def _place(ids: pa.ChunkedArray, users: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.index_in(ids, value_set=users), -1).to_numpy(), dtype=np.int64)


def _in_the_evening(moments: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """Whether events were in the evening of the shop; all false where the feed knows no times of day."""
    ZoneInfo(time_zone)  # says so where the name is none
    local = moments.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us", tz=time_zone))
    hours = pc.hour(local).to_numpy()
    return np.asarray((hours >= EVENING[0]) & (hours < EVENING[1]))
