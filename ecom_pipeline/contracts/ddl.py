"""DDL and comments from a contract."""

from collections.abc import Iterator

from ecom_pipeline.contracts.model import IDENTIFIER, Table


def identifier(name: str) -> str:
    """`name` as SQL: as it is where it is a plain lower-case identifier, else quoted."""
    return name if IDENTIFIER.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def create_statement(table: Table, *, name: str | None = None, replace: bool = False) -> str:
    """`CREATE TABLE` for the contract; null-ness is left to the checks, so that a bad night can be looked at."""
    columns = ",\n  ".join(f"{identifier(column.name)} {column.type}" for column in table.columns)
    verb = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE IF NOT EXISTS"
    return f"{verb} {name or table.name} (\n  {columns}\n)"


def comment_statements(table: Table, *, name: str | None = None) -> Iterator[str]:
    """`COMMENT ON` statements for the table and each of its columns."""
    target = name or table.name
    yield f"COMMENT ON TABLE {target} IS {literal(table.meaning)}"
    for column in table.columns:
        yield f"COMMENT ON COLUMN {target}.{identifier(column.name)} IS {literal(column.meaning)}"
