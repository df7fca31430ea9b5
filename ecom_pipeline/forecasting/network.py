"""The recurrent network and one training step of it. The only module that imports TensorFlow.

An encoder reads the window a patch (one cycle of the season) a step; a bidirectional layer of the same cell runs across
the patches of the horizon and sees what is known ahead; a dense head per day gives, as corrections to a learnt
mixture of simple forecasts, a mean and quantiles that cannot cross. Formulas and sources: docs/forecasting.md.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ecom_pipeline.forecasting.link import LOG_FLOOR
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.types import LEVELS, MASSES, MEDIAN, Cell, Link
from ecom_pipeline.precision import Precision, as_factor, product
from ecom_pipeline.tensorflow_threads import use_one_thread

use_one_thread()

LEAST_MEAN = 1e-3
LARGEST_TILT = 0.7
"""How far, in logarithms, the mean may move from where it starts: a short history must not be extrapolated."""
LARGEST_SIZE, LARGEST_TARGET = 5.0, 1000.0
LARGEST_NORM = 10.0
"""Of gradients. Rare large sales are what the mean is made of: clipping their gradients hard would bias it."""
NORMAL = (-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645)
"""Standard normal quantiles at LEVELS: where the untrained quantile heads stand."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a network; enough to build it again without data."""

    cell: Cell
    link: Link
    patches: int
    horizon_patches: int
    cycle: int
    encoder_width: int
    day_width: int
    window_width: int
    bases: int
    categories: tuple[int, ...]
    units: int = 64
    hidden: int = 64
    dropout: float = 0.1
    allow_negative: bool = False
    mean_loss: str = "squared"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "NetworkConfig":
        """Inverse of to_json."""
        return NetworkConfig(**{**data, "categories": tuple(data["categories"])})


def _embedding_width(categories: int) -> int:
    return min(12, 2 + round(categories**0.4))


