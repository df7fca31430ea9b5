"""`ecom-pipeline export`: published tables as CSV, Parquet or Excel files."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.console import Console

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home

DAY = "%Y-%m-%d"
Format = Literal["csv", "parquet", "xlsx"]


def published_tables(incomplete: str) -> list[str]:
    """Names of published tables that begin so, for completion."""
    from ecom_pipeline.contracts import PUBLISHED_TABLES

    return sorted(name for name in PUBLISHED_TABLES if name.startswith(incomplete))


def _format_of(out: Path) -> Format:
    """The format that the end of a file's name asks for; CSV for a folder."""
    wanted = out.suffix.removeprefix(".")
    return next((known for known in get_args(Format) if known == wanted), "csv")


def export(  # noqa: PLR0917 - options of a command, never passed by position
    tables: Annotated[
        list[str],
        typer.Argument(help="Published tables, as the data dictionary lists them.", autocompletion=published_tables),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A folder, or a file that ends as the format does.")
    ] = Path(),
    file_format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="Format; default: as --out ends, else csv.", show_default=False),
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Only the newest night of tables kept by night.")] = False,
    night: Annotated[
        datetime | None,
        typer.Option(formats=[DAY], help="Only this night of tables kept by night.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV: leave text that a spreadsheet would run as a formula as it is.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write published tables to files: CSV, Parquet, or an Excel workbook with a sheet for each.

    It reads the published file alone, so it works while a night runs.

    Examples:

      ecom-pipeline export sales_forecasts --latest --out forecasts.csv --home shop

      ecom-pipeline export recommendations items --latest --out newsletter.xlsx --home shop

      ecom-pipeline export sales_daily user_events --format parquet --out ~/extract --home shop
    """
    from ecom_pipeline.exporting import ExportError, export_tables

    if latest and night is not None:
        raise CommandError("--latest and --night cannot go together: choose one", ExitCode.USAGE)
    shop = existing_home(home)
    wanted: date | Literal["latest"] | None = "latest" if latest else night.date() if night is not None else None
    try:
        written = export_tables(
            shop.published_file,
            tables,
            out=out,
            file_format=file_format or _format_of(out),
            night=wanted,
            guard_formulas=not raw,
            overwrite=force,
        )
    except ExportError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or out}: cannot be written: {error.strerror}") from None
    if as_json:
        told = [
            {"file": str(one.file), "rows": one.rows, "bytes": one.bytes, "guarded_cells": one.guarded_cells}
            for one in written
        ]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    console = Console(quiet=quiet, highlight=False)
    for one in written:
        rows = ", ".join(f"{count:,} rows of {table}" for table, count in one.rows.items())
        console.print(f"{one.file}: {rows} ({one.bytes / 1024:,.0f} KiB)", soft_wrap=True)
        if one.guarded_cells:
            console.print(
                f"  {one.guarded_cells:,} cells that a spreadsheet would run as a formula now begin with '",
                soft_wrap=True,
            )
