"""The MLflow client: quiet, without telemetry, and imported only when a registry is first used."""

import logging
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def tracking_client(uri: str) -> "MlflowClient":
    """A client for tracking and registry at `uri`; creates the tables of a new SQLite file."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        # MLflow's own use of SQLAlchemy and pydantic; nothing that a shop could mend
        warnings.simplefilter("ignore")
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client
