"""Writing exports: one file a table, or one workbook for all; each is put in its place whole."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import duckdb

from ecom_pipeline.contracts import literal
from ecom_pipeline.exporting.tables import ExportError, Format, Selection, select

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters by which spreadsheets take the text of a CSV cell for a formula (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written: its rows by table, its size, and how many cells were guarded against formulas."""

    file: Path
    rows: dict[str, int]
    bytes: int
    guarded_cells: int


def export_tables(
    published: Path,
    tables: Sequence[str],
    *,
    out: Path,
    file_format: Format,
    night: date | Literal["latest"] | None = None,
    guard_formulas: bool = True,
    overwrite: bool = False,
) -> list[ExportedFile]:
    """Write tables of the file `published`.

    `out` is a file if it ends as the format does (then there is one table, or one workbook of several), else a folder.
    Rows are in the order of the published table. In CSV, text that a spreadsheet would run as a formula gets a `'` in
    front, unless `guard_formulas` is off; in Excel text is always written as text.

    Raises:
        ExportError: if a table, night or target cannot be, or a table has more rows than Excel takes.
    """
    if not published.is_file():
        raise ExportError(f"{published}: nothing was published yet. Run a night first: ecom-pipeline nightly")
    suffix = f".{file_format}"
    into_file = out.suffix == suffix
    if into_file and len(tables) > 1 and file_format != "xlsx":
        raise ExportError(f"{out}: one {file_format} file holds one table. Name a folder with --out for several.")
    other = out.suffix.removeprefix(".")
    if not into_file and other in get_args(Format):
        raise ExportError(f"{out}: ends in .{other}, and the format is {file_format}; make them agree.")
    if out.is_file() and not into_file:
        raise ExportError(f"{out}: is a file that does not end in {suffix}; name a folder, or a file that does.")
    connection = duckdb.connect(str(published), read_only=True)
    try:
        chosen = [select(connection, table, night=night) for table in dict.fromkeys(tables)]
        if into_file:
            targets = {out: chosen}
        else:
            targets = {out / f"{selection.table}{suffix}": [selection] for selection in chosen}
        taken = [str(file) for file in targets if file.exists()]
        if taken and not overwrite:
            raise ExportError(f"{', '.join(taken)}: there already; add --force to replace, or choose another --out.")
        return [
            _write(connection, file, selections, file_format, guard_formulas=guard_formulas)
            for file, selections in targets.items()
        ]
    finally:
        connection.close()


def _write(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    selections: list[Selection],
    file_format: Format,
    *,
    guard_formulas: bool,
) -> ExportedFile:
    file.parent.mkdir(parents=True, exist_ok=True)
    building = file.with_name(f".{uuid.uuid4().hex[:12]}.{file.name}")
    guarded = 0
    try:
        if file_format == "xlsx":
            from ecom_pipeline.exporting.workbook import write_workbook

            rows = write_workbook(connection, selections, building)
        else:
            (selection,) = selections
            guard = guard_formulas and file_format == "csv"
            guarded = _guarded_cells(connection, selection) if guard else 0
            options = "FORMAT csv, HEADER" if file_format == "csv" else "FORMAT parquet, COMPRESSION zstd"
            connection.execute(
                f"COPY (SELECT {_columns(selection, guard=guard)} FROM {selection.source}) "
                f"TO {literal(str(building))} ({options})"
            ).fetchall()
            rows = {selection.table: selection.rows(connection)}
        building.replace(file)
    finally:
        building.unlink(missing_ok=True)
    return ExportedFile(file=file, rows=rows, bytes=file.stat().st_size, guarded_cells=guarded)


def _is_formula(column: str) -> str:
    starts = ", ".join(f"chr({ord(start)})" for start in FORMULA_STARTS)
    return f'left("{column}", 1) IN ({starts})'


def _columns(selection: Selection, *, guard: bool) -> str:
    return ", ".join(
        f"CASE WHEN {_is_formula(column.name)} THEN '''' || \"{column.name}\" ELSE \"{column.name}\" END "
        f'AS "{column.name}"'
        if guard and column.is_text
        else f'"{column.name}"'
        for column in selection.columns
    )


def _guarded_cells(connection: duckdb.DuckDBPyConnection, selection: Selection) -> int:
    counts = [f"count(*) FILTER (WHERE {_is_formula(column.name)})" for column in selection.columns if column.is_text]
    if not counts:
        return 0
    ((found,),) = connection.execute(f"SELECT {' + '.join(counts)} FROM {selection.source}").fetchall()
    return int(found)
