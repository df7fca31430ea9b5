"""A network of the sales forecaster as a job: shards by series, and what a worker does with its own.

Imports TensorFlow.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ecom_pipeline.distributed.group import Group
from ecom_pipeline.distributed.jobs import Job, Runner, Stored, new_folder
from ecom_pipeline.distributed.keeping import Keeper
from ecom_pipeline.forecasting.anniversaries import ClosingDays
from ecom_pipeline.forecasting.calendar import Season
from ecom_pipeline.forecasting.network import Network, NetworkConfig, Optimiser
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.training import Held, TrainingLog, train
from ecom_pipeline.forecasting.windows import Geometry, Tables

OF_DATES = frozenset({"calendar", "closing.column"})
"""Arrays of the tables that no series owns; all others have a row a series."""


def create_job(
    folder: Path,
    weights: dict[str, np.ndarray],
    tables: Tables,
    *,
    config: NetworkConfig,
    geometry: Geometry,
    settings: TrainingSettings,
    schedule: dict[str, Any],
    shards: int,
) -> Job:
    """Write what workers need to train one network from `weights`; series s belongs to shard s modulo `shards`.

    schedule: arguments of `forecasting.training.train` that are plain values.
    """
    description = {
        "config": config.to_json(),
        "geometry": asdict(geometry),
        "training": settings.to_json(),
        "schedule": schedule,
    }
    start = {**{f"weight.{name}": value for name, value in weights.items()}, "start": tables.start}
    job = Job.create(folder, "sales", description, shards=shards, start={**start, "scale": tables.scale})
    for number in range(shards):
        job.write_shard(number, rows_of(tables, np.arange(number, len(tables.start), shards)))
    return job


def train_together(
    workers: Runner,
    weights: dict[str, np.ndarray],
    tables: Tables,
    *,
    config: NetworkConfig,
    geometry: Geometry,
    settings: TrainingSettings,
    schedule: dict[str, Any],
) -> tuple[dict[str, np.ndarray], TrainingLog]:
    """The weights that workers end with, and the record of the training; arguments as of `create_job`.

    Raises:
        ValueError: if there are fewer series than workers.
        JobError: if the workers failed again and again.
        ArithmeticError: if the training diverged.
    """
    if len(tables.start) < workers.size:
        raise ValueError(f"{len(tables.start)} series cannot be spread over {workers.size} workers")
    with new_folder(workers.storage) as folder:
        job = create_job(
            folder,
            weights,
            tables,
            config=config,
            geometry=geometry,
            settings=settings,
            schedule=schedule,
            shards=workers.size,
        )
        workers.run(folder)
        result = job.result()
    return result.arrays, TrainingLog(**result.notes["log"])


def rows_of(tables: Tables, series: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of tables that hold only the given series, by name."""
    arrays = {field.name: getattr(tables, field.name) for field in fields(tables) if field.name != "closing"}
    arrays |= {f"closing.{field.name}": getattr(tables.closing, field.name) for field in fields(tables.closing)}
    return {name: value if name in OF_DATES else value[series] for name, value in arrays.items()}


def tables_of(arrays: list[dict[str, np.ndarray]]) -> Tables:
    """Tables from the arrays of several shards, one after another."""
    joined = {
        name: value if name in OF_DATES else np.concatenate([shard[name] for shard in arrays])
        for name, value in arrays[0].items()
    }
    closing = {name.partition(".")[2]: joined.pop(name) for name in list(joined) if name.startswith("closing.")}
    return Tables(**joined, closing=ClosingDays(**closing))


def step_of(optimiser: Optimiser, group: Group) -> Callable[[dict[str, np.ndarray], tuple[int, int], float], float]:
    """The training step of a group of workers: `Optimiser.train_step` with averaged gradients."""

    def of_worker(batch: dict[str, tf.Tensor], seed: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        loss, gradients = optimiser.gradients(batch, seed)
        weight = tf.reduce_sum(batch["mask"] * batch["weight"][:, None])
        (loss, *gradients), _ = group.average([loss, *gradients], weight=weight)
        optimiser.apply(gradients, rate)
        return loss

    compiled = tf.function(group.replicated(of_worker), reduce_retracing=True)

    def step(batch: dict[str, np.ndarray], seed: tuple[int, int], rate: float) -> float:
        inputs = {name: tf.constant(value) for name, value in batch.items()}
        noise = tf.constant((group.seed(seed[0]), seed[1]), tf.int32)
        return float(compiled(inputs, noise, tf.constant(rate, tf.float32)))

    return step


def work(job: Job, group: Group, keeper: Keeper) -> None:
    """Train as one of the group, to the end; its first worker writes checkpoints and the result."""
    told = job.description()
    start = job.start()
    weights = {name.partition(".")[2]: value for name, value in start.items() if name.startswith("weight.")}
    network = Network(NetworkConfig.from_json(told["config"]), seed=0)
    optimiser = Optimiser(network, TrainingSettings(**told["training"]))
    optimiser.restart(weights)
    numbers = range(group.rank, told["shards"], group.size)
    own = np.concatenate([np.arange(number, len(start["start"]), told["shards"]) for number in numbers])
    place = np.full(len(start["start"]), -1)
    place[own] = np.arange(len(own))
    variables = _variables(optimiser)
    log, seconds = None, 0.0
    kept = keeper.last()
    if kept is not None:
        for name, variable in variables.items():
            variable.assign(kept.arrays[name])
        log, seconds = TrainingLog(**kept.notes["log"]), kept.notes["seconds"]
    began = time.monotonic() - seconds

    def after_step(log: TrainingLog) -> None:
        keeper.keep(
            log.steps,
            lambda: Stored(
                {name: variable.numpy() for name, variable in variables.items()},
                {"log": asdict(log), "seconds": time.monotonic() - began},
            ),
        )

    geometry = dict(told["geometry"])
    geometry["season"] = Season(**geometry["season"])
    log = train(
        step_of(optimiser, group),
        tables_of([job.shard(number) for number in numbers]),
        Geometry(**geometry),
        **told["schedule"],
        held=Held(start=start["start"], scale=start["scale"], place=place),
        done=log,
        after_step=after_step,
    )
    log.seconds = time.monotonic() - began
    keeper.end(lambda: Stored(optimiser.averaged(), {"log": asdict(log), "workers": group.size}))


def _variables(optimiser: Optimiser) -> dict[str, tf.Variable]:
    named = {
        "weight": optimiser.network.weights,
        "first": optimiser.first,
        "second": optimiser.second,
        "mean": optimiser.mean,
    }
    found = {f"{kind}.{name}": variable for kind, of in named.items() for name, variable in of.items()}
    return {**found, "step": optimiser.step}
