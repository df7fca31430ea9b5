"""Recurrent layers over a whole batch of sequences, with gradients written out.

Imports TensorFlow. TensorFlow's own gradient of a loop keeps and adds up a matrix of weights a step, which takes four
times as long as the forward pass. Here the loop backwards carries the state's gradient alone; what the steps have in
common (derivatives of the gates, the gradient of the weights) is computed for all of them at once, before and after it.

Shapes: T steps, B rows, d units, G gates (GATES). Formulas: Elman (1990), Hochreiter and Schmidhuber (1997), Cho et al.
(2014) with the reset after the product, as cuDNN has it.
"""

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from ecom_pipeline.precision import product
from ecom_pipeline.tensorflow_threads import use_one_thread

use_one_thread()

RecurrentCell = Literal["gru", "lstm", "simple_rnn"]
GATES: dict[RecurrentCell, int] = {"gru": 3, "lstm": 4, "simple_rnn": 1}

Steps = tuple[tf.Tensor, ...]
Step = Callable[..., tuple[Steps, Steps]]


def recur(cell: RecurrentCell, inputs: tf.Tensor, recurrent: tf.Tensor) -> tf.Tensor:
    """States (T, B, d) after each step, from zero.

    Args:
        cell: Which recurrence.
        inputs: What the gates get from outside, (T, B, G d).
        recurrent: Weights of the state, (d, G d), in the type that the products with them are to have.
    """
    return {"gru": _gru, "lstm": _lstm, "simple_rnn": _simple_rnn}[cell](inputs, recurrent)


@tf.custom_gradient
def _simple_rnn(inputs: tf.Tensor, recurrent: tf.Tensor) -> tuple[tf.Tensor, Any]:
    def forward(now: Steps, state: Steps) -> tuple[Steps, Steps]:
        h = tf.tanh(now[0] + product(state[0], recurrent))
        return (h,), (h,)

    (states,) = _loop((inputs,), forward, carried=1, kept=(1,), units=recurrent.shape[0])

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def backward(now: Steps, carried: Steps) -> tuple[Steps, Steps]:
            d_gates = (now[0] + carried[0]) * now[1]
            return (product(d_gates, recurrent, transpose_b=True),), (d_gates,)

        (d_gates,) = _loop(
            (upstream, 1.0 - tf.square(states)), backward, carried=1, kept=(1,), units=recurrent.shape[0], back=True
        )
        return d_gates, _of_weights(states, d_gates, recurrent.dtype)

    return states, gradient


@tf.custom_gradient
def _lstm(inputs: tf.Tensor, recurrent: tf.Tensor) -> tuple[tf.Tensor, Any]:
    units = recurrent.shape[0]

    def forward(now: Steps, state: Steps) -> tuple[Steps, Steps]:
        h, c = state
        i, f, o, u = tf.split(now[0] + product(h, recurrent), 4, axis=1)
        i, f, o, u = tf.sigmoid(i), tf.sigmoid(f), tf.sigmoid(o), tf.tanh(u)
        c = f * c + i * u
        h = o * tf.tanh(c)
        return (h, c), (h, c, tf.concat([i, f, o, u], axis=1))

    states, cells, gates = _loop((inputs,), forward, carried=2, kept=(1, 1, 4), units=units)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, f, o, u = tf.split(gates, 4, axis=2)
        squashed = tf.tanh(cells)
        of_gates = tf.concat(
            [u * i * (1.0 - i), _before(cells) * f * (1.0 - f), squashed * o * (1.0 - o), i * (1.0 - tf.square(u))],
            axis=2,
        )
        of_cell = o * (1.0 - tf.square(squashed))

        def backward(now: Steps, carried: Steps) -> tuple[Steps, Steps]:
            d_output, derivatives, forget, into_cell = now
            dh = d_output + carried[0]
            dc = carried[1] + dh * into_cell
            d_gates = tf.concat([dc, dc, dh, dc], axis=1) * derivatives
            return (product(d_gates, recurrent, transpose_b=True), dc * forget), (d_gates,)

        (d_gates,) = _loop((upstream, of_gates, f, of_cell), backward, carried=2, kept=(4,), units=units, back=True)
        return d_gates, _of_weights(states, d_gates, recurrent.dtype)

    return states, gradient


