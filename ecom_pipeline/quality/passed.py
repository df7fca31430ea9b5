"""Which rows of a table passed its rules before, file by file, so that only new and changed ones are checked again.

A file's rows have a stamp: their number, and the sum of the hashes of the columns that rules speak of. A file whose
stamp is as it was when its rows passed need not be asked again, whoever wrote to the table in between. No key reaches
over two files, since it holds the file's number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ecom_pipeline.contracts import Rule, Table, Unique, identifier
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.row_changes import Unread

_FILE_COLUMNS = {"raw": "_file_id", "core": "file_id"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows to ask of a table: those of which the SQL condition `where` is true (None: all), or those of the table
    named `rows`; and how many others passed before."""

    where: str | None = None
    rows: str | None = None
    passed: int = 0
    unread: Unread | None = None
    """Of tables by user: what of it was not asked before."""


def file_column(table: Table) -> str | None:
    """The column that says which file a row came in, where rules can be checked file by file; else None."""
    column = _FILE_COLUMNS.get(table.layer)
    keys = [rule.columns for rule in table.all_rules if isinstance(rule, Unique)]
    if column is None or column not in table.column_names or not all(column in key for key in keys):
        return None
    return column


def rows_to_ask(
    warehouse: Warehouse, table: Table, *, file: str, columns: Sequence[str], rules: Sequence[Rule]
) -> Asked:
    """Compare the stamps of the files, over `columns`, with those that passed the same rules; keeps both in temp."""
    # stamps are hashes of DuckDB, which another version of it may compute in another way
    made_with = fingerprint_of(duckdb.__version__, columns, rules)
    hashed = ", ".join(identifier(name) for name in columns)
    warehouse.connection.execute(
        "CREATE OR REPLACE TEMP TABLE files_now AS "
        f"SELECT {file} AS file_id, count(*) AS n, concat('{made_with} ', count(*), ' ', sum(hash({hashed}))) AS stamp "
        f"FROM {table.name} WHERE {file} IS NOT NULL GROUP BY {file}"
    ).fetchall()
    ((files, rows),) = warehouse.rows(
        "SELECT count(*), coalesce(sum(n), 0) FROM files_now SEMI JOIN passed_files AS p "
        "ON p.table_name = :name AND p.file_id = files_now.file_id AND p.stamp = files_now.stamp",
        {"name": table.name},
    )
    if not files:
        return Asked()
    others = warehouse.rows(
        "SELECT file_id FROM files_now ANTI JOIN passed_files AS p "
        "ON p.table_name = :name AND p.file_id = files_now.file_id AND p.stamp = files_now.stamp ORDER BY file_id",
        {"name": table.name},
    )
    listed = ", ".join(str(number) for (number,) in others)
    of_others = f"({file} IN ({listed}) OR {file} IS NULL)" if listed else f"{file} IS NULL"
    return Asked(where=of_others, passed=int(rows))


def keep_passed(warehouse: Warehouse, table: Table, *, all_passed: bool) -> None:
    """Note the files whose rows passed: all, or those that did before and are as they were."""
    kept = "" if all_passed else (
        " SEMI JOIN passed_files AS p ON p.table_name = :name AND p.file_id = files_now.file_id "
        "AND p.stamp = files_now.stamp"
    )  # fmt: skip
    with warehouse.transaction():
        warehouse.run(
            f"CREATE OR REPLACE TEMP TABLE files_kept AS SELECT file_id, stamp FROM files_now{kept}",
            {"name": table.name},
        )
        warehouse.run("DELETE FROM passed_files WHERE table_name = :name", {"name": table.name})
        warehouse.run(
            "INSERT INTO passed_files (table_name, file_id, stamp) SELECT :name, file_id, stamp FROM files_kept",
            {"name": table.name},
        )
    for name in ("files_now", "files_kept"):
        warehouse.run(f"DROP TABLE temp.{name}")
