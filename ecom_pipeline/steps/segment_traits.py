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

from ecom_pipeline.recommending.frames import encoded_ids, is_among
from ecom_pipeline.steps.recommend_events import parts_by_user
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
SELECT events.user_id, events.position, events.item_id, items.category, events.event, events.event_ts,
       events.event_date, CASE WHEN events.event = 'purchase' THEN events.quantity * events.price END AS value
FROM feat_user_events AS events
LEFT JOIN feat_items AS items ON items.item_id = events.item_id
WHERE events.event NOT IN ('return', 'remove') AND events.event_date > :since AND events.event_date <= :as_of
"""

_KNOWN_SINCE = """
SELECT user_id, min(event_date) AS first_date, max(event_date) AS last_date
FROM feat_user_events WHERE event_date <= :as_of GROUP BY user_id
"""


@dataclass(frozen=True)
class Traits:
    """Figures of users and of their segments.

    segment int64 (users,), from 0. habits name -> float64 (users,), NaN where a user has none. category_shares float64
    (segments, categories): each user's shares of events, summed over the segment. item_users int64 (segments, items):
    users of the segment who did something with the product.
    """

    segment: np.ndarray
    habits: dict[str, np.ndarray]
    category_shares: np.ndarray
    category_names: tuple[str, ...]
    item_users: np.ndarray
    item_ids: tuple[str, ...]
    has_prices: bool


@dataclass(frozen=True)
class SegmentItems:
    """The most typical products of one segment, best first."""

    items: np.ndarray
    users: np.ndarray
    share: np.ndarray
    lift: np.ndarray


def read_traits(
    warehouse: Warehouse,
    users: pa.Array,
    segment: np.ndarray,
    *,
    segments: int,
    as_of: date,
    days: int,
    time_zone: str,
) -> Traits:
    """Figures of `users` over the `days` up to and including `as_of`; `segment` int (users,) is below `segments`."""
    counted = _Counted(users, segment, segments)
    for events in parts_by_user(warehouse, _EVENTS, {"since": as_of - timedelta(days=days), "as_of": as_of}):
        counted.add(events, time_zone=time_zone)
    first, last = _known(warehouse, users, as_of)
    today = as_of.toordinal()
    sums = counted.sums
    events = sums["events"]

    def share(name: str) -> np.ndarray:
        return np.where(events > 0, sums[name] / np.maximum(events, 1.0), np.nan)

    return Traits(
        segment=segment,
        habits={
            "events": events,
            "purchase_days": sums["purchase_days"],
            "value": sums["value"],
            "days_since": today - last,
            "tenure": today - first,
            "purchase_share": share("purchase"),
            "cart_share": share("cart"),
            "favourite_share": share("favourite"),
            "variety": share("items"),
            "evening": share("evening"),
            "weekend": share("weekend"),
        },
        category_shares=_added_up(counted.category_shares, counted.segments, len(counted.categories)),
        category_names=tuple(counted.categories),
        item_users=_added_up(counted.item_users, counted.segments, len(counted.items)).astype(np.int64),
        item_ids=tuple(counted.items),
        has_prices=counted.has_prices,
    )


class _Counted:
    """What is counted of events that come in parts, each of whole users.

    sums: name -> float64 (users,). categories, items: name -> its number, in order of first appearance.
    category_shares, item_users: of each part (segments, the categories or items known by then).
    """

    def __init__(self, users: pa.Array, segment: np.ndarray, segments: int) -> None:
        self.users = users
        self.segment = segment
        self.segments = segments
        counts = ("events", "purchase_days", "value", "purchase", "cart", "favourite", "items", "evening", "weekend")
        self.sums = {name: np.zeros(len(users)) for name in counts}
        self.categories: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.category_shares: list[np.ndarray] = []
        self.item_users: list[np.ndarray] = []
        self.has_prices = False

    def add(self, events: pa.Table, *, time_zone: str) -> None:
        """Count the events of some users, in order of users and positions."""
        codes, ids = encoded_ids(events, "user_id", name="events")
        user = _place(ids, self.users)[codes]
        events, user = events.filter(pa.array(user >= 0)), user[user >= 0]
        day = events.column("event_date").combine_chunks().cast(pa.int32()).to_numpy(zero_copy_only=False)
        value = events.column("value").to_numpy().astype(np.float64)
        self.has_prices |= bool(np.isfinite(value).any())
        of_user = self._sum("events", user)
        for kind in ("purchase", "cart", "favourite"):
            rows = is_among(events, "event", pa.array([kind]), name="events")
            self._sum(kind, user[rows])
            if kind == "purchase":
                self._sum("purchase_days", _distinct(user[rows] * 100_000 + day[rows]) // 100_000)
        self._sum("value", user, np.nan_to_num(value))
        self._sum("evening", user[_in_the_evening(events.column("event_ts"), time_zone)])
        self._sum("weekend", user[(day + 3) % 7 >= 5])  # 1970-01-01 was a Thursday
        category = _numbers(events, "category", self.categories)
        named = category >= 0
        self.category_shares.append(
            self._of_segments(user[named], category[named], len(self.categories), 1.0 / of_user[user[named]])
        )
        item = _numbers(events, "item_id", self.items)
        whose, which = np.divmod(_distinct(user * max(len(self.items), 1) + item), max(len(self.items), 1))
        self._sum("items", whose)
        self.item_users.append(self._of_segments(whose, which, len(self.items)))

    def _sum(self, name: str, user: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Add up rows by user; all of a user's rows are in one part."""
        found = np.bincount(user, weights, minlength=len(self.users))
        self.sums[name] += found
        return found

    def _of_segments(self, user: np.ndarray, code: np.ndarray, n: int, weights: np.ndarray | None = None) -> np.ndarray:
        cells = self.segment[user] * n + code
        return np.bincount(cells, weights, minlength=self.segments * n).reshape(self.segments, n)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Each of the values int (rows,) once, none of them negative. `np.unique` hashes: sixty times as long for ten
    million values of which most differ."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _numbers(events: pa.Table, column: str, known: dict[str, int]) -> np.ndarray:
    """Number of each row's name, int64 (rows,), -1 for none; names that are not known yet get the next ones."""
    codes, names = encoded_ids(events, column, name="events", nulls=True)
    numbers = [known.setdefault(name, len(known)) for name in names.to_pylist()]
    return np.array([*numbers, -1], dtype=np.int64)[codes]


