"""A trained sequence network as a source of candidates, and how one is fitted.

Imports TensorFlow.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
from ecom_pipeline.recommending.sources import BARRED, Allowed, DenseScores, ScoreBlock
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.recommending.training import Encoder, Shards, Trainer, TrainingSettings
from ecom_pipeline.sequences import EventSequences

Progress = Callable[[float], None]


class NetworkSource:
    """Logits of a network: query times embedding plus bias. Items that the log does not hold stay barred."""

    def __init__(self, network: SequenceNetwork, seen: np.ndarray) -> None:
        self.network = network
        self.seen = seen
        self.encoder = Encoder(network)
        self.embedding: np.ndarray = network.embedding.numpy()
        bias = network.bias.numpy()[:, 0]
        self.bias: np.ndarray = np.where(seen, bias, BARRED)

    def block(self, histories: EventSequences, allowed: Allowed) -> ScoreBlock:
        """Logits of the allowed items after each history."""
        dense = self.states(histories) @ allowed.rows(self.embedding).T
        dense += allowed.rows(self.bias)
        return DenseScores(dense, allowed)

    def states(self, histories: EventSequences) -> np.ndarray:
        """States float32 (users, width) after each history; zeros after empty ones."""
        return self.encoder.encode(histories)


@dataclass(frozen=True)
class NetworkFit:
    """What a fit used: epochs, seconds, and the mean loss of each epoch; and whether the clock took work from it, so
    that the network depends on the machine."""

    epochs: int
    seconds: float
    losses: tuple[float, ...]
    cut_short_by_clock: bool


def new_network(log: EventSequences, settings: NetworkSettings, spectral: Spectral, *, seed: int) -> SequenceNetwork:
    """An untrained network that starts from the spectral embeddings of its log."""
    network = SequenceNetwork(log.n_items, settings, seed=seed)
    network.start_from(spectral)
    return network


def take_over(network: SequenceNetwork, before: SequenceNetwork, known: np.ndarray) -> None:
    """Give a network the weights of an earlier one; `known` (items,) is the earlier code of each of its items, -1 for
    new items, which keep what they have."""
    old = before.arrays()
    for name, value in network.arrays().items():
        if name in ("embedding", "bias"):
            old[name] = np.where((known >= 0)[:, None], old[name][np.maximum(known, 0)], value)
    network.assign(old)


def rates_of_epoch(training: TrainingSettings, number: int, epochs: int) -> tuple[float, float]:
    """Learning rates at the begin and the end of epoch `number`, from 0, of so many."""
    fall = 1.0 - training.final_rate
    return training.rate * (1.0 - fall * number / epochs), training.rate * (1.0 - fall * (number + 1) / epochs)


def train_network(
    network: SequenceNetwork,
    log: EventSequences,
    *,
    training: TrainingSettings,
    epochs: int,
    seed: int,
    seen: np.ndarray,
    budget_s: float | None = None,
    on_progress: Progress | None = None,
) -> tuple[NetworkSource, NetworkFit]:
    """Train a network on a log for `epochs`, or for as many as fit into `budget_s` by the fastest of them (one
    that does not fit is cut short). Items that are not `seen` (bool (items,)) are never proposed."""
    started = time.monotonic()
    trainer = Trainer(network, Shards.whole(log), training, seed=seed)
    losses: list[float] = []
    deadline = None if budget_s is None else started + budget_s
    done, planned = 0, epochs
    fastest = math.inf
    while done < epochs:
        begun = time.monotonic()
        start, end = rates_of_epoch(training, done, epochs)
        losses.append(trainer.epoch(done, rate_from=start, rate_to=end, deadline=deadline))
        done += 1
        if deadline is not None:
            left = deadline - time.monotonic()
            if done > 1:  # the first epoch holds TensorFlow's tracing, which says nothing of those to come
                fastest = min(fastest, time.monotonic() - begun)
                epochs = min(epochs, done + math.ceil(max(left, 0.0) / fastest))
            elif left <= 0:
                epochs = done
        if on_progress is not None:
            on_progress(done / epochs)
    fit = NetworkFit(
        epochs=done,
        seconds=time.monotonic() - started,
        losses=tuple(losses),
        cut_short_by_clock=trainer.cut_short or done < planned,
    )
    return NetworkSource(network, seen), fit
