"""`ecom-pipeline nightly` and `backfill`: nights in this process, with progress and a summary."""

import json
import os
from datetime import date, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home
from ecom_pipeline.orchestration.running import NightRun
from ecom_pipeline.settings import Home, Settings

DAY = "%Y-%m-%d"
REPORT_STEP = "report"
"""The one step that comes after publishing."""
LogOption = Annotated[bool, typer.Option("--log", help="Print Dagster's event log to stderr.")]


def nightly(  # noqa: PLR0917 - options of a command, never passed by position
    home: HomeOption = DEFAULT_HOME,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=[DAY],
            help="Night to run: nothing after this day is seen. Default: yesterday in the shop's time zone; for the "
            "bundled sample shop, whose data stand still, their last day.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the night would load, train and write, and do nothing.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log: LogOption = False,
) -> None:
    """Run one night: load, check, forecast, recommend, publish.

    A night that is run again replaces itself. While another run has the warehouse, this one waits its turn.

    Examples:

      ecom-pipeline nightly --home shop

      ecom-pipeline nightly --home shop --as-of 2011-12-09 --json

      ecom-pipeline nightly --home shop --dry-run
    """
    shop = existing_home(home)
    night = as_of.date() if as_of is not None else default_night(shop)
    refuse_unfinished(shop, night)
    if dry_run:
        from ecom_pipeline.cli.planning import tell_plan

        tell_plan(shop, night, as_json=as_json)
        return
    run = _run(shop, night, quiet=quiet or as_json, log=log)
    if run.succeeded and not quiet:
        from ecom_pipeline.cli.summary import print_summary, summarise

        summary = summarise(shop.published_file, run)
        if as_json:
            typer.echo(summary.as_json())
        else:
            print_summary(Console(highlight=False), summary, run)
    raise_for(run)


def backfill(  # noqa: PLR0917 - options of a command, never passed by position
    first: Annotated[datetime, typer.Option("--from", formats=[DAY], help="First night.")],
    last: Annotated[datetime, typer.Option("--to", formats=[DAY], help="Last night.")],
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log: LogOption = False,
) -> None:
    """Run past nights in order, each as it would have been: no model that saw later data is used.

    It stops at the first night that fails. Accuracy of the nights' forecasts is in sales_forecast_accuracy after the
    last one.

    Example:

      ecom-pipeline backfill --home shop --from 2011-11-26 --to 2011-12-09
    """
    shop = existing_home(home)
    if last < first:
        raise CommandError(f"--to {last:%Y-%m-%d} is before --from {first:%Y-%m-%d}", ExitCode.USAGE)
    nights = [first.date() + timedelta(days=n) for n in range((last - first).days + 1)]
    refuse_unfinished(shop, nights[-1])
    for night in nights:
        run = _run(shop, night, quiet=quiet or as_json, log=log)
        if as_json:
            typer.echo(
                json.dumps(
                    {"as_of": str(night), "run_id": run.run_id, "seconds": run.seconds, "published": run.succeeded}
                )
            )
        elif not quiet:
            typer.echo(f"{night}  {'published' if run.succeeded else 'FAILED'}  {run.seconds:.1f} s")
        raise_for(run)


def raise_for(run: NightRun) -> None:
    """End the command as a failed night demands; return if it was published.

    Raises:
        CommandError: saying which step failed and why, or which check blocked.
    """
    if run.succeeded:
        return
    if run.blocked:
        sentences = " ".join(check.sentence for check in run.failed_checks if check.blocking)
        raise CommandError(
            f"The night of {run.as_of} was not published: a check failed, and what analysts read stays as it was. "
            f"{sentences}",
            ExitCode.BLOCKED,
        )
    failure = next(failure for failure in run.failures if not failure.blocked)
    if run.interrupted and failure.step != REPORT_STEP:
        raise CommandError(
            f"The night of {run.as_of} was stopped in {failure.step}. Nothing was published; what analysts read stays "
            "as it was. Run it again when you like: what is loaded and trained by now is found.",
            ExitCode.INTERRUPTED,
        )
    outcome = (
        "What analysts read was published; only its report is that of the night before."
        if failure.step == REPORT_STEP
        else "Nothing was published; what analysts read stays as it was."
    )
    raise CommandError(
        f"The night of {run.as_of} failed in {failure.step}: {failure.message} {outcome} "
        f"The run {run.run_id} is in the Dagster UI (ecom-pipeline ui).",
        ExitCode.FAILED,
    )


def default_night(home: Home) -> date:
    """Yesterday in the shop's time zone; for the bundled sample shop the last day of its data."""
    from ecom_pipeline.orchestration.nights import last_day_of_sample, yesterday_in

    settings = home.settings()
    return last_day_of_sample(settings.profile) or yesterday_in(_time_zone(home, settings))


def refuse_unfinished(home: Home, night: date) -> None:
    """Refuse a night that is still to come, or that lies before the first that may be run.

    Raises:
        CommandError: naming the nights that can be run.
    """
    from ecom_pipeline.orchestration.nights import FIRST_NIGHT, last_day_of_sample, today_in

    settings = home.settings()
    time_zone = _time_zone(home, settings)
    last = max(today_in(time_zone), last_day_of_sample(settings.profile) or date.min)
    if not FIRST_NIGHT <= night <= last:
        raise CommandError(
            f"The night of {night} cannot be run: nights go from {FIRST_NIGHT} to {last} (today in {time_zone}).",
            ExitCode.USAGE,
        )


def _time_zone(home: Home, settings: Settings) -> str:
    from ecom_pipeline.sources.profile import read_profile

    return read_profile(settings.profile, base=home.root).shop.time_zone


def _run(home: Home, night: date, *, quiet: bool, log: bool) -> NightRun:
    from ecom_pipeline.cli.watching import console_of_our_own, watched
    from ecom_pipeline.orchestration.running import run_night, steps_of_a_night

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    steps = steps_of_a_night(home)
    with console_of_our_own(quiet=quiet, log=log) as console:
        console.print(f"The night of {night} in {home.root}", soft_wrap=True)
        with watched(console, steps=steps, title=f"night of {night}") as observer:
            return run_night(home, night, observer=observer, log=log)
