"""What must hold of features whatever the shop did: levels add up, and the future cannot be seen."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecom_pipeline.steps.features import FEATURE_ORDER
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment

NIGHT = 12
ITEMS = ("a", "b", "c", "d")
FEW = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("properties")) as opened:
        yield opened


def moments(first: int, last: int) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(st.integers(first, last), st.integers(8, 11), st.integers(0, 59))


def order_lines(first: int, last: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Order lines between two days: sales, returns, cancellations, guests, missing prices, postage."""
    return st.lists(
        st.fixed_dictionaries(
            {
                "moment": moments(first, last),
                "item_id": st.sampled_from((*ITEMS, "POST")),
                "user_id": st.sampled_from(("u1", "u2", None)),
                "order_id": st.sampled_from(("o1", "o2", "o3", "o4")),
                "status": st.sampled_from(("sale", "sale", "sale", "cancellation", "return")),
                "units": st.sampled_from((1.0, 2.0, 7.0)),
                "unit_price": st.sampled_from((1.25, 3.1, None)),
            }
        ),
        max_size=25,
    )


def clicks(first: int, last: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries(
            {
                "moment": moments(first, last),
                "item_id": st.sampled_from((*ITEMS, "only seen")),
                "user_id": st.sampled_from(("u1", "u2", None)),
                "event": st.sampled_from(("view", "cart", "favourite", "purchase")),
                "session_id": st.sampled_from(("s1", "s2", None)),
            }
        ),
        max_size=25,
    )


def states(first: int, last: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries(
            {
                "item_id": st.sampled_from(ITEMS),
                "valid_from": st.integers(first, last).map(day),
                "category_path": st.sampled_from(("K > x", "K", "L", None)),
                "stock": st.sampled_from((0.0, 5.0, None)),
                "price": st.sampled_from((1.0, 2.0, None)),
            }
        ),
        max_size=6,
    )


def fill(
    shop: CoreRows, lines: list[dict[str, Any]], events: list[dict[str, Any]], known: list[dict[str, Any]]
) -> None:
    """Add rows to the core tables, a table at a time; orders make their events as in the pipeline."""
    order_rows, event_rows = [], []
    for line in lines:
        n, hour, minute = line["moment"]
        quantity = line["units"] if line["status"] == "sale" else -line["units"]
        price = line["unit_price"]
        row = {name: line[name] for name in ("item_id", "user_id", "order_id", "status", "unit_price")} | {
            "quantity": quantity,
            "amount": None if price is None else quantity * price,
            "is_product": line["item_id"] != "POST",
            "ordered_at": moment(n, hour, minute),
            "order_date": day(n),
        }
        order_rows.append(row)
        if row["is_product"]:
            event_rows.append(
                {
                    "user_id": line["user_id"],
                    "item_id": line["item_id"],
                    "event": "purchase" if quantity > 0 else "return",
                    "quantity": abs(quantity),
                    "price": price,
                    "event_ts": moment(n, hour, minute),
                    "event_date": day(n),
                    "feed": "orders",
                }
            )
    for event in events:
        n, hour, minute = event["moment"]
        rest = {name: value for name, value in event.items() if name != "moment"}
        event_rows.append(rest | {"event_ts": moment(n, hour, minute), "event_date": day(n), "feed": "browse"})
    for table_name, rows in (("core_order_lines", order_rows), ("core_events", event_rows), ("core_products", known)):
        if rows:
            shop.add(table_name, rows)


@FEW
@given(lines=order_lines(0, NIGHT), events=clicks(0, NIGHT), known=states(0, NIGHT))
def test_products_add_up_to_categories_and_to_the_total(
    warehouse: Warehouse, lines: list[dict[str, Any]], events: list[dict[str, Any]], known: list[dict[str, Any]]
) -> None:
    shop = CoreRows(warehouse)
    fill(shop, lines, events, known)
    shop.build(NIGHT)
    sums = warehouse.rows(
        "SELECT date, level, coalesce(sum(quantity), 0), coalesce(sum(revenue), 0) FROM feat_sales_daily "
        "GROUP BY date, level ORDER BY date, level"
    )
    levels = {level for _, level, _, _ in sums}
    by_level = {
        level: {date: (quantity, revenue) for date, of, quantity, revenue in sums if of == level} for level in levels
    }
    for level in levels - {"total"}:
        for date, (quantity, revenue) in by_level["total"].items():
            found = by_level[level].get(date, (0, 0))
            assert found == pytest.approx((quantity, revenue), abs=1e-6)
    if levels:
        assert ("category" in levels) == bool(warehouse.scalar("SELECT count(category) FROM feat_items"))
        dates = sorted(by_level["total"])
        assert dates == [dates[0] + timedelta(days=n) for n in range(len(dates))]
        assert dates[-1] == day(NIGHT)


@FEW
@given(
    lines=order_lines(0, NIGHT),
    events=clicks(0, NIGHT),
    known=states(0, NIGHT),
    later=st.tuples(order_lines(NIGHT + 1, NIGHT + 9), clicks(NIGHT + 1, NIGHT + 9), states(NIGHT + 1, NIGHT + 9)),
)
def test_the_future_changes_no_feature(
    warehouse: Warehouse,
    lines: list[dict[str, Any]],
    events: list[dict[str, Any]],
    known: list[dict[str, Any]],
    later: tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    shop = CoreRows(warehouse)
    fill(shop, lines, events, known)
    shop.build(NIGHT)
    before = {table_name: shop.features(table_name) for table_name in FEATURE_ORDER}
    fill(shop, *later)
    shop.build(NIGHT)
    for table_name in FEATURE_ORDER:
        assert shop.features(table_name) == before[table_name], table_name


@FEW
@given(lines=order_lines(0, NIGHT), events=clicks(0, NIGHT))
def test_every_event_of_a_known_user_has_its_place(
    warehouse: Warehouse, lines: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    shop = CoreRows(warehouse)
    fill(shop, lines, events, [])
    shop.build(NIGHT)
    rows = shop.features("feat_user_events")
    sold = [line for line in lines if line["item_id"] != "POST"]
    told = [event for event in events if event["event"] != "purchase" or not sold]
    assert len(rows) == sum(row["user_id"] is not None for row in (*sold, *told))
    for user in {row[0] for row in rows}:
        of_user = [row for row in rows if row[0] == user]
        assert [row[1] for row in of_user] == list(range(1, len(of_user) + 1))
        assert [row[4] for row in of_user] == sorted(row[4] for row in of_user)
        steps = [row[6] for row in of_user]
        assert steps[0] == 1
        assert all(after - before in (0, 1) for before, after in pairwise(steps))
    sessions = shop.features("feat_sessions")
    assert sum(session[6] for session in sessions) == len(rows)
    assert {(session[0], session[1]) for session in sessions} == {(row[0], row[6]) for row in rows}


def test_the_same_night_twice_gives_the_same_rows(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    for n in range(NIGHT):
        shop.order(n, ITEMS[n % 4], 1 + n % 3, price=0.1 * n + 0.07)
        shop.event(n, ITEMS[n % 3])
    shop.build(NIGHT)
    first = {table_name: shop.features(table_name) for table_name in FEATURE_ORDER}
    shop.build(NIGHT - 3)
    shop.build(NIGHT)
    assert first == {table_name: shop.features(table_name) for table_name in FEATURE_ORDER}
