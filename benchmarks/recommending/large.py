"""Seconds and peak memory of a fit on a large generated log: `python -m benchmarks.recommending.large`.

Users come back in visits of neighbouring items, items are drawn by a power law; the log is made column by column, so
that what is measured is the fit.
"""

import argparse
import os
import resource
import time

import numpy as np
import pyarrow as pa

from ecom_pipeline.recommending import NextItemRecommender

EVENTS_A_USER, VISIT = 20, 5
MIB = 1024


def generated_log(*, events: int, items: int, seed: int = 0) -> pa.Table:
    """user_id, item_id, event_ts of `events` rows, in order of time."""
    rng = np.random.default_rng(seed)
    users = events // EVENTS_A_USER
    visits = events // VISIT
    first = (items * rng.random(visits) ** 3).astype(np.int64)
    item = (first[:, None] + rng.integers(0, 40, size=(visits, VISIT))) % items
    user = rng.integers(users, size=visits)
    start = np.sort(rng.integers(0, 180 * 86_400, size=visits))
    moment = start[:, None] + np.arange(VISIT) * 60
    return pa.table({"user_id": np.repeat(user, VISIT), "item_id": item.ravel(), "event_ts": moment.ravel()})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--budget", type=float, default=60)
    arguments = parser.parse_args()
    log = generated_log(events=arguments.events, items=arguments.items)
    print(f"{log.num_rows} events generated, {_peak():.0f} MiB so far", flush=True)
    started, cpu = time.monotonic(), time.process_time()

    def say(words: str, share: float) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {_peak():6.0f} MiB  {words} {share:.2f}", flush=True)

    recommender = NextItemRecommender(time_budget_s=arguments.budget).fit(log, on_progress=say)
    wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
    print(
        f"fit of {arguments.events} events, {len(recommender.item_ids())} items, budget {arguments.budget:.0f} s: "
        f"{wall_s:.0f} s by the clock, {cpu_s:.0f} CPU s, load {os.getloadavg()[0]:.1f}, peak {_peak():.0f} MiB"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


if __name__ == "__main__":
    main()
