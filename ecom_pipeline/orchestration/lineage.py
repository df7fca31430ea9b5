"""Which tables a table's SQL file reads: lineage is taken from the SQL itself, so that it cannot drift."""

from ecom_pipeline.contracts import ALL_TABLES, Table
from ecom_pipeline.warehouse import sql_text, tables_named_in


def tables_read_by(declared: Table) -> frozenset[str]:
    """Names of the contract tables that the SQL file of `declared` names, itself left out."""
    return tables_named_in(sql_text(declared.layer, declared.name), ALL_TABLES.keys()) - {declared.name}
