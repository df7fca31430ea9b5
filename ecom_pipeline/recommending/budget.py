"""How much work a time budget allows: events that networks read, and cases that the re-ranker looks at.

What belongs here: seconds turned into work at a fixed rate, so that a fit with a budget gives the same model on every
machine that keeps up; the clock cuts it short only where it takes twice as long.
"""

import time
from dataclasses import dataclass, field

import numpy as np

POSITIONS_A_SECOND = 24_000  # events that a network of width 128 learns from
SCORES_A_SECOND = 120_000_000  # scores of items, of all sources together, that become candidates with features
NETWORK_POSITIONS = 2_400_000  # events that a network reads in all its epochs together, whatever the budget
FEWEST_POSITIONS = 50_000  # below which a network would learn too little to be worth its seconds
MAX_EPOCHS = 6
NETWORK_SHARE, REFIT_SHARE = 0.3, 0.7  # of the budget, for networks: in each of a fit's two stages; in a refit
CASES_SHARE = 0.2  # of the budget: for the cases that the re-ranker looks at
GRACE = 2.0  # times the budget after which the clock cuts short what is not done
RERANKER_DEADLINE = 0.6  # of the budget: when the re-ranker stops gathering cases, however many there are


@dataclass(frozen=True)
class Budget:
    """Seconds that a fit may take, None for as many as the data suggest; `started` is `time.monotonic`."""

    seconds: float | None = None
    started: float = field(default_factory=time.monotonic)

    def positions(self, share: float, *, networks: int) -> int:
        """Events that each of so many networks may read in all its epochs."""
        if self.seconds is None:
            return NETWORK_POSITIONS
        return min(NETWORK_POSITIONS, int(self.seconds * share * POSITIONS_A_SECOND / max(networks, 1)))

    def cases(self, *, scores_a_case: int, most: int) -> int:
        """Cases that a re-ranker may look at, where each costs so many scores."""
        if self.seconds is None:
            return most
        return int(np.clip(self.seconds * CASES_SHARE * SCORES_A_SECOND / max(scores_a_case, 1), 1, most))

    def reranker_deadline(self) -> float | None:
        """When gathering cases ends (`time.monotonic`)."""
        return None if self.seconds is None else self.started + RERANKER_DEADLINE * GRACE * self.seconds

    def left(self) -> float | None:
        """Seconds that are left until the clock cuts the work short."""
        return None if self.seconds is None else max(GRACE * self.seconds - (time.monotonic() - self.started), 0.0)


def schedule(n_events: int, positions: int) -> tuple[int, int]:
    """Epochs, and how many of the newest events are read in each, so that all together read about `positions`."""
    if positions >= n_events:
        return int(np.clip(positions // max(n_events, 1), 1, MAX_EPOCHS)), n_events
    return 1, positions
