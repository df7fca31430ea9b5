"""The `runs` table: what every step did, how long it took, how much memory the process had at its peak."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import duckdb

from ecom_pipeline import __version__
from ecom_pipeline.operations.step_log import log_step
from ecom_pipeline.orchestration.nights import night_of_run
from ecom_pipeline.orchestration.observing import Progress
from ecom_pipeline.orchestration.resources import Shop

PARTITION_TAG = "dagster/partition"
INSERT_ROW = """
INSERT INTO runs
SELECT :run_id, CAST(:as_of AS DATE), :step, :status, CAST(:started_at AS TIMESTAMP), :seconds, :rows, :peak_memory_mb,
       :code_version
"""


@dataclass(slots=True)
class Step:
    """One step while it runs; the asset sets `rows` when it knows them."""

    name: str
    run_id: str
    as_of: date
    on_progress: Progress
    rows: int | None = None
    seconds: float = 0.0

    @property
    def figures(self) -> dict[str, Any]:
        """What the step cost, for the asset's metadata."""
        return {"seconds": round(self.seconds, 3), "peak memory, MiB": round(peak_memory_mb())}


@contextmanager
def recorded_step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, shop: Shop) -> Iterator[Step]:
    """Run the body as one step: observers hear of it, and its row is in `runs` whether it succeeds or fails."""
    run = context.run
    name = context.op_execution_context.op.name
    partition = run.tags.get(PARTITION_TAG)

    def on_progress(stage: str, share: float | None = None) -> None:
        shop.observer.step_progress(name, stage, share)

    step = Step(
        name=name,
        run_id=run.run_id,
        as_of=night_of_run(partition, shop.profile.shop.time_zone),
        on_progress=on_progress,
    )
    started_at = datetime.now(UTC).replace(tzinfo=None)
    started = time.perf_counter()
    shop.observer.step_started(name)
    night = date.fromisoformat(partition) if partition is not None else None
    log_step(shop.home, "started", run_id=run.run_id, as_of=night, asset=name)

    def record(error: BaseException | None = None) -> None:
        succeeded = error is None
        step.seconds = time.perf_counter() - started
        log_step(
            shop.home,
            "succeeded" if succeeded else "failed",
            run_id=run.run_id,
            as_of=night,
            asset=name,
            seconds=step.seconds,
            rows=step.rows,
            error=error,
        )
        shop.warehouse.run(
            "DELETE FROM runs WHERE run_id = :run_id AND step = :step", {"run_id": run.run_id, "step": name}
        )
        shop.warehouse.run(
            INSERT_ROW,
            {
                "run_id": run.run_id,
                "as_of": night,
                "step": name,
                "status": "succeeded" if succeeded else "failed",
                "started_at": started_at,
                "seconds": step.seconds,
                "rows": step.rows,
                "peak_memory_mb": peak_memory_mb(),
                "code_version": __version__,
            },
        )
        shop.observer.step_finished(name, seconds=step.seconds, rows=step.rows, succeeded=succeeded)

    try:
        yield step
    except BaseException as error:
        try:
            record(error)
        except duckdb.Error as second:
            error.add_note(f"The failure could not be written into the table runs either: {second}")
        raise
    record()


def peak_memory_mb() -> float:
    """Peak resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
