"""The counts of our own expectations on Spark: what quality/expectations.py has for SQL.

Only `spark.quality` imports this module: it imports Great Expectations at the top, and importing it is what lets Great
Expectations find these counts.
"""

from typing import Any

from great_expectations.compatibility.pyspark import functions as F  # noqa: N812  # as the whole world writes it
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider


class RowsBreakingPredicateOnSpark(TableMetricProvider):
    """Rows for which an SQL predicate is false; computed in the same scan as the other counts of the suite."""

    metric_name = "table.rows_breaking_predicate"
    value_keys = ("predicate",)

    @metric_partial(
        engine=SparkDFExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _spark(
        cls,  # noqa: N805
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        broken = F.expr(f"NOT ({metric_value_kwargs['predicate']})")
        return F.count(F.when(broken, 1)), metric_domain_kwargs, {}


class RowsSharingKeyOnSpark(TableMetricProvider):
    """Rows whose key another row has too."""

    metric_name = "table.rows_sharing_key"
    value_keys = ("column_list",)

    @metric_value(engine=SparkDFExecutionEngine)
    def _spark(
        cls,  # noqa: N805
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        rows = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        groups = rows.groupBy(*metric_value_kwargs["column_list"]).count().where("count > 1")
        return int(groups.agg(F.coalesce(F.sum("count"), F.lit(0))).collect()[0][0])
