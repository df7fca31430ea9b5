"""The workers that train one network together, as a training step sees them. Imports TensorFlow.

Every worker holds all parameters and does the same update, so that they stay equal without being sent around. What is
sent is gradients: dense ones as one vector, those of embedding rows as rows (`tf.IndexedSlices`).
"""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from ecom_pipeline.distributed.jobs import JobError

LARGEST_ROW = 2**31 - 1
APART = 1_000_003
"""Between the random seeds of two workers."""


class Group:
    """One worker of `size`, `rank` of them; by itself where no strategy is given."""

    def __init__(
        self, *, rank: int = 0, size: int = 1, strategy: "tf.distribute.MultiWorkerMirroredStrategy | None" = None
    ) -> None:
        self.rank, self.size = rank, size
        self._strategy = strategy

    def replicated(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step as the strategy runs it; inside it `average` and `average_rows` may be called."""
        strategy = self._strategy
        if strategy is None:
            return step
        return lambda *arguments: strategy.run(step, arguments)

    def seed(self, seed: int) -> int:
        """Of this worker's own noise: dropout differs from worker to worker."""
        return (seed + self.rank * APART) % 2**31

    def average(self, tensors: Sequence[tf.Tensor], *, weight: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Averages over the workers, each counting by its `weight` (scalar), and this worker's share of all weights.

        A mean over a worker's part of a batch, weighted by the size of the part, becomes the mean over the batch.
        """
        if self._strategy is None:
            return list(tensors), tf.constant(1.0)
        weight = tf.reshape(tf.cast(weight, tf.float32), [1])
        flat = tf.concat([weight, *(tf.reshape(tensor, [-1]) * weight for tensor in tensors)], axis=0)
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        total = tf.maximum(summed[0], 1e-12)
        sizes = [tensor.shape.num_elements() for tensor in tensors]
        parts = tf.split(summed[1:] / total, sizes)
        averages = [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
        return averages, weight[0] / total

    def average_rows(
        self, rows: tf.Tensor, tables: Sequence[tf.Tensor], *, share: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Gradients of the rows of several tables that any worker touched, averaged by each worker's `share`.

        rows: int32 (n,), distinct in a worker; tables: float32 (n, width) each. All workers get the same, in one order.
        """
        if self._strategy is None:
            return rows, list(tables)
        widths = [table.shape[1] for table in tables]
        slices = tf.IndexedSlices(
            tf.concat(list(tables), axis=1) * share,
            tf.identity(rows),
            dense_shape=tf.constant([LARGEST_ROW, sum(widths)]),
        )
        gathered = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, slices)
        rows, place = tf.unique(gathered.indices)
        values = tf.math.unsorted_segment_sum(gathered.values, place, tf.size(rows))
        return rows, tf.split(values, widths, axis=1)


ALONE = Group()


def join(hosts: Sequence[str], rank: int) -> Group:
    """Become worker `rank` of `hosts` (host:port each); waits until all are there. Before TensorFlow's first operation.

    One process drives one device, since the parameters are plain variables of the process: on a machine with GPUs the
    first of its workers takes the first of them, and so on.

    Raises:
        JobError: if the worker's machine has GPUs, but fewer than workers.
    """
    from ecom_pipeline.tensorflow_threads import use_one_thread

    use_one_thread()
    if len(hosts) == 1:
        return Group()
    _take_own_gpu(hosts, rank)
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(hosts)}, "task": task})
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return Group(rank=rank, size=len(hosts), strategy=strategy)


def _take_own_gpu(hosts: Sequence[str], rank: int) -> None:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return
    machines = [host.rpartition(":")[0] for host in hosts]
    machine = machines[rank]
    if machines.count(machine) > len(gpus):
        raise JobError(
            f"{machine} has {len(gpus)} GPUs for {machines.count(machine)} workers; name it once for each of them, or "
            "hide them with CUDA_VISIBLE_DEVICES=-1 in the environment of its workers"
        )
    tf.config.set_visible_devices(gpus[machines[:rank].count(machine)], "GPU")
