"""One worker of a job, as a process of its own; started by a runner, or by hand:

python -m ecom_pipeline.distributed.worker --job FOLDER --hosts a:7000 b:7000 --rank 0
"""

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ecom_pipeline.distributed.jobs import Job, JobError
from ecom_pipeline.distributed.keeping import Keeper

DIVERGED = 3
"""Exit status of a training that diverged: to start it again would change nothing."""


def run_worker(folder: Path, hosts: Sequence[str], rank: int, *, every_s: float, resume: int | None) -> None:
    """Do the part of worker `rank` in a job.

    Raises:
        ArithmeticError: if the training diverged.
        JobError: if the folder holds no job.
    """
    job = Job(folder)
    kind = job.description()["kind"]
    from ecom_pipeline.distributed.group import join

    group = join(hosts, rank)
    keeper = Keeper(job, writes=rank == 0, every_s=every_s, resume=resume)
    if kind == "sales":
        from ecom_pipeline.distributed.sales import work
    else:
        from ecom_pipeline.distributed.next_item import work
    work(job, group, keeper)


def end_with_parent() -> None:
    """End this process when whoever holds its standard input does, so that no worker outlives its runner."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock an ending interpreter wants
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m ecom_pipeline.distributed.worker", description=__doc__)
    parser.add_argument("--job", type=Path, required=True)
    parser.add_argument("--hosts", nargs="+", required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    parser.add_argument("--resume", type=int, default=None, help="step of the checkpoint to go on from")
    parser.add_argument("--end-with-input", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    if given.end_with_input:
        end_with_parent()
    try:
        run_worker(given.job, given.hosts, given.rank, every_s=given.checkpoint_seconds, resume=given.resume)
    except ArithmeticError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(DIVERGED)  # a normal end would wait for the other workers
    except JobError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
