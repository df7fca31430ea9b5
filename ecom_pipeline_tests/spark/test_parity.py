"""Every file of sql/core, sql/features and sql/marts, as it is, on a real cluster beside DuckDB."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_pipeline.contracts import table
from ecom_pipeline.sources.profile import CORE_TABLE_OF, FEEDS
from ecom_pipeline.sources.staging import Staging
from ecom_pipeline.spark.tables import computed
from ecom_pipeline.steps.features import with_inputs
from ecom_pipeline.warehouse import sql_text
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.real_data import shared_data
from ecom_pipeline_tests.spark.comparing import differences
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER
from ecom_pipeline_tests.spark.shops import exports_by_feed, on_cluster, shop_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]


def test_the_sample_shop_has_the_same_tables(
    spark: "SparkSession", small_exports: Path, tmp_path: Path, storage_root: Path
) -> None:
    with (
        shop_of(
            tmp_path, profile_name="sample", files=exports_by_feed(small_exports), as_of=SMALL_SHOP.last_day
        ) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        assert shop.differences(warehouse) == []
        assert shop.warehouse.scalar("SELECT count(*) FROM sales_forecast_accuracy") > 0
        assert shop.warehouse.scalar("SELECT count(*) FROM feat_promotion_days") > 0


def test_core_files_give_the_same_rows(spark: "SparkSession", small_exports: Path, tmp_path: Path) -> None:
    with shop_of(
        tmp_path, profile_name="sample", files=exports_by_feed(small_exports), as_of=SMALL_SHOP.last_day
    ) as shop:
        connection = shop.warehouse.connection
        for feed in FEEDS:
            staging = Staging(feed, 0, shop.profile.readers(feed)[0], shop.profile.shop)
            typed = staging.typed((), rows="TRUE", with_keys=False)
            connection.execute(f"COPY ({typed}) TO '{tmp_path / feed}.parquet'").fetchall()
            connection.execute(f"CREATE TEMP VIEW typed_{feed} AS FROM '{tmp_path / feed}.parquet'").fetchall()
        connection.execute("CREATE TEMP VIEW changed_order_lines AS FROM core_order_lines").fetchall()
        connection.execute(f"COPY core_order_lines TO '{tmp_path}/changed.parquet'").fetchall()
        for feed in FEEDS:
            spark.read.parquet(f"{tmp_path / feed}.parquet").createOrReplaceTempView(f"typed_{feed}")
        spark.read.parquet(f"{tmp_path}/changed.parquet").createOrReplaceTempView("changed_order_lines")
        for name, file in [
            *((CORE_TABLE_OF[feed],) * 2 for feed in FEEDS),
            ("core_events", "core_events_of_orders"),
        ]:
            sql = sql_text("core", file)
            declared = table(name)
            columns = ", ".join(f"CAST({column.name} AS {column.type})" for column in declared.columns)
            expected = shop.warehouse.arrow(f"SELECT {columns} FROM ({sql})").rename_columns(declared.column_names)
            assert expected.num_rows > 0
            with computed(spark, declared, sql=sql) as rows:
                assert differences(declared, expected, rows.toArrow()) == []


def test_purchases_of_guests_without_sessions_are_orders_of_their_own(
    spark: "SparkSession", tmp_path: Path, storage_root: Path
) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "user_id,brand_id,type,visit_datetime\n" + "".join(f",{7 + n % 2},1,07-0{1 + n % 3}\n" for n in range(6))
    )
    with (
        shop_of(tmp_path / "shop", profile_name="tmall2014", files={"browse": [log]}, as_of=date(2013, 7, 9)) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        names = with_inputs(["feat_sales_daily"])
        assert shop.differences(warehouse, names) == []
        assert shop.warehouse.scalar("SELECT sum(orders) FROM feat_sales_daily WHERE level = 'total'") == 6


def test_online_retail_has_the_same_tables(spark: "SparkSession", tmp_path: Path, storage_root: Path) -> None:
    files = [file for file in sorted(shared_data("online_retail", "by-day").glob("*.csv")) if file.stem < "2011-02-01"]
    with (
        shop_of(tmp_path, profile_name="online_retail", files={"orders": files}, as_of=date(2011, 1, 25)) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        assert shop.differences(warehouse) == []
