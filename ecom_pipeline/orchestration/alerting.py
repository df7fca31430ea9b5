"""Sensors that tell of runs that failed, of the first that is well again, and of nights whose trainings went wrong.

They send through operations.alerts.
"""

import re

import dagster as dg

from ecom_pipeline.operations.alerts import Kind, alert_of, is_wanted, send
from ecom_pipeline.orchestration.questions import TRAININGS
from ecom_pipeline.orchestration.recording import PARTITION_TAG
from ecom_pipeline.settings import Home

TOLD_TAG = "ecom_pipeline/alerted"
"""On runs of the command line, which tell of themselves."""
LONGEST_MESSAGE = 600
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def alert_sensors(home: Home, *, default_status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """The three sensors. Without addresses in the environment they do nothing."""

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

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="training_alert",
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Tells of the first night of several whose trainings went wrong; it was published all the same.",
    )
    def training_alert(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        wrong = newly_wrong_trainings(context.instance, context.dagster_run)
        if not wrong:
            return dg.SkipReason("Nothing went wrong in training, or it has been told.")
        return tell(home, "warning", context.dagster_run, wrong)

    return [failure_alert, recovery_alert, training_alert]


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
    earlier = _run_before(instance, run)
    return earlier is not None and earlier.status == dg.DagsterRunStatus.FAILURE


def newly_wrong_trainings(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What went wrong in the run's trainings; empty if nothing did, or the run before said the same."""
    wrong = _wrong_trainings(instance, run)[:LONGEST_MESSAGE]
    earlier = _run_before(instance, run)
    said = "" if earlier is None else _wrong_trainings(instance, earlier)[:LONGEST_MESSAGE]
    return "" if _without_figures(wrong) == _without_figures(said) else wrong


def _run_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun | None:
    """The run of the same job that ended last, but for this one."""
    ended = instance.get_runs(filters=dg.RunsFilter(job_name=run.job_name, statuses=_ENDED), limit=20)
    return next((other for other in ended if other.run_id != run.run_id), None)


def _wrong_trainings(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        found = entry.get_dagster_event().asset_check_evaluation_data
        if found.check_name == TRAININGS and not found.passed:
            return str(found.metadata["observed"].value)
    return ""


def _without_figures(text: str) -> str:
    """The text without dates and figures, which differ from night to night."""
    return re.sub(r"[\d.,-]+", "", text)
