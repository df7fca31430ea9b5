"""From what happened to rows as the shop's systems export them: text columns, one table a feed and day.

What belongs here: column names and spellings of the export. Which rows are spoiled is decided in dirt.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.sample.catalogue import BRANDS, FOREVER, KINDS, SUBCATEGORIES, Catalogue, Promotions, category_path
from ecom_pipeline.sample.people import DEVICES, People
from ecom_pipeline.sample.plan import TIME_ZONE, ShopPlan
from ecom_pipeline.sample.visits import EVENT_NAMES, Clicks

COLUMNS = {
    "orders": ("order", "ordered_at", "customer", "sku", "title", "quantity", "unit_price", "status", "device"),
    "browse": ("at_utc", "session", "customer", "event", "sku", "device"),
    "products": ("sku", "valid_from", "name", "category", "brand", "price", "stock", "on_sale_from", "on_sale_to"),
    "promotions": ("promotion", "sku", "category", "kind", "starts", "ends", "discount"),
}
SHIPPING = -2
SHIPPING_CODE = "SHIPPING"
STATUSES = ("paid", "returned", "cancelled")


class Spelling:
    """Writes codes as the names that the shop's exports use."""

    def __init__(self, plan: ShopPlan, catalogue: Catalogue, people: People) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.skus = pa.array([*catalogue.ids.tolist(), SHIPPING_CODE])
        self.titles = pa.array([*catalogue.names.tolist(), "Shipping"])
        width = max(5, len(str(len(people))))
        self.customers = pa.array(np.char.add("C", np.char.zfill(np.arange(1, len(people) + 1).astype(str), width)))
        self.devices = pa.array(np.array(DEVICES)[people.device])
        self.events = pa.array(EVENT_NAMES)
        self.statuses = pa.array(STATUSES)

    def orders(self, day: int, lines: dict[str, np.ndarray]) -> pa.Table:
        """Order lines of a day from order, second, user, person, item, quantity, cents, status."""
        item = np.where(lines["item"] == SHIPPING, len(self.catalogue), lines["item"])
        midnight = datetime.combine(self.plan.first_day + timedelta(days=day), time(0))
        return _table(
            "orders",
            pc.binary_join_element_wise("R", _text(lines["order"] + 1_000_000), ""),
            _times(midnight, lines["second"]),
            self.customers.take(_or_null(lines["user"])),
            self.skus.take(pa.array(item)),
            self.titles.take(pa.array(item)),
            _text(lines["quantity"]),
            _money(lines["cents"]),
            self.statuses.take(pa.array(lines["status"])),
            self.devices.take(pa.array(lines["person"])),
        )

    def browse(self, day: int, clicks: Clicks, *, person: np.ndarray, first_session: int) -> pa.Table:
        """Browse events of a day in order of time; `person` (sessions,) gives the device."""
        order = np.lexsort((np.arange(len(clicks.second)), clicks.second))
        second, session = clicks.second[order], clicks.session[order]
        today = self.plan.first_day + timedelta(days=day)
        # Clocks change between 2 and 3 at night, when nobody is there.
        seconds = second - np.where(second < 3 * 3600, _utc_offset(today, hour=0), _utc_offset(today, hour=12))
        return _table(
            "browse",
            _times(datetime.combine(today, time(0)), seconds),
            pc.binary_join_element_wise("s", _text(session + first_session), ""),
            self.customers.take(_or_null(clicks.user[order])),
            self.events.take(pa.array(clicks.event[order])),
            self.skus.take(_or_null(clicks.item[order])),
            self.devices.take(pa.array(person[session])),
        )

    def products(
        self, items: np.ndarray, *, valid_from: date, cents: np.ndarray, stock: np.ndarray, told: int
    ) -> pa.Table:
        """States of products from `valid_from` on; a last day on sale is named from day `told` on, two weeks ahead."""
        catalogue, first_day = self.catalogue, self.plan.first_day
        ends = np.where(catalogue.end[items] - 14 <= told, catalogue.end[items], FOREVER)
        paths = pa.array([category_path(k) for k in range(len(SUBCATEGORIES))])
        brands = pa.array(BRANDS).take(pa.array(catalogue.style[items]))
        return _table(
            "products",
            self.skus.take(pa.array(items)),
            pa.array([valid_from.isoformat()] * len(items), pa.string()),
            self.titles.take(pa.array(items)),
            paths.take(pa.array(catalogue.subcategory[items])),
            brands,
            _money(cents[items]),
            _text(np.maximum(stock[items], 0)),
            _days(first_day, catalogue.launch[items], np.ones(len(items), bool)),
            _days(first_day, ends, ends != FOREVER),
        )

    def promotions(self, numbers: np.ndarray, promotions: Promotions) -> pa.Table:
        """Promotions by their numbers."""
        wide = promotions.item[numbers] < 0
        names = [
            SUBCATEGORIES[k].department if whole else category_path(k)
            for k, whole in zip(promotions.subcategory[numbers], promotions.whole_department[numbers], strict=True)
        ]
        always = np.ones(len(numbers), bool)
        depth = promotions.depth[numbers]
        return _table(
            "promotions",
            pc.binary_join_element_wise("A", _text(numbers + 1), ""),
            self.skus.take(_or_null(promotions.item[numbers])),
            pa.array(names, pa.string(), mask=~wide),
            pa.array(np.array(KINDS)[promotions.kind[numbers]], pa.string()),
            _days(self.plan.first_day, promotions.start[numbers], always),
            _days(self.plan.first_day, promotions.end[numbers], always),
            _text(np.round(100 * np.nan_to_num(depth)).astype(np.int64), missing=np.isnan(depth)),
        )


def _table(feed: str, *columns: pa.Array) -> pa.Table:
    return pa.table(dict(zip(COLUMNS[feed], columns, strict=True)))


def _text(numbers: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    return pc.cast(pa.array(numbers.astype(np.int64), mask=missing), pa.string())


def _or_null(codes: np.ndarray) -> pa.Array:
    return pa.array(codes, mask=codes < 0)


def _money(cents: np.ndarray) -> pa.Array:
    """12.90 for 1290."""
    cents = cents.astype(np.int64)
    return pc.binary_join_element_wise(_text(cents // 100), pc.utf8_lpad(_text(cents % 100), 2, "0"), ".")


def _times(midnight: datetime, seconds: np.ndarray) -> pa.Array:
    moments = np.datetime64(midnight, "s") + seconds.astype("timedelta64[s]")
    return pc.cast(pa.array(moments), pa.string())


def _days(first_day: date, offsets: np.ndarray, known: np.ndarray) -> pa.Array:
    days = np.datetime64(first_day, "D") + np.where(known, offsets, 0).astype("timedelta64[D]")
    return pc.cast(pa.array(days, mask=~known), pa.string())


def _utc_offset(day: date, *, hour: int) -> int:
    """Seconds that local time is ahead of UTC."""
    offset = datetime.combine(day, time(hour), tzinfo=ZoneInfo(TIME_ZONE)).utcoffset()
    assert offset is not None  # noqa: S101 - a time with a zone has an offset
    return int(offset.total_seconds())
