"""TensorFlow set up so that the same data, settings and seed give the same model, bit by bit.

Two things differ from run to run otherwise, op determinism or not, and training carries their last bits into the
second digit within a hundred steps. With several threads, sums are added up in the order in which threads finish. And
TensorFlow's graph optimiser (Grappler) does not always rewrite a graph alike: about one process in twenty got another
order of operations for the same training step. The networks here are small: they gain nothing measurable from either.
"""

import warnings


def use_one_thread() -> None:
    """Set TensorFlow up; to be called before its first operation. Warns if it is too late for that."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        warnings.warn(
            "TensorFlow was already running with several threads: models may differ from run to run. Import "
            "ecom_pipeline's libraries first, or set one thread with tf.config.threading.",
            RuntimeWarning,
            stacklevel=2,
        )
