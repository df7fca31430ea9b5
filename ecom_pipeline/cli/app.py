"""The command `ecom-pipeline`: its commands, and how failures end it."""

import os
import sys
from typing import Any

import typer

from ecom_pipeline import __version__
from ecom_pipeline.cli import (
    ask,
    care,
    exports,
    homes,
    models,
    nights,
    privacy,
    report,
    rescoring,
    show,
    status,
    tables,
    web,
    what_if,
)
from ecom_pipeline.cli.failures import NO_ROOM, CommandError, ExitCode, full_disk
from ecom_pipeline.cli.help_pages import ReadableGroup, make_readable
from ecom_pipeline.documents import DocumentError
from ecom_pipeline.warehouse import WarehouseError

NIGHTS, RESULTS, DATA, CARE = "Nights", "What came out", "Exports of a shop", "Care of a home"
"""Under which the help lists the commands."""


class Commands(ReadableGroup):
    """Ends a command with one paragraph on stderr when a person can mend what went wrong; other errors are ours."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (CommandError, DocumentError, WarehouseError) as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(error.code if isinstance(error, CommandError) else ExitCode.UNUSABLE) from None
        except Exception as error:
            if (what := full_disk(error)) is None:
                raise
            print(f"Error: {NO_ROOM.format(what=what)}", file=sys.stderr)
            raise typer.Exit(ExitCode.FAILED) from None


app = typer.Typer(
    name="ecom-pipeline",
    cls=Commands,
    help="Every night: a shop's orders and browse logs in, sales forecasts and recommendations in DuckDB out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 a check stopped publishing, 4 home or file unusable.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ecom-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options before any command."""


app.command(rich_help_panel=NIGHTS)(homes.init)
app.command(rich_help_panel=NIGHTS)(nights.nightly)
app.command(rich_help_panel=NIGHTS)(nights.backfill)
app.command(rich_help_panel=NIGHTS)(rescoring.rescore)
app.command(rich_help_panel=NIGHTS)(web.ui)
app.command(rich_help_panel=RESULTS)(status.status)
app.command(rich_help_panel=RESULTS)(report.report)
app.command(rich_help_panel=RESULTS)(ask.ask)
app.command(rich_help_panel=RESULTS)(tables.export)
app.command(rich_help_panel=RESULTS)(what_if.scenario)
app.command(rich_help_panel=RESULTS)(what_if.reorder)
app.command(rich_help_panel=DATA)(exports.guess)
app.command(rich_help_panel=DATA)(exports.generate)
app.command(rich_help_panel=DATA)(exports.export_complete_journey)
app.command(rich_help_panel=CARE)(care.health)
app.command(rich_help_panel=CARE)(care.doctor)
app.command(rich_help_panel=CARE)(care.backup)
app.command(rich_help_panel=CARE)(care.restore)
app.command(rich_help_panel=CARE)(care.rebuild)
app.command("forget-user", rich_help_panel=CARE)(privacy.forget_user)
app.add_typer(models.app, name="models", rich_help_panel=CARE)
app.add_typer(show.app, name="show", rich_help_panel=RESULTS)
make_readable(app)


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app()
