"""A contract's rules by Great Expectations on the cluster."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecom_pipeline.contracts import Rule, Table
from ecom_pipeline.quality import gx

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def outcomes_on_cluster(rows: "DataFrame", table: Table, rules: Sequence[Rule]) -> list[gx.Outcome]:
    """What holds of the rows, a rule at a time in their order."""
    import great_expectations as ge
    from great_expectations.execution_engine import SparkDFExecutionEngine
    from great_expectations.execution_engine.sparkdf_batch_data import SparkDFBatchData

    import ecom_pipeline.spark.expectations  # noqa: F401  # from here on Great Expectations knows them

    of_rows = gx.contract_suite(table, rules).expectations[1:]  # the first is the schema, in DuckDB's types
    engine = SparkDFExecutionEngine(spark=rows.sparkSession, persist=False)
    suite = ge.ExpectationSuite(name=table.name, expectations=of_rows)
    return gx.evaluated(engine, SparkDFBatchData(engine, rows), suite)
