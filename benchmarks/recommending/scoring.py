"""Exact top-k: users a second and peak memory, beside what the machine multiplies.

python -m benchmarks.recommending.scoring
"""

import argparse
import os
import resource
import time
from collections.abc import Callable

import numpy as np

from ecom_pipeline.recommending.scoring import FactorIndex, top_k

WIDTH, K = 128, 20
CHECKED = 512  # users whose lists are compared with a full sort in float32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", nargs="+", type=int, default=[12_000, 100_000])
    parser.add_argument("--users", nargs="+", type=int, default=[8_192, 65_536])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    _machine()
    for n_items in arguments.items:
        factors = rng.normal(size=(n_items, WIDTH)).astype(np.float32)
        index = FactorIndex(factors)
        index.search(factors[:256], K)
        for n_users in arguments.users:
            queries = rng.normal(size=(n_users, WIDTH)).astype(np.float32)
            started, cpu = time.monotonic(), time.process_time()
            items, _ = index.search(queries, K)
            wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            same = (items[:CHECKED] == top_k(queries[:CHECKED] @ factors.T, K)[0]).mean()
            print(
                f"{n_items} items, {n_users} users, load {os.getloadavg()[0]:.1f}: {n_users / wall_s:.0f} users/s by "
                f"the clock, {n_users / cpu_s:.0f} a CPU second, peak {peak:.0f} MiB; {same:.2%} of places as a full "
                "sort in float32 has them",
                flush=True,
            )


def _machine() -> None:
    """Multiplications of (1024, 128) by (128, 100000) a CPU second, in float32 and bfloat16, and what they allow."""
    import tensorflow as tf

    from ecom_pipeline.tensorflow_threads import use_one_thread

    use_one_thread()
    rng = np.random.default_rng(1)
    left, right = (rng.normal(size=shape).astype(np.float32) for shape in ((1_024, WIDTH), (WIDTH, 100_000)))
    rough = [tf.constant(tf.cast(part, tf.bfloat16)) for part in (left, right)]
    products: dict[str, Callable[[], object]] = {
        "float32": lambda: left @ right,
        "bfloat16": lambda: tf.matmul(*rough).shape,
    }
    for name, product in products.items():
        product()
        cpu = time.process_time()
        for _ in range(3):
            product()
        seconds = (time.process_time() - cpu) / 3
        print(
            f"{name}: {2e-9 * left.shape[0] * right.size / seconds:.0f} GFLOP a CPU second, so at most "
            f"{left.shape[0] / seconds:.0f} users over 100000 items for the products alone",
            flush=True,
        )


if __name__ == "__main__":
    main()
