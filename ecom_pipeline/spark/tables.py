"""Contract tables on Spark: the result of an SQL file as it is, in the columns and types of the contract.

Spark computes a subquery that a query names by WITH anew wherever it is named, DuckDB once; the daily funnel names one
grouping of all events eight times over. So those that take work and are named more than once are held in the executors'
memory, and on their disks where that is full, until the table is written. One that is lost with its executor is
computed again.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ecom_pipeline.contracts import ColumnType, Table
from ecom_pipeline.warehouse.sql_files import parameters_of, sql_text, subqueries_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPARK_TYPES: Mapping[ColumnType, str] = {
    "VARCHAR": "STRING",
    "BIGINT": "BIGINT",
    "INTEGER": "INT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP_NTZ",
}
"""What Spark calls the types of the contracts."""


def schema_of(declared: Table) -> str:
    """The contract's columns as Spark declares them."""
    return ", ".join(f"{column.name} {SPARK_TYPES[column.type]}" for column in declared.columns)


@contextmanager
def computed(
    spark: "SparkSession", declared: Table, parameters: Mapping[str, Any] | None = None, *, sql: str | None = None
) -> "Iterator[DataFrame]":
    """The rows of a contract table from its SQL file (or from `sql`), over the views that the session has.

    The text goes to Spark unchanged, its named subqueries one by one; only the columns of the result are put in the
    contract's order and types, as writing to a table does. The rows can be had until the block ends.

    Raises:
        KeyError: if a parameter that the SQL names is not given.
    """
    from pyspark.sql import functions as F  # noqa: N812  # as the whole world writes it

    query = sql if sql is not None else sql_text(declared.layer, declared.name)
    given = parameters or {}
    missing = parameters_of(query) - given.keys()
    if missing:
        raise KeyError(f"table {declared.name}: its SQL needs the parameters {sorted(missing)}")
    subqueries, rest = subqueries_of(query)
    held = held_of(subqueries, rest)
    with ExitStack() as until_written:
        for name, text in subqueries.items():
            until_written.enter_context(_named(spark, name, _rows(spark, text, given), is_held=name in held))
        rows = _rows(spark, rest, given)
        yield rows.select(*(F.col(column.name).cast(SPARK_TYPES[column.type]) for column in declared.columns))


_WORK = re.compile(r"\b(?:GROUP\s+BY|OVER|DISTINCT)\b|\bUNION\b(?!\s+ALL)")


def held_of(subqueries: Mapping[str, str], rest: str) -> frozenset[str]:
    """Which of the named subqueries are computed once and held: those that are named more than once, in others or in
    `rest`, and take more than a look at the rows of a table or of one that is held."""
    texts = [*subqueries.values(), rest]
    held: set[str] = set()
    work: set[str] = set()
    for place, (name, text) in enumerate(subqueries.items()):
        if _WORK.search(text) or any(_times(before, text) for before in work):
            times = sum(_times(name, later) for later in texts[place + 1 :])
            (held if times > 1 else work).add(name)
    return frozenset(held)


def _times(name: str, text: str) -> int:
    return len(re.findall(rf"\b(?:FROM|JOIN)\s+{name}\b", text))


def _rows(spark: "SparkSession", query: str, given: Mapping[str, Any]) -> "DataFrame":
    return spark.sql(query, args={name: given[name] for name in parameters_of(query)})


@contextmanager
def _named(spark: "SparkSession", name: str, rows: "DataFrame", *, is_held: bool) -> Iterator[None]:
    """Have rows under a name until the block ends; where they are held they are computed once."""
    rows = rows.persist() if is_held else rows
    rows.createOrReplaceTempView(name)
    try:
        yield
    finally:
        spark.catalog.dropTempView(name)
        if is_held:
            rows.unpersist()
