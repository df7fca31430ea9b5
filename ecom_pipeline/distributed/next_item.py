"""A sequence network of the recommender as a job: shards by user, and what a worker does with its own.

Imports TensorFlow.
"""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from ecom_pipeline.distributed.group import Group
from ecom_pipeline.distributed.jobs import Job, Runner, Stored, new_folder
from ecom_pipeline.distributed.keeping import Keeper
from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
from ecom_pipeline.recommending.network_source import NetworkFit, NetworkSource, rates_of_epoch
from ecom_pipeline.recommending.training import Shards, Trainer, TrainingSettings, steps_of
from ecom_pipeline.sequences import EventSequences


def create_job(
    folder: Path,
    network: SequenceNetwork,
    log: EventSequences,
    *,
    training: TrainingSettings,
    epochs: int,
    seed: int,
    shards: int,
) -> Job:
    """Write what workers need to go on training `network` on a log; user u belongs to shard u modulo `shards`."""
    counts = np.bincount(log.items, minlength=log.n_items)
    description = {
        **network.describe(),
        "training": asdict(training),
        "epochs": epochs,
        "seed": seed,
        "steps": steps_of(log),
    }
    job = Job.create(folder, "next_item", description, shards=shards, start={**network.arrays(), "item_counts": counts})
    for number in range(shards):
        part = log.select(np.arange(number, len(log), shards))
        job.write_shard(number, {"items": part.items, "offsets": part.offsets})
    return job


def train_together(
    workers: Runner,
    network: SequenceNetwork,
    log: EventSequences,
    *,
    training: TrainingSettings,
    epochs: int,
    seed: int,
    seen: np.ndarray,
) -> tuple[NetworkSource, NetworkFit]:
    """What `network_source.train_network` does, by workers, and without a clock.

    Raises:
        JobError: if the workers failed again and again.
        ArithmeticError: if the training diverged.
    """
    with new_folder(workers.storage) as folder:
        job = create_job(folder, network, log, training=training, epochs=epochs, seed=seed, shards=workers.size)
        workers.run(folder)
        result = job.result()
    network.assign(result.arrays)
    record = result.notes
    fit = NetworkFit(epochs=epochs, seconds=record["seconds"], losses=tuple(record["losses"]), cut_short_by_clock=False)
    return NetworkSource(network, seen), fit


def work(job: Job, group: Group, keeper: Keeper) -> None:
    """Train as one of the group, to the end; its first worker writes checkpoints and the result."""
    told = job.description()
    start = job.start()
    counts = start.pop("item_counts")
    network = SequenceNetwork(told["n_items"], NetworkSettings(**told["settings"]), seed=0)
    network.assign(start)
    del start
    numbers = tuple(range(group.rank, told["shards"], group.size))
    shards = Shards(
        logs=tuple(_sequences(job.shard(number), told["n_items"]) for number in numbers),
        numbers=numbers,
        counts=counts,
        steps=told["steps"],
    )
    training = TrainingSettings(**told["training"])
    trainer = Trainer(network, shards, training, seed=told["seed"], group=group)
    state = {f"optimizer.{name}": variable for name, variable in trainer.optimizer.variables().items()}
    state |= {f"network.{name}": variable for name, variable in network.variables().items()}
    epoch, first, losses, of_epoch, seconds = 0, 0, [], [], 0.0
    kept = keeper.last()
    if kept is not None:
        for name, variable in state.items():
            variable.assign(kept.arrays[name])
        notes = kept.notes
        epoch, first, losses, of_epoch, seconds = (
            notes[name] for name in ("epoch", "first", "losses", "of_epoch", "seconds")
        )
    began = time.monotonic() - seconds

    def after_step(done: int, loss: float) -> None:
        of_epoch.append(loss)
        keeper.keep(
            epoch * trainer.batches + done,
            lambda: Stored(
                {name: variable.numpy() for name, variable in state.items()},
                {
                    "epoch": epoch,
                    "first": done,
                    "losses": losses,
                    "of_epoch": of_epoch,
                    "seconds": time.monotonic() - began,
                },
            ),
        )

    while epoch < told["epochs"]:
        low, high = rates_of_epoch(training, epoch, told["epochs"])
        trainer.epoch(epoch, rate_from=low, rate_to=high, first=first, after_step=after_step)
        losses.append(float(np.mean(of_epoch)) if of_epoch else 0.0)
        of_epoch, first, epoch = [], 0, epoch + 1
    record = {
        "losses": losses,
        "seconds": time.monotonic() - began,
        "workers": group.size,
        "events": told["steps"] * told["epochs"],
    }
    keeper.end(lambda: Stored(network.arrays(), record))


def _sequences(arrays: dict[str, np.ndarray], n_items: int) -> EventSequences:
    users = pa.nulls(len(arrays["offsets"]) - 1)  # a worker has no need of who they are
    return EventSequences(items=arrays["items"], offsets=arrays["offsets"], users=users, n_items=n_items)
