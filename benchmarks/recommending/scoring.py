"""Exact top-k: users a second and peak memory. `python -m benchmarks.recommending.scoring`."""

import argparse
import os
import resource
import time

import numpy as np

from ecom_pipeline.recommending.scoring import factor_top_k

WIDTH, K = 128, 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", nargs="+", type=int, default=[12_000, 100_000])
    parser.add_argument("--users", nargs="+", type=int, default=[4_096, 32_768])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    for n_items in arguments.items:
        factors = rng.normal(size=(n_items, WIDTH)).astype(np.float32)
        factor_top_k(factors[:256], factors, K)
        for n_users in arguments.users:
            queries = rng.normal(size=(n_users, WIDTH)).astype(np.float32)
            started, cpu = time.monotonic(), time.process_time()
            factor_top_k(queries, factors, K)
            wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{n_items} items, {n_users} users, {arguments.threads} thread(s), load {os.getloadavg()[0]:.1f}: "
                f"{n_users / wall_s:.0f} users/s by the clock, {n_users / cpu_s:.0f} users per CPU second, "
                f"peak {peak:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
