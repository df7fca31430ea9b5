"""Tests on a real standalone cluster: a master and two workers on loopback, started once."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ecom_pipeline.spark.cluster import LocalCluster, local_cluster
from ecom_pipeline.spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WARNINGS_OF_A_CLUSTER = "ignore:unclosed <socket:ResourceWarning"
ON_A_CLUSTER = (pytest.mark.spark, pytest.mark.filterwarnings(WARNINGS_OF_A_CLUSTER))
REQUIRED = "ECOM_REQUIRE_SPARK"
# Compiling code for a stage pays for large data; most tests have small.
QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
OPTIONS_OF_LARGE_DATA = {
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "768m",
}
OPTIONS = OPTIONS_OF_LARGE_DATA | {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": QUICK_START,
    "spark.executor.extraJavaOptions": QUICK_START,
}


@pytest.fixture(scope="session")
def extra_spark() -> None:
    """pyspark and Java. Without them tests are skipped, with the reason; they fail where they are required."""
    missing = [] if shutil.which("java") else ["java is not on the PATH"]
    try:
        import pyspark  # noqa: F401
    except ModuleNotFoundError:
        missing.append("the extra 'spark' is not installed (make install-spark)")
    if missing and os.environ.get(REQUIRED):
        pytest.fail("; ".join(missing))
    if missing:
        pytest.skip("; ".join(missing))


@pytest.fixture(scope="session")
def cluster(extra_spark: None) -> Iterator[LocalCluster]:
    """A master and two workers of one core each."""
    with local_cluster(workers=2, cores=1, memory="1g") as running:
        yield running


@pytest.fixture(scope="module")
def spark_options() -> dict[str, str]:
    """Options of the module's session; a module with large data has others."""
    return OPTIONS


@pytest.fixture(scope="module")
def spark(cluster: LocalCluster, spark_options: dict[str, str]) -> "Iterator[SparkSession]":
    """A session of that cluster; it has all its cores until the module ends."""
    with spark_session(cluster.url, options=spark_options) as session:
        yield session


@pytest.fixture(autouse=True)
def sockets_of_results_collected() -> Iterator[None]:
    """pyspark leaves the sockets that results came through to the garbage collector; here their warning is ignored."""
    yield
    gc.collect()


@pytest.fixture
def storage_root(tmp_path: Path) -> Path:
    """A storage root that nothing else uses."""
    return tmp_path / "storage"
