"""DDL and comments from a contract."""

from collections.abc import Iterator

from ecom_pipeline.contracts.model import Table


def create_statement(table: Table, *, name: str | None = None, replace: bool = False) -> str:
    """`CREATE TABLE` for the contract; null-ness is left to the checks, so that a bad night can be looked at."""
    columns = ",\n  ".join(f"{column.name} {column.type}" for column in table.columns)
    verb = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE IF NOT EXISTS"
    return f"{verb} {name or table.name} (\n  {columns}\n)"


def comment_statements(table: Table, *, name: str | None = None) -> Iterator[str]:
    """`COMMENT ON` statements for the table and each of its columns."""
    target = name or table.name
    yield f"COMMENT ON TABLE {target} IS {_quoted(table.meaning)}"
    for column in table.columns:
        yield f"COMMENT ON COLUMN {target}.{column.name} IS {_quoted(column.meaning)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
