"""How long a training step of each network takes on this machine's device, by precision and with or without XLA.

    python -m benchmarks.devices

A GPU is used if TensorFlow sees one. What mixed precision costs in accuracy is for the libraries' own benchmarks:

    python -m benchmarks.recommending.beauty --tuning --model gru --precision mixed_bfloat16 --seeds 0 1 2
    python -m benchmarks.forecasting.tasks --task bakery_daily --split validation --set precision=mixed_bfloat16
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import tensorflow as tf

from benchmarks.distributed import EVENTS, first_job, next_item_job
from benchmarks.forecasting.many_series.shop import sales as generated
from ecom_pipeline.distributed import next_item, sales
from ecom_pipeline.distributed.group import ALONE
from ecom_pipeline.distributed.jobs import Job, Stored
from ecom_pipeline.distributed.keeping import Keeper
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending.fitting import NetworkModel

WARM = 20
"""First steps, which are left out."""


class Enough(Exception):  # noqa: N818  # no error
    """All steps are done."""


class Watch(Keeper):
    """Notes when each step was done, and ends the training after so many."""

    def __init__(self, job: Job, steps: int) -> None:
        super().__init__(job, writes=False, every_s=1e9, resume=None)
        self.steps = steps
        self.times = [time.monotonic()]

    def keep(self, step: int, state: Callable[[], Stored]) -> None:
        """Called after each step."""
        self.times.append(time.monotonic())
        if len(self.times) > self.steps:
            raise Enough


def sales_job(folder: Path, *, settings: TrainingSettings) -> Job:
    """A training of the forecaster on 200 generated series of three years."""
    history = generated(first=0, series=200, days=3 * 365, seed=0)[["unique_id", "ds", "y", "promo"]]
    return first_job(
        folder, history, lambda only: SalesForecaster(known_future=("promo",), settings=settings, workers=only), 1
    )


def measured(create: Callable[[Path], Job], work: Callable[..., None], steps: int) -> tuple[float, float]:
    """Seconds of the first step, with what compiles it, and of a later one (median)."""
    with tempfile.TemporaryDirectory() as scratch:
        job = create(Path(scratch) / "job")
        watch = Watch(job, steps)
        try:
            work(job, ALONE, watch)
        except Enough:
            taken = np.diff(watch.times)
            return float(taken[0]), float(np.median(taken[WARM:]))
    raise SystemExit("the training was shorter than the steps to measure")


Training = tuple[str, int, Callable[[Path], Job], Callable[..., None]]


def trainings(steps: int, batches: list[int]) -> Iterator[Training]:
    """Name, precision and XLA; examples of a batch; what creates the job; what does it."""
    precisions: tuple[Precision, ...] = get_args(Precision)
    for cell, many, precision in product(get_args(NetworkModel), batches, precisions):
        positions = 1_024 * many

        def create(folder: Path, cell: str = cell, precision: Precision = precision, positions: int = positions) -> Job:
            epochs = 1 + 2 * steps * positions // EVENTS
            return next_item_job(folder, epochs, positions=positions, workers=1, cell=cell, precision=precision)[0]

        yield f"next item, {cell} | {precision} | no", positions, create, next_item.work
    for many, precision, xla in product(batches, precisions, (False, True)):
        windows = 64 * many
        settings = TrainingSettings(steps=2 * steps, batch_size=windows, precision=precision, xla=xla)
        create_sales = partial(sales_job, settings=settings)
        yield f"sales, lstm | {precision} | {'yes' if xla else 'no'}", windows, create_sales, sales.work


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="of each training, the first of them left out")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="how many times those of a night")
    given = parser.parse_args()
    gpus = [
        tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in tf.config.list_physical_devices("GPU")
    ]
    print(f"{', '.join(gpus) or 'no GPU'}, TensorFlow {tf.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| network | precision | XLA | batch | first step s | ms a step | examples a second |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name, batch, create, work in trainings(given.steps, given.batches):
        first, step = measured(create, work, given.steps)
        print(f"| {name} | {batch:,} | {first:.1f} | {1000 * step:.1f} | {batch / step:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
