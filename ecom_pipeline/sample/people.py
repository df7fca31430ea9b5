"""The people of the shop: when they join, how often they come, what they like."""

from dataclasses import dataclass

import numpy as np

from ecom_pipeline.sample.catalogue import STYLES, Catalogue
from ecom_pipeline.sample.plan import ShopPlan, Stream

DEVICES = ("phone", "desktop", "tablet", "app")


@dataclass(frozen=True)
class People:
    """Arrays by user, (users,); days count from the plan's first day.

    `taste` (users, 2): favourite subcategories. `frugality` scales how much prices and coupons matter.
    """

    activity: np.ndarray
    joins: np.ndarray
    leaves: np.ndarray
    taste: np.ndarray
    style: np.ndarray
    frugality: np.ndarray
    device: np.ndarray
    logs_in: np.ndarray

    def __len__(self) -> int:
        return len(self.activity)

    def visitors(self, random: np.random.Generator, *, day: int, count: int) -> np.ndarray:
        """Users of `count` visits on a day, int64 (count,); empty if nobody is there yet."""
        weight = np.where((self.joins <= day) & (day < self.leaves), self.activity, 0.0)
        cumulative = np.cumsum(weight)
        if cumulative[-1] <= 0:
            return np.zeros(0, dtype=np.int64)
        return np.minimum(
            np.searchsorted(cumulative, random.random(count) * cumulative[-1], side="right"), len(self) - 1
        )


def make_people(plan: ShopPlan, catalogue: Catalogue) -> People:
    """Two thirds of the users are there from the start; the others join day by day, and some leave."""
    random = plan.random(Stream.PEOPLE)
    n = plan.users
    joins = np.where(random.random(n) < 0.65, 0, random.integers(0, plan.days, n))
    share = np.bincount(catalogue.subcategory, weights=catalogue.popularity)
    filled = np.flatnonzero(share)
    taste = random.choice(filled, (n, 2), p=share[filled] / share[filled].sum())
    return People(
        activity=np.exp(random.normal(0, 1.0, n)),
        joins=joins,
        leaves=joins + random.geometric(1 / 700, n),
        taste=taste,
        style=random.integers(0, STYLES, n).astype(np.int8),
        frugality=random.uniform(0.4, 1.6, n),
        device=random.choice(len(DEVICES), n, p=[0.5, 0.3, 0.08, 0.12]).astype(np.int8),
        logs_in=random.random(n) * 0.3 + 0.7,
    )
