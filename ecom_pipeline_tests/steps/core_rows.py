"""Core tables filled by hand: a row needs only what the test is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.settings import Settings
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline.warehouse import Warehouse, open_warehouse

ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
MONDAY = date(2026, 1, 5)


def day(n: int) -> date:
    """The n-th day of the tests' calendar; day 0 is a Monday."""
    return MONDAY + timedelta(days=n)


def moment(n: int, hour: int = 12, minute: int = 0) -> datetime:
    """A time of the n-th day."""
    return datetime.combine(day(n), time(hour, minute))


class CoreRows:
    """Empties the core tables of a warehouse, adds rows to them and builds features from them."""

    def __init__(self, warehouse: Warehouse, *, country: str | None = None) -> None:
        self.warehouse = warehouse
        self.profile: Any = SimpleNamespace(shop=SimpleNamespace(country=country, time_zone="UTC", currency="EUR"))
        self.settings = Settings(profile="test")
        self.line = 0
        for declared in (*contracts.tables_of_layer("core"), contracts.table("feature_nights")):
            warehouse.run(f"DELETE FROM {declared.name}")

    def add(self, table_name: str, rows: list[dict[str, Any]]) -> None:
        """Append rows; columns left out are null, file and line are filled in."""
        declared = contracts.table(table_name)
        complete = []
        for row in rows:
            self.line += 1
            complete.append({"file_id": 1, "line": self.line} | row)
        self.warehouse.append_from_arrow(
            declared,
            pa.table(
                {
                    column.name: pa.array([row.get(column.name) for row in complete], ARROW_TYPES[column.type])
                    for column in declared.columns
                }
            ),
        )

    def order(self, n: int, item: str, quantity: float = 1, price: float | None = 10.0, **more: Any) -> None:
        """One order line on day n, and the event that it makes."""
        at = more.pop("at", moment(n))
        status = more.pop("status", "sale" if quantity > 0 else "return")
        row = {
            "order_id": f"o{self.line}",
            "user_id": "u1",
            "item_id": item,
            "quantity": quantity,
            "unit_price": price,
            "amount": None if price is None else quantity * price,
            "currency": "EUR",
            "status": status,
            "is_product": True,
            "ordered_at": at,
            "order_date": day(n),
        } | more
        self.add("core_order_lines", [row])
        if row["is_product"]:
            self.line -= 1
            event = {
                "user_id": row["user_id"],
                "item_id": item,
                "event": "purchase" if quantity > 0 else "return",
                "quantity": abs(quantity),
                "price": price,
                "event_ts": at,
                "event_date": day(n),
                "feed": "orders",
            }
            self.add("core_events", [event])

    def event(self, n: int, item: str | None, event: str = "view", **more: Any) -> None:
        """One event of the browse feed on day n."""
        row = {"user_id": "u1", "item_id": item, "event": event, "event_ts": more.pop("at", moment(n))} | more
        self.add("core_events", [{"event_date": day(n), "feed": "browse"} | row])

    def product(self, item: str, **more: Any) -> None:
        """One state of a product."""
        self.add("core_products", [{"item_id": item} | more])

    def promotion(self, first: int, last: int, **more: Any) -> None:
        """One promotion from day `first` to day `last`."""
        self.add("core_promotions", [{"kind": "discount", "starts_on": day(first), "ends_on": day(last)} | more])

    def build(self, n: int, **settings: Any) -> None:
        """All features as of day n."""
        chosen = self.settings.model_copy(update=settings)
        for table_name in FEATURE_ORDER:
            build_feature(self.warehouse, table_name, profile=self.profile, settings=chosen, as_of=day(n))

    def features(self, table_name: str) -> list[tuple[Any, ...]]:
        """All rows of a feature table, sorted."""
        return self.warehouse.rows(f"SELECT * FROM {table_name} ORDER BY ALL")

    def daily(self, level: str, series: str, column: str) -> list[Any]:
        """A column of one daily series, by date."""
        return [
            value
            for (value,) in self.warehouse.rows(
                f"SELECT {column} FROM feat_sales_daily WHERE level = :level AND series_id = :series ORDER BY date",
                {"level": level, "series": series},
            )
        ]


@contextmanager
def empty_warehouse(folder: Path) -> Iterator[Warehouse]:
    """A warehouse with empty tables."""
    with open_warehouse(folder / "warehouse.duckdb", Settings(profile="test", threads=2)) as warehouse:
        yield warehouse
