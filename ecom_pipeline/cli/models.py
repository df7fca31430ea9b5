"""`ecom-pipeline models`: versions and their decisions, promotion and rollback by hand."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, existing_home

if TYPE_CHECKING:
    from ecom_pipeline.registry import ModelVersion, Registry

Model = Literal["sales_forecaster", "next_item"]
ModelArgument = Annotated[Model, typer.Argument(help="Which model.")]
VersionArgument = Annotated[str, typer.Argument(help="Version, as `models list` names it.")]
Decide = Callable[["Registry"], "ModelVersion"]

app = typer.Typer(help="Model versions: list, promote, roll back.", no_args_is_help=True)


@app.command("list")
def list_versions(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """All versions of both models, what each saw, and why it was promoted or not.

    Example:

      ecom-pipeline models list --home shop
    """
    registry = _registry(home)
    versions = [
        {
            "model": model,
            "version": version.name,
            "data_cutoff": version.data_cutoff.isoformat(),
            "decision": version.decision,
            "reason": version.reason,
        }
        for model in ("sales_forecaster", "next_item")
        for version in registry.versions(model)
    ]
    if as_json:
        typer.echo(json.dumps(versions, indent=2, ensure_ascii=False))
        return
    print_versions(Console(highlight=False), versions)


def print_versions(console: Console, versions: list[dict[str, str]]) -> None:
    """Versions as people read them: a line that can be copied to `promote`, and below it why it was decided so."""
    if not versions:
        console.print("No model was trained yet.")
    for one in versions:
        console.print(
            f"[bold]{one['model']} {one['version']}[/bold]  data up to {one['data_cutoff']}  {one['decision']}",
            soft_wrap=True,
        )
        console.print(Padding(Text(one["reason"], style="dim"), (0, 0, 0, 4)))


@app.command()
def promote(
    model: ModelArgument,
    version: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")] = "promoted by hand",
) -> None:
    """Make a version champion: nights from its data cutoff on score with it.

    Example:

      ecom-pipeline models promote next_item 2011-12-02-1f2e3d4c --home shop
    """
    promoted = _decided(home, lambda registry: registry.promote(model, version, reason=reason))
    typer.echo(f"{model}: {promoted.name} is champion.")


@app.command()
def rollback(model: ModelArgument, home: HomeOption = DEFAULT_HOME) -> None:
    """Take the newest champion back; the one before it is champion again.

    Example:

      ecom-pipeline models rollback sales_forecaster --home shop
    """
    champion = _decided(home, lambda registry: registry.rollback(model))
    typer.echo(f"{model}: {champion.name} is champion again. The next night scores with it.")


@app.command()
def reject(
    model: ModelArgument,
    version: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")] = "rejected by hand",
) -> None:
    """Keep a version from being champion; the promoted one before it, or the baseline, stands in.

    Example:

      ecom-pipeline models reject next_item 2011-12-02-1f2e3d4c --home shop
    """
    rejected = _decided(home, lambda registry: registry.reject(model, version, reason=reason))
    typer.echo(f"{model}: {rejected.name} is rejected.")


def _decided(home: HomeOption, decide: Decide) -> "ModelVersion":
    """What a decision by hand leads to.

    Raises:
        CommandError: if it cannot be made.
    """
    from ecom_pipeline.registry import RegistryError

    try:
        return decide(_registry(home))
    except RegistryError as error:
        raise CommandError(str(error)) from None


def _registry(home: HomeOption) -> "Registry":
    from ecom_pipeline.registry import Registry

    shop = existing_home(home)
    return Registry(shop, shop.settings())
