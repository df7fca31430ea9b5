"""One declaration a table: columns, types, meaning, rules.

From a contract come the DDL, the Great Expectations suite, the column comments in DuckDB, the schema shown in
Dagster and the data dictionary. Data shapes are declared here and nowhere else.
"""

from ecom_pipeline.contracts.catalogue import ALL_TABLES, PUBLISHED_TABLES, table, tables_of_layer
from ecom_pipeline.contracts.ddl import comment_statements, create_statement, identifier, literal
from ecom_pipeline.contracts.model import (
    Between,
    Column,
    ColumnType,
    Holds,
    Layer,
    NotNull,
    OneOf,
    Rule,
    Severity,
    Table,
    Unique,
)

__all__ = [
    "ALL_TABLES",
    "PUBLISHED_TABLES",
    "Between",
    "Column",
    "ColumnType",
    "Holds",
    "Layer",
    "NotNull",
    "OneOf",
    "Rule",
    "Severity",
    "Table",
    "Unique",
    "comment_statements",
    "create_statement",
    "identifier",
    "literal",
    "table",
    "tables_of_layer",
]
