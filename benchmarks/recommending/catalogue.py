"""Memory and speed of training by size of the catalogue and of the log: `python -m benchmarks.recommending.catalogue`.

The real trainer on generated histories (by a power law, so that tables are touched all over), each size in a process of
its own, so that peak memory is its own. Sizes are items x width, or items x width x users, of 21 events each.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa

SIZES = ("100000x128", "1000000x128", "2000000x128", "1000000x64", "4000000x64", "10000000x16", "10000000x24")
WARM, STEPS = 20, 120
USERS, LENGTH = 8_000, 21
"""Users, where a size does not say, and events of each: 20 of them follow another, which makes a training example."""


def measure(items: int, width: int, users: int = USERS) -> dict[str, float]:
    """Milliseconds of a step, events a second, MiB at most, and MiB of the table and its two moments."""
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import Shards, Trainer, TrainingSettings
    from ecom_pipeline.sequences import EventSequences
    from ecom_pipeline.sequences.event_sequences import offsets_of

    rng = np.random.default_rng(0)
    codes = (items * rng.random(users * LENGTH) ** 3).astype(np.int32)
    offsets = offsets_of(np.full(users, LENGTH))
    log = EventSequences(items=codes, offsets=offsets, users=pa.nulls(users), n_items=items)
    network = SequenceNetwork(items, NetworkSettings(width=width), seed=0)
    trainer = Trainer(network, Shards.whole(log), TrainingSettings(), seed=0)
    times = [time.monotonic()]

    class Enough(Exception):  # noqa: N818  # no error
        """All steps are done."""

    def after_step(done: int, loss: float) -> None:
        times.append(time.monotonic())
        if done == STEPS:
            raise Enough

    try:
        trainer.epoch(0, rate_from=1e-3, rate_to=1e-3, after_step=after_step)
    except Enough:
        pass
    else:
        raise SystemExit("the log is too short")
    step = float(np.median(np.diff(times)[WARM:]))
    return {
        "ms": 1000 * step,
        "events": TrainingSettings().positions / step,
        "peak": _peak(),
        "tables": 3 * 4 * items * (width + 1) / 2**20,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*(int(part) for part in given.one.split("x")))))
        return
    print(
        "| items | width | users | table and moments, MiB | peak MiB | ms a step (median) | events a second | load |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for size in given.sizes:
        command = [sys.executable, "-m", "benchmarks.recommending.catalogue", "--one", size]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
        items, width, users = (*map(int, size.split("x")), USERS)[:3]
        print(
            f"| {items:,} | {width} | {users:,} | {found['tables']:,.0f} | {found['peak']:,.0f} | {found['ms']:.1f} "
            f"| {found['events']:,.0f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
