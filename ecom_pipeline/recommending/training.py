"""Training a sequence network: batches of similar length, sampled softmax with logQ correction, one step as a function.

Imports TensorFlow. `Trainer.step` is the whole training step (gradient tape and update), so that several workers
can run the same step and sum its gradients; nothing here uses `model.fit`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ecom_pipeline.recommending.network import SequenceNetwork
from ecom_pipeline.recommending.optimizer import LazyAdam
from ecom_pipeline.sequences import EventSequences, ranges


@dataclass(frozen=True)
class TrainingSettings:
    """positions: events a batch; negatives: sampled items a batch, shared by its positions; negative_power:
    exponent of the counts that negatives are drawn by; rate: peak learning rate."""

    positions: int = 1_024
    negatives: int = 2_048
    negative_power: float = 0.5
    rate: float = 2e-3
    final_rate: float = 0.1


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


def batches(log: EventSequences, *, length: int, positions: int, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch in random order; each batch holds windows of similar length and about `positions` events."""
    starts, lengths = cut_windows(log, length)
    if not len(starts):  # no user has two events
        return
    order = rng.permutation(len(starts))
    order = order[np.argsort(lengths[order], kind="stable")]
    cumulative = np.cumsum(lengths[order] - 1)
    batch_of = (cumulative - 1) // positions
    edges = np.concatenate([[0], np.flatnonzero(np.diff(batch_of)) + 1, [len(order)]])
    for number in rng.permutation(len(edges) - 1):
        chosen = order[edges[number] : edges[number + 1]]
        width = int(lengths[chosen].max()) - 1
        index = starts[chosen, None] + np.arange(width + 1)
        inside = np.arange(width + 1) < lengths[chosen, None]
        items = np.where(inside, log.items[np.where(inside, index, 0)], -1)
        inputs = np.where(items[:, 1:] >= 0, items[:, :-1], -1)
        yield Batch(inputs=inputs.astype(np.int32), targets=items[:, 1:].astype(np.int32))


