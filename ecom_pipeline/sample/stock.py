"""What lies in the warehouse: sales take from it, suppliers bring more, sometimes too late."""

import numpy as np

from ecom_pipeline.sample.catalogue import Catalogue
from ecom_pipeline.sample.plan import ShopPlan, Stream
from ecom_pipeline.sample.visits import Baskets


class Stock:
    """Units of every product, (items,), kept from day to day."""

    def __init__(self, plan: ShopPlan, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.random = plan.random(Stream.STOCK)
        per_item = 0.6 * plan.visits_per_day / max(len(catalogue), 1)
        self.pace = per_item * catalogue.popularity / catalogue.popularity.mean()
        self.units = np.ceil(40 * self.pace).astype(np.int64) + 3
        self.out = np.zeros(len(catalogue), dtype=bool)
        self.arrives = np.full(len(catalogue), -1)
        self.ordered = np.zeros(len(catalogue), dtype=np.int64)
        self.unreliable = self.random.random(len(catalogue)) < 0.3

    def open(self, day: int) -> np.ndarray:
        """Deliveries of the morning; returns the products that were out of stock until now."""
        here = np.flatnonzero(self.arrives == day)
        self.units[here] += self.ordered[here]
        self.arrives[here] = -1
        back = here[self.out[here]]
        self.out[back] = False
        return back

    def sell(self, baskets: Baskets) -> np.ndarray:
        """Which lines can be served, bool (lines,): first come, first served, whole lines only."""
        order = np.lexsort((np.arange(len(baskets.item)), baskets.item))
        item, quantity = baskets.item[order], baskets.quantity[order]
        taken = np.cumsum(quantity)
        begin = np.searchsorted(item, item, side="left")
        before = np.where(begin > 0, taken[np.maximum(begin - 1, 0)], 0)
        served = np.zeros(len(order), dtype=bool)
        served[order] = taken - before <= self.units[item]
        sold = np.bincount(baskets.item[served], weights=baskets.quantity[served], minlength=len(self.units))
        self.units -= sold.astype(np.int64)
        self.pace = 0.93 * self.pace + 0.07 * sold
        return served

    def close(self, day: int) -> np.ndarray:
        """Order what runs low; returns the products that sold out on this day."""
        low = (self.units < 14 * self.pace) & (self.arrives < 0) & (self.catalogue.end > day)
        waiting = self.random.integers(4, 12, len(low))
        waiting = np.where(self.unreliable, waiting + self.random.geometric(0.12, len(low)), waiting)
        self.arrives[low] = day + waiting[low]
        self.ordered[low] = np.ceil(30 * self.pace[low]).astype(np.int64) + 2
        sold_out = np.flatnonzero((self.units <= 0) & ~self.out)
        self.out[sold_out] = True
        return sold_out
