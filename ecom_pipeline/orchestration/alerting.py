"""Sensors that tell of runs that failed, and of the first that is well again; they send through operations.alerts."""

import dagster as dg

from ecom_pipeline.operations.alerts import Kind, alert_of, is_wanted, send
from ecom_pipeline.orchestration.recording import PARTITION_TAG
from ecom_pipeline.settings import Home

TOLD_TAG = "ecom_pipeline/alerted"
"""On runs of the command line, which tell of themselves."""
LONGEST_MESSAGE = 600
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def alert_sensors(home: Home, *, default_status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """The two sensors. Without addresses in the environment they do nothing."""

    @dg.run_failure_sensor(
        name="failure_alert",
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Tells of a run that failed, by the webhook or e-mail that the environment names.",
    )
    def failure_alert(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        message = (context.failure_event.message or "").strip()[:LONGEST_MESSAGE]
        return tell(home, "failure", context.dagster_run, message)

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="recovery_alert",
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Tells of the first run of a job that succeeds after one that failed.",
    )
    def recovery_alert(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        if not failed_before(context.instance, context.dagster_run):
            return dg.SkipReason("The run before it was well, too.")
        return tell(home, "recovery", context.dagster_run, "")

    return [failure_alert, recovery_alert]


def tell(home: Home, kind: Kind, run: dg.DagsterRun, message: str) -> dg.SkipReason | None:
    """Send an alert of the run, unless it has told of itself."""
    if not is_wanted():
        return dg.SkipReason("The environment names nobody to be told (ECOM_PIPELINE_ALERT_URL).")
    if TOLD_TAG in run.tags:
        return dg.SkipReason("The run has told of itself.")
    alert = alert_of(
        kind, home, job=run.job_name, night=run.tags.get(PARTITION_TAG), run_id=run.run_id, message=message
    )
    errors = send(home, alert)
    return dg.SkipReason(f"Not delivered, waits for the next: {'; '.join(errors)}") if errors else None


def failed_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run of the same job that ended before this one failed."""
    ended = instance.get_runs(filters=dg.RunsFilter(job_name=run.job_name, statuses=_ENDED), limit=20)
    earlier = [other for other in ended if other.run_id != run.run_id]
    return bool(earlier) and earlier[0].status == dg.DagsterRunStatus.FAILURE
