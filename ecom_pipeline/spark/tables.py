"""Contract tables on Spark: the result of an SQL file as it is, in the columns and types of the contract."""

from typing import TYPE_CHECKING, Any

from ecom_pipeline.contracts import ColumnType, Table
from ecom_pipeline.warehouse.sql_files import parameters_of, sql_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

SPARK_TYPES: "Mapping[ColumnType, str]" = {
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


def computed(
    spark: "SparkSession", declared: Table, parameters: "Mapping[str, Any] | None" = None, *, sql: str | None = None
) -> "DataFrame":
    """The rows of a contract table from its SQL file (or from `sql`), over the views that the session has.

    The text goes to Spark unchanged; only the columns of the result are put in the contract's order and types, as
    writing to a table does.

    Raises:
        KeyError: if a parameter that the SQL names is not given.
    """
    from pyspark.sql import functions as F  # noqa: N812  # as the whole world writes it

    query = sql if sql is not None else sql_text(declared.layer, declared.name)
    given = parameters or {}
    missing = parameters_of(query) - given.keys()
    if missing:
        raise KeyError(f"table {declared.name}: its SQL needs the parameters {sorted(missing)}")
    rows = spark.sql(query, args={name: given[name] for name in parameters_of(query)})
    return rows.select(*(F.col(column.name).cast(SPARK_TYPES[column.type]) for column in declared.columns))
