"""The precision in which networks are trained: what layers multiply may be rounded to bfloat16, all else is float32.

Mixed precision as of Micikevicius et al. (2018). bfloat16 has the range of float32, so that losses are not scaled
(Kalamkar et al. 2019). Variables, activations, losses and updates stay float32.
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import tensorflow as tf

Precision = Literal["float32", "mixed_bfloat16"]
FACTORS: dict[Precision, str] = {"float32": "float32", "mixed_bfloat16": "bfloat16"}
"""The type that weights are multiplied in."""


def as_factor(weights: "tf.Tensor | tf.Variable", precision: Precision) -> "tf.Tensor":
    """Weights as `product` wants them."""
    import tensorflow as tf

    return tf.cast(weights, FACTORS[precision])


def product(x: "tf.Tensor", weights: "tf.Tensor", *, transpose_b: bool = False) -> "tf.Tensor":
    """x (rows, n) or (rows, steps, n) times weights (n, m), float32, multiplied in the type of the weights.

    transpose_b: whether the weights are (m, n), and x is (rows, n).
    """
    import tensorflow as tf

    x = tf.cast(x, weights.dtype)
    many = len(x.shape) > 2
    found = tf.einsum("btd,de->bte", x, weights) if many else tf.matmul(x, weights, transpose_b=transpose_b)
    return tf.cast(found, tf.float32)
