"""Whole nights with `engine: spark`: started from the terminal, published to the same file, the same as DuckDB's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home
from ecom_pipeline.spark.cluster import LocalCluster
from ecom_pipeline.spark.files import MountedFiles
from ecom_pipeline.spark.storage import Storage
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.spark.comparing import RELATIVE, differences
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER, OPTIONS
from ecom_pipeline_tests.spark.shops import MADE_BY_SQL

pytestmark = [*ON_A_CLUSTER]
COMPARED = {
    name: declared
    for name, declared in PUBLISHED_TABLES.items()
    if declared.name in MADE_BY_SQL or declared.name in ("recommendations", "purchase_predictions", "sales_forecasts")
}
AS_OF = SMALL_SHOP.last_day
ENVIRONMENT = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
SCORES = 1e-5
"""Scores are float32: their last bits depend on how many users are multiplied at once."""
STRUCK = "funnel_daily"
"""The table in whose middle the driver is killed: after all features, before most marts."""


def command_of_night(home: Home) -> list[str]:
    return [sys.executable, "-m", "ecom_pipeline", "nightly", *("--home", str(home.root), "--as-of", str(AS_OF))]


def night(home: Home) -> dict[str, pa.Table]:
    """Run the last night of the small shop as a command of its own; the published tables."""
    ran = subprocess.run(command_of_night(home), env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return published(home)


def published(home: Home) -> dict[str, pa.Table]:
    """The published tables."""
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        return {name: connection.execute(f"SELECT * FROM {name}").to_arrow_table() for name in COMPARED}


def killed_night(home: Home, log: Path, storage_root: Path) -> None:
    """Begin the night, and kill the driver's process and its JVM while the cluster writes a table."""
    with log.open("wb") as said:
        driver = subprocess.Popen(
            command_of_night(home), env=ENVIRONMENT, stdout=said, stderr=said, start_new_session=True
        )
    try:
        until = time.monotonic() + 900
        while not list((storage_root / STRUCK).glob("*/_temporary")):  # what Spark makes first, and takes away last
            assert driver.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until, "the cluster never came to the table"
            time.sleep(0.01)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()


@pytest.mark.timeout(1_800)  # three nights, each from a process of its own
def test_a_night_on_the_cluster_publishes_what_duckdb_publishes_also_when_the_driver_of_one_before_was_killed(
    cluster: LocalCluster, copy_of_shop: Callable[[], Home], tmp_path: Path, storage_root: Path
) -> None:
    home = copy_of_shop()
    registry = Registry(home, home.settings())
    version = registry.versions("next_item")[-1]
    registry.promote("next_item", version.name, reason="workers rank with a promoted model")
    expected = night(home)

    settings = yaml.safe_load(home.settings_file.read_text(encoding="utf-8"))
    settings |= {"engine": "spark", "spark_master": cluster.url, "spark_storage": str(storage_root)}
    home.settings_file.write_text(yaml.safe_dump(settings | {"spark_options": OPTIONS}), encoding="utf-8")
    killed_night(home, tmp_path / "killed.log", storage_root)
    there = Storage(str(storage_root), MountedFiles())
    assert there.entry(STRUCK).paths == [], "a table that is half there is none"
    assert there.entry("feat_user_events").paths != []
    assert published(home) == expected
    found = night(home)

    made_there = {folder.name for folder in storage_root.iterdir()}
    assert made_there >= {"feat_user_events", "feat_sales_daily", "funnel_daily", "core_events", "ranked_items"}
    assert set(found["recommendations"]["model_version"].to_pylist()) == {version.name}
    assert [
        difference
        for name, declared in COMPARED.items()
        for difference in differences(
            declared, expected[name], found[name], relative=SCORES if name == "recommendations" else RELATIVE
        )
    ] == []
