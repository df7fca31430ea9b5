"""Where tables live: the engine, its transactions, and the publishing of a file for analysts."""

from ecom_pipeline.warehouse.duckdb_engine import Warehouse, WarehouseError, open_warehouse
from ecom_pipeline.warehouse.publishing import PublishReport, publish
from ecom_pipeline.warehouse.sql_files import sql_text, tables_named_in

__all__ = ["PublishReport", "Warehouse", "WarehouseError", "open_warehouse", "publish", "sql_text", "tables_named_in"]
