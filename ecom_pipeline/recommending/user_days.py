"""What users had done by the end of a day, and what they did next: features and outcomes of next-step prediction.

What belongs here: arrays of dated events, the features of users as of a day, and the outcomes of the window after it.
Days and not moments, so that a feed without times of day says as much as one with them. No model code.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.frames import Frame, FrameError, as_table, encoded_ids

KINDS = ("view", "favourite", "cart", "purchase")
"""Kinds of events that can come next; what was taken back or returned says nothing of what comes next."""
NOTHING = "nothing"
OUTCOMES = (NOTHING, *KINDS)
PURCHASE = KINDS.index("purchase")
CART = KINDS.index("cart")
HALF_LIVES = (3.0, 7.0, 28.0, 90.0)
LONG_AGO = 1_000.0
"""Days that stand for never."""


@dataclass(frozen=True)
class UserDays:
    """Events of all users, user by user, each in order.

    users: ids (users,). user int32, day int32 (days since 1970-01-01), kind int8 (index in `KINDS`): (events,).
    """

    users: pa.Array
    user: np.ndarray
    day: np.ndarray
    kind: np.ndarray

    def up_to(self, day: int) -> "UserDays":
        """The events up to the end of a day; all users stay."""
        kept = self.day <= day
        return UserDays(users=self.users, user=self.user[kept], day=self.day[kept], kind=self.kind[kept])

    def active(self, as_of: int, days: int) -> np.ndarray:
        """Indices of the users who did something in the `days` up to and including `as_of`; ascending."""
        recent = (self.day > as_of - days) & (self.day <= as_of)
        return np.unique(self.user[recent])


def read_user_days(frame: Frame) -> UserDays:
    """`UserDays` of a frame user_id, event, event_date whose rows are in each user's order; other kinds are left out.

    Raises:
        FrameError: for missing columns, nulls, or a user's days that are not in order.
    """
    table = as_table(frame, name="events", required=("user_id", "event", "event_date"))
    named, names = encoded_ids(table, "event", name="events", nulls=True)
    place = pc.fill_null(pc.index_in(names.cast(pa.string()), value_set=pa.array(KINDS)), -1)
    # the last place is that of events without a kind
    kind = np.append(place.to_numpy(zero_copy_only=False), -1).astype(np.int8)[named]
    if (kind < 0).any():
        table, kind = table.filter(pa.array(kind >= 0)), kind[kind >= 0]
    user, users = encoded_ids(table, "user_id", name="events")
    dates = table.column("event_date").cast(pa.date32()).combine_chunks()
    if dates.null_count:
        raise FrameError("events: event_date is null in some rows; leave these rows out")
    day = dates.cast(pa.int32()).to_numpy(zero_copy_only=False)
    if (user[1:] < user[:-1]).any():
        order = np.argsort(user, kind="stable")
        user, day, kind = user[order], day[order], kind[order]
    if ((user[1:] == user[:-1]) & (day[1:] < day[:-1])).any():
        raise FrameError("events: the days of a user are not in order; sort the rows by user_id and position")
    return UserDays(users=users, user=user, day=day, kind=kind)


def last_kinds(events: UserDays, users: np.ndarray, as_of: int) -> np.ndarray:
    """Kind of the last event up to `as_of` of each of `users`, int8 (users,); -1 for none."""
    seen = np.flatnonzero(events.day <= as_of)
    last = np.full(len(events.users), -1, dtype=np.int8)
    last[events.user[seen]] = events.kind[seen]  # of repeated places the last one stays
    return last[users]


def features_of(events: UserDays, users: np.ndarray, as_of: int, *, window_days: int) -> np.ndarray:
    """Features float64 (users, features) as of the end of the day `as_of`; nothing after it is looked at."""
    place = np.full(len(events.users), -1, dtype=np.int64)
    place[users] = np.arange(len(users))
    wanted = np.flatnonzero((events.day <= as_of) & (place[events.user] >= 0))
    user, kind = place[events.user[wanted]], events.kind[wanted]
    ago = (as_of - events.day[wanted]).astype(np.float64)
    n = len(users)

    def counts(mask: np.ndarray) -> np.ndarray:
        return np.bincount(user[mask], minlength=n).astype(np.float64)

    columns = [
        np.log1p(counts((kind == code) & (ago < days)))
        for code in range(len(KINDS))
        for days in (window_days, 4 * window_days, np.inf)
    ]
    bought = kind == PURCHASE
    for mask in (np.ones(len(user), dtype=bool), bought):
        columns += _rhythm(user[mask], ago[mask], n=n, window_days=window_days)
    newest_day = np.full(n, np.inf)
    np.minimum.at(newest_day, user, ago)
    columns.append(np.log1p(counts(ago == newest_day[user])))
    last = last_kinds(events, users, as_of)
    columns += [(last == code).astype(np.float64) for code in range(len(KINDS))]
    carted, paid = np.full(n, LONG_AGO), np.full(n, LONG_AGO)
    np.minimum.at(carted, user[kind == CART], ago[kind == CART])
    np.minimum.at(paid, user[bought], ago[bought])
    columns.append(((carted < paid) & (carted < 4 * window_days)).astype(np.float64))
    return np.column_stack(columns)


def _rhythm(user: np.ndarray, ago: np.ndarray, *, n: int, window_days: int) -> list[np.ndarray]:
    """How often and how lately something was done, in days on which it was: user int (events,) ascending, ago float64
    (events,) days, descending for each user."""
    first_of_day = np.ones(len(user), dtype=bool)
    first_of_day[1:] = (user[1:] != user[:-1]) | (ago[1:] != ago[:-1])
    user, ago = user[first_of_day], ago[first_of_day]
    days = np.bincount(user, minlength=n).astype(np.float64)
    since, since_first = np.full(n, LONG_AGO), np.zeros(n)
    np.minimum.at(since, user, ago)
    np.maximum.at(since_first, user, ago)
    gap = np.where(days > 1, (since_first - since) / np.maximum(days - 1, 1), LONG_AGO)
    recency = np.log1p(since)
    columns = [
        recency,
        recency**2,
        np.log1p(since_first),
        np.log1p(days),
        np.log1p(gap),
        # how overdue: since the last time, by the usual gap
        np.where(days > 1, np.clip(np.log((since + 1) / (gap + 1)), -4, 4), 0.0),
        (days > 1).astype(np.float64),
        (days > 0).astype(np.float64),
    ]
    for half_life in HALF_LIVES:
        decayed = np.bincount(user, weights=0.5 ** (ago / half_life), minlength=n)
        columns += [np.log(decayed + 0.02), np.sqrt(decayed)]
    columns.append(np.log1p(np.bincount(user[ago < 4 * window_days], minlength=n)))
    return columns


def outcomes_of(events: UserDays, users: np.ndarray, as_of: int, *, window_days: int) -> tuple[np.ndarray, np.ndarray]:
    """What came in the `window_days` after `as_of`: index in `OUTCOMES` of each user's next step, int8 (users,), and
    whether the user bought anything, bool (users,)."""
    inside = np.flatnonzero((events.day > as_of) & (events.day <= as_of + window_days))
    following = np.zeros(len(events.users), dtype=np.int8)
    following[events.user[inside[::-1]]] = events.kind[inside[::-1]] + 1
    bought = np.zeros(len(events.users), dtype=bool)
    bought[events.user[inside[events.kind[inside] == PURCHASE]]] = True
    return following[users], bought[users]
