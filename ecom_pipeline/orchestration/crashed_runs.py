"""Runs whose process died without a word (killed, out of memory, power cut): noticed, marked as failed, told.

A run holds a lock on a file of its own while it has, or waits for, the warehouse. The kernel frees the lock when the
process dies, so a file that can be locked was left by a dead one. Dagster itself notices only the death of runs that
its daemon started; a night from a terminal would stand as started for good, and keep its place in the queue.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from ecom_pipeline.settings import Home

FOLDER = "running"
INTERVAL_SECONDS = 30
DIED = (
    "The process of this run ended without a word: it was killed, ran out of memory, or the machine went down. What "
    "analysts read stays as it was. Run it again; it goes on from what is there."
)


@contextmanager
def alive(home: Home, run_id: str) -> Iterator[None]:
    """While inside, the run counts as alive; however the process ends, the run does not outlive it."""
    folder = home.dagster_home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / run_id
    incoming = folder / f".{run_id}"
    with incoming.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        incoming.replace(file)  # locked before anybody looks at it
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def mark_dead_runs(home: Home, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Mark the runs whose process has died as failed, so that their place in the queue is free; returns them."""
    died = []
    for file in sorted((home.dagster_home / FOLDER).glob("[!.]*")):
        if not _was_left_behind(file):
            continue
        run = instance.get_run_by_id(file.name)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, DIED)
            died.append(run)
        file.unlink(missing_ok=True)
    return died


def _was_left_behind(file: Path) -> bool:
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # alive, or ended just now
        return False
    return True


def crashed_runs_sensor(home: Home, *, default_status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Looks twice a minute for runs that died."""

    @dg.sensor(
        name="crashed_runs",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=default_status,
        description="Marks runs whose process has died as failed, those from a terminal too; their place in the queue "
        "is then free, and the alert of a failed run goes out.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        died = mark_dead_runs(home, context.instance)
        if not died:
            return dg.SkipReason("No run has died.")
        return dg.SkipReason(f"Died, and marked as failed: {', '.join(run.run_id for run in died)}.")

    return sensor
