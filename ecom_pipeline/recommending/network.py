"""Sequence networks: recurrent cells and a causal Transformer over item embeddings, with tied output.

What belongs here: parameters and the forward pass. Training is in `training`, data in `interactions`. Imports
TensorFlow; import this module only where a network is wanted.

The query after an event is q_t = out(h_t) + bridge(sum_a decay^a x_{t-a}), and the score of an item is q_t . e_item
+ bias_item: the item embeddings serve input and output. The bridge over the decayed trace of the history lets a
network start as the spectral model of co-visitation (`start_from`), so that it learns only what that model lacks.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from ecom_pipeline.precision import Precision, as_factor, product
from ecom_pipeline.recommending.recurrence import GATES, RecurrentCell, recur
from ecom_pipeline.recommending.spectral import SCALE, Spectral
from ecom_pipeline.tensorflow_threads import use_one_thread

use_one_thread()

Cell = RecurrentCell | Literal["transformer"]
Times = Callable[[tf.Tensor, str], tf.Tensor]
PLACES = 64


@dataclass(frozen=True)
class NetworkSettings:
    """Shape and regularisation of a network.

    width: of embeddings and state. length: last events that are read. dropout: share of embedding entries dropped
    on input;
    state_dropout: share of the query's recurrent part dropped. heads and blocks are the Transformer's.
    """

    cell: Cell = "gru"
    width: int = 128
    length: int = 30
    dropout: float = 0.5
    state_dropout: float = 0.3
    heads: int = 2
    blocks: int = 2


class SequenceNetwork:
    """A network over `n_items` items. `embedding` (items, width) and `bias` (items, 1) are updated row by row;
    `dense` holds everything else."""

    def __init__(self, n_items: int, settings: NetworkSettings, *, seed: int) -> None:
        self.n_items = n_items
        self.settings = settings
        rng = np.random.default_rng(seed)
        width = settings.width
        embedding = rng.standard_normal((n_items, width), dtype=np.float32)  # of a large catalogue no second copy
        embedding *= np.float32(width**-0.5)
        self.embedding = tf.Variable(embedding, name="embedding")
        del embedding
        self.bias = tf.Variable(np.zeros((n_items, 1), np.float32), name="bias")
        self.dense: dict[str, tf.Variable] = {
            name: tf.Variable(value.astype(np.float32), name=name) for name, value in self._initial(rng).items()
        }

    def _initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        settings, d = self.settings, self.settings.width

        def glorot(*shape: int) -> np.ndarray:
            return rng.uniform(-1.0, 1.0, shape) * np.sqrt(6.0 / (shape[0] + shape[-1]))

        start: dict[str, np.ndarray] = {
            "bridge": np.eye(d),
            "trace": np.array(0.0),
            "out": glorot(d, d) * 0.5,
        }
        if settings.cell == "transformer":
            start["position"] = rng.normal(0.0, 0.02, (settings.length, d))
            start["final_scale"] = np.ones(d)
            for block in range(settings.blocks):
                start |= {
                    f"norm1_{block}": np.ones(d),
                    f"norm2_{block}": np.ones(d),
                    f"qkv_{block}": glorot(d, 3 * d),
                    f"proj_{block}": glorot(d, d),
                    f"up_{block}": glorot(d, 2 * d),
                    f"up_bias_{block}": np.zeros(2 * d),
                    f"down_{block}": glorot(2 * d, d),
                }
            return start
        gates = GATES[settings.cell]
        orthogonal = np.concatenate([np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(gates)], axis=1)
        bias = np.zeros(gates * d)
        if settings.cell == "lstm":
            bias[d : 2 * d] = 1.0  # forget gates start open
        return start | {"kernel": glorot(d, gates * d), "recurrent": orthogonal, "gate_bias": bias}

    def start_from(self, spectral: Spectral) -> None:
        """Take over the embeddings of a spectral model; the recurrent part starts small beside it."""
        self.embedding.assign(spectral.target)
        self.dense["bridge"].assign(spectral.bridge() * SCALE)
        self.dense["trace"].assign(np.float32(np.log(spectral.history_decay / (1.0 - spectral.history_decay))))
        self.dense["out"].assign(self.dense["out"] * 0.2)

    def queries(self, inputs: tf.Tensor, *, seed: tf.Tensor | None, precision: Precision = "float32") -> tf.Tensor:
        """Queries (rows, steps, width) of embedded sequences (rows, steps, width), aligned at the first event.

        `seed`, an int32 pair, switches dropout on; the same pair drops the same entries.
        """
        settings = self.settings

        def times(x: tf.Tensor, name: str) -> tf.Tensor:
            return product(x, as_factor(self.dense[name], precision))

        x = _dropped(inputs, settings.dropout, seed, 0)
        cell = settings.cell
        hidden = self._attend(x, times, seed=seed) if cell == "transformer" else self._recur(x, cell, times, precision)
        hidden = _dropped(hidden, settings.state_dropout, seed, 1)
        decay = tf.sigmoid(self.dense["trace"])
        steps = tf.range(tf.shape(x)[1])
        apart = tf.cast(steps[:, None] - steps[None, :], tf.float32)
        weights = tf.where(apart >= 0, tf.pow(decay, tf.maximum(apart, 0.0)), 0.0)
        trace = tf.einsum("ts,bsd->btd", weights, x)
        return times(hidden, "out") + times(trace, "bridge")

    def _recur(self, x: tf.Tensor, cell: RecurrentCell, times: Times, precision: Precision) -> tf.Tensor:
        gates = times(x, "kernel") + self.dense["gate_bias"]
        states = recur(cell, tf.transpose(gates, [1, 0, 2]), as_factor(self.dense["recurrent"], precision))
        return tf.transpose(states, [1, 0, 2])

    def _attend(self, x: tf.Tensor, times: Times, *, seed: tf.Tensor | None) -> tf.Tensor:
        settings, weights = self.settings, self.dense
        d, heads = settings.width, settings.heads
        rows, steps = tf.shape(x)[0], tf.shape(x)[1]
        h = x + weights["position"][:steps]
        causal = tf.linalg.band_part(tf.ones((steps, steps)), -1, 0)
        for block in range(settings.blocks):
            qkv = times(_norm(h, weights[f"norm1_{block}"]), f"qkv_{block}")
            q, k, v = tf.unstack(tf.reshape(qkv, (rows, steps, 3, heads, d // heads)), axis=2)
            logits = tf.einsum("bthc,bshc->bhts", q, k) * (d // heads) ** -0.5
            share = tf.nn.softmax(tf.where(causal > 0, logits, -1e9))
            mixed = tf.reshape(tf.einsum("bhts,bshc->bthc", share, v), (rows, steps, d))
            mixed = times(mixed, f"proj_{block}")
            h += _dropped(mixed, settings.state_dropout, seed, 2 + 2 * block)
            inner = times(_norm(h, weights[f"norm2_{block}"]), f"up_{block}")
            inner = times(tf.nn.gelu(inner + weights[f"up_bias_{block}"]), f"down_{block}")
            h += _dropped(inner, settings.state_dropout, seed, 3 + 2 * block)
        return _norm(h, weights["final_scale"])

    def variables(self) -> dict[str, tf.Variable]:
        """Every parameter's variable by name."""
        return {"embedding": self.embedding, "bias": self.bias, **self.dense}

    def arrays(self) -> dict[str, np.ndarray]:
        """Every parameter by name."""
        return {name: variable.numpy() for name, variable in self.variables().items()}

    def assign(self, arrays: dict[str, np.ndarray]) -> None:
        """Set every parameter from `arrays`, as `arrays()` gave them."""
        for name, variable in self.variables().items():
            variable.assign(arrays[name])

    def describe(self) -> dict[str, Any]:
        """Settings and size, for a manifest."""
        return {"n_items": self.n_items, "settings": asdict(self.settings)}


def _dropped(x: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
    """Dropout at one of a step's PLACES."""
    if seed is None or not rate:
        return x
    return tf.nn.experimental.stateless_dropout(
        x, rate, seed=tf.stack([seed[0], seed[1] * PLACES + place]), rng_alg="philox"
    )


def _norm(x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Root mean square normalisation (Zhang and Sennrich, 2019)."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + 1e-6) * scale
