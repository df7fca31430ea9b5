"""`ecom-pipeline rescore`: new events in, and new recommendations for the users who made them; nothing is trained."""

import json
import os
import time
import uuid
from dataclasses import asdict

import typer
from rich.console import Console

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home


def rescore(home: HomeOption = DEFAULT_HOME, quiet: QuietOption = False, as_json: JsonOption = False) -> None:
    """Between nights: load what is new in landing, recommend again to users with new events, publish.

    The standing model speaks; nothing is trained. While another run has the warehouse, this one waits its turn.

    Example:

      ecom-pipeline rescore --home shop
    """
    from ecom_pipeline.privacy.forgotten import forgotten_of
    from ecom_pipeline.sources import load_landing, update_core
    from ecom_pipeline.sources.profile import read_profile
    from ecom_pipeline.steps.publishing import publish_shop
    from ecom_pipeline.steps.rescore import RescoreError, rescore_users
    from ecom_pipeline.warehouse import open_warehouse

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    shop = existing_home(home)
    settings = shop.settings()
    profile = read_profile(settings.profile, base=shop.root)
    run_id = f"rescore-{uuid.uuid4()}"
    started = time.monotonic()
    forgotten = forgotten_of(shop)
    with open_warehouse(shop.warehouse_file, settings) as warehouse:
        loaded = load_landing(
            warehouse,
            landing=shop.landing,
            profile=profile,
            run_id=run_id,
            forgotten_among=forgotten.among if forgotten is not None else None,
        )
        update_core(warehouse, profile=profile, run_id=run_id)
        try:
            report = rescore_users(warehouse, home=shop, settings=settings, profile=profile, run_id=run_id)
        except RescoreError as error:
            raise CommandError(str(error), ExitCode.BLOCKED) from None
        if report.users:
            publish_shop(warehouse, home=shop, settings=settings, profile=profile)
    seconds = time.monotonic() - started
    if as_json:
        told = asdict(report) | {"as_of": str(report.as_of) if report.as_of else None, "seconds": round(seconds, 1)}
        typer.echo(json.dumps({**told, "rows_loaded": loaded.rows_in}, indent=2))
        return
    console = Console(quiet=quiet, highlight=False)
    if report.note is not None:
        console.print(f"{loaded.rows_in:,} rows loaded. {report.note}", soft_wrap=True)
    elif report.as_of is None:
        console.print(
            "There is no night yet whose recommendations could be renewed: run ecom-pipeline nightly first.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"{loaded.rows_in:,} rows loaded; {report.users:,} users with new events got {report.rows:,} "
            f"recommendations in the night of {report.as_of} ({seconds:.1f} s).",
            soft_wrap=True,
        )
