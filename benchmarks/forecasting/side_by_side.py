"""Ours, LightGBM and the article's LSTM on one task, one core each, one after the other, in one run.

    benchmarks/forecasting/make_rivals_env.sh
    python -m benchmarks.forecasting.side_by_side --task bakery_daily --seeds 0 1 2

Lines are what the command of each prints; after them, the processor seconds and the highest memory of its process,
imports and data included.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.forecasting.data import CHECKOUT, TASKS

PYTHON = CHECKOUT / "benchmarks" / ".envs" / "forecasting" / "bin" / "python"
CONTENDERS = ("ours", "lightgbm", "article")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def measured(command: list[str]) -> None:
    """Run it on one thread; say what its process took. A command that fails ends the run."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    print(
        f"  its process: {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} processor seconds, "
        f"{used.ru_maxrss / 2**20:.2f} GiB; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--seeds", nargs="+", default=["0"], help="of ours; the rivals run once")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--core", type=int, default=None, help="bind all of them to this core")
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the rivals' environment")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})  # what is started from here inherits it
    task = ["--task", arguments.task]
    module = "benchmarks.forecasting."
    if "ours" in arguments.contenders:
        measured([sys.executable, "-m", module + "tasks", *task, "--seeds", *arguments.seeds])
    if "lightgbm" in arguments.contenders:
        measured([str(arguments.python), "-m", module + "lightgbm_rival", *task, "--threads", "1"])
        subprocess.run([sys.executable, "-m", module + "score_rival", *task], cwd=CHECKOUT, check=True)
    if "article" in arguments.contenders:
        measured([sys.executable, "-m", module + "article_lstm", *task])


if __name__ == "__main__":
    main()
