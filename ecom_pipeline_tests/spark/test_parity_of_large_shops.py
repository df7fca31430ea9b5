"""The same files of sql/ beside DuckDB, over so many rows that compiling code for them pays."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ecom_pipeline_tests.real_data import shared_data
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER, OPTIONS_OF_LARGE_DATA
from ecom_pipeline_tests.spark.shops import on_cluster, shop_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]


@pytest.fixture(scope="module")
def spark_options() -> dict[str, str]:
    return OPTIONS_OF_LARGE_DATA


@pytest.mark.timeout(1_800)  # on a busy machine
def test_tmall_has_the_same_tables(spark: "SparkSession", tmp_path: Path, storage_root: Path) -> None:
    files = [shared_data("tmall2014", "t_alibaba_data.csv")]
    with (
        shop_of(tmp_path, profile_name="tmall2014", files={"browse": files}, as_of=date(2013, 7, 31)) as shop,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        assert shop.differences(warehouse) == []
