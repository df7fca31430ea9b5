"""From a contract to a Great Expectations suite, and its run inside DuckDB. No results are worded or kept here.

The suite runs on Great Expectations' own engine and validator, without a data context: nothing is written to disk,
nothing is sent anywhere, and counts of all rules but the keys come from one scan of the table.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecom_pipeline.contracts import Between, Holds, NotNull, OneOf, Rule, Table, Unique, identifier

if TYPE_CHECKING:
    import duckdb
    from great_expectations.core import ExpectationSuite

SCHEMA_RULE = "columns and types are those of the contract"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Great Expectations says of one expectation."""

    expectation: str
    success: bool
    observed: str | None = None
    rows_checked: int | None = None
    rows_unexpected: int | None = None
    error: str | None = None


def contract_suite(table: Table, rules: Sequence[Rule]) -> "ExpectationSuite":
    """The suite of a contract: its schema, then `rules` in their order."""
    import great_expectations as gx

    from ecom_pipeline.quality.expectations import ExpectTableSchemaToMatch

    schema = ExpectTableSchemaToMatch(
        columns=[[column.name, column.type] for column in table.columns],
        exact=table.layer != "raw",
        description=SCHEMA_RULE,
        severity="critical",
    )
    return gx.ExpectationSuite(name=table.name, expectations=[schema, *(_expectation(rule) for rule in rules)])


def run_suite(
    connection: "duckdb.DuckDBPyConnection",
    table: Table,
    suite: "ExpectationSuite",
    *,
    rows: str | None = None,
    where: str | None = None,
) -> list[Outcome]:
    """Run the suite on a table, in the suite's order.

    Of the rows those of the SQL condition `where` are asked, where given, out of the table named `rows`, if they are
    not to be looked for in all of the table.
    """
    with _execution_engine(connection) as engine:
        return evaluated(engine, _batch_data(engine, table, rows or table.name, where), suite)


def evaluated(engine: Any, data: Any, suite: "ExpectationSuite") -> list[Outcome]:
    """Run the suite on an engine of Great Expectations over its batch data, in the suite's order."""
    from great_expectations.core.batch import Batch
    from great_expectations.validator.validator import Validator

    configurations = [expectation.configuration for expectation in suite.expectations]
    for number, configuration in enumerate(configurations):
        configuration.meta = {"number": number}
    validator = Validator(execution_engine=engine, batches=[Batch(data=data)])
    validator.metrics_calculator.show_progress_bars = False
    # The counts are all that is asked for: examples come from SQL of our own, for the rules that fail.
    results = validator.graph_validate(
        configurations=configurations,
        runtime_configuration={"result_format": {"result_format": "BASIC", "partial_unexpected_count": 0}},
    )
    results.sort(key=lambda result: result.expectation_config.meta["number"])
    return [_outcome(result) for result in results]


def _expectation(rule: Rule) -> Any:
    from ecom_pipeline.quality import expectations as gxe

    common: dict[str, Any] = {
        "description": rule.words,
        "severity": "critical" if rule.severity == "error" else "warning",
    }
    match rule:
        case NotNull():
            return gxe.ExpectColumnValuesToNotBeNull(column=rule.column, **common)
        case Unique():
            return gxe.ExpectKeyToBeUnique(column_list=[identifier(name) for name in rule.columns], **common)
        case OneOf():
            return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values), **common)
        case Between():
            return gxe.ExpectColumnValuesToBeBetween(
                column=rule.column, min_value=rule.minimum, max_value=rule.maximum, **common
            )
        case Holds():
            return gxe.ExpectRowsToSatisfyPredicate(predicate=rule.predicate, **common)


@contextmanager
def _execution_engine(connection: "duckdb.DuckDBPyConnection") -> Iterator[Any]:
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

    from ecom_pipeline.quality.duckdb_dialect import engine_on

    class ExecutionEngine(SqlAlchemyExecutionEngine):
        """Keeps its connection, as GX does for SQLite: elsewhere it reads results after it has closed it."""

        _connection: Any

        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            if self._connection is None:
                self._connection = self.engine.connect()
            yield self._connection

    engine = ExecutionEngine(engine=engine_on(connection), create_temp_table=False)
    try:
        yield engine
    finally:
        if engine._connection is not None:
            engine._connection.close()
        engine.engine.dispose()


def _batch_data(engine: Any, table: Table, rows_of: str, where: str | None) -> Any:
    import sqlalchemy as sa
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData

    rows = sa.select(sa.text("*")).select_from(sa.table(rows_of))
    if where is not None:
        rows = rows.where(sa.literal_column(f"({where})"))
    return SqlAlchemyBatchData(
        execution_engine=engine,
        selectable=rows,
        create_temp_table=False,
        source_table_name=sa.quoted_name(table.name, quote=False),
    )


def _outcome(result: Any) -> Outcome:
    found = result.result
    error = _error_of(result.exception_info)
    unexpected = found.get("unexpected_count")
    return Outcome(
        expectation=result.expectation_config.type,
        success=bool(result.success) and error is None,
        observed=None if found.get("observed_value") is None else str(found["observed_value"]),
        rows_checked=found.get("element_count"),
        rows_unexpected=None if unexpected is None else int(unexpected),
        error=error,
    )


def _error_of(exception_info: dict[str, Any] | None) -> str | None:
    """The first exception that the evaluation of an expectation ended with, in one line."""
    if not exception_info:
        return None
    entries = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    for entry in entries:
        if entry["raised_exception"]:
            return str(entry["exception_message"]).strip().splitlines()[0]
    return None
