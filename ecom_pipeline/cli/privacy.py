"""`ecom-pipeline forget-user`: taking a person out of a home."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, existing_home


def forget_user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="The user's id, as core tables have it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Take a person out of the home for good: landing, warehouse, models, published file, history of runs.

    The id goes on a list (as a keyed hash), so that files that come again do not bring the person back. Models that
    had learnt from the person are deleted; the next night trains anew. A receipt without the id is written.

    Example:

      ecom-pipeline forget-user 17850 --home shop
    """
    from ecom_pipeline.privacy.erasure import forget_user as erase
    from ecom_pipeline.privacy.pseudonyms import PrivacyError
    from ecom_pipeline.sources.removal import RemovalError
    from ecom_pipeline.spark.files import StorageError
    from ecom_pipeline.spark.session import SparkMissingError

    shop = existing_home(home)
    try:
        receipt, file = erase(shop, user_id)
    except (PrivacyError, RemovalError, StorageError, SparkMissingError, ValueError) as error:
        raise CommandError(str(error)) from None
    if as_json:
        typer.echo(json.dumps(asdict(receipt) | {"receipt": str(file)}, indent=2, ensure_ascii=False))
    else:
        rows = sum(receipt.rows_in_landing.values())
        typer.echo(f"Rows taken out of {len(receipt.rows_in_landing)} files in landing: {rows:,}")
        typer.echo(f"Rows taken out of the warehouse: {sum(receipt.rows_in_warehouse.values()):,}")
        typer.echo(f"Places overwritten in the history of runs: {receipt.places_in_history:,}")
        typer.echo(f"Models deleted; the next night trains anew: {', '.join(receipt.models) or 'none'}")
        for told in receipt.not_covered:
            typer.echo(f"Not covered: {told}")
        typer.echo(f"Receipt: {file}")
    if receipt.remaining:
        raise CommandError(
            f"The id still stands in {', '.join(receipt.remaining)}; see to these files by hand and run the command "
            "again.",
            ExitCode.FAILED,
        )
