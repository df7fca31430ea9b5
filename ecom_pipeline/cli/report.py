"""`ecom-pipeline report`: the page of a night, made again, or into a file of one's choice."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home


def report(
    home: HomeOption = DEFAULT_HOME,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write instead of published/report.html.", dir_okay=False),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="Night of the report.", show_default="the newest"),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a night: one HTML page that any browser opens, without a network.

    A night writes it by itself, to reports/, and the newest one to published/report.html too; this makes it again from
    what is published, while a night runs too.

    Examples:

      ecom-pipeline report --home shop

      ecom-pipeline report --home shop --as-of 2026-10-17

      ecom-pipeline report --home shop --output ~/monday.html
    """
    from ecom_pipeline.report import ReportError, nightly_report, write_report
    from ecom_pipeline.sources.profile import read_profile

    shop = existing_home(home)
    currency = read_profile(shop.settings().profile, base=shop.root).shop.currency
    night = as_of.date() if as_of is not None else None
    try:
        if output is None:
            written = nightly_report(shop, as_of=night, currency=currency)
        else:
            written = write_report(shop.published_file, output, as_of=night, currency=currency)
    except ReportError as error:
        raise CommandError(str(error)) from None
    if as_json:
        told = {
            "file": str(written.file),
            "as_of": str(written.as_of),
            "bytes": written.bytes,
            "left_out": written.left_out,
        }
        typer.echo(json.dumps({**told, "seconds": written.seconds}, indent=2, ensure_ascii=False))
        return
    console = Console(quiet=quiet, highlight=False)
    console.print(
        f"The night of {written.as_of}: {written.file} ({written.bytes / 1024**2:.1f} MiB, {written.seconds:.1f} s)",
        soft_wrap=True,
    )
    for why in written.left_out.values():
        console.print(f"[dim]{why}[/dim]", soft_wrap=True)
