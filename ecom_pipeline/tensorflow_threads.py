"""TensorFlow on one thread, for the sake of models that come out the same from the same data, settings and seed.

With several threads the last bits differ from run to run, op determinism or not, and training carries them into
the second digit. The networks here are small, and gain little from a second thread.
"""

import warnings


def use_one_thread() -> None:
    """Set TensorFlow up; to be called before its first operation. Warns if it is too late for that."""
    import tensorflow as tf

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
