"""Training together on this machine: events or windows a second of one and of several workers, and their CPU seconds.

    python -m benchmarks.distributed --workers 1 2

Every training is run for a few and for more steps; what counts is the difference, so that starting TensorFlow and
tracing the step do not. Accuracy of one and of several: --workers of the two libraries' own benchmarks, such as

    python -m benchmarks.recommending.beauty --tuning --model gru --budget 60 --seeds 0 1 2 --workers 2
    python -m benchmarks.forecasting.tasks --task bakery_daily --split validation --refit first --workers 2
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from benchmarks.forecasting.data import TASKS, load
from benchmarks.forecasting.tasks import forecaster_for
from benchmarks.recommending.large import generated_log
from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import Job, Runner
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending.reading import read_events

ITEMS, EVENTS = 100_000, 200_000
EPOCHS = (1, 3)
STEPS = (50, 350)


def next_item_job(
    folder: Path, amount: int, *, positions: int, workers: int, cell: str = "gru", precision: Precision = "float32"
) -> tuple[Job, int]:
    """A job of so many epochs on a generated log, and the events that it learns from."""
    from ecom_pipeline.distributed.next_item import create_job
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import TrainingSettings as NextItemTraining

    log, _ = read_events(generated_log(events=EVENTS, items=ITEMS), name="events")
    job = create_job(
        folder,
        SequenceNetwork(log.n_items, NetworkSettings(cell=cell, width=128), seed=0),  # type: ignore[arg-type]
        log,
        training=NextItemTraining(positions=positions, precision=precision),
        epochs=amount,
        seed=0,
        shards=workers,
    )
    return job, job.description()["steps"] * amount


class _Seen(Exception):  # noqa: N818  # no error
    """The job is there."""


def first_job(folder: Path, history: pd.DataFrame, unfitted: Callable[[Runner], SalesForecaster], workers: int) -> Job:
    """The first job of a forecaster's fit, which is not done."""

    class Only:
        """Creates a job and runs nothing."""

        size, storage = workers, folder.parent

        def run(self, job: Path) -> None:
            job.rename(folder)
            raise _Seen

    with suppress(_Seen):
        unfitted(Only()).fit(history)
    return Job(folder)


def sales_job(folder: Path, amount: int, *, windows: int, workers: int) -> tuple[Job, int]:
    """A job of so many steps on bakery_daily, of `windows` each, and the windows that it learns from."""
    task = TASKS["bakery_daily"]
    settings = TrainingSettings(steps=amount, batch_size=windows)
    sales = load(task)
    history = sales[sales["ds"] <= task.validation[0]]
    return (
        first_job(folder, history, lambda only: forecaster_for(task, settings=settings, workers=only), workers),
        amount * windows,
    )


def measured(create: Callable[[Path, int], tuple[Job, int]], amounts: tuple[int, int], workers: int) -> str:
    """A row: per second by the clock, and CPU seconds for a thousand."""
    done, seconds, cpu = [], [], []
    for amount in amounts:
        with tempfile.TemporaryDirectory() as scratch:
            job, count = create(Path(scratch) / "job", amount)
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            HostRunner(hosts_here(workers), storage=Path(scratch), checkpoint_s=1e9).run(job.folder)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            done.append(count)
            seconds.append(time.monotonic() - began)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    more = done[1] - done[0]
    return (
        f"{more / (seconds[1] - seconds[0]):,.0f} a second, {1000 * (cpu[1] - cpu[0]) / more:.2f} CPU s a thousand, "
        f"started in {seconds[0]:.0f} s, load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--positions", type=int, nargs="*", default=[1_024, 4_096], help="events a batch, of all")
    parser.add_argument("--windows", type=int, nargs="*", default=[64, 512], help="windows a batch, of all")
    parser.add_argument("--steps", type=int, nargs=2, default=STEPS, help="of the shorter and of the longer training")
    given = parser.parse_args()
    for workers in given.workers:
        for positions in given.positions:
            row = measured(
                lambda folder, amount, p=positions, w=workers: next_item_job(folder, amount, positions=p, workers=w),  # type: ignore[misc]
                EPOCHS,
                workers,
            )
            print(f"next item, {positions} events a batch, {workers} workers: {row}", flush=True)
        for windows in given.windows:
            row = measured(
                lambda folder, amount, n=windows, w=workers: sales_job(folder, amount, windows=n, workers=w),  # type: ignore[misc]
                (given.steps[0], given.steps[1]),
                workers,
            )
            print(f"sales, {windows} windows a batch, {workers} workers: {row}", flush=True)


if __name__ == "__main__":
    main()
