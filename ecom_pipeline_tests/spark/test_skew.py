"""One user with most of the events, and one item in every third order, sink no stage and change no meaning."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.cluster import TABLES, skew
from ecom_pipeline.contracts import Table
from ecom_pipeline.warehouse import Warehouse, sql_text
from ecom_pipeline.warehouse.duckdb_engine import Parameters
from ecom_pipeline.warehouse.sql_files import bound_for_duckdb, parameters_of
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.spark.conftest import WARNINGS_OF_A_CLUSTER
from ecom_pipeline_tests.spark.shops import Shop, exports_by_feed, on_cluster, shop_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SKEWED = 10_000
"""Events of the one user, beside some eleven thousand of all others."""
MOST_ROWS = 3.0
"""What an operator may make for each row of the core tables and of the daily sales."""
ONE_IN = 10
"""Of the pairs that show what would be seen, one event in so many."""


class Counting(Warehouse):
    """Notes the most rows that any operator of a table's statement makes."""

    makes_parts = False

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.connection)
        self.most: dict[str, int] = {}

    def rebuild(self, declared: Table, parameters: Parameters | None = None, *, sql: str | None = None) -> int:
        self._count(declared, parameters or {})
        return super().rebuild(declared, parameters, sql=sql)

    def replace_night(
        self, declared: Table, as_of: date, parameters: Parameters | None = None, *, sql: str | None = None
    ) -> int:
        self._count(declared, {"as_of": as_of, **(parameters or {})})
        return super().replace_night(declared, as_of, parameters, sql=sql)

    def made_by(self, query: str, parameters: Parameters) -> int:
        """The most rows that any operator of a query makes."""
        ((_, plan),) = self.connection.execute(
            f"EXPLAIN (ANALYZE, FORMAT json) {bound_for_duckdb(query)}",
            {name: parameters[name] for name in parameters_of(query)},
        ).fetchall()
        return max(made_by_operators(json.loads(plan)))

    def _count(self, declared: Table, parameters: Parameters) -> None:
        self.most[declared.name] = self.made_by(sql_text(declared.layer, declared.name), parameters)


def made_by_operators(plan: dict[str, Any]) -> Iterator[int]:
    """Rows that each operator of an analysed plan made."""
    yield plan.get("operator_cardinality", 0)
    for child in plan.get("children", ()):
        yield from made_by_operators(child)


@contextmanager
def skewed_shop(folder: Path, exports: Path, count: int) -> Iterator[Shop]:
    """The small shop, with one user of `count` events more."""
    files = exports_by_feed(exports)
    with shop_of(folder, profile_name="sample", files=files, as_of=SMALL_SHOP.last_day) as shop:
        skew(shop.warehouse, count)
        assert shop.warehouse.scalar("SELECT count(*) FROM core_events WHERE user_id = 'skewed user'") == count
        yield shop


def test_no_statement_makes_rows_by_the_square_of_one_users_events(small_exports: Path, tmp_path: Path) -> None:
    with skewed_shop(tmp_path, small_exports, SKEWED) as shop:
        counting = Counting(shop.warehouse)
        for name in TABLES:
            shop.build(name, counting)
        most = MOST_ROWS * sum(
            counting.scalar(f"SELECT count(*) FROM {name}")
            for name in ("core_events", "core_order_lines", "feat_sales_daily")
        )
        pairs = counting.made_by(
            "SELECT count(*) FROM core_events AS a JOIN core_events AS b ON a.user_id = b.user_id "
            f"WHERE a.user_id = 'skewed user' AND a.line % {ONE_IN} = 0 AND b.line % {ONE_IN} = 0",
            {},
        )
    assert set(counting.most) == set(TABLES)
    assert {name: made for name, made in counting.most.items() if made > most} == {}
    assert pairs > most, "what must not happen would be seen"


@pytest.mark.spark
@pytest.mark.filterwarnings(WARNINGS_OF_A_CLUSTER)
def test_a_skewed_shop_has_the_same_tables(
    spark: "SparkSession", small_exports: Path, tmp_path: Path, storage_root: Path
) -> None:
    with (
        skewed_shop(tmp_path, small_exports, SKEWED) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        assert shop.differences(warehouse) == []
