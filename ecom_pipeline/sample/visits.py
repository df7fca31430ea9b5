"""What people do in the shop on one day: visits step by step, all of the day's visits at once in arrays.

What belongs here: the behaviour of people. How wanted products are comes from the market; files are written elsewhere.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ecom_pipeline.sample.catalogue import SUBCATEGORIES, Catalogue
from ecom_pipeline.sample.market import Market
from ecom_pipeline.sample.people import People

VIEW, SEARCH, FAVOURITE, CART, REMOVE = range(5)
EVENT_NAMES = ("view_item", "search", "add_to_wishlist", "add_to_cart", "remove_from_cart")
MAX_STEPS = 14
NOBODY = -1
HOURS = np.array([2, 0, 0, 0, 1, 2, 4, 6, 8, 9, 9, 9, 10, 9, 8, 8, 8, 9, 11, 13, 14, 12, 8, 4], dtype=np.float64)
"""Share of visits by local hour; none while clocks change."""

_CYCLE = np.array([entry.cycle for entry in SUBCATEGORIES])
_CONVERSION = np.array([entry.conversion for entry in SUBCATEGORIES])
_EXTRA_UNITS = np.array([entry.extra_units for entry in SUBCATEGORIES])


@dataclass
class Clicks:
    """Browse events of a day, arrays (events,), in order of session and time."""

    second: np.ndarray
    session: np.ndarray
    user: np.ndarray
    event: np.ndarray
    item: np.ndarray


@dataclass
class Baskets:
    """Order lines of a day, arrays (lines,), in order of time; `user` is NOBODY for guests, `person` always known."""

    second: np.ndarray
    session: np.ndarray
    user: np.ndarray
    person: np.ndarray
    item: np.ndarray
    quantity: np.ndarray
    cents: np.ndarray


class Intentions:
    """Visits that earlier days led to: on which day, who, to which product, how ready to buy."""

    def __init__(self) -> None:
        self._due: defaultdict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(len(person) for planned in self._due.values() for person, _, _ in planned)

    def add(self, *, days: np.ndarray, person: np.ndarray, item: np.ndarray, eagerness: float) -> None:
        """Plan a visit for each entry on its day."""
        order = np.argsort(days, kind="stable")
        for day, begin, end in zip(*_runs(days[order]), strict=True):
            chosen = order[begin:end]
            self._due[int(day)].append((person[chosen], item[chosen], np.full(len(chosen), eagerness)))

    def due(self, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take the visits of `day`: people, products, eagerness."""
        planned = self._due.pop(day, [])
        if not planned:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        person, item, eagerness = (np.concatenate(column) for column in zip(*planned, strict=True))
        return person.astype(np.int64), item.astype(np.int64), eagerness


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct values of a sorted array with the bounds of each run."""
    distinct, begin = np.unique(values, return_index=True)
    return distinct, begin, np.append(begin, len(values))[1:]


class Day:
    """One day's visits."""

    def __init__(
        self,
        random: np.random.Generator,
        *,
        market: Market,
        catalogue: Catalogue,
        people: People,
        intentions: Intentions,
        in_stock: np.ndarray,
        visits: float,
    ) -> None:
        self.random = random
        self.market = market
        self.catalogue = catalogue
        self.people = people
        self.intentions = intentions
        self.in_stock = in_stock
        planned_person, planned_item, eagerness = intentions.due(market.day)
        wandering = people.visitors(random, day=market.day, count=int(random.poisson(visits * market.visits)))
        self.person = np.concatenate([planned_person, wandering])
        self.goal = np.concatenate([planned_item, np.full(len(wandering), NOBODY)])
        self.eagerness = np.concatenate([eagerness, np.ones(len(wandering))])
        order = random.permutation(len(self.person))
        self.person, self.goal, self.eagerness = self.person[order], self.goal[order], self.eagerness[order]
        logged_in = random.random(len(order)) < people.logs_in[self.person]
        self.user = np.where(logged_in, self.person, NOBODY)

    def run(self) -> tuple[Clicks, Baskets]:
        """Everything that happens on the day, and what it leads to later."""
        random, sessions = self.random, len(self.person)
        if sessions == 0 or self.market.cumulative[-1] <= 0:
            empty = np.zeros(0, dtype=np.int64)
            return Clicks(*[empty] * 5), Baskets(*[empty] * 7)
        clock = random.choice(24, sessions, p=HOURS / HOURS.sum()) * 3600.0 + random.random(sessions) * 3600
        length = np.minimum(random.geometric(0.28, sessions), MAX_STEPS)
        parts: list[tuple[np.ndarray, ...]] = []
        carts: list[tuple[np.ndarray, ...]] = []

        searching = np.flatnonzero(random.random(sessions) < 0.15)
        parts.append((clock[searching], searching, np.full(len(searching), SEARCH), np.full(len(searching), NOBODY)))
        clock[searching] += 6 + 15 * random.random(len(searching))

        current = np.full(sessions, NOBODY)
        for step in range(MAX_STEPS):
            here = np.flatnonzero(length > step)
            if not len(here):
                break
            current[here] = self._next_item(here, current[here], step)
            item = current[here]
            parts.append((clock[here], here, np.full(len(here), VIEW), item))
            chance = self._readiness(here, item, step)
            to_cart = random.random(len(here)) < chance
            liked = random.random(len(here)) < 0.25 * chance
            clock[here] += 4 + random.exponential(25, len(here))
            parts.append((clock[here][liked], here[liked], np.full(int(liked.sum()), FAVOURITE), item[liked]))
            carts.append((clock[here][to_cart] + 1, here[to_cart], item[to_cart]))
            clock[here] += 3 + random.exponential(40, len(here))
            self._remember_looks(here[~to_cart], item[~to_cart], chance[~to_cart])

        baskets = self._check_out(carts, clock, parts)
        second, session, event, product = (np.concatenate(column) for column in zip(*parts, strict=True))
        second = second.astype(np.int64)
        order = np.lexsort((event, second, session))
        order = order[second[order] < 86_400]  # visits end at midnight
        second = second[order]
        session, event, product = session[order], event[order], product[order]
        return Clicks(second=second, session=session, user=self.user[session], event=event, item=product), baskets

    def _next_item(self, here: np.ndarray, current: np.ndarray, step: int) -> np.ndarray:
        """The product looked at next: what goes with the last one, one like it, or one to the person's taste."""
        random, catalogue = self.random, self.catalogue
        chosen = self._to_taste(self.person[here])
        if step == 0:
            wanted = self.goal[here]
        else:
            way = random.random(len(here))
            wanted = np.full(len(here), NOBODY)
            along, like = way < 0.33, (way >= 0.33) & (way < 0.6)
            # The first of the partners is the most usual one.
            column = np.minimum(random.geometric(0.5, len(here)) - 1, catalogue.complements.shape[1] - 1)
            wanted[along] = catalogue.complements[current[along], column[along]]
            wanted[like] = catalogue.similar[current[like], column[like]]
        on_sale = (wanted >= 0) & (self.market.pull[wanted] > 0)
        return np.where(on_sale, wanted, chosen)

    def _to_taste(self, person: np.ndarray) -> np.ndarray:
        """One product on sale for each person, of a favourite category or any, the person's style preferred."""
        random, catalogue, people = self.random, self.catalogue, self.people
        cumulative = self.market.cumulative
        padded = np.concatenate([[0.0], cumulative])
        which = random.random(len(person))
        favourite = people.taste[person, (which > 0.5).astype(np.int64)]
        low, high = padded[catalogue.first_of[favourite]], padded[catalogue.first_of[favourite + 1]]
        anywhere = (which > 0.72) | (high <= low)
        low, high = np.where(anywhere, 0.0, low), np.where(anywhere, cumulative[-1], high)
        best = np.full(len(person), NOBODY)
        for _ in range(3):
            point = low + random.random(len(person)) * (high - low)
            candidate = np.minimum(np.searchsorted(cumulative, point, side="right"), len(cumulative) - 1)
            settled = (best >= 0) & (catalogue.style[best] == people.style[person])
            best = np.where(settled, best, candidate)
        return best

    def _readiness(self, here: np.ndarray, item: np.ndarray, step: int) -> np.ndarray:
        """Probability that the product goes into the cart."""
        market, people, person = self.market, self.people, self.person[here]
        sub = self.catalogue.subcategory[item]
        fits = np.where(self.catalogue.style[item] == people.style[person], 1.5, 0.6)
        fits *= np.where((people.taste[person] == sub[:, None]).any(axis=1), 1.4, 0.8)
        bargain = market.wanted[item] ** people.frugality[person] * (1 + 2.0 * market.coupon[item])
        eager = np.where((step == 0) & (self.goal[here] == item), self.eagerness[here], 1.0)
        return np.where(self.in_stock[item], np.minimum(_CONVERSION[sub] * fits * bargain * eager, 0.85), 0.0)

    def _remember_looks(self, session: np.ndarray, item: np.ndarray, chance: np.ndarray) -> None:
        """Some who only looked come back within days, readier to buy: looks run ahead of sales."""
        random = self.random
        back = random.random(len(session)) < np.minimum(0.25 * chance, 0.1)
        self.intentions.add(
            days=self.market.day + random.geometric(0.4, int(back.sum())),
            person=self.person[session[back]],
            item=item[back],
            eagerness=4.0,
        )

    def _check_out(
        self, carts: list[tuple[np.ndarray, ...]], clock: np.ndarray, parts: list[tuple[np.ndarray, ...]]
    ) -> Baskets:
        """Carts become orders, or are abandoned and perhaps taken up again."""
        random, market, people = self.random, self.market, self.people
        second, session, item = (np.concatenate(column) for column in zip(*carts, strict=True))
        _, first = np.unique(session * np.int64(len(self.catalogue)) + item, return_index=True)
        first.sort()
        second, session, item = second[first], session[first], item[first]
        parts.append((second, session, np.full(len(item), CART), item))
        removed = random.random(len(item)) < 0.1
        parts.append((second[removed] + 2, session[removed], np.full(int(removed.sum()), REMOVE), item[removed]))
        pays = random.random(len(clock)) < np.where(self.eagerness > 1, 0.8, 0.62)
        bought = ~removed & pays[session]
        left = ~removed & ~pays[session]
        returning = left & (random.random(len(item)) < 0.35)
        self.intentions.add(
            days=market.day + random.geometric(0.5, int(returning.sum())),
            person=self.person[session[returning]],
            item=item[returning],
            eagerness=6.0,
        )
        session, item = session[bought], item[bought]
        person = self.person[session]
        sub = self.catalogue.subcategory[item]
        stocking_up = 1 + 2.5 * market.discount[item] * people.frugality[person]
        quantity = 1 + random.poisson(_EXTRA_UNITS[sub] * stocking_up)
        redeems = random.random(len(item)) < 0.35 * people.frugality[person]
        depth = np.maximum(market.discount[item], np.where(redeems, market.coupon[item], 0.0))
        cents = np.round(market.cents[item] * (1 - depth)).astype(np.int64)
        paid_at = np.minimum(clock[session] + 30, 86_390).astype(np.int64)
        order = np.lexsort((item, session, paid_at))
        baskets = Baskets(
            second=paid_at[order],
            session=session[order],
            user=self.user[session][order],
            person=person[order],
            item=item[order],
            quantity=quantity[order],
            cents=cents[order],
        )
        return baskets

    def remember_purchases(self, baskets: Baskets) -> None:
        """What was bought runs out and is bought again, or leads to what goes with it."""
        random, catalogue = self.random, self.catalogue
        cycle = _CYCLE[catalogue.subcategory[baskets.item]]
        again = (cycle > 0) & (random.random(len(cycle)) < 0.45)
        days = cycle[again] * random.normal(1, 0.12, int(again.sum()))
        self.intentions.add(
            days=self.market.day + np.maximum(days.astype(np.int64), 1),
            person=baskets.person[again],
            item=baskets.item[again],
            eagerness=5.0,
        )
        follows = random.random(len(cycle)) < 0.15
        partner = catalogue.complements[baskets.item[follows], random.integers(0, 2, int(follows.sum()))]
        self.intentions.add(
            days=self.market.day + random.geometric(0.15, int(follows.sum())),
            person=baskets.person[follows],
            item=partner.astype(np.int64),
            eagerness=3.0,
        )
