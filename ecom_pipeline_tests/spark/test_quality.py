"""Great Expectations on the cluster counts what it counts in DuckDB, rows that break rules included."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_pipeline.contracts import table
from ecom_pipeline.quality import validate
from ecom_pipeline.steps.features import with_inputs
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER
from ecom_pipeline_tests.spark.shops import exports_by_feed, on_cluster, shop_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]
BROKEN = (
    "UPDATE core_order_lines SET quantity = -quantity WHERE line = 3",
    "UPDATE core_order_lines SET status = 'gift' WHERE line = 5",
    "UPDATE core_order_lines SET order_id = NULL WHERE line = 7",
    "UPDATE core_order_lines SET unit_price = -1 WHERE line = 9",
    "UPDATE core_order_lines SET amount = CAST('infinity' AS DOUBLE) WHERE line = 11",
    "INSERT INTO core_order_lines SELECT * FROM core_order_lines WHERE line = 13",
)


def test_all_rules_of_core_and_features_have_the_same_outcome(
    spark: "SparkSession", small_exports: Path, tmp_path: Path, storage_root: Path
) -> None:
    files = exports_by_feed(small_exports)
    with (
        shop_of(tmp_path, profile_name="sample", files=files, as_of=SMALL_SHOP.last_day) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        for name in with_inputs(["feat_items"]):
            shop.build(name, shop.warehouse)
        for statement in BROKEN:
            shop.warehouse.run(statement)
        failed = 0
        for name in ("core_order_lines", "core_products", "feat_items"):
            here, there = (
                validate(engine, table(name), as_of=shop.as_of, run_id="test") for engine in (shop.warehouse, warehouse)
            )
            assert [replace(result, expectation="") for result in there.results] == [
                replace(result, expectation="") for result in here.results
            ]
            failed += sum(not result.success for result in here.results)
        assert failed >= 6
