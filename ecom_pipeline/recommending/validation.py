"""Held-out events: what a recommender is validated on, taken from the end of the given log.

What belongs here: `Cases` and the ways to cut a log. The three ways: by time where times are known; else the last
event of every sequence (`last_event`), or whole sequences (`new_sequences`), as sessions need it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecom_pipeline.sequences import EventSequences

Holdout = Literal["time", "last_event", "new_sequences"]
VISIT_GAP_S = 1_800.0
VISITS_A_USER = 8
SESSION_LENGTH = 12.0  # mean events a sequence, up to which sequences count as sessions


@dataclass(frozen=True)
class Cases:
    """Histories and the item that followed each: targets int32 (cases,)."""

    histories: EventSequences
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: np.ndarray) -> "Cases":
        """The cases at `index`."""
        return Cases(histories=self.histories.select(index), targets=self.targets[index])


def choose_holdout(log: EventSequences, *, repeats_allowed: bool) -> Holdout:
    """How to hold out: by time where the log has times; else whole sequences for sessions (short, repeats allowed),
    and last events for everything else."""
    if log.times is not None and np.ptp(log.times) > 0:
        return "time"
    if repeats_allowed and len(log.items) / max(len(log), 1) <= SESSION_LENGTH:
        return "new_sequences"
    return "last_event"


def hold_out(
    log: EventSequences, *, how: Holdout, share: float = 0.1, limit: int = 20_000, seed: int = 0
) -> tuple[EventSequences, Cases]:
    """The log without its held-out events, and at most `limit` cases.

    `share` is the share of events (time) or sequences (new_sequences) held out; last_event holds out at most
    `limit` events.
    """
    rng = np.random.default_rng(seed)
    owners = log.owners
    index = np.arange(len(log.items))
    first = log.offsets[:-1][owners] if len(log.items) else index
    if how == "last_event":
        users = np.flatnonzero(log.lengths >= 2)
        if len(users) > limit:
            users = np.sort(rng.choice(users, size=limit, replace=False))
        ends = log.offsets[users + 1] - 1
        held = np.zeros(len(log.items), dtype=bool)
        held[ends] = True
    elif how == "new_sequences":
        cut = int(np.searchsorted(log.offsets, (1.0 - share) * len(log.items)))
        held = owners >= cut
        ends = index[held & (index > first)]
    else:
        if log.times is None:
            raise ValueError("a log without times cannot be held out by time")
        cutoff = np.quantile(log.times, 1.0 - share, method="lower")
        held = log.times > cutoff
        if not held.any():
            held = log.times >= cutoff
        ends = _ends_after(log, log.times, held)
    if len(ends) > limit:
        ends = np.sort(rng.choice(ends, size=limit, replace=False))
    cases = Cases(histories=log.windows(ends=ends, users=owners[ends]), targets=log.items[ends])
    return log.keep(~held, drop_users=False), cases


def _ends_after(log: EventSequences, times: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Which held-out events are targets: where most users of the held-out time are new, every event with a history;
    else the first event of the first held-out visits of every user with an earlier history."""
    owners, index = log.owners, np.arange(len(log.items))
    first = log.offsets[:-1][owners]
    # one's events are in order, so the held-out ones are the tail
    kept = np.bincount(owners[~held], minlength=len(log))
    has_held = np.bincount(owners[held], minlength=len(log)) > 0
    newcomers = has_held & (kept == 0)
    if newcomers.sum() * 2 > has_held.sum():
        return index[held & (index > first)]
    starts = log.offsets[:-1] + kept
    returning = np.zeros(len(log), dtype=bool)
    returning[has_held & (kept > 0)] = True
    gap = np.diff(times, prepend=-np.inf) > VISIT_GAP_S
    visit = held & returning[owners] & (gap | (index == starts[owners]))
    # the first visits of each user: what is far from the fit would teach another task
    number = np.cumsum(visit)
    before = np.concatenate([[0], number])[starts[owners]]
    return index[visit & (number - before <= VISITS_A_USER)]
