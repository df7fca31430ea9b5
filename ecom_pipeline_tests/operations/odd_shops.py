"""Small odd shops as whole homes: rows are written to landing, nights are run, what is published is judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.operations.doctor import examine
from ecom_pipeline.orchestration.instance import write_instance
from ecom_pipeline.orchestration.running import NightRun, run_night
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.steps.model_shop import new_home

FIRST_DAY = date(2024, 1, 1)
SETTINGS = {
    "profile": "shop.yaml",
    "horizon_days": 7,
    "backtest_windows": 1,
    "forecast_time_budget_seconds": 1,
    "next_item_model": "co_visitation",
    "recommendations_per_user": 3,
    "similar_items_per_item": 3,
}
PROFILE = """
name: odd
shop: {{time_zone: {zone}, country: US, currency: USD}}
feeds:
  orders:
    columns: {{order_id: order, user_id: customer, item_id: item, quantity: qty, unit_price: price}}
    time: {{value: at, formats: ["%Y-%m-%d %H:%M:%S"]}}
    key: exact
  browse:
    columns: {{user_id: customer, item_id: item, event: event}}
    events: {{view: view, cart: cart}}
    time: {{value: at_utc, formats: ["%Y-%m-%d %H:%M:%S"], zone: UTC}}
    key: exact
"""
ORDERS_HEADER = "order,customer,item,qty,price,at\n"
BROWSE_HEADER = "customer,item,event,at_utc\n"


@dataclass(frozen=True, slots=True)
class Order:
    """One order line, at the local time of the shop."""

    user: str
    item: str
    at: datetime
    quantity: int = 1
    price: float = 2.5


@dataclass(frozen=True, slots=True)
class View:
    """One look at a product, in UTC."""

    user: str
    item: str
    at: datetime


def day(n: int) -> date:
    """The day `n` days after the first."""
    return FIRST_DAY + timedelta(days=n)


def at(n: int, hour: int = 12, minute: int = 0) -> datetime:
    """A moment on day `n`."""
    return datetime.combine(day(n), datetime.min.time()) + timedelta(hours=hour, minutes=minute)


def trade(
    first: int, last: int, *, users: int = 30, items: int = 6, a_day: float = 15, seed: int = 0, prefix: str = "u"
) -> list[Order | View]:
    """Orders and looks of the days `first` to `last`: weekends sell twice as much, looks go in threes."""
    rng = np.random.default_rng(seed)
    rows: list[Order | View] = []
    for n in range(first, last + 1):
        for _ in range(rng.poisson(a_day * (1 + (day(n).weekday() >= 5)))):
            user, item = f"{prefix}{rng.integers(users)}", f"item{rng.integers(items)}"
            rows.append(Order(user, item, at(n, 15, int(rng.integers(60))), int(rng.integers(1, 4))))
        for _ in range(round(a_day / 2)):
            user, start = f"{prefix}{rng.integers(users)}", int(rng.integers(items))
            rows += [View(user, f"item{(start + step) % items}", at(n, 16, step)) for step in range(3)]
    return rows


def robot(events: int, *, items: int = 6, first: int = 0, last: int = 0) -> list[View]:
    """So many looks of one user, who never sleeps, spread over some days."""
    a_day = -(-events // (last - first + 1))
    return [
        View("robot", f"item{n % items}", at(first + n // a_day, 4) + timedelta(seconds=n % a_day * 60_000 // a_day))
        for n in range(events)
    ]


def losses_become_nan(patch: pytest.MonkeyPatch) -> None:
    """From now on every loss of every network is no number."""
    from ecom_pipeline.forecasting import network
    from ecom_pipeline.recommending import training

    of_sales, of_items = network.loss_of, training.sampled_softmax
    patch.setattr(network, "loss_of", lambda *parts: of_sales(*parts) * float("nan"))
    patch.setattr(training, "sampled_softmax", lambda *parts: of_items(*parts) * float("nan"))


def change(home: Home, **settings: Any) -> None:
    """Change settings of the home."""
    kept = yaml.safe_load(home.settings_file.read_text(encoding="utf-8"))
    home.settings_file.write_text(yaml.safe_dump(kept | settings), encoding="utf-8")


def open_home(root: Path, *, zone: str = "America/New_York", **settings: Any) -> Home:
    """A home with nothing in landing."""
    home = Home(root)
    for folder in (home.landing / "orders", home.landing / "browse", home.published_file.parent):
        folder.mkdir(parents=True)
    (home.root / "shop.yaml").write_text(PROFILE.format(zone=zone), encoding="utf-8")
    home.settings_file.write_text(yaml.safe_dump(SETTINGS | settings), encoding="utf-8")
    write_instance(home)
    new_home(home.root)
    return home


def land(home: Home, name: str, rows: Iterable[Order | View]) -> None:
    """Put rows into landing, in a file of each feed that has any."""
    listed = list(rows)
    orders = [row for row in listed if isinstance(row, Order)]
    views = [row for row in listed if isinstance(row, View)]
    if orders:
        lines = [f"{name}-{n},{o.user},{o.item},{o.quantity},{o.price},{o.at}\n" for n, o in enumerate(orders)]
        (home.landing / "orders" / f"{name}.csv").write_text(ORDERS_HEADER + "".join(lines), encoding="utf-8")
    if views:
        lines = [f"{v.user},{v.item},view,{v.at}\n" for v in views]
        (home.landing / "browse" / f"{name}.csv").write_text(BROWSE_HEADER + "".join(lines), encoding="utf-8")


def night(home: Home, n: int) -> NightRun:
    """Run the night of day `n`; it must be published, and what is published must be sound."""
    run = run_night(home, day(n))
    assert run.succeeded, (run.failures, [check.sentence for check in run.failed_checks if check.blocking])
    assert unsound(home) == []
    return run


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the published file."""
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def warned(home: Home, n: int) -> set[str]:
    """The expectations that the night of day `n` did not meet."""
    sql = f"SELECT expectation FROM validation_results WHERE as_of = DATE '{day(n)}' AND NOT success"
    return {name for (name,) in ask(home, sql)}


