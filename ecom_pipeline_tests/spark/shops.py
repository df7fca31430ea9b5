"""Small shops with all features and marts of a night made by DuckDB, and then once more by a cluster."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_pipeline import contracts
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import SourceProfile, load_landing, read_profile, update_core
from ecom_pipeline.sources.profile import FEEDS
from ecom_pipeline.steps.accuracy import forecast_accuracy
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline.warehouse.spark_engine import SparkWarehouse
from ecom_pipeline_tests.spark.comparing import differences

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MADE_BY_SQL = (*FEATURE_ORDER, *TRAJECTORY_ORDER, "sales_forecast_accuracy")
PAST_FORECASTS = """
INSERT INTO sales_forecasts BY NAME
SELECT
  date - 7 AS as_of, level, series_id, 'quantity' AS measure, date AS target_date, 7 AS horizon,
  quantity + 1 AS mean, 0.0 AS p05, 0.5 AS p10, 0.6 AS p25, quantity AS p50, 2.0 AS p75, quantity + 3 AS p90,
  9.0 AS p95, 1.5 AS baseline, 'test' AS model, '1' AS model_version, FALSE AS fallback
FROM feat_sales_daily
WHERE quantity IS NOT NULL AND date > CAST(:as_of AS DATE) - 20
"""


def exports_by_feed(folder: Path) -> dict[str, list[Path]]:
    """Files of generated exports by feed."""
    return {feed: sorted((folder / feed).glob("*.csv")) for feed in FEEDS}


class Shop:
    """An open warehouse with its core tables, and the night that everything is made for."""

    def __init__(self, warehouse: Warehouse, profile: SourceProfile, settings: Settings, as_of: date) -> None:
        self.warehouse = warehouse
        self.profile = profile
        self.settings = settings
        self.as_of = as_of

    def build(self, name: str, warehouse: Warehouse) -> None:
        """Make one table of the night."""
        if name == "sales_forecast_accuracy":
            forecast_accuracy(warehouse, as_of=self.as_of)
            return
        step = build_feature if name in FEATURE_ORDER else build_trajectory
        step(warehouse, name, profile=self.profile, settings=self.settings, as_of=self.as_of)

    def differences(self, on_cluster: Warehouse, names: Iterable[str] = MADE_BY_SQL) -> list[str]:
        """Make the tables in DuckDB, then on the cluster from the cluster's own; what differs, in words."""
        found = []
        made = {}
        for name in names:
            if name == "sales_forecast_accuracy":
                self.warehouse.run(PAST_FORECASTS, {"as_of": self.as_of})
            self.build(name, self.warehouse)
            made[name] = self.warehouse.arrow(f"SELECT * FROM {name}")
        for name, expected in made.items():
            self.build(name, on_cluster)
            found += differences(contracts.table(name), expected, self.warehouse.arrow(f"SELECT * FROM {name}"))
        return found


@contextmanager
def shop_of(folder: Path, *, profile_name: str, files: dict[str, list[Path]], as_of: date) -> Iterator[Shop]:
    """A shop from files by feed."""
    landing = folder / "landing"
    for feed, of_feed in files.items():
        (landing / feed).mkdir(parents=True)
        for file in of_feed:
            shutil.copyfile(file, landing / feed / file.name)
    settings = Settings(profile=profile_name, threads=2)
    profile = read_profile(profile_name, base=folder)
    with open_warehouse(folder / "warehouse.duckdb", settings) as warehouse:
        load_landing(warehouse, landing=landing, profile=profile, run_id="test")
        update_core(warehouse, profile=profile, run_id="test")
        yield Shop(warehouse, profile, settings, as_of)


@contextmanager
def on_cluster(shop: Shop, spark: "SparkSession", storage_root: Path | str) -> Iterator[SparkWarehouse]:
    """The shop's warehouse with a session of the cluster at work."""
    warehouse = SparkWarehouse(shop.warehouse.connection, session=nullcontext(spark), storage=str(storage_root))
    try:
        yield warehouse
    finally:
        warehouse.close_session()
