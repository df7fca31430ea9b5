"""A small shop with enough in it to train on: weekly seasons, two categories, users who buy in a fixed order."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, moment

ITEMS = ("a1", "a2", "a3", "b1", "b2", "b3")
SETTINGS = Settings(
    profile="test",
    horizon_days=7,
    backtest_windows=2,
    forecast_time_budget_seconds=600,
    next_item_model="co_visitation",
    recommendations_per_user=3,
    similar_items_per_item=2,
)


def new_home(folder: Path) -> Home:
    """A home with an empty registry; MLflow makes its tables once for all of them, which takes seconds."""
    home = Home(folder)
    home.models.mkdir()
    (home.models / "mlflow.db").write_bytes(_empty_registry())
    return home


@cache
def _empty_registry() -> bytes:
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        assert Registry(home, SETTINGS).versions("next_item") == ()
        return (home.models / "mlflow.db").read_bytes()


def open_shop(shop: CoreRows, *, days: int, first: int = 0, seed: int = 0, users: int = 60) -> None:
    """Fill orders and browse events of `days` days from day `first` on."""
    rng = np.random.default_rng(seed)
    if first == 0:
        for item in ITEMS:
            shop.product(item, name=f"Item {item}", category_path=item[0].upper(), price=10.0)
    orders: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for n in range(first, first + days):
        season = 1.0 + (day(n).weekday() >= 5)
        for number, item in enumerate(ITEMS):
            for _ in range(rng.poisson(season * (1 + number / 2))):
                user = f"u{rng.integers(users)}"
                orders.append(_order(n, item, user, len(orders)))
                events.append(_event(n, item, user, "purchase"))
        for _ in range(12):
            user, start = f"u{rng.integers(users)}", int(rng.integers(len(ITEMS)))
            for step in range(3):
                events.append(_event(n, ITEMS[(start + step) % len(ITEMS)], user, "view", minute=step))
    shop.add("core_order_lines", orders)
    shop.line -= len(orders)
    shop.add("core_events", events)


def _order(n: int, item: str, user: str, number: int) -> dict[str, Any]:
    return {
        "order_id": f"o{n}-{number}",
        "user_id": user,
        "item_id": item,
        "quantity": 1.0,
        "unit_price": 10.0,
        "amount": 10.0,
        "currency": "EUR",
        "status": "sale",
        "is_product": True,
        "ordered_at": moment(n),
        "order_date": day(n),
    }


def _event(n: int, item: str, user: str, event: str, *, minute: int = 0) -> dict[str, Any]:
    return {
        "user_id": user,
        "item_id": item,
        "event": event,
        "event_ts": moment(n, 9) + timedelta(minutes=minute),
        "event_date": day(n),
        "feed": "browse" if event == "view" else "orders",
    }
