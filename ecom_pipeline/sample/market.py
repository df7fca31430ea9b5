"""The state of the shop on one day: seasons, prices, promotions, moods and stock. What people do of it is in visits.

What belongs here: all that makes a product more or less wanted on a day, whoever looks at it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ecom_pipeline.calendar import public_holidays
from ecom_pipeline.sample.catalogue import SUBCATEGORIES, Catalogue, Prices, Promotions
from ecom_pipeline.sample.plan import COUNTRY, ShopPlan, Stream

WEEKDAY = np.array([1.12, 0.97, 0.92, 0.93, 0.82, 0.9, 1.34])
AD_PULL = 2.2
COUPON, AD, FEATURE = 1, 2, 3
_DEPARTMENT = np.array([sorted({s.department for s in SUBCATEGORIES}).index(s.department) for s in SUBCATEGORIES])


@dataclass(frozen=True)
class Market:
    """One day, arrays by product (items,).

    `pull`: how much products draw looks; 0 off sale. `discount`, `coupon`: depth, 0 without one. `cents`: list price.
    `wanted`: how readily those who look buy. `cumulative`: of `pull`, for drawing. `visits`: factor on the visits.
    """

    day: int
    pull: np.ndarray
    wanted: np.ndarray
    discount: np.ndarray
    coupon: np.ndarray
    cents: np.ndarray
    cumulative: np.ndarray
    visits: float


class MarketDays:
    """Makes the market of each day in turn."""

    def __init__(self, plan: ShopPlan, catalogue: Catalogue, prices: Prices, promotions: Promotions) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.prices = prices
        self.promotions = promotions
        self.cents = catalogue.base_cents.copy()
        self._moods = plan.random(Stream.MOODS)
        self._mood = self._moods.normal(0, 0.45, len(catalogue))
        self._general_mood = 0.0
        self._next_price = 0
        self.holidays = public_holidays(country=COUNTRY, first=plan.first_day, last=plan.last_day)
        self._peak = np.array([entry.peak_day for entry in SUBCATEGORIES])
        self._swing = np.array([entry.swing for entry in SUBCATEGORIES])

    def open(self, day: int) -> Market:
        """The market of `day`; days must come in order."""
        catalogue, today = self.catalogue, self.plan.first_day + timedelta(days=day)
        self._change_prices(day)
        noise = self._moods.normal(0, 1, len(catalogue))
        jump = np.where(self._moods.random(len(catalogue)) < 0.002, self._moods.uniform(0.8, 1.8), 0.0)
        self._mood = 0.94 * self._mood + 0.15 * noise + jump
        self._general_mood = 0.9 * self._general_mood + 0.04 * self._moods.normal()

        discount, coupon, seen = self._promotions_of(day)
        angle = 2 * np.pi * (today.timetuple().tm_yday - self._peak) / 365.25
        season = (1 + self._swing * np.cos(angle))[catalogue.subcategory]
        price = np.where(discount > 0, self.cents * (1 - discount), self.cents) / catalogue.base_cents
        wanted = season**0.6 * price**-catalogue.elasticity
        pull = catalogue.popularity * catalogue.life(day) * season * np.exp(self._mood) * seen
        return Market(
            day=day,
            pull=pull,
            wanted=wanted,
            discount=discount,
            coupon=coupon,
            cents=self.cents.copy(),
            cumulative=np.cumsum(pull),
            visits=self._visits(today, day) * (1 + 0.8 * _share(pull, discount > 0)),
        )

    def _change_prices(self, day: int) -> None:
        until = int(np.searchsorted(self.prices.day, day, side="right"))
        self.cents[self.prices.item[self._next_price : until]] = self.prices.cents[self._next_price : until]
        self._next_price = until

    def _promotions_of(self, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Depth of discounts and of coupons, and the pull of being seen, by product."""
        plan, catalogue = self.promotions, self.catalogue
        running = np.flatnonzero((plan.start <= day) & (day <= plan.end))
        discount, coupon, seen = (np.zeros(len(catalogue)), np.zeros(len(catalogue)), np.ones(len(catalogue)))
        single = running[plan.item[running] >= 0]
        wide = running[plan.item[running] < 0]
        for target, kinds in ((discount, (0,)), (coupon, (COUPON,))):
            chosen = single[np.isin(plan.kind[single], kinds)]
            np.maximum.at(target, plan.item[chosen], plan.depth[chosen])
        np.multiply.at(seen, plan.item[single], np.where(plan.kind[single] == AD, AD_PULL, 1.5))
        for k in wide:
            members = (
                _DEPARTMENT[catalogue.subcategory] == _DEPARTMENT[plan.subcategory[k]]
                if plan.whole_department[k]
                else catalogue.subcategory == plan.subcategory[k]
            )
            if plan.kind[k] < AD:
                target = coupon if plan.kind[k] == COUPON else discount
                target[members] = np.maximum(target[members], plan.depth[k])
            seen[members] *= 1.25
        return discount, coupon, seen

    def _visits(self, today: date, day: int) -> float:
        factor = WEEKDAY[today.weekday()] * (1 + 0.12 * day / 365) * np.exp(self._general_mood)
        if today in self.holidays:
            factor *= 0.7
        if (today.month, today.day) in ((12, 24), (12, 31)):
            factor *= 0.4
        factor *= 1 + 0.55 * np.exp(-(((today - date(today.year, 12, 12)).days / 11) ** 2))
        if today.month in (7, 8):
            factor *= 0.9
        if today.day >= 27 or today.day <= 2:  # payday
            factor *= 1.1
        return float(factor)


def _share(pull: np.ndarray, chosen: np.ndarray) -> float:
    """Share of the pull that the chosen products have; bargains bring people."""
    return float(pull[chosen].sum() / max(pull.sum(), 1e-9))
