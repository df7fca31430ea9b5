"""What is known on a night, real or past, of the days before it and ahead of it.

Belongs here: on which night forecasts are made, whether there is a plan of the days ahead, and which days the shop is
closed. A past night must not know what was learnt later: the first Christmas that a shop lives through is a day like
others until it is over.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ecom_pipeline.steps.features import calendar_of_night
from ecom_pipeline.warehouse import Warehouse

_CLOSED = """
SELECT date FROM feat_sales_daily WHERE is_closed
UNION
SELECT date FROM feat_sales_future WHERE is_closed
"""


@dataclass(frozen=True)
class Outlook:
    """The end of the day `cutoff`, with the days, past and ahead, on which the shop was then known to take no orders.

    planned: whether the days ahead are those of the plan (feat_sales_future); else, for a night of the past, the ones
    that the history has (feat_sales_daily).
    """

    cutoff: date
    closed: frozenset[date]
    planned: bool

    @classmethod
    def tonight(cls, warehouse: Warehouse, *, as_of: date) -> "Outlook":
        """Of the night that the features stand for."""
        closed = frozenset(day for (day,) in warehouse.rows(_CLOSED))
        return cls(cutoff=as_of, closed=closed, planned=True)

    @classmethod
    def back_then(cls, warehouse: Warehouse, *, cutoff: date, horizon: int, country: str | None) -> "Outlook":
        """Of the night `cutoff` of the past; closed days are those learnt from sales up to it alone."""
        calendar = calendar_of_night(warehouse, country=country, horizon=horizon, as_of=cutoff).to_pydict()
        closed = frozenset(day for day, shut in zip(calendar["date"], calendar["is_closed"], strict=True) if shut)
        return cls(cutoff=cutoff, closed=closed, planned=False)

    @property
    def table_ahead(self) -> str:
        """The feature table that has the days ahead."""
        return "feat_sales_future" if self.planned else "feat_sales_daily"

    def day(self, ahead: int) -> date:
        """The day `ahead` days after the night; a negative number is a day before it."""
        return self.cutoff + timedelta(days=ahead)

    def is_closed(self, days: Collection[date]) -> np.ndarray:
        """Whether the shop takes no orders on each of the D days, (D,) bool."""
        return np.array([day in self.closed for day in days], dtype=bool)
