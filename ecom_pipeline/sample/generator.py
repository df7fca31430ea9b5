"""The shop, day after day: market, visits, stock, exports. Memory does not grow with the days.

What belongs here: the order in which things happen on a day, and what is handed on to later days.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from ecom_pipeline.sample.catalogue import (
    SUBCATEGORIES,
    Catalogue,
    make_catalogue,
    make_prices,
    make_promotions,
)
from ecom_pipeline.sample.dirt import spoil
from ecom_pipeline.sample.files import FeedFiles
from ecom_pipeline.sample.market import Market, MarketDays
from ecom_pipeline.sample.people import make_people
from ecom_pipeline.sample.plan import SampleReport, ShopPlan, Stream
from ecom_pipeline.sample.rows import COLUMNS, SHIPPING, Spelling
from ecom_pipeline.sample.stock import Stock
from ecom_pipeline.sample.visits import NOBODY, Baskets, Day, Intentions

Progress = Callable[[int, int], None]
"""Called after each day with the days done and the days in all."""

MANIFEST = "shop.json"
DIRT_LEDGER = "dirt.csv"
PAID, RETURNED, CANCELLED = range(3)
SHIPPING_CENTS = 490
FREE_SHIPPING_FROM_CENTS = 4_900
BIG_ORDER_UNITS = 4_000
_RETURN_RATE = np.array([entry.return_rate for entry in SUBCATEGORIES])

Lines = dict[str, np.ndarray]
LINE_COLUMNS = ("order", "second", "user", "person", "item", "quantity", "cents", "status")


def generate_shop(target: Path, plan: ShopPlan, *, on_progress: Progress | None = None) -> SampleReport:
    """Write the exports of a synthetic shop to `target/<feed>/`; the same plan gives the same files.

    Beside them go `shop.json`, which says what was made, and `dirt.csv`, the ledger of bad rows: file, line (of Parquet
    files: row number from 1), kind, and what must become of the row (quarantine, duplicate or core).

    Raises:
        FileExistsError: if a file is there already.
    """
    target.mkdir(parents=True, exist_ok=True)
    with Exports(target, plan) as exports:
        shop = Shop(plan, exports)
        for day in range(plan.days):
            shop.live(day)
            if on_progress is not None:
                on_progress(day + 1, plan.days)
        exports.finish()
    return exports.report()


class Exports:
    """All files of the export, and the ledger of the dirt in them."""

    def __init__(self, target: Path, plan: ShopPlan) -> None:
        self.target = target
        self.plan = plan
        self.random = plan.random(Stream.DIRT)
        self.feeds = {
            feed: FeedFiles(target, feed=feed, columns=columns, plan=plan) for feed, columns in COLUMNS.items()
        }
        self.dirty: Counter[str] = Counter()
        self.late: defaultdict[tuple[str, int], list[pa.Table]] = defaultdict(list)
        self._cut = False

    def __enter__(self) -> "Exports":
        ledger = self.target / DIRT_LEDGER
        if ledger.exists():
            raise FileExistsError(f"{ledger} is there already; generate a shop into an empty folder")
        self._stream = ledger.open("w", encoding="utf-8", newline="")
        self._ledger = csv.writer(self._stream, lineterminator="\n")
        self._ledger.writerow(("file", "line", "kind", "outcome"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for files in self.feeds.values():
            files.close()
        self._stream.close()

    def write(self, feed: str, day: int, rows: pa.Table) -> None:
        """Export the rows of a day, some of them spoiled, some held back to a later day."""
        arrived = self.late.pop((feed, day), [])
        if feed in ("orders", "browse"):
            rows = self._hold_back(feed, day, rows)
        kept = sum(len(table) for table in arrived)
        rows = pa.concat_tables([*arrived, rows])
        if not len(rows):
            return
        spoiled = spoil(self.random, feed=feed, rows=rows.slice(kept), share=self.plan.dirt)
        files = self.feeds[feed]
        today = self.plan.first_day + timedelta(days=day)
        first = files.write(today, pa.concat_tables([rows.slice(0, kept), spoiled.rows]).combine_chunks())
        for line in range(first, first + kept):
            self._note(files.name, line, "late", "core")
        entries = sorted(zip(spoiled.position.tolist(), spoiled.kinds, spoiled.outcomes, strict=True))
        for position, kind, outcome in entries:
            self._note(files.name, first + kept + position, kind, outcome)
        if feed == "browse" and not self._cut and self.plan.dirt > 0 and self._last_of_file(today, day):
            broken = files.cut_off(rows.slice(len(rows) - 1))
            if broken is not None:
                self._note(files.name, broken, "cut_off", "quarantine")
                self._cut = True

    def _last_of_file(self, today: date, day: int) -> bool:
        """Whether the file of a day past the middle ends with it."""
        archived = self.plan.archive_until is not None and today <= self.plan.archive_until
        ends = not archived or (today + timedelta(days=1)).day == 1 or today == self.plan.archive_until
        return ends and 2 * day >= self.plan.days

    def _hold_back(self, feed: str, day: int, rows: pa.Table) -> pa.Table:
        """Keep a few rows for the file of a day or two later: late rows are normal."""
        late = self.random.random(len(rows)) < self.plan.dirt / 3
        delay = int(self.random.integers(1, 3))
        if not late.any() or day + delay >= self.plan.days:
            return rows
        self.late[(feed, day + delay)].append(rows.filter(pa.array(late)))
        return rows.filter(pa.array(~late))

    def _note(self, file: str, line: int, kind: str, outcome: str) -> None:
        self._ledger.writerow((file, line, kind, outcome))
        self.dirty[kind] += 1

    def finish(self) -> None:
        """Write what the shop is, beside its files."""
        plan = asdict(self.plan) | {
            "first_day": self.plan.first_day.isoformat(),
            "last_day": self.plan.last_day.isoformat(),
            "archive_until": self.plan.archive_until.isoformat() if self.plan.archive_until else None,
        }
        report = self.report()
        about = {
            "synthetic": "Every row of this shop is invented by a generator; no real person bought anything.",
            "plan": plan,
            "rows": report.rows,
            "files": report.files,
            "dirty_rows": report.dirty_rows,
        }
        (self.target / MANIFEST).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    def report(self) -> SampleReport:
        """Rows and files so far."""
        return SampleReport(
            rows={feed: files.rows for feed, files in self.feeds.items()},
            files=sum(files.files for files in self.feeds.values()),
            dirty_rows=dict(sorted(self.dirty.items())),
        )


class Shop:
    """The shop between two days."""

    def __init__(self, plan: ShopPlan, exports: Exports) -> None:
        self.plan = plan
        self.exports = exports
        self.catalogue: Catalogue = make_catalogue(plan)
        self.promotions = make_promotions(plan, self.catalogue)
        self.market_days = MarketDays(plan, self.catalogue, make_prices(plan, self.catalogue), self.promotions)
        self.people = make_people(plan, self.catalogue)
        self.stock = Stock(plan, self.catalogue)
        self.intentions = Intentions()
        self.spelling = Spelling(plan, self.catalogue, self.people)
        self.aftermath: defaultdict[int, list[Lines]] = defaultdict(list)
        self.orders = 0
        self.sessions = 0
        self.told_cents = self.market_days.cents.copy()

    @property
    def remembered(self) -> int:
        """Visits, returns and late rows that are planned for later days."""
        lines = sum(len(part["item"]) for parts in self.aftermath.values() for part in parts)
        late = sum(len(rows) for tables in self.exports.late.values() for rows in tables)
        return len(self.intentions) + lines + late

    def live(self, day: int) -> None:
        """One day, from the morning's deliveries to the evening's exports."""
        random = self.plan.random(Stream.DAY, day)
        market = self.market_days.open(day)
        back = self.stock.open(day)
        visits = Day(
            random,
            market=market,
            catalogue=self.catalogue,
            people=self.people,
            intentions=self.intentions,
            in_stock=self.stock.units > 0,
            visits=self.plan.visits_per_day,
        )
        morning_stock = self.stock.units.copy()
        clicks, wanted = visits.run()
        baskets = _chosen(wanted, self.stock.sell(wanted))
        visits.remember_purchases(baskets)
        lines = self._lines(random, day, baskets)
        sold_out = self.stock.close(day)

        self.exports.write("orders", day, self.spelling.orders(day, lines))
        self.exports.write(
            "browse", day, self.spelling.browse(day, clicks, person=visits.person, first_session=self.sessions)
        )
        self.sessions += len(visits.person)
        self.exports.write("products", day, self._product_states(day, market, back, sold_out, morning_stock))
        announced = np.flatnonzero(self.promotions.announced == day)
        self.exports.write("promotions", day, self.spelling.promotions(announced, self.promotions))

    def _lines(self, random: np.random.Generator, day: int, baskets: Baskets) -> Lines:
        """The day's order lines: sales, shipping, and what comes back of earlier orders."""
        sessions, first, order = np.unique(baskets.session, return_index=True, return_inverse=True)
        sales: Lines = {
            "order": self.orders + order,
            "second": baskets.second,
            "user": baskets.user,
            "person": baskets.person,
            "item": baskets.item,
            "quantity": baskets.quantity,
            "cents": baskets.cents,
            "status": np.full(len(order), PAID),
        }
        self.orders += len(sessions)
        value = np.bincount(order, weights=baskets.quantity * baskets.cents, minlength=len(sessions))
        charged = first[value < FREE_SHIPPING_FROM_CENTS]
        shipping = {name: sales[name][charged] for name in LINE_COLUMNS} | {
            "item": np.full(len(charged), SHIPPING),
            "quantity": np.ones(len(charged), np.int64),
            "cents": np.full(len(charged), SHIPPING_CENTS),
        }
        self._plan_aftermath(random, day, sales)
        parts = [sales, shipping, *self._big_order(day, sales), *self.aftermath.pop(day, [])]
        lines = {name: np.concatenate([part[name] for part in parts]) for name in LINE_COLUMNS}
        by_time = np.lexsort((np.arange(len(lines["second"])), lines["order"], lines["second"]))
        return {name: column[by_time] for name, column in lines.items()}

    def _plan_aftermath(self, random: np.random.Generator, day: int, sales: Lines) -> None:
        """Returns of a line or a part of it within weeks, cancellations of a whole line on the next day."""
        dice = random.random(len(sales["item"]))
        rate = _RETURN_RATE[self.catalogue.subcategory[sales["item"]]]
        cancelled = np.flatnonzero(dice < 0.012)
        returned = np.flatnonzero((dice >= 0.012) & (dice < 0.012 + rate))
        share = random.random(len(returned))
        come_back = 3 + random.geometric(0.12, len(returned))
        second = random.integers(9 * 3600, 18 * 3600, len(sales["item"]))
        for chosen, later, quantity, status in (
            (cancelled, np.ones(len(cancelled), np.int64), sales["quantity"][cancelled], CANCELLED),
            (returned, come_back, np.ceil(share * sales["quantity"][returned]).astype(np.int64), RETURNED),
        ):
            for wait in np.unique(later):
                part = chosen[later == wait]
                self.aftermath[day + int(wait)].append(
                    {name: sales[name][part] for name in LINE_COLUMNS}
                    | {
                        "second": second[part],
                        "quantity": -quantity[later == wait],
                        "status": np.full(len(part), status),
                    }
                )

    def _big_order(self, day: int, sales: Lines) -> list[Lines]:
        """Once in the shop's life someone orders thousands by mistake, and cancels the next day."""
        if day != self.plan.days * 2 // 3 or not (sales["user"] >= 0).any():
            return []
        line = np.flatnonzero(sales["user"] >= 0)[:1]
        mistake = {name: sales[name][line] for name in LINE_COLUMNS} | {
            "order": np.array([self.orders]),
            "quantity": np.array([BIG_ORDER_UNITS]),
        }
        self.orders += 1
        undone = mistake | {
            "quantity": np.array([-BIG_ORDER_UNITS]),
            "status": np.array([CANCELLED]),
            "second": np.array([9 * 3600]),
        }
        self.aftermath[day + 1].append(undone)
        return [mistake]

    def _product_states(
        self, day: int, market: Market, back: np.ndarray, sold_out: np.ndarray, morning_stock: np.ndarray
    ) -> pa.Table:
        """States of products that changed today, all of them on the first of a month; sold out: from tomorrow on."""
        catalogue, today = self.catalogue, self.plan.first_day + timedelta(days=day)
        changed = (market.cents != self.told_cents) | (catalogue.launch == day) | (catalogue.end - 14 == day)
        changed[back] = True
        if day == 0 or today.day == 1:
            changed[:] = True
        changed &= (catalogue.launch <= day) & (day <= catalogue.end)
        self.told_cents = market.cents
        sold_out = sold_out[(catalogue.launch[sold_out] <= day) & (day < catalogue.end[sold_out])]
        return pa.concat_tables(
            [
                self.spelling.products(
                    np.flatnonzero(changed), valid_from=today, cents=market.cents, stock=morning_stock, told=day
                ),
                self.spelling.products(
                    sold_out,
                    valid_from=today + timedelta(days=1),
                    cents=market.cents,
                    stock=np.zeros(len(catalogue), np.int64),
                    told=day,
                ),
            ]
        )


def _chosen(baskets: Baskets, kept: np.ndarray) -> Baskets:
    return Baskets(
        second=baskets.second[kept],
        session=baskets.session[kept],
        user=np.where(baskets.user[kept] >= 0, baskets.user[kept], NOBODY),
        person=baskets.person[kept],
        item=baskets.item[kept],
        quantity=baskets.quantity[kept],
        cents=baskets.cents[kept],
    )
