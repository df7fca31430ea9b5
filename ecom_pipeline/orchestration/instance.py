"""The Dagster instance of a shop home: its dagster.yaml, and how a process gets hold of it."""

from contextlib import AbstractContextManager

import dagster as dg

from ecom_pipeline.settings import Home

INSTANCE_FILE = "dagster.yaml"
INSTANCE_CONFIG = """\
# Dagster's own settings for this shop. Runs, schedules and events are kept in SQLite files beside this file;
# docs/operating.md says how to keep them in PostgreSQL.
telemetry:
  enabled: false
nux:
  enabled: false

# One run has the warehouse at a time; the others wait in the queue. Without a default limit, a pool limits nothing.
concurrency:
  pools:
    granularity: run
    default_limit: 1

# A run whose process died is noticed within a minute, and frees its place.
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  poll_interval_seconds: 20
  free_slots_after_run_end_seconds: 60

freshness:
  enabled: true

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 2
      failure: 30
      success: 90
"""


def write_instance(home: Home) -> None:
    """Make DAGSTER_HOME with its dagster.yaml; one that is there already is the operator's and stays as it is."""
    home.dagster_home.mkdir(parents=True, exist_ok=True)
    file = home.dagster_home / INSTANCE_FILE
    if not file.exists():
        file.write_text(INSTANCE_CONFIG, encoding="utf-8")


def run_databases(home: Home) -> tuple[str, ...]:
    """Addresses (URLs, with passwords) of the PostgreSQL databases in which the operator's dagster.yaml has Dagster
    keep runs, events and schedules; none where they are files in the home."""
    with instance_of(home) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        found = [getattr(storage, "postgres_url", None) for storage in storages]
    return tuple(dict.fromkeys(url for url in found if url is not None))


def instance_of(home: Home) -> AbstractContextManager[dg.DagsterInstance]:
    """The home's Dagster instance, to be used in a `with` statement."""
    return dg.DagsterInstance.from_config(str(home.dagster_home))
