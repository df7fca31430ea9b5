"""A Spark session in which the files of `sql/` mean what they mean in DuckDB."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ecom_pipeline.spark.cluster import LOOPBACK

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MEANING: Mapping[str, str] = {
    # a division by zero or a failed cast is an error, not a null
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # TIMESTAMP of the contracts is UTC without a zone
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # names of columns and tables are told apart as DuckDB does, and kept as written
    "spark.sql.caseSensitive": "false",
}
"""Settings on which results depend; whatever else a cluster's own configuration says is left alone."""


class SparkMissingError(RuntimeError):
    """The extra `spark` is not installed."""


@contextmanager
def spark_session(
    master: str, *, app_name: str = "ecom_pipeline", options: Mapping[str, str] | None = None
) -> "Iterator[SparkSession]":
    """A session on the cluster at `master` (such as spark://host:7077).

    At the end of the block it is stopped, and the driver's JVM with it: the memory is wanted by what comes next.

    The workers run the Python of the driver unless PYSPARK_PYTHON names another; both must have the package.

    Raises:
        SparkMissingError: without pyspark.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise SparkMissingError(
            "engine: spark needs Java 17 and the extra 'spark': make install-spark, or pip install ecom-pipeline[spark]"
        ) from error
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName(app_name)
    near = LOOPBACK if urlsplit(master).hostname in ("127.0.0.1", "localhost") else None
    for name, value in {**({"spark.driver.host": near} if near else {}), **(options or {}), **MEANING}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()
        _end_driver()


def _end_driver() -> None:
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends when nobody can speak to it any more
    gateway.proc.wait()
    SparkContext._gateway = None
    SparkContext._jvm = None
