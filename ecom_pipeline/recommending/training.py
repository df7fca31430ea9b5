"""Training a sequence network: batches of similar length, sampled softmax with logQ correction, one step as a function.

Imports TensorFlow. `Trainer.step` is the whole training step (gradient tape and update); workers of a group run the
same step, each on its shards, and average its gradients. Nothing here uses `model.fit`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from ecom_pipeline.distributed.group import ALONE, Group
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending.network import SequenceNetwork
from ecom_pipeline.recommending.optimizer import LazyAdam
from ecom_pipeline.sequences import EventSequences, ranges


@dataclass(frozen=True)
class TrainingSettings:
    """positions: events a batch; negatives: sampled items a batch, shared by its positions; negative_power:
    exponent of the counts that negatives are drawn by; rate: peak learning rate; precision: of the layers' products
    (the loss is float32)."""

    positions: int = 1_024
    negatives: int = 2_048
    negative_power: float = 0.5
    rate: float = 2e-3
    final_rate: float = 0.1
    precision: Precision = "float32"


@dataclass(frozen=True)
class Batch:
    """inputs, targets: int32 (rows, steps) item codes, -1 where a row has ended."""

    inputs: np.ndarray
    targets: np.ndarray


def cut_windows(log: EventSequences, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of windows of at most `length` + 1 events that overlap by one, from the end of each
    sequence."""
    steps = log.lengths - 1
    counts = np.maximum(-(-steps // length), 0)
    part = ranges(starts=np.zeros(len(counts), dtype=np.int64), lengths=counts)
    ends = np.repeat(log.offsets[1:], counts) - part * length
    starts = np.maximum(ends - length - 1, np.repeat(log.offsets[:-1], counts))
    return starts, ends - starts


@dataclass(frozen=True)
class Shards:
    """The parts of a log that a worker reads, and what it must know of all parts together.

    logs: sequences, by `numbers` among all shards. counts: events of each item, int (items,). steps: events that follow
    another of the same user.
    """

    logs: tuple[EventSequences, ...]
    numbers: tuple[int, ...]
    counts: np.ndarray
    steps: int

    @classmethod
    def whole(cls, log: EventSequences) -> "Shards":
        """A log as its only shard."""
        counts = np.bincount(log.items, minlength=log.n_items)
        return cls(logs=(log,), numbers=(0,), counts=counts, steps=steps_of(log))

    def batches(self, positions: int) -> int:
        """Batches of an epoch, of about so many events in all shards together."""
        return -(-self.steps // positions)


def steps_of(log: EventSequences) -> int:
    """Events that follow another of the same user."""
    return int(np.maximum(log.lengths - 1, 0).sum())


def batches(shards: Shards, *, length: int, positions: int, seed: Sequence[int], first: int = 0) -> Iterator[Batch]:
    """One epoch in random order, from its batch `first` on; each holds windows of similar length, about `positions`
    events of them in all shards together.

    What a shard adds to a batch depends on that shard alone, so that a batch is the same, but for its order of rows,
    however the shards are spread over workers. It may be nothing.
    """
    count = shards.batches(positions)
    parts = [
        _parts(log, length=length, count=count, rng=np.random.default_rng([*seed, 1 + number]))
        for log, number in zip(shards.logs, shards.numbers, strict=True)
    ]
    for number in np.random.default_rng([*seed, 0]).permutation(count)[first:]:
        items = [_padded(log, *windows[number]) for log, windows in zip(shards.logs, parts, strict=True)]
        width = max(part.shape[1] for part in items)
        padded = np.concatenate(
            [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in items]
        )
        inputs = np.where(padded[:, 1:] >= 0, padded[:, :-1], -1)
        yield Batch(inputs=inputs.astype(np.int32), targets=padded[:, 1:].astype(np.int32))


def _parts(
    log: EventSequences, *, length: int, count: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Starts and lengths of the windows of each of `count` batches, by length."""
    starts, lengths = cut_windows(log, length)
    order = rng.permutation(len(starts))
    order = order[np.argsort(lengths[order], kind="stable")]
    cumulative = np.cumsum(lengths[order] - 1)
    batch_of = (cumulative - 1) * count // max(int(cumulative[-1]) if len(cumulative) else 0, 1)
    edges = np.searchsorted(batch_of, np.arange(count + 1))
    chosen = [order[low:high] for low, high in pairwise(edges)]
    return [(starts[windows], lengths[windows]) for windows in chosen]


def _padded(log: EventSequences, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Items of windows (windows, longest), -1 where a window has ended; of no windows, two columns."""
    index = starts[:, None] + np.arange(int(lengths.max(initial=2)))
    inside = np.arange(index.shape[1]) < lengths[:, None]
    if not len(starts):
        return np.full(index.shape, -1, dtype=np.int32)
    return np.where(inside, log.items[np.where(inside, index, 0)], -1)


class Trainer:
    """Trains a network on the shards of a log, step by step; alone, or as one of a group."""

    def __init__(
        self,
        network: SequenceNetwork,
        shards: Shards,
        settings: TrainingSettings,
        *,
        seed: int,
        group: Group = ALONE,
    ) -> None:
        self.network, self.shards, self.settings = network, shards, settings
        self.seed, self.group = seed, group
        self.cut_short = False  # whether a deadline ended an epoch before its last batch
        self.optimizer = LazyAdam(list(network.dense.values()), [network.embedding, network.bias], beta_2=0.99)
        share = shards.counts.astype(np.float64) ** settings.negative_power
        share[shards.counts == 0] = 0.0
        self.share = share / share.sum()
        self.cumulative = np.cumsum(self.share)
        # log of the chance that an item is among the distinct negatives of a batch: what the correction subtracts
        self.log_q = tf.constant(
            np.log(np.maximum(-np.expm1(-self.share * settings.negatives), 1e-12)).astype(np.float32)
        )
        self._step = tf.function(
            group.replicated(self.step),
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((2,), tf.int32),
                tf.TensorSpec((), tf.float32),
            ],
        )

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.shards.batches(self.settings.positions)

    def epoch(
        self,
        number: int,
        *,
        rate_from: float,
        rate_to: float,
        deadline: float | None = None,
        first: int = 0,
        after_step: Callable[[int, float], None] | None = None,
    ) -> float:
        """Epoch `number`, one pass over the shards, with a learning rate that falls linearly, cut short at `deadline`
        (`time.monotonic`); the mean loss.

        Args:
            number: of the epoch; with the seed it says all that is random in it.
            rate_from, rate_to: learning rates at its begin and end.
            deadline: not to be given in a group, whose workers' clocks differ.
            first: the batch to begin with, where those before it were done earlier.
            after_step: called with the number of batches done, and the loss.

        Raises:
            ArithmeticError: if the training has diverged.
        """
        settings, count = self.settings, self.batches
        draws = np.random.default_rng([self.seed, number, 0])
        draws.bit_generator.advance(first * settings.negatives)  # type: ignore[attr-defined]  # past those done earlier
        noise, before = self.group.seed(self.seed), number * count
        losses = []
        prepared = batches(
            self.shards,
            length=self.network.settings.length,
            positions=settings.positions,
            seed=[self.seed, number, 1],
            first=first,
        )
        for place, batch in enumerate(prepared, start=first):
            if deadline is not None and place and time.monotonic() > deadline:
                self.cut_short = True
                break
            negatives = np.unique(
                np.searchsorted(self.cumulative, draws.random(settings.negatives) * self.cumulative[-1])
            )
            rate = rate_from + (rate_to - rate_from) * place / max(count, 1)
            losses.append(
                self._step(
                    batch.inputs,
                    batch.targets,
                    negatives.astype(np.int32),
                    np.array([noise, before + place], dtype=np.int32),
                    np.float32(rate),
                )
            )
            if after_step is not None:
                after_step(place + 1, float(losses[-1]))
        mean = float(np.mean([loss.numpy() for loss in losses])) if losses else 0.0
        if not math.isfinite(mean):
            raise ArithmeticError("the training of the network diverged: its loss is not a finite number")
        return mean

    def step(
        self, inputs: tf.Tensor, targets: tf.Tensor, negatives: tf.Tensor, seed: tf.Tensor, rate: tf.Tensor
    ) -> tf.Tensor:
        """Gradient and update of one batch, of which each worker of the group has a part; the loss of all of it."""
        loss, dense, rows, tables = self.gradients(inputs, targets, negatives, seed)
        weight = tf.reduce_sum(tf.cast(targets >= 0, tf.float32))
        (loss, *dense), share = self.group.average([loss, *dense], weight=weight)
        rows, tables = self.group.average_rows(rows, tables, share=share)
        self.optimizer.apply(dense, rows, tables, rate=rate)
        return loss

    def gradients(
        self, inputs: tf.Tensor, targets: tf.Tensor, negatives: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor, list[tf.Tensor]]:
        """Loss, gradients of the dense parameters, the touched rows, and the gradients of the tables' rows."""
        network = self.network
        inside = targets >= 0
        wanted = tf.boolean_mask(targets, inside)
        flat_inputs = tf.reshape(tf.maximum(inputs, 0), [-1])
        # the negatives, which are distinct, come first
        rows, local = tf.unique(tf.concat([negatives, flat_inputs, wanted], axis=0))
        count = tf.size(negatives)
        others = local[count:]
        local_targets = others[tf.size(flat_inputs) :]
        embedded = tf.gather(network.embedding, tf.maximum(inputs, 0))
        target_items, target_bias = tf.gather(network.embedding, wanted), tf.gather(network.bias, wanted)
        negative_items, negative_bias = tf.gather(network.embedding, negatives), tf.gather(network.bias, negatives)
        read = [embedded, target_items, target_bias, negative_items, negative_bias]
        dense = list(network.dense.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([*read, *dense])
            query = tf.boolean_mask(network.queries(embedded, seed=seed, precision=self.settings.precision), inside)
            positive = tf.reduce_sum(query * target_items, axis=1) + target_bias[:, 0] - tf.gather(self.log_q, wanted)
            offset = negative_bias[:, 0] - tf.gather(self.log_q, negatives)
            drawn = tf.cast(local_targets < count, tf.float32)
            losses = sampled_softmax(query, positive, negative_items, offset, drawn)
            # a worker may have no part in a batch
            loss = tf.reduce_sum(losses) / tf.cast(tf.maximum(tf.size(losses), 1), tf.float32)
        gradients = tape.gradient(loss, [*read, *dense])
        of_inputs, of_targets, of_target_bias, of_negatives, of_negative_bias = gradients[: len(read)]
        of_inputs = tf.reshape(of_inputs, [-1, of_targets.shape[1]])
        more = tf.size(rows) - count
        tables = [
            _added(of_negatives, more, others[:, None], tf.concat([of_inputs, of_targets], axis=0)),
            _added(of_negative_bias, more, local_targets[:, None], of_target_bias),
        ]
        return loss, list(gradients[len(read) :]), rows, tables


def _added(first: tf.Tensor, more: tf.Tensor, places: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Gradients `first` of the first rows and none of `more` behind them, with `values` (n, width) added at `places`
    (n, 1)."""
    return tf.tensor_scatter_nd_add(tf.pad(first, [[0, more], [0, 0]]), places, values)


@tf.custom_gradient
def sampled_softmax(
    query: tf.Tensor, positive: tf.Tensor, negatives: tf.Tensor, offset: tf.Tensor, drawn: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """Cross-entropy of the positive against sampled negatives, in few passes over the (positions, negatives) matrix.

    Args:
        query: (positions, width). positive: logits (positions,). negatives: embeddings (negatives, width).
        offset: (negatives,), added to the logits. drawn: (positions,), 1 where the positive is one of the negatives
            too, with the same embedding and offset, else 0.

    Returns:
        loss (positions,): log(1 + sum_j exp(logit_j - positive)), j other than the positive.

    A negative that is the positive itself says nothing. It stays in the matrix, where it is exp(0) = 1 whatever the
    parameters, so that 1 is taken off the sum; its gradient and its part of the positive's undo each other.
    """
    ones = tf.ones_like(positive)[:, None]
    left = tf.concat([query, ones, -positive[:, None]], axis=1)
    right = tf.concat([negatives, offset[:, None], tf.ones_like(offset)[:, None]], axis=1)
    odds = tf.exp(tf.minimum(tf.matmul(left, right, transpose_b=True), 40.0))
    # the last column of `right` adds the odds up; the gradient of the query is in the others
    weighted = tf.matmul(odds, right)
    summed = weighted[:, -1]
    total = 1.0 + tf.maximum(summed - drawn, 0.0)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        share = (upstream / total)[:, None]
        d_right = tf.matmul(odds, share * left, transpose_a=True)
        return share * weighted[:, :-2], -share[:, 0] * summed, d_right[:, :-2], d_right[:, -2], None

    return tf.math.log(total), gradient


class Encoder:
    """Queries of histories from a trained network."""

    def __init__(self, network: SequenceNetwork) -> None:
        self.network = network
        self._encode = tf.function(
            self._last,
            input_signature=[tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)],
        )

    def _last(self, items: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        embedded = tf.gather(self.network.embedding, tf.maximum(items, 0))
        return tf.gather(self.network.queries(embedded, seed=None), lengths - 1, batch_dims=1)

    def encode(self, histories: EventSequences, *, block: int = 2_048) -> np.ndarray:
        """Queries float32 (users, width) after the last event; zeros for empty histories."""
        width = self.network.settings.width
        recent = histories.last(self.network.settings.length)
        out = np.zeros((len(recent), width), dtype=np.float32)
        lengths = recent.lengths
        # rows of one length band share a block, so little is padded
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        for start in range(0, len(order), block):
            users = order[start : start + block]
            longest = int(lengths[users].max())
            index = recent.offsets[users, None] + np.arange(longest)
            inside = np.arange(longest) < lengths[users, None]
            items = np.where(inside, recent.items[np.where(inside, index, 0)], -1)
            out[users] = self._encode(items.astype(np.int32), lengths[users].astype(np.int32)).numpy()
        return out
