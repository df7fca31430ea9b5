"""The jobs: the night as a whole, and the loading of files by itself; the schedule of the nights."""

from datetime import timedelta
from typing import Any

import dagster as dg

from ecom_pipeline.orchestration.assets.rescoring import RESCORED
from ecom_pipeline.orchestration.assets.scenarios import SCENARIOS

NIGHTLY_JOB = "nightly"
INGEST_JOB = "ingest"


def nightly_job() -> Any:
    """Everything, for one night."""
    return dg.define_asset_job(
        NIGHTLY_JOB,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(RESCORED, SCENARIOS),
        description="One night: load what is new, rebuild what is derived, forecast, recommend, check, publish.",
    )


def ingest_job() -> Any:
    """Raw and core as files arrive, and new recommendations for the users whom they speak of."""
    return dg.define_asset_job(
        INGEST_JOB,
        selection=dg.AssetSelection.groups("raw", "core") | dg.AssetSelection.assets(RESCORED),
        description="Load the files that are new or changed in landing, as far as the core tables, and recommend again "
        "to users with new events; nothing is trained.",
    )


def night_schedule(
    schedule_time: str, time_zone: str, *, default_status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Every night at `schedule_time` (HH:MM in the shop's time zone) the night of the day before."""
    hour, minute = schedule_time.split(":")

    @dg.schedule(
        name="every_night",
        job_name=NIGHTLY_JOB,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=time_zone,
        default_status=default_status,
        description=f"The night of the day that has just ended, at {schedule_time} in {time_zone}.",
    )
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        night = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=night, partition_key=night)

    return every_night