class Network(tf.Module):
    """Weights by name in `weights` and the forward pass. All randomness comes from the seed."""

    def __init__(self, config: NetworkConfig, seed: int) -> None:
        super().__init__(name="sales_network")
        self.config = config
        self.precision: Precision = "float32"
        rng = np.random.default_rng(seed)
        units, hidden = config.units, config.hidden
        embedded = sum(_embedding_width(c) for c in config.categories)
        summary = units + config.window_width + embedded
        shapes: dict[str, tuple[int, ...]] = {
            "patch_in": (config.encoder_width, units),
            **self._cell_shapes("encoder", units, units),
            "day_in": (config.day_width, hidden),
            "patch_mix": (config.cycle * hidden, units),
            "summary_to_patch": (summary, units),
            **self._cell_shapes("ahead", units, units // 2),
            **self._cell_shapes("behind", units, units // 2),
            "day_to_head": (hidden, hidden),
            "patch_to_head": (units, hidden),
            "summary_to_head": (summary, hidden),
        }
        outputs = config.bases + len(LEVELS) + 1
        self.weights: dict[str, tf.Variable] = {}
        for name, shape in shapes.items():
            fan = shape[0] if len(shape) == 2 else shape[0] * shape[1]
            value = rng.normal(0.0, 1 / np.sqrt(fan), size=shape)
            self.weights[name] = tf.Variable(value.astype(np.float32), name=name)
            self.weights[name + "_bias"] = tf.Variable(np.zeros(shape[-1], np.float32), name=name + "_bias")
            if config.cell == "lstm" and name in ("encoder_kernel", "ahead_kernel", "behind_kernel"):
                width = shape[-1] // 4
                self.weights[name + "_bias"].assign(np.repeat([0.0, 1.0, 0.0, 0.0], width).astype(np.float32))
        for k, categories in enumerate(config.categories):
            table = rng.normal(0.0, 0.1, size=(categories, _embedding_width(categories))).astype(np.float32)
            table[0] = 0
            self.weights[f"embedding_{k}"] = tf.Variable(table, name=f"embedding_{k}")
        # Zero: the untrained network repeats its bases.
        self.weights["head"] = tf.Variable(np.zeros((hidden, outputs), np.float32), name="head")
        self.weights["head_bias"] = tf.Variable(np.zeros(outputs, np.float32), name="head_bias")

    def numpy_weights(self) -> dict[str, np.ndarray]:
        """Weights by name as arrays."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def _cell_shapes(self, name: str, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
        cell = self.config.cell
        if cell == "dilated_cnn":
            return {f"{name}_conv{k}": (2 * (inputs if k == 0 else units), units) for k in range(3)}
        gates = {"lstm": 4, "gru": 3, "simple_rnn": 1}[cell]
        if cell == "gru":
            return {f"{name}_kernel": (inputs, gates * units), f"{name}_recurrent": (units, gates * units)}
        return {f"{name}_kernel": (inputs + units, gates * units)}

    def _dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        kernel = as_factor(self.weights[name], self.precision)
        if len(x.shape) > 2:
            flat = product(tf.reshape(x, (-1, x.shape[-1])), kernel)
            return tf.reshape(flat, (-1, *x.shape[1:-1], kernel.shape[-1])) + self.weights[name + "_bias"]
        return product(x, kernel) + self.weights[name + "_bias"]

    def _run_cell(self, name: str, steps: list[tf.Tensor], units: int) -> list[tf.Tensor]:
        """Outputs of the recurrent layer for a list of (B, D) inputs, unrolled."""
        cell = self.config.cell
        if cell == "dilated_cnn":
            return self._run_convolution(name, steps)
        h = tf.zeros((tf.shape(steps[0])[0], units))
        c = h
        outputs = []
        for x in steps:
            if cell == "lstm":
                i, f, g, o = tf.split(self._dense(f"{name}_kernel", tf.concat([x, h], 1)), 4, axis=1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            elif cell == "gru":
                xr, xz, xn = tf.split(self._dense(f"{name}_kernel", x), 3, axis=1)
                hr, hz, hn = tf.split(self._dense(f"{name}_recurrent", h), 3, axis=1)
                z = tf.sigmoid(xz + hz)
                h = z * h + (1 - z) * tf.tanh(xn + tf.sigmoid(xr + hr) * hn)
            else:
                h = tf.tanh(self._dense(f"{name}_kernel", tf.concat([x, h], 1)))
            outputs.append(h)
        return outputs

    def _run_convolution(self, name: str, steps: list[tf.Tensor]) -> list[tf.Tensor]:
        """Causal convolutions of width two with dilations 1, 2, 4 (WaveNet, van den Oord et al. 2016)."""
        layer = steps
        for k in range(3):
            shifted = [tf.zeros_like(layer[0])] * min(2**k, len(layer)) + layer[: -(2**k)]
            mixed = [
                tf.nn.relu(self._dense(f"{name}_conv{k}", tf.concat([now, before], 1)))
                for now, before in zip(layer, shifted, strict=True)
            ]
            layer = mixed if k == 0 else [a + b for a, b in zip(mixed, layer, strict=True)]
        return layer

    def __call__(self, batch: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Forecasts in units of the window's mean sales.

        Returns quantiles (B, padded, 7) and mean (B, padded) on the sales scale, and linked quantiles in v.
        `seed`, an int32 pair, switches dropout on.
        """
        config = self.config
        drop = config.dropout if seed is not None else 0.0

        def dropout(x: tf.Tensor, salt: int) -> tf.Tensor:
            if seed is None or drop == 0.0:
                return x
            keep = tf.random.stateless_uniform(tf.shape(x), tf.stack([seed[0], seed[1] * 16 + salt])) >= drop
            return tf.where(keep, x / (1 - drop), 0.0)

        patches = tf.nn.relu(self._dense("patch_in", batch["encoder"]))
        state = self._run_cell("encoder", tf.unstack(patches, axis=1), config.units)[-1]
        parts = [state, batch["window"]]
        for k in range(len(config.categories)):
            code = batch["codes"][:, k]
            if seed is not None:
                # Unknown categories must have been seen in training: some known ones are hidden.
                hide = tf.random.stateless_uniform(tf.shape(code), tf.stack([seed[0] + 1, seed[1] * 16 + k])) < 0.1
                code = tf.where(hide, 0, code)
            parts.append(tf.gather(self.weights[f"embedding_{k}"], code))
        summary = dropout(tf.concat(parts, axis=1), 2)

        day = tf.nn.relu(self._dense("day_in", batch["day"]))
        shape = (-1, config.horizon_patches, config.cycle * config.hidden)
        ahead = self._dense("patch_mix", tf.reshape(day, shape)) + self._dense("summary_to_patch", summary)[:, None]
        steps = tf.unstack(tf.nn.relu(ahead), axis=1)
        forward = self._run_cell("ahead", steps, config.units // 2)
        backward = self._run_cell("behind", steps[::-1], config.units // 2)[::-1]
        across = dropout(tf.concat([tf.stack(forward, 1), tf.stack(backward, 1)], axis=2), 3)
        context = self._dense("patch_to_head", across) + self._dense("summary_to_head", summary)[:, None]
        inner = tf.reshape(self._dense("day_to_head", day), (-1, config.horizon_patches, config.cycle, config.hidden))
        inner = tf.nn.relu(inner + context[:, :, None])
        inner = tf.reshape(inner, (-1, config.horizon_patches * config.cycle, config.hidden))
        return self._heads(self._dense("head", dropout(inner, 4)), batch)

    def _heads(self, out: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        bases = self.config.bases
        gate = tf.nn.softmax(out[:, :, :bases], axis=2)
        base = tf.reduce_sum(gate * batch["bases"], axis=2)
        spread = batch["spread"][:, None]
        median = base + out[:, :, bases + MEDIAN]
        columns: dict[int, tf.Tensor] = {MEDIAN: median}
        for side in (-1, 1):
            here = median
            for k in range(1, MEDIAN + 1):
                index = MEDIAN + side * k
                gap = abs(NORMAL[index] - NORMAL[index - side])
                raw = out[:, :, bases + index] + float(np.log(np.expm1(gap)))
                here = here + side * tf.nn.softplus(raw) * spread
                columns[index] = here
        v = tf.stack([columns[k] for k in range(len(LEVELS))], axis=2)
        quantiles = self._sales(v, batch["centre"][:, None, None], batch["stretch"][:, None, None], batch)
        shift = out[:, :, bases + len(LEVELS)]
        if self.config.allow_negative:
            mean = self._sales(median + shift, batch["centre"][:, None], batch["stretch"][:, None], batch)
        else:
            inner = tf.reduce_sum(tf.stop_gradient(quantiles) * tf.constant(MASSES, tf.float32), axis=2)
            rarity = batch["rarity"][:, None]
            start = tf.maximum((1 - rarity) * inner + rarity * batch["expected"], LEAST_MEAN)
            mean = start * tf.exp(LARGEST_TILT * tf.tanh(shift / LARGEST_TILT))
        return {"v": v, "quantiles": quantiles, "mean": mean}

    def _sales(self, v: tf.Tensor, centre: tf.Tensor, stretch: tf.Tensor, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        u = centre + v / stretch
        if self.config.link == "log":
            z = tf.exp(tf.minimum(u, centre + 6.0)) - LOG_FLOOR
        elif self.config.link == "sqrt":
            z = tf.square(tf.nn.relu(u) / 2)
        else:
            z = u
        return z / tf.reshape(batch["size"], (-1,) + (1,) * (len(v.shape) - 1))


def _by_xla(step: Callable[..., Any]) -> Callable[..., Any]:
    return tf.function(step, jit_compile=True, reduce_retracing=True)


def _as_it_is(step: Callable[..., Any]) -> Callable[..., Any]:
    return step


def forward(network: Network, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean (B, padded) and quantiles (B, padded, 7) of a batch in units of the window's mean sales."""
    inputs = {
        name: tf.constant(np.ascontiguousarray(value, dtype=np.int32 if name == "codes" else np.float32))
        for name, value in batch.items()
    }
    output = network(inputs)
    return output["mean"].numpy(), output["quantiles"].numpy()


def linked_target(batch: dict[str, tf.Tensor], link: Link) -> tf.Tensor:
    """Targets in v, (B, padded)."""
    z = batch["target"] * batch["size"][:, None]
    if link == "log":
        u = tf.math.log(tf.maximum(z, 0.0) + LOG_FLOOR)
    elif link == "sqrt":
        u = 2 * tf.sqrt(tf.maximum(z, 1e-9))
    else:
        u = z
    return (u - batch["centre"][:, None]) * batch["stretch"][:, None]


def loss_of(output: dict[str, tf.Tensor], batch: dict[str, tf.Tensor], config: NetworkConfig) -> tf.Tensor:
    """Pinball loss in sales and in linked units, and the loss of the mean; weighted mean over recorded days."""
    levels = tf.constant(LEVELS, tf.float32)

    def pinball(target: tf.Tensor, quantiles: tf.Tensor) -> tf.Tensor:
        error = target[:, :, None] - quantiles
        return 2 * tf.reduce_mean(tf.maximum(levels * error, (levels - 1) * error), axis=2)

    target = tf.minimum(batch["target"], 30.0)
    total = pinball(target, output["quantiles"])
    if config.link != "identity":
        total = 0.5 * total + 0.5 * pinball(linked_target(batch, config.link), output["v"])
    if config.mean_loss == "poisson" and not config.allow_negative:
        mean = tf.maximum(output["mean"], 1e-3)
        # Between units of the window's size, in which windows count alike, and of sales, in which means add up.
        size = tf.sqrt(tf.minimum(batch["size"], LARGEST_SIZE))[:, None]
        total += 0.5 * size * (mean - tf.minimum(batch["target"], LARGEST_TARGET) * tf.math.log(mean))
    else:
        total += 0.5 * tf.square(tf.clip_by_value(target - output["mean"], -30.0, 30.0))
    weight = batch["mask"] * batch["weight"][:, None]
    return tf.reduce_sum(total * weight) / (tf.reduce_sum(weight) + 1e-6)


class Optimiser:
    """AdamW (Loshchilov and Hutter 2019) with global clipping and an exponential average of the weights.

    `gradients` and `apply` are separate, so that workers can sum gradients in between; XLA, where the settings ask for
    it, compiles each of them.
    """

    def __init__(self, network: Network, settings: TrainingSettings) -> None:
        self.network = network
        network.precision = settings.precision
        self.names = sorted(network.weights)
        self.decay, self.average = settings.decay, settings.average
        self.first = {n: tf.Variable(tf.zeros_like(network.weights[n])) for n in self.names}
        self.second = {n: tf.Variable(tf.zeros_like(network.weights[n])) for n in self.names}
        self.mean = {n: tf.Variable(network.weights[n]) for n in self.names}
        self.step = tf.Variable(0.0)
        compiled: Callable[..., Any] = _by_xla if settings.xla else _as_it_is
        self.gradients, self.apply = compiled(self._gradients), compiled(self._apply)
        self._compiled = tf.function(self._train_step, reduce_retracing=True)

    def restart(self, weights: dict[str, np.ndarray]) -> None:
        """Begin a new run from given weights, with no memory of the last one."""
        for name in self.names:
            self.network.weights[name].assign(weights[name])
            self.mean[name].assign(weights[name])
            self.first[name].assign(tf.zeros_like(self.first[name]))
            self.second[name].assign(tf.zeros_like(self.second[name]))
        self.step.assign(0.0)

    def _gradients(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss, and its gradient by each weight in the order of `names`."""
        variables = [self.network.weights[n] for n in self.names]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = loss_of(self.network(batch, seed), batch, self.network.config)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return loss, [tf.convert_to_tensor(g) for g in gradients]

    def _apply(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
        """One update of the weights and of their average."""
        gradients, _ = tf.clip_by_global_norm(gradients, LARGEST_NORM)
        self.step.assign_add(1.0)
        t = self.step
        correct = tf.sqrt(1 - 0.99**t) / (1 - 0.9**t)
        keep = tf.minimum(self.average, (1 + t) / (10 + t))
        for name, gradient in zip(self.names, gradients, strict=True):
            weight, first, second = self.network.weights[name], self.first[name], self.second[name]
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.99 * second + 0.01 * tf.square(gradient))
            update = rate * correct * first / (tf.sqrt(second) + 1e-7)
            shrink = 0.0 if name.endswith("bias") else rate * self.decay
            weight.assign(weight - update - shrink * weight)
            self.mean[name].assign(keep * self.mean[name] + (1 - keep) * weight)

    def _train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        loss, gradients = self.gradients(batch, seed)
        self.apply(gradients, rate)
        return loss

    def train_step(self, batch: dict[str, np.ndarray], seed: tuple[int, int], rate: float) -> float:
        """Gradients and update in one compiled call; returns the loss."""
        inputs = {k: tf.constant(v) for k, v in batch.items()}
        return float(self._compiled(inputs, tf.constant(seed, tf.int32), tf.constant(rate, tf.float32)))

    def averaged(self) -> dict[str, np.ndarray]:
        """The averaged weights by name."""
        return {n: self.mean[n].numpy() for n in self.names}
