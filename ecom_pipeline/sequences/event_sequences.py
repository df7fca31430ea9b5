"""All users' event sequences as flat arrays: one array a column, and offsets that say where each user begins.

What belongs here: the arrays, the vocabulary of item ids behind their codes, and how sequences are cut. No model code,
no Python object a user.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = -1


class IdTypeError(ValueError):
    """Ids are integers where they should be strings, or strings where they should be integers."""


@dataclass(frozen=True)
class Vocabulary:
    """Item ids by code: `ids[code]` is the id of an item; codes run from 0 in order of first appearance."""

    ids: pa.Array

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, ids: pa.Array) -> np.ndarray:
        """Codes int32 of the same shape as `ids`; unknown ids and nulls are `UNKNOWN`.

        Raises:
            IdTypeError: when integer ids meet string ids.
        """
        if len(ids) and ids.null_count < len(ids) and ids.type != self.ids.type:
            raise IdTypeError(f"item_id is {ids.type} here, but the vocabulary holds {self.ids.type}")
        if ids.type != self.ids.type:
            return np.full(len(ids), UNKNOWN, dtype=np.int32)
        codes = pc.index_in(ids, value_set=self.ids)
        return pc.fill_null(codes, UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int32)

    def decode(self, codes: np.ndarray) -> pa.Array:
        """Ids of codes; negative codes become null."""
        return self.ids.take(pa.array(codes, mask=codes < 0))


SHORTEST = 8
"""Events of a user that are kept at least, as far as there are any, where a log is cut to its newest events."""


@dataclass(frozen=True)
class EventSequences:
    """Sequences of `len(users)` users over a vocabulary of `n_items` items.

    items: int32 (events,), codes in each user's order; user u owns items[offsets[u]:offsets[u + 1]].
    times: float64 seconds (events,) or None where only positions are known.
    kinds: int8 (events,) event type as a code into `kind_names`, or None.
    users: ids, in order of first appearance in the frame.
    """

    items: np.ndarray
    offsets: np.ndarray
    users: pa.Array
    n_items: int
    times: np.ndarray | None = None
    kinds: np.ndarray | None = None
    kind_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Events of each user, int64 (users,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> np.ndarray:
        """Index of the user of each event, int32 (events,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    def keep(self, mask: np.ndarray, *, drop_users: bool = False) -> "EventSequences":
        """The events where `mask` is true; users left without events stay unless `drop_users`."""
        counts = np.bincount(self.owners[mask], minlength=len(self))
        users = self.users
        if drop_users:
            users = users.filter(pa.array(counts > 0))
            counts = counts[counts > 0]
        return replace(
            self,
            items=self.items[mask],
            offsets=offsets_of(counts),
            users=users,
            times=None if self.times is None else self.times[mask],
            kinds=None if self.kinds is None else self.kinds[mask],
        )

    def select(self, users: np.ndarray) -> "EventSequences":
        """The users at the given indices, in that order."""
        return self.windows(ends=self.offsets[users + 1], users=users)

    def windows(self, *, ends: np.ndarray, users: np.ndarray) -> "EventSequences":
        """One row a pair (user index, end): that user's events before the flat position `end`."""
        starts = self.offsets[users]
        lengths = ends - starts
        index = ranges(starts=starts, lengths=lengths)
        return replace(
            self,
            items=self.items[index],
            offsets=offsets_of(lengths),
            users=self.users.take(pa.array(users)),
            times=None if self.times is None else self.times[index],
            kinds=None if self.kinds is None else self.kinds[index],
        )

    def last(self, n: int) -> "EventSequences":
        """Only the last `n` events of every user."""
        lengths = np.minimum(self.lengths, n)
        index = ranges(starts=self.offsets[1:] - lengths, lengths=lengths)
        return replace(
            self,
            items=self.items[index],
            offsets=offsets_of(lengths),
            times=None if self.times is None else self.times[index],
            kinds=None if self.kinds is None else self.kinds[index],
        )

    def newest(self, n: int) -> "EventSequences":
        """About the `n` newest events: by time where times are known, else the last ones of every user, as many of each
        as come to `n` together. Where these would be fewer than SHORTEST, users are left out, evenly, instead: a few
        sequences can be learnt from, single events cannot. Users without any are dropped."""
        if n >= len(self.items):
            return self
        if self.times is not None and np.ptp(self.times) > 0:
            limit = np.partition(self.times, len(self.times) - n)[len(self.times) - n]
            return self.keep(self.times >= limit, drop_users=True)
        low, high = 1, int(self.lengths.max(initial=1))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if np.minimum(self.lengths, middle).sum() <= n else (low, middle - 1)
        kept = self.last(max(low, SHORTEST))
        if len(kept.items) <= n:
            return kept
        turns = np.arange(len(kept) + 1) * n // len(kept.items)
        return kept.select(np.flatnonzero(np.diff(turns)))

    def ages(self) -> np.ndarray:
        """Steps from the end of its user's sequence, 0 for the last event; int64 (events,)."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))

    def padded(self, length: int) -> np.ndarray:
        """The last `length` items of every user, newest first, int32 (users, length), `UNKNOWN` beyond the start."""
        lengths = self.lengths
        steps = np.arange(length)
        index = self.offsets[1:, None] - 1 - steps
        inside = steps < lengths[:, None]
        if not len(self.items):
            return np.full((len(self), length), UNKNOWN, dtype=np.int32)
        return np.where(inside, self.items[np.where(inside, index, 0)], UNKNOWN).astype(np.int32)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets int64 (n + 1,) of rows of the given lengths."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def ranges(*, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The integers start, start + 1, … of every row, one after another; int64 (sum of lengths,)."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
