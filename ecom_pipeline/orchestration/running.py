"""Running a night in this process, on the Dagster instance of its home, for the command line and for tests."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.operations.alerts import Kind, is_wanted
from ecom_pipeline.orchestration.alerting import (
    LONGEST_MESSAGE,
    TOLD_TAG,
    failed_before,
    newly_wrong_trainings,
    tell,
)
from ecom_pipeline.orchestration.crashed_runs import DIED, mark_dead_runs
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.orchestration.jobs import NIGHTLY_JOB
from ecom_pipeline.orchestration.observing import RunObserver
from ecom_pipeline.orchestration.resources import observer_resource
from ecom_pipeline.settings import Home

NO_CONSOLE_LOG: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
NO_ROOM = "No space left on device"
NO_ROOM_BYTES = 1 << 20
BLOCKED_BY_CHECK = "DagsterAssetCheckFailedError"
INTERRUPTED = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})


@dataclass(frozen=True, slots=True)
class Failure:
    """One step that failed; `blocked` tells a failed check from a failed step, `interrupted` one that was stopped."""

    step: str
    message: str
    blocked: bool
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """One asset check that did not pass."""

    asset: str
    check: str
    blocking: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class NightRun:
    """What became of a run."""

    run_id: str
    as_of: date
    seconds: float
    checks: int
    failed_checks: tuple[FailedCheck, ...]
    failures: tuple[Failure, ...]

    @property
    def succeeded(self) -> bool:
        """Whether the night was published."""
        return not self.failures

    @property
    def blocked(self) -> bool:
        """Whether a check, and nothing but checks, kept it from being published."""
        return bool(self.failures) and all(failure.blocked for failure in self.failures)

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return any(failure.interrupted for failure in self.failures)


def steps_of_a_night(home: Home) -> int:
    """How many steps a night has."""
    return len(build_defs(home.root).resolve_job_def(NIGHTLY_JOB).graph.node_names())


def run_night(
    home: Home,
    as_of: date,
    *,
    observer: RunObserver | None = None,
    overrides: dict[str, object] | None = None,
    log: bool = False,
) -> NightRun:
    """Run one night from landing to the published file; Dagster's event log goes to stderr only with `log`.

    Raises:
        DocumentError: if the settings or the profile of the home cannot be used.
    """
    definitions = build_defs(home.root, {"observer": observer_resource(observer), **(overrides or {})})
    job = definitions.resolve_job_def(NIGHTLY_JOB)
    with instance_of(home) as instance:
        for run in mark_dead_runs(home, instance):
            _tell_of(home, instance, run, "failure", DIED)
        result = job.execute_in_process(
            instance=instance,
            partition_key=as_of.isoformat(),
            raise_on_error=False,
            run_config=None if log else NO_CONSOLE_LOG,
        )
        evaluations = result.get_asset_check_evaluations()
        stats = instance.get_run_stats(result.run_id)
        failures = _failures(result.all_events, is_full=shutil.disk_usage(home.root).free < NO_ROOM_BYTES)
        _tell(home, instance, result.run_id, failures)
    seconds = (stats.end_time or 0.0) - (stats.start_time or 0.0)
    return NightRun(
        run_id=result.run_id,
        as_of=as_of,
        seconds=seconds,
        checks=len(evaluations),
        failed_checks=tuple(
            FailedCheck(
                asset=evaluation.asset_key.to_user_string(),
                check=evaluation.check_name,
                blocking=evaluation.severity is dg.AssetCheckSeverity.ERROR,
                sentence=evaluation.description or "",
            )
            for evaluation in evaluations
            if not evaluation.passed
        ),
        failures=failures,
    )


def _tell(home: Home, instance: dg.DagsterInstance, run_id: str, failures: tuple[Failure, ...]) -> None:
    """Send an alert if the run failed, is the first that did not, or trained badly; the sensors then leave it alone."""
    run = instance.get_run_by_id(run_id)
    if run is None or not is_wanted():
        return
    if failures:
        first = next((failure for failure in failures if not failure.blocked), failures[0])
        _tell_of(home, instance, run, "failure", f"{first.step}: {first.message}"[:LONGEST_MESSAGE])
        return
    if failed_before(instance, run):
        _tell_of(home, instance, run, "recovery", "")
    if wrong := newly_wrong_trainings(instance, run):
        _tell_of(home, instance, run, "warning", wrong)


def _tell_of(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun, kind: Kind, message: str) -> None:
    tell(home, kind, run, message)
    instance.add_run_tags(run.run_id, {TOLD_TAG: "true"})


def _failures(events: Sequence[dg.DagsterEvent], *, is_full: bool) -> tuple[Failure, ...]:
    """What failed; on a disk that is full each failure says so, whatever the error did."""
    found = []

    def said(message: str) -> str:
        return f"{message} ({NO_ROOM})" if is_full and NO_ROOM not in message else message

    for event in events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            found.append(
                Failure(
                    step=event.step_key or "",
                    message=said(_said_first(error) or ""),
                    blocked=error is not None and error.cls_name == BLOCKED_BY_CHECK,
                    interrupted=_is_interrupt(error),
                )
            )
        elif event.event_type_value == "PIPELINE_FAILURE" and not found:
            error = event.job_failure_data.error
            message = _said_first(error) or event.message or ""
            found.append(
                Failure(step="start of the run", message=said(message), blocked=False, interrupted=_is_interrupt(error))
            )
    return tuple(found)


def _is_interrupt(error: Any) -> bool:
    while error is not None:
        if error.cls_name in INTERRUPTED:
            return True
        error = error.cause
    return False


def _said_first(error: Any) -> str | None:
    """What the outermost error says that is not Dagster's own: it knows what to do; None without an error."""
    if error is None:
        return None
    while error.cause is not None and str(error.cls_name).startswith("Dagster"):
        error = error.cause
    return _without_class(error.message)


def _without_class(message: str) -> str:
    """The message without the name of the exception's class in front."""
    head, separator, rest = message.strip().partition(": ")
    return rest if separator and head.replace(".", "").replace("_", "").isidentifier() else message.strip()
