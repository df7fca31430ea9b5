"""Expectations that Great Expectations lacks: a whole schema, an SQL predicate, a key on any number of rows.

Only `quality.gx` imports this module: it imports Great Expectations at the top.
"""

import logging
from typing import Any, ClassVar

import great_expectations.expectations as gxe
from great_expectations.compatibility.pydantic import PrivateAttr
from great_expectations.compatibility.sqlalchemy import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import ExecutionEngine, SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.validator import ValidationDependencies

from ecom_pipeline.quality.key_slices import key_passes


class RowsBreakingPredicate(TableMetricProvider):
    """Rows for which an SQL predicate is false; computed in the same scan as the other counts of the suite."""

    metric_name = "table.rows_breaking_predicate"
    value_keys = ("predicate",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        broken = sa.literal_column(f"(NOT ({metric_value_kwargs['predicate']}))")
        return sa.func.count(sa.case((broken, 1))), metric_domain_kwargs, {}


class RowsSharingKey(TableMetricProvider):
    """Rows whose key another row has too; exact, in slices of the key's hash, with memory for one slice."""

    metric_name = "table.rows_sharing_key"
    value_keys = ("column_list",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        records = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        source = records if isinstance(records, sa.Subquery) else records.subquery()
        columns = [sa.literal_column(name) for name in metric_value_kwargs["column_list"]]
        key = ", ".join(metric_value_kwargs["column_list"])
        rows = execution_engine.execute_query(sa.select(sa.func.count()).select_from(source)).scalar()
        passes = key_passes(rows)
        sharing = 0
        for number in range(passes):
            groups = sa.select(sa.func.count().label("n")).select_from(source)
            if passes > 1:
                # Literals: as parameters they would turn the hash into slow 128-bit arithmetic.
                groups = groups.where(sa.literal_column(f"(hash({key}) % {passes} = {number})"))
            groups = groups.group_by(*columns).having(sa.func.count() > 1).subquery()
            total = sa.select(sa.func.coalesce(sa.func.sum(groups.c.n), 0))
            sharing += int(execution_engine.execute_query(total).scalar())
        return sharing


# The three below take the places of Great Expectations' own, knowingly: it need not warn of each of their renderers.
_registry_log = logging.getLogger("great_expectations.expectations.registry")
_registry_level = _registry_log.level
_registry_log.setLevel(logging.ERROR)


class _MadeOnce(Expectation):
    """Keeps its configuration, which Great Expectations makes anew for every single value that it looks up there:
    a third of the processor time of validating a small table."""

    _made: ExpectationConfiguration | None = PrivateAttr(default=None)

    @property
    def configuration(self) -> ExpectationConfiguration:
        if self._made is None:
            self._made = super().configuration
        return self._made


class _Counted(_MadeOnce):
    """Asks how many rows break it, and not for their values: to look those up takes Great Expectations a query an
    expectation, a third of the processor time of validating a small table."""

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> ValidationDependencies:
        given = runtime_configuration or {}
        found = super().get_validation_dependencies(
            execution_engine=execution_engine,
            runtime_configuration={**given, "result_format": {"result_format": "BOOLEAN_ONLY"}},
            **kwargs,
        )
        found.result_format = {**found.result_format, **given.get("result_format", {})}
        return found


class ExpectColumnValuesToNotBeNull(_Counted, gxe.ExpectColumnValuesToNotBeNull):
    """As Great Expectations has it."""


class ExpectColumnValuesToBeInSet(_Counted, gxe.ExpectColumnValuesToBeInSet):
    """As Great Expectations has it."""


class ExpectColumnValuesToBeBetween(_Counted, gxe.ExpectColumnValuesToBeBetween):
    """As Great Expectations has it."""


_registry_log.setLevel(_registry_level)


class ExpectRowsToSatisfyPredicate(_MadeOnce, BatchExpectation):
    """No row breaks an SQL predicate; a predicate that is null for a row holds."""

    predicate: str
    metric_dependencies = ("table.rows_breaking_predicate", "table.row_count")
    success_keys: ClassVar[tuple[str, ...]] = ("predicate",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        return _counted(metrics["table.rows_breaking_predicate"], metrics["table.row_count"])


class ExpectKeyToBeUnique(_MadeOnce, BatchExpectation):
    """No two rows agree in all columns of a key."""

    column_list: list[str]
    metric_dependencies = ("table.rows_sharing_key", "table.row_count")
    success_keys: ClassVar[tuple[str, ...]] = ("column_list",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        return _counted(metrics["table.rows_sharing_key"], metrics["table.row_count"])


class ExpectTableSchemaToMatch(_MadeOnce, BatchExpectation):
    """The table has these columns: name and type of each, in order and no others where `exact`, else the names."""

    columns: list[list[str]]
    exact: bool = True
    metric_dependencies = ("table.column_types",)
    success_keys: ClassVar[tuple[str, ...]] = ("columns", "exact")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        found = {column["name"]: str(column["type"]) for column in metrics["table.column_types"]}
        expected = dict(self.columns)
        differences = [f"{name} is missing" for name in expected if name not in found]
        if self.exact:
            differences += [f"{name} is not in the contract" for name in found if name not in expected]
            differences += [
                f"{name} is {found[name]} instead of {declared}"
                for name, declared in expected.items()
                if name in found and found[name] != declared
            ]
            if not differences and list(found) != list(expected):
                differences.append("the columns are in another order: " + ", ".join(found))
        return {
            "success": not differences,
            "result": {"observed_value": "; ".join(differences) or f"{len(found)} columns"},
        }


def _counted(unexpected: int, rows: int) -> dict[str, Any]:
    return {
        "success": unexpected == 0,
        "result": {"element_count": rows, "unexpected_count": unexpected},
    }
