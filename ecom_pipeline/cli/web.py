"""`ecom-pipeline ui`: the Dagster UI of one shop home, with the daemon that runs its schedule and sensor."""

import os
import socket
import sys
from typing import Annotated

import typer

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, existing_home

ADDRESS = "127.0.0.1"
PAGES = {
    "nights and backfills": "/guess/nightly",
    "the forecaster": "/assets/sales_forecaster",
    "the recommender": "/assets/next_item",
    "what was published": "/assets/analytics",
}
"""Pages from which what people do most is a click or two away; /guess finds a job wherever it was loaded from."""


def ui(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help=f"Port on {ADDRESS}.", min=1, max=65535)] = 3000,
) -> None:
    """Open the Dagster UI of a shop home, and run its schedule and its landing sensor, until Ctrl-C.

    It listens on 127.0.0.1 alone; docs/operating.md says how to put it behind a login.

    Example:

      ecom-pipeline ui --home shop --port 3000
    """
    from ecom_pipeline.orchestration.instance import write_instance

    shop = existing_home(home)
    write_instance(shop)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            raise CommandError(f"Port {port} on {ADDRESS} is taken. Choose another with --port.") from None
    address = f"http://{ADDRESS}:{port}"
    print(f"Dagster UI of {shop.root}: {address} (Ctrl-C ends it)")
    for what, page in PAGES.items():
        print(f"  {what:<22}{address}{page}")
    sys.stdout.flush()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(shop.dagster_home),
        "ECOM_PIPELINE_HOME": str(shop.root),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    # `dagster dev` is superseded by a tool of another package, and says so at each start
    command = [sys.executable, "-W", "ignore:Function", "-m", "dagster", "dev"]
    command += ["--module-name", "ecom_pipeline.definitions"]
    command += ["--host", ADDRESS, "--port", str(port), "--log-level", "warning"]
    # The process becomes Dagster's own, so that Ctrl-C and a service manager's signals reach it directly.
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own arguments
