"""Which tables a table's SQL file reads: lineage is taken from the SQL itself, so that it cannot drift."""

import re

from ecom_pipeline.contracts import ALL_TABLES, Table
from ecom_pipeline.warehouse import sql_text

COMMENT_OR_STRING = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
WORD = re.compile(r"[a-z_][a-z0-9_]*")


def tables_read_by(declared: Table) -> frozenset[str]:
    """Names of the contract tables that the SQL file of `declared` names, itself left out."""
    words = set(WORD.findall(COMMENT_OR_STRING.sub("", sql_text(declared.layer, declared.name))))
    return frozenset(words & ALL_TABLES.keys()) - {declared.name}