@tf.custom_gradient
def _gru(inputs: tf.Tensor, recurrent: tf.Tensor) -> tuple[tf.Tensor, Any]:
    units = recurrent.shape[0]

    def forward(now: Steps, state: Steps) -> tuple[Steps, Steps]:
        (h,), gates, r = state, now[0], product(state[0], recurrent)
        both = tf.sigmoid(gates[:, : 2 * units] + r[:, : 2 * units])
        z, reset = tf.split(both, 2, axis=1)
        candidate = tf.tanh(gates[:, 2 * units :] + reset * r[:, 2 * units :])
        h = z * h + (1.0 - z) * candidate
        return (h,), (h, tf.concat([both, candidate, r[:, 2 * units :]], axis=1))

    states, gates = _loop((inputs,), forward, carried=1, kept=(1, 4), units=units)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, reset, candidate, r = tf.split(gates, 4, axis=2)
        of_candidate = (1.0 - z) * (1.0 - tf.square(candidate))
        # what dh is multiplied by: for z, the reset, the candidate, and the state's part of the candidate
        derivatives = tf.concat(
            [
                (_before(states) - candidate) * z * (1.0 - z),
                of_candidate * r * reset * (1.0 - reset),
                of_candidate * reset,
                z,
            ],
            axis=2,
        )

        def backward(now: Steps, carried: Steps) -> tuple[Steps, Steps]:
            dh = now[0] + carried[0]
            d_all = tf.concat([dh, dh, dh, dh], axis=1) * now[1]
            d_state = d_all[:, : 3 * units]
            back = d_all[:, 3 * units :] + product(d_state, recurrent, transpose_b=True)
            return (back,), (d_state, dh)

        d_state, dh = _loop((upstream, derivatives), backward, carried=1, kept=(3, 1), units=units, back=True)
        d_gates = tf.concat([d_state[:, :, : 2 * units], dh * of_candidate], axis=2)
        return d_gates, _of_weights(states, d_state, recurrent.dtype)

    return states, gradient


def _loop(
    sequences: Steps, step: Step, *, carried: int, kept: tuple[int, ...], units: int, back: bool = False
) -> Steps:
    """Run `step` over the first axis of `sequences`, backwards if asked for, and stack what it keeps.

    Args:
        sequences: Tensors (T, B, …), of which each step gets its part.
        step: (parts, state) -> (state, kept).
        carried: How many tensors (B, units) the state has; it begins with zeros.
        kept: Width, in units, of each tensor that a step keeps.
        units: Of the layer.
        back: From the last step to the first.
    """
    steps, rows = tf.shape(sequences[0])[0], tf.shape(sequences[0])[1]
    arrays = tuple(
        tf.TensorArray(tf.float32, size=steps, element_shape=(None, width * units), clear_after_read=False)
        for width in kept
    )

    def body(number: tf.Tensor, state: Steps, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        t = steps - 1 - number if back else number
        state, values = step(tuple(sequence[t] for sequence in sequences), state)
        return number + 1, state, tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))

    start = tuple(tf.zeros((rows, units)) for _ in range(carried))
    _, _, arrays = tf.while_loop(
        lambda number, *_: number < steps, body, (tf.constant(0), start, arrays), parallel_iterations=1
    )
    return tuple(array.stack() for array in arrays)


def _before(states: tf.Tensor) -> tf.Tensor:
    """The state that each step began with, (T, B, d)."""
    return tf.concat([tf.zeros_like(states[:1]), states[:-1]], axis=0)


def _of_weights(states: tf.Tensor, d_gates: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Gradient of the recurrent weights, (d, G d), from that of the gates, (T, B, G d)."""
    left, right = (tf.cast(tf.reshape(x, (-1, x.shape[2])), dtype) for x in (_before(states), d_gates))
    return tf.matmul(left, right, transpose_a=True)
