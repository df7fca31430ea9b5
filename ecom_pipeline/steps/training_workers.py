"""Which workers train a night's networks, where it is not the night's own process."""

from ecom_pipeline.distributed.hosts import HostRunner
from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse


def training_workers(settings: Settings, warehouse: Warehouse) -> Runner | None:
    """What the settings name: hosts, or the workers of the warehouse's Spark cluster; None: this process trains."""
    storage = settings.folder_of_training
    if settings.training_hosts and storage is not None:
        return HostRunner(settings.training_hosts, storage=storage)
    if settings.spark_training_workers is not None and storage is not None:
        from ecom_pipeline.spark.training import BarrierRunner
        from ecom_pipeline.warehouse.spark_engine import SparkWarehouse

        if isinstance(warehouse, SparkWarehouse):
            return BarrierRunner(
                lambda: warehouse.spark,
                workers=settings.spark_training_workers,
                storage=storage,
            )
    return None