def _added_up(parts: list[np.ndarray], segments: int, columns: int) -> np.ndarray:
    """The sum of parts whose later ones have more columns, float64 (segments, columns)."""
    total = np.zeros((segments, columns))
    for part in parts:
        total[:, : part.shape[1]] += part
    return total


def describe(traits: Traits, number: int, *, typical: str | None = None) -> str:
    """What sets the users of a segment apart from the others, strongest first.

    Where no habit and no category does, what they turn to: `typical` is the name of their most typical product.
    """
    members = traits.segment == number
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
    category = _category(traits, number)
    if category is not None:
        parts.append(category)
    if parts:
        return "; ".join(parts)
    return LIKE_ALL if typical is None else f"turns to {typical} and the like, with habits like everybody's"


def largest_by_chance(tested: int) -> float:
    """Standard deviations that the largest of so many figures lies above what is expected, where nothing is at work."""
    return max(LEAST_DEVIATION, float(np.sqrt(2.0 * np.log(max(tested, 1)))))


def typical_items(traits: Traits, number: int) -> SegmentItems:
    """The products that the users of a segment turn to more often than all users do.

    Lift is observed by expected users, both with `PRIOR_USERS` more. Of many products some are far above what is
    expected by chance alone: only those count whose standardised excess is beyond what the greatest of as many chance
    figures comes to, sqrt(2 ln n) (Donoho and Johnstone, 1994, Ideal spatial adaptation by wavelet shrinkage).
    """
    size, everybody = int((traits.segment == number).sum()), len(traits.segment)
    share = size / everybody
    inside = traits.item_users[number]
    touched = traits.item_users.sum(axis=0)
    expected = touched * share
    lift = (inside + PRIOR_USERS) / (expected + PRIOR_USERS)
    excess = (inside - expected) / np.maximum(np.sqrt(expected * (1.0 - share)), 1e-12)
    tested = int((touched >= FEWEST_ITEM_USERS).sum())
    known = np.flatnonzero((inside >= FEWEST_ITEM_USERS) & (excess >= largest_by_chance(tested)))
    # by lift, of the widely touched first; the order of products breaks ties
    best = known[np.lexsort((known, -inside[known], -lift[known]))][:ITEMS_KEPT]
    return SegmentItems(items=best, users=inside[best], share=inside[best] / max(size, 1), lift=lift[best])


def _category(traits: Traits, number: int) -> str | None:
    if not traits.category_names:
        return None
    size, everybody = int((traits.segment == number).sum()), len(traits.segment)
    shares = traits.category_shares
    ours = shares[number] / max(size, 1)
    theirs = (shares.sum(axis=0) - shares[number]) / max(everybody - size, 1)
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


def _place(ids: pa.Array | pa.ChunkedArray, users: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.index_in(ids, value_set=users), -1).to_numpy(), dtype=np.int64)


def _in_the_evening(moments: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """Whether events were in the evening of the shop; all false where the feed knows no times of day."""
    ZoneInfo(time_zone)  # says so where the name is none
    local = moments.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us", tz=time_zone))
    hours = pc.hour(local).to_numpy()
    return np.asarray((hours >= EVENING[0]) & (hours < EVENING[1]))