def sold(home: Home) -> int:
    """Pieces sold on all days."""
    ((quantity,),) = ask(home, "SELECT coalesce(sum(quantity), 0) FROM sales_daily WHERE level = 'total'")
    return int(quantity)


_NONE_MAY_BE = {
    "forecasts below zero": "SELECT * FROM sales_forecasts WHERE mean < 0 OR p05 < 0 OR p05 > p50 OR p50 > p95",
    "forecasts far above every day of the past": """
        SELECT * FROM sales_forecasts AS f JOIN (
          SELECT level, series_id, max(quantity) AS most FROM sales_daily GROUP BY ALL
        ) AS d USING (level, series_id)
        WHERE f.measure = 'quantity' AND f.mean > 10 * greatest(d.most, 1)""",
    "probabilities that are none": "SELECT * FROM purchase_predictions WHERE NOT probability BETWEEN 0 AND 1",
    "recommendations of unknown products": "SELECT * FROM recommendations WHERE item_id NOT IN (FROM items "
    "SELECT item_id)",
    "recommendations twice": "SELECT user_id FROM recommendations GROUP BY as_of, user_id, item_id HAVING count(*) > 1",
    "rows that are not accounted for": "SELECT * FROM ingest_files WHERE status = 'loaded' AND "
    "rows_in <> rows_core + rows_quarantined + rows_duplicate",
    "sales that do not add up": """
        SELECT date FROM sales_daily GROUP BY date
        HAVING abs(coalesce(sum(quantity) FILTER (WHERE level = 'product'), 0)
          - coalesce(sum(quantity) FILTER (WHERE level = 'total'), 0)) > 1e-6""",
}


def unsound(home: Home) -> list[str]:
    """What is wrong with a home after a night, and with the figures that it published."""
    found = [f"{finding.part}: {finding.what}" for finding in examine(home) if finding.level == "damaged"]
    found += [what for what, sql in _NONE_MAY_BE.items() if ask(home, sql)]
    for name, declared in PUBLISHED_TABLES.items():
        for column in declared.columns:
            if column.type == "DOUBLE" and ask(home, f"SELECT 1 FROM {name} WHERE NOT isfinite({column.name}) LIMIT 1"):
                found.append(f"{name}.{column.name}: not a finite number")
    return found
