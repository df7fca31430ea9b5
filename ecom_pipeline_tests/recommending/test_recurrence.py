"""Recurrent layers: states by their formulas, and gradients that are TensorFlow's own of those formulas."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    import tensorflow as tf

CELLS = ("gru", "lstm", "simple_rnn")


def by_formula(cell: str, inputs: "tf.Tensor", recurrent: "tf.Tensor") -> "tf.Tensor":
    """The same states, one step after the other, for TensorFlow to take the gradient of."""
    import tensorflow as tf

    d = recurrent.shape[0]
    h = c = tf.zeros((inputs.shape[1], d), inputs.dtype)
    states = []
    for gates in tf.unstack(inputs):
        r = tf.matmul(h, recurrent)
        if cell == "simple_rnn":
            h = tf.tanh(gates + r)
        elif cell == "lstm":
            i, f, o, u = tf.split(gates + r, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(u)
            h = tf.sigmoid(o) * tf.tanh(c)
        else:
            z, reset = tf.split(tf.sigmoid(gates[:, : 2 * d] + r[:, : 2 * d]), 2, axis=1)
            h = z * h + (1.0 - z) * tf.tanh(gates[:, 2 * d :] + reset * r[:, 2 * d :])
        states.append(h)
    return tf.stack(states)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=15, deadline=None)
@given(steps=st.integers(1, 9), rows=st.integers(0, 5), units=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_states_and_gradients_are_those_of_the_formulas(
    cell: str, steps: int, rows: int, units: int, seed: int
) -> None:
    import tensorflow as tf

    from ecom_pipeline.recommending.recurrence import GATES, recur

    rng = np.random.default_rng(seed)
    width = GATES[cell] * units  # type: ignore[index]
    inputs = tf.constant(rng.normal(size=(steps, rows, width)).astype(np.float32))
    recurrent = tf.constant(rng.normal(size=(units, width)).astype(np.float32))
    weights = tf.constant(rng.normal(size=(steps, rows, units)).astype(np.float32))
    found = []
    for states_of in (recur, by_formula):
        with tf.GradientTape() as tape:
            tape.watch([inputs, recurrent])
            states = states_of(cell, inputs, recurrent)  # type: ignore[arg-type]
            loss = tf.reduce_sum(states * weights)
        found.append([states, *tape.gradient(loss, [inputs, recurrent])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_in_bfloat16_give_states_and_gradients_close_to_those_in_float32(cell: str) -> None:
    import tensorflow as tf

    from ecom_pipeline.recommending.recurrence import GATES, recur

    rng = np.random.default_rng(0)
    width = GATES[cell] * 32  # type: ignore[index]
    inputs = tf.constant(rng.normal(size=(10, 8, width)).astype(np.float32))
    recurrent = tf.constant((rng.normal(size=(32, width)) / np.sqrt(32)).astype(np.float32))
    found = []
    for dtype in (tf.float32, tf.bfloat16):
        with tf.GradientTape() as tape:
            tape.watch([inputs, recurrent])
            states = recur(cell, inputs, tf.cast(recurrent, dtype))  # type: ignore[arg-type]
            loss = tf.reduce_sum(tf.square(states))
        assert states.dtype == tf.float32
        found.append([states, *tape.gradient(loss, [inputs, recurrent])])
    for exact, rounded in zip(*found, strict=True):
        apart = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
        assert 1e-5 < apart < 0.02  # bfloat16 has eight bits: they differ, by less than some roundings
