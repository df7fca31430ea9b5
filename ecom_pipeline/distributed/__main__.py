"""Run a training job on a list of hosts; see `hosts`."""

import argparse
import sys
from pathlib import Path

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import JobError


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m ecom_pipeline.distributed", description=__doc__)
    parser.add_argument("job", type=Path, help="folder of the job, under the same path on every host")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--hosts", nargs="+", help="host:port of each worker")
    where.add_argument("--here", type=int, metavar="N", help="so many workers on this machine")
    parser.add_argument("--remote-shell", default="ssh -o BatchMode=yes", help="starts a command on another host")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    given = parser.parse_args()
    folder = given.job.resolve()
    runner = HostRunner(
        given.hosts or hosts_here(given.here),
        storage=folder.parent,
        remote_shell=given.remote_shell.split(),
        checkpoint_s=given.checkpoint_seconds,
    )
    try:
        runner.run(folder)
    except (JobError, ArithmeticError) as error:
        sys.exit(str(error))
    print(f"trained: {folder / 'result.npz'}")


if __name__ == "__main__":
    main()
