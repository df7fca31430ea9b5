"""Which columns a column comes from: read from SQL and profiles, and declared where a model stands between."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ecom_pipeline.contracts import ALL_TABLES
from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.lineage import BY_MODELS, as_metadata, columns_read_by, core_columns
from ecom_pipeline.orchestration.presentation import lineage_metadata
from ecom_pipeline.orchestration.sql_columns import columns_behind
from ecom_pipeline.sources.profile import read_profile

TABLES = {"orders": ("id", "who", "amount"), "people": ("who", "town")}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id, amount * 2 AS twice FROM orders", {"id": "orders.id", "twice": "orders.amount"}),
        ("SELECT o.id, p.town FROM orders o JOIN people p USING (who)", {"id": "orders.id", "town": "people.town"}),
        ("WITH a AS (SELECT sum(amount) AS s FROM orders) SELECT s + 1 AS t FROM a", {"t": "orders.amount"}),
        ("SELECT * FROM (SELECT who AS w FROM people) AS x", {"w": "people.who"}),
        ("SELECT who FROM orders UNION ALL SELECT town FROM people", {"who": "orders.who people.town"}),
        ("SELECT lag(amount) OVER (PARTITION BY who) AS b FROM orders", {"b": "orders.amount orders.who"}),
        ("SELECT (SELECT max(town) FROM people p WHERE p.who = o.who) AS t FROM orders o", {"t": "people.town"}),
        ("SELECT amount AS a, a + 1 AS b FROM orders", {"a": "orders.amount", "b": "orders.amount"}),
        ("SELECT CASE WHEN town = 'x' THEN 1 END AS c FROM people WHERE who > 1", {"c": "people.town"}),
        ("SELECT t.a FROM (VALUES (1), (2)) AS t(a)", {"a": ""}),
        ("SELECT ID AS \"Id\", :as_of AS d FROM Orders", {"id": "orders.id", "d": ""}),
        ("SELECT count(*) AS n, k.m FROM elsewhere AS k GROUP BY k.m", {"n": "", "m": ""}),
    ],
)  # fmt: skip
def test_a_column_comes_from_what_its_value_is_made_of(sql: str, expected: dict[str, str]) -> None:
    found = {
        name: " ".join(sorted(f"{table}.{column}" for table, column in sources))
        for name, sources in columns_behind(sql, TABLES).items()
    }
    assert found == expected


def test_a_query_that_cannot_be_parsed_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match="cannot be parsed"):
        columns_behind("SELECT FROM WHERE", TABLES)


def test_revenue_comes_from_amounts_and_a_segment_from_days() -> None:
    assert ("core_order_lines", "amount") in columns_read_by("feat_sales_daily")["revenue"]
    assert columns_read_by("user_rfm")["recency_score"] == {
        ("feat_user_events", "event"),
        ("feat_user_events", "event_date"),
    }
    assert columns_read_by("runs") == {}


@pytest.mark.parametrize("name", sorted(ALL_TABLES))
def test_every_source_is_a_column_of_a_declared_table(name: str) -> None:
    found = columns_read_by(name)
    assert found.keys() <= set(ALL_TABLES[name].column_names)
    for table, column in frozenset().union(*found.values()):
        assert column in ALL_TABLES[table].column_names, (table, column)


def test_columns_come_from_assets_that_lie_upstream(tmp_path: Path) -> None:
    graph = build_defs(tmp_path).resolve_asset_graph()
    for name in BY_MODELS:
        upstream = {key.to_user_string() for key in graph.get_ancestor_asset_keys(dg.AssetKey(name))}
        assert {table for sources in BY_MODELS[name].values() for table, _ in sources} <= upstream, name


def test_core_columns_come_from_what_the_profile_names(tmp_path: Path) -> None:
    found = core_columns(read_profile("sample", base=tmp_path))
    assert found["core_order_lines"]["order_id"] == {("raw_orders", "order")}
    assert found["core_order_lines"]["ordered_at"] == {("raw_orders", "ordered_at")}
    # the purchases of the orders feed are events too
    assert {table for table, _ in found["core_events"]["user_id"]} == {"raw_orders", "raw_browse"}


def test_lineage_is_what_dagster_shows() -> None:
    shown: Any = as_metadata({"a": frozenset({("core_events", "item_id"), ("core_events", "event")})})
    (deps,) = shown["dagster/column_lineage"].deps_by_column.values()
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps] == [
        ("core_events", "event"),
        ("core_events", "item_id"),
    ]
    assert as_metadata({}) == {}


def test_lineage_is_a_table_too_since_dagsters_pages_for_it_are_not_open_source() -> None:
    shown = lineage_metadata({"a": frozenset({("core_events", "item_id"), ("core_events", "event")})})
    assert shown["where columns come from"].value.splitlines() == [
        "| column | made from table | its column |",
        "| --- | --- | --- |",
        r"| a | core\_events | event |",
        r"| a | core\_events | item\_id |",
    ]
    assert "dagster/column_lineage" in shown
    assert lineage_metadata({}) == {}
