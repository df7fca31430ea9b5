"""Adam for dense parameters, and row by row for embedding tables: the cost of a step does not grow with the catalogue.

Imports TensorFlow. A row that a step does not touch keeps its value and its moments ("lazy" Adam); touched rows get
exactly the update of dense Adam whose step counter is that of the optimiser.
"""

import tensorflow as tf


class LazyAdam:
    """Adam (Kingma and Ba, 2015) over dense variables and tables updated by rows."""

    def __init__(
        self,
        dense: list[tf.Variable],
        tables: list[tf.Variable],
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.dense, self.tables = dense, tables
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.step = tf.Variable(0.0, trainable=False)
        self.moments = [
            (tf.Variable(tf.zeros_like(v), trainable=False), tf.Variable(tf.zeros_like(v), trainable=False))
            for v in [*dense, *tables]
        ]

    def variables(self) -> dict[str, tf.Variable]:
        """Its state, by name."""
        moments = {f"moment{which}.{place}": pair[which] for place, pair in enumerate(self.moments) for which in (0, 1)}
        return {"step": self.step, **moments}

    def apply(
        self,
        dense_gradients: list[tf.Tensor],
        rows: tf.Tensor,
        table_gradients: list[tf.Tensor],
        *,
        rate: tf.Tensor,
    ) -> None:
        """One update. `rows` (n,) are distinct; each table gradient has n rows."""
        self.step.assign_add(1.0)
        scale = rate * tf.sqrt(1.0 - tf.pow(self.beta_2, self.step)) / (1.0 - tf.pow(self.beta_1, self.step))
        for variable, gradient, (first, second) in zip(
            self.dense, dense_gradients, self.moments[: len(self.dense)], strict=True
        ):
            first.assign(self.beta_1 * first + (1.0 - self.beta_1) * gradient)
            second.assign(self.beta_2 * second + (1.0 - self.beta_2) * tf.square(gradient))
            variable.assign_sub(scale * first / (tf.sqrt(second) + self.epsilon))
        for table, gradient, (first, second) in zip(
            self.tables, table_gradients, self.moments[len(self.dense) :], strict=True
        ):
            m = self.beta_1 * tf.gather(first, rows) + (1.0 - self.beta_1) * gradient
            v = self.beta_2 * tf.gather(second, rows) + (1.0 - self.beta_2) * tf.square(gradient)
            update = scale * m / (tf.sqrt(v) + self.epsilon)
            for variable, value in ((first, m), (second, v), (table, tf.gather(table, rows) - update)):
                tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=rows, updates=value)
