"""Popularity: how often, and how recently, each item occurs. The floor, and the fallback of empty histories."""

from dataclasses import dataclass

import numpy as np

from ecom_pipeline.sequences import EventSequences


@dataclass(frozen=True)
class Popularity:
    """Counts by item. `recent` weighs an event by 2^(-age / half-life); `age` is 0 for the newest item, 1 for the
    oldest.

    counts, recent, age: float32 (items,).
    """

    counts: np.ndarray
    recent: np.ndarray
    age: np.ndarray

    @classmethod
    def fit(cls, log: EventSequences, *, half_life: float = 0.05) -> "Popularity":
        """Counts of a log; `half_life` is a share of the log's span.

        Time is `event_ts` where it is known; else the order in which the users appear stands for it.
        """
        if log.times is not None and len(log.times) and np.ptp(log.times) > 0:
            when = (log.times - log.times.min()) / np.ptp(log.times)
        else:
            when = log.owners / max(len(log) - 1, 1)
        weights = np.exp2((when - 1.0) / half_life)
        first = np.ones(log.n_items)
        np.minimum.at(first, log.items, when)
        return cls(
            counts=np.bincount(log.items, minlength=log.n_items).astype(np.float32),
            recent=np.bincount(log.items, weights=weights, minlength=log.n_items).astype(np.float32),
            age=(1.0 - first).astype(np.float32),
        )

    def scores(self) -> np.ndarray:
        """Order of popularity, float32 (items,): recent counts first, all counts as the tie-break."""
        return self.recent + 1e-3 * self.counts / max(float(self.counts.max(initial=0.0)), 1.0)
