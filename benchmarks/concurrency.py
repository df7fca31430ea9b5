"""Several at once on one home: nights side by side, a backfill, an ingest, a backup, and readers that query in loops.

    python -m benchmarks.concurrency --home HOME --night 2011-02-09 --minutes 30

HOME is a shop home that holds at least two nights; it is worked on in a copy. In each round two nights, a backfill of
the night before, a backup and a status start at once, as commands of their own, while `--readers` processes open the
published file, ask it a few questions and close it again. No command may fail, no reader may get an error or see tables
of different nights, and whoever waits for the warehouse must get it. Exit status 1 otherwise.
"""

import argparse
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb

from ecom_pipeline.settings import Home

COMMAND = [sys.executable, "-m", "ecom_pipeline"]
LONGEST_SECONDS = 900
QUESTIONS = """
SELECT (SELECT as_of FROM about), (SELECT max(as_of) FROM sales_forecasts), (SELECT max(as_of) FROM recommendations),
  (SELECT count(DISTINCT as_of) FROM sales_forecasts), (SELECT count(*) FROM sales_daily),
  (SELECT count(*) FROM ingest_files WHERE in_core AND rows_in <> rows_core + rows_quarantined + rows_duplicate)
"""


def main() -> None:
    """Run rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--night", type=date.fromisoformat, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--readers", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "home"
        shutil.copytree(arguments.home, root)
        with Home(root).settings_file.open("a", encoding="utf-8") as file:
            file.write("retrain_after_days: 3650\n")  # it is about queues, not about training
        sys.exit(1 if attack(root, arguments.night, minutes=arguments.minutes, readers=arguments.readers) else 0)


def attack(root: Path, night: date, *, minutes: float, readers: int) -> bool:
    """Rounds of commands beside readers; whether anything went wrong."""
    stop = multiprocessing.Event()
    told: multiprocessing.Queue[dict[str, Any]] = multiprocessing.Queue()
    analysts = [
        multiprocessing.Process(target=read_in_loops, args=(Home(root).published_file, stop, told))
        for _ in range(readers)
    ]
    for analyst in analysts:
        analyst.start()
    ends = time.monotonic() + 60 * minutes
    rounds = commands = 0
    failures: list[str] = []
    while time.monotonic() < ends or rounds == 0:
        failures += one_round(root, night, number=rounds)
        rounds += 1
        commands += len(commands_of(root, night, number=rounds))
        print(f"round {rounds}: {len(failures)} commands failed so far", flush=True)
    stop.set()
    answers = [told.get(timeout=60) for _ in analysts]
    for analyst in analysts:
        analyst.join()
    errors = Counter(error for answer in answers for error in answer["errors"])
    print(f"rounds: {rounds}; commands: {commands}; commands that failed: {len(failures)}")
    looks, files = sum(answer["looks"] for answer in answers), max(answer["files"] for answer in answers)
    print(f"readers: {readers}; looks at the published file: {looks:,}; different files seen: {files}")
    print(f"errors that readers got: {sum(errors.values())}")
    for failure in (*failures, *(f"{count} x reader: {error}" for error, count in errors.items())):
        print(f"  WRONG {failure}")
    return bool(failures or errors)


def commands_of(root: Path, night: date, *, number: int) -> list[list[str]]:
    """What starts at once in a round."""
    before = night - timedelta(days=1)
    home = ["--home", str(root)]
    return [
        ["nightly", *home, "--as-of", str(night), "--quiet"],
        ["nightly", *home, "--as-of", str(night), "--quiet"],
        ["backfill", *home, "--from", str(before), "--to", str(before), "--quiet"],
        ["backup", str(root.parent / f"backup-{number}"), *home, "--quiet"],
        ["status", *home],
    ]


def one_round(root: Path, night: date, *, number: int) -> list[str]:
    """Start the commands at once; what the failed ones said."""
    started = [
        (command, subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        for command in commands_of(root, night, number=number)
    ]
    failures = []
    for command, process in started:
        try:
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            failures.append(f"{command[0]}: did not end within {LONGEST_SECONDS} s")
            continue
        if process.returncode != 0:
            failures.append(f"{command[0]}: exit {process.returncode}: {errors.strip()[-300:]}")
    return failures


def read_in_loops(file: Path, stop: Event, told: Any) -> None:
    """An analyst: opens the file, looks, closes it, until told to stop."""
    looks, errors, seen = 0, [], set()
    while not stop.is_set():
        try:
            with duckdb.connect(str(file), read_only=True) as connection:
                ((as_of, forecasts, recommended, nights, days, unequal),) = connection.execute(QUESTIONS).fetchall()
                time.sleep(0.2)
                again = connection.execute(QUESTIONS).fetchall()
            if again != [(as_of, forecasts, recommended, nights, days, unequal)]:
                errors.append("an open file changed")
            if not as_of == forecasts == recommended or unequal or not days:
                errors.append(f"half a night: {as_of}, {forecasts}, {recommended}, {unequal}")
            seen.add(file.stat().st_ino)
        except (duckdb.Error, OSError) as error:
            errors.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        looks += 1
        time.sleep(0.3)
    told.put({"looks": looks, "errors": errors, "files": len(seen)})


if __name__ == "__main__":
    main()
