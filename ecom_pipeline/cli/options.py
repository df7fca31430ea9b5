"""Options that several commands have, and the home that they lead to."""

from pathlib import Path
from typing import Annotated

import typer

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.settings import Home

DEFAULT_HOME = Path("data")

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="ECOM_PIPELINE_HOME", help="The shop home.", show_default=True, file_okay=False)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def existing_home(root: Path) -> Home:
    """The home at `root`, which `ecom-pipeline init` has made.

    Raises:
        CommandError: if there is none.
    """
    home = Home(root)
    if not home.settings_file.is_file():
        raise CommandError(
            f"{root} is not a shop home: it has no {home.settings_file.name}. "
            f"Make one with: ecom-pipeline init --profile NAME --home {root}"
        )
    return home