class Trainer:
    """Trains a network on a log, step by step."""

    def __init__(self, network: SequenceNetwork, log: EventSequences, settings: TrainingSettings, *, seed: int) -> None:
        self.network, self.log, self.settings = network, log, settings
        self.rng = np.random.default_rng(seed)
        self.cut_short = False  # whether a deadline ended an epoch before its last batch
        tf.random.set_seed(seed)
        self.optimizer = LazyAdam(list(network.dense.values()), [network.embedding, network.bias], beta_2=0.99)
        counts = np.bincount(log.items, minlength=log.n_items).astype(np.float64)
        share = counts**settings.negative_power
        share[counts == 0] = 0.0
        self.share = share / share.sum()
        self.cumulative = np.cumsum(self.share)
        # log of the chance that an item is among the distinct negatives of a batch: what the correction subtracts
        self.log_q = tf.constant(
            np.log(np.maximum(-np.expm1(-self.share * settings.negatives), 1e-12)).astype(np.float32)
        )
        self._step = tf.function(
            self.step,
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((), tf.float32),
            ],
        )

    def epoch(self, *, rate_from: float, rate_to: float, deadline: float | None = None) -> float:
        """One pass over the log with a learning rate that falls linearly, cut short at `deadline`
        (`time.monotonic`); the mean loss.

        Raises:
            ArithmeticError: if the training has diverged.
        """
        settings = self.settings
        prepared = list(
            batches(self.log, length=self.network.settings.length, positions=settings.positions, rng=self.rng)
        )
        losses = []
        for number, batch in enumerate(prepared):
            if deadline is not None and number and time.monotonic() > deadline:
                self.cut_short = True
                break
            negatives = np.unique(
                np.searchsorted(self.cumulative, self.rng.random(settings.negatives) * self.cumulative[-1])
            )
            rate = rate_from + (rate_to - rate_from) * number / max(len(prepared), 1)
            losses.append(self._step(batch.inputs, batch.targets, negatives.astype(np.int32), np.float32(rate)))
        mean = float(np.mean([loss.numpy() for loss in losses])) if losses else 0.0
        if not math.isfinite(mean):
            raise ArithmeticError("the training of the network diverged: its loss is not a finite number")
        return mean

    def step(self, inputs: tf.Tensor, targets: tf.Tensor, negatives: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Gradient and update of one batch; the loss."""
        loss, dense, rows, tables = self.gradients(inputs, targets, negatives)
        self.optimizer.apply(dense, rows, tables, rate=rate)
        return loss

    def gradients(
        self, inputs: tf.Tensor, targets: tf.Tensor, negatives: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor, list[tf.Tensor]]:
        """Loss, gradients of the dense parameters, the touched rows, and the gradients of the tables' rows."""
        network = self.network
        inside = targets >= 0
        wanted = tf.boolean_mask(targets, inside)
        flat_inputs = tf.reshape(tf.maximum(inputs, 0), [-1])
        rows, local = tf.unique(tf.concat([flat_inputs, wanted, negatives], axis=0))
        sizes = [tf.size(flat_inputs), tf.size(wanted), tf.size(negatives)]
        local_inputs, local_targets, local_negatives = tf.split(local, sizes)
        table, item_bias = tf.gather(network.embedding, rows), tf.gather(network.bias, rows)
        dense = list(network.dense.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([table, item_bias, *dense])
            embedded = tf.gather(table, tf.reshape(local_inputs, tf.shape(inputs)))
            query = tf.boolean_mask(network.queries(embedded, training=True), inside)
            positive = tf.reduce_sum(query * tf.gather(table, local_targets), axis=1)
            positive += tf.gather(item_bias, local_targets)[:, 0] - tf.gather(self.log_q, wanted)
            offset = tf.gather(item_bias, local_negatives)[:, 0] - tf.gather(self.log_q, negatives)
            # a negative that is the target itself says nothing
            slot = tf.scatter_nd(local_negatives[:, None], tf.range(1, sizes[2] + 1), tf.shape(rows))
            own = tf.gather(slot, local_targets)
            clashing = tf.where(own > 0)
            hits = tf.concat([clashing, tf.cast(tf.gather_nd(own, clashing)[:, None] - 1, tf.int64)], axis=1)
            loss = tf.reduce_mean(sampled_softmax(query, positive, tf.gather(table, local_negatives), offset, hits))
        gradients = tape.gradient(loss, [table, item_bias, *dense])
        tables = [tf.convert_to_tensor(gradient) for gradient in gradients[:2]]
        return loss, list(gradients[2:]), rows, tables


@tf.custom_gradient
def sampled_softmax(
    query: tf.Tensor, positive: tf.Tensor, negatives: tf.Tensor, offset: tf.Tensor, hits: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """Cross-entropy of the positive against sampled negatives, in few passes over the (positions, negatives) matrix.

    Args:
        query: (positions, width). positive: logits (positions,). negatives: embeddings (negatives, width).
        offset: (negatives,), added to the logits. hits: int64 (n, 2), entries of the matrix that do not count.

    Returns:
        loss (positions,): log(1 + sum_j exp(logit_j - positive)).
    """
    ones = tf.ones_like(positive)[:, None]
    left = tf.concat([query, ones, -positive[:, None]], axis=1)
    right = tf.concat([negatives, offset[:, None], tf.ones_like(offset)[:, None]], axis=1)
    odds = tf.exp(tf.minimum(tf.matmul(left, right, transpose_b=True), 40.0))
    odds = tf.tensor_scatter_nd_update(odds, hits, tf.zeros(tf.shape(hits)[:1]))
    total = 1.0 + tf.reduce_sum(odds, axis=1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        share = (upstream / total)[:, None]
        d_query = share * tf.matmul(odds, negatives)
        d_right = tf.matmul(odds, share * left, transpose_a=True)
        d_positive = -upstream * (1.0 - 1.0 / total)
        return d_query, d_positive, d_right[:, :-2], d_right[:, -2], None

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
        return tf.gather(self.network.queries(embedded, training=False), lengths - 1, batch_dims=1)

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
