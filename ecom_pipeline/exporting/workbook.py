"""Excel workbooks: a sheet for each table and one that says what the columns mean. Text is always text, no formula."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ecom_pipeline.exporting.tables import ExportError, Selection

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS = 1_048_576 - 1
"""Rows of a sheet below its header; a limit of Excel."""
MAX_CELL = 32_767
"""Characters of a cell; a limit of Excel."""
ROWS_AT_ONCE = 10_000
WIDTH_OF = {"DATE": 11, "TIMESTAMP": 19}
MEANINGS = "columns"


def write_workbook(connection: duckdb.DuckDBPyConnection, selections: list[Selection], target: Path) -> dict[str, int]:
    """Write the workbook, row by row in constant memory; returns rows by table.

    Raises:
        ExportError: if a table has more rows than a sheet, before anything is written.
    """
    import xlsxwriter

    rows = {selection.table: selection.rows(connection) for selection in selections}
    for table, count in rows.items():
        if count > MAX_ROWS:
            raise ExportError(
                f"{table} has {count:,} rows, and a sheet of Excel takes {MAX_ROWS:,}. Export one night of it "
                "(--latest, or --night DATE), or use --format csv or parquet."
            )
    options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}
    with xlsxwriter.Workbook(str(target), options) as book:
        heading = book.add_format({"bold": True, "bottom": 1, "bg_color": "#EEF1F7"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for selection in selections:
            sheet = book.add_worksheet(selection.table[:31])
            _write_header(sheet, [column.name for column in selection.columns], heading)
            for place, column in enumerate(selection.columns):
                sheet.set_column(place, place, max(len(column.name) + 3, WIDTH_OF.get(column.type, 10)))
            _write_rows(sheet, connection, selection, moment)
            if selection.columns:
                sheet.autofilter(0, 0, rows[selection.table], len(selection.columns) - 1)
        _write_meanings(book.add_worksheet(MEANINGS), selections, heading)
    return rows


def _write_header(sheet: "Worksheet", names: list[str], heading: "Format") -> None:
    for place, name in enumerate(names):
        sheet.write_string(0, place, name, heading)
    sheet.freeze_panes(1, 0)


def _write_rows(
    sheet: "Worksheet", connection: duckdb.DuckDBPyConnection, selection: Selection, moment: "Format"
) -> None:
    answer = connection.execute(f"SELECT * FROM {selection.source}")
    line = 0
    while batch := answer.fetchmany(ROWS_AT_ONCE):
        for row in batch:
            line += 1
            for place, value in enumerate(row):
                _write_cell(sheet, line, place, value, moment)


def _write_cell(sheet: "Worksheet", line: int, place: int, value: Any, moment: "Format") -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, place, value)
    elif isinstance(value, int | float):
        if math.isfinite(value):  # Excel has neither infinity nor NaN: the cell stays empty, as for null
            sheet.write_number(line, place, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(line, place, value, moment)
    elif isinstance(value, date):
        sheet.write_datetime(line, place, value)
    else:
        sheet.write_string(line, place, str(value)[:MAX_CELL])


def _write_meanings(sheet: "Worksheet", selections: list[Selection], heading: "Format") -> None:
    _write_header(sheet, ["table", "column", "type", "meaning"], heading)
    lines = [
        (selection.table, column.name, column.type, column.meaning)
        for selection in selections
        for column in selection.columns
    ]
    for line, row in enumerate(lines, start=1):
        for place, text in enumerate(row):
            sheet.write_string(line, place, text)
    for place, width in enumerate((28, 26, 12, 100)):
        sheet.set_column(place, place, width)
