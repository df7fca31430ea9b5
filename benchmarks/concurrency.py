"""Several at once on one home, round after round: everything that may want the warehouse, beside readers in loops.

    python -m benchmarks.concurrency --home HOME --night 2011-02-09 --minutes 30

HOME is a shop home that holds two nights at least; it is worked on in a copy, with its UI and daemon running. In each
round these start at once: two nights and a backfill of the night before from terminals, the same night and one asset by
hand in the UI, a file that arrives in landing (the sensor loads it), a backup, a status. Meanwhile `--readers`
processes open the published file, ask it a few questions and close it again. In the first rounds a night from a
terminal and one of the UI are killed (SIGKILL) at work.

Nothing may fail but what was killed; no reader may get an error or see tables of different nights; each backup is
restored and looked through by the doctor; the runs that were killed must be marked as failed within a minute, while
the others go on. Exit status 1 otherwise.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import yaml

from benchmarks.dagster_ui import UNFINISHED, DagsterUi, ui_of
from ecom_pipeline.operations.backup import restore
from ecom_pipeline.operations.doctor import examine
from ecom_pipeline.settings import Home

COMMAND = [sys.executable, "-m", "ecom_pipeline"]
LONGEST_SECONDS = 1800
NOTICED_SECONDS = 60
QUESTIONS = """
SELECT (SELECT as_of FROM about), (SELECT max(as_of) FROM sales_forecasts), (SELECT max(as_of) FROM recommendations),
  (SELECT count(DISTINCT as_of) FROM sales_forecasts) = (SELECT nights FROM about),
  (SELECT count(*) FROM sales_daily),
  (SELECT count(*) FROM ingest_files WHERE in_core AND rows_in <> rows_core + rows_quarantined + rows_duplicate)
"""


@dataclass
class Tally:
    """What was tried, and what went wrong."""

    rounds: int = 0
    commands: int = 0
    backups: int = 0
    noticed: list[float] = field(default_factory=list)
    """Seconds until a run that was killed was marked as failed."""
    killed: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


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
        settings_file = Home(root).settings_file
        settings = yaml.safe_load(settings_file.read_text(encoding="utf-8"))
        half_a_day_away = (time.gmtime().tm_hour + 12) % 24
        # it is about queues, not about training; and the schedule must not start a night of today
        settings |= {"retrain_after_days": 3650, "schedule_time": f"{half_a_day_away:02}:00"}
        settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
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
    tally = Tally()
    began = time.monotonic()
    with ui_of(root, root.parent / "ui.log") as ui:
        while time.monotonic() < began + 60 * minutes or tally.rounds == 0:
            one_round(root, night, ui, tally)
            print(f"{(time.monotonic() - began) / 60:5.1f} min, round {tally.rounds}: {tally.wrong}", flush=True)
        wait_for_the_queue(ui, tally)
        runs = ui.runs()
    held = (time.monotonic() - began) / 60
    tally.wrong += [
        f"run {run_id} of {run['jobName']}: {run['status']}"
        for run_id, run in runs.items()
        if run["status"] != "SUCCESS" and run_id not in tally.killed
    ]
    stop.set()
    answers = [told.get(timeout=60) for _ in analysts]
    for analyst in analysts:
        analyst.join()
    errors = Counter(error for answer in answers for error in answer["errors"])
    looks, files = sum(answer["looks"] for answer in answers), max((answer["files"] for answer in answers), default=0)
    tally.wrong += [f"{count} x reader: {error}" for error, count in errors.items()]
    tally.wrong += [f"at the end: {found.what}" for found in examine(Home(root)) if found.level == "damaged"]
    by_job = Counter(run["jobName"] for run in runs.values())
    waited = max((run["startTime"] - run["creationTime"] for run in runs.values() if run["startTime"]), default=0.0)
    print(f"held {held:.1f} minutes: {tally.rounds} rounds, {tally.commands} commands, runs by job: {dict(by_job)}")
    print(f"longest wait in Dagster's queue: {waited:.0f} s; backups restored and whole: {tally.backups}")
    print(f"killed: {len(tally.killed)}, marked as failed after {[round(seconds) for seconds in tally.noticed]} s")
    print(f"readers: {readers}; looks at the published file: {looks:,}; different files seen: {files}")
    print(f"wrong: {len(tally.wrong)}")
    for what in tally.wrong:
        print(f"  WRONG {what}")
    return bool(tally.wrong)


def one_round(root: Path, night: date, ui: DagsterUi, tally: Tally) -> None:
    """Start everything at once, and wait for the commands."""
    before = night - timedelta(days=1)
    home = ["--home", str(root)]
    backup = root.parent / f"backup-{tally.rounds}"
    commands = [
        ["nightly", *home, "--as-of", str(night), "--quiet"],
        ["nightly", *home, "--as-of", str(night), "--quiet"],
        ["backfill", *home, "--from", str(before), "--to", str(before), "--quiet"],
        ["backup", str(backup), *home, "--quiet"],
        ["status", *home],
    ]
    arrive(root, tally.rounds)
    by_hand = ui.launch("nightly", night=night)
    ui.launch("__ASSET_JOB", asset="quarantine_summary")
    started = [(command, started_command(command)) for command in commands]
    tally.commands += len(started) + 2
    if tally.rounds == 0:
        victim = started_command(commands[0])
        tally.commands += 1
        if (run_id := kill_at_work(root, tally, pid=victim.pid)) is not None:
            see_it_noticed(ui, run_id, tally)
        victim.communicate()
    elif tally.rounds == 1 and kill_at_work(root, tally, run_id=by_hand) is not None:
        see_it_noticed(ui, by_hand, tally)
    for command, process in started:
        try:
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            tally.wrong.append(f"{command[0]}: did not end within {LONGEST_SECONDS} s")
            continue
        if process.returncode != 0:
            tally.wrong.append(f"{command[0]}: exit {process.returncode}: {errors.strip()[-300:]}")
    if backup.exists():
        look_through(backup, tally)
    tally.rounds += 1


def started_command(command: list[str]) -> subprocess.Popen[str]:
    """A command of the pipeline, started."""
    return subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def arrive(root: Path, number: int) -> None:
    """A file arrives in landing: some rows of the last one again, under invoices of their own."""
    orders = Home(root).landing / "orders"
    last = sorted(file for file in orders.glob("*.csv") if not file.stem.startswith("late"))[-1]
    header, *rows = last.read_text(encoding="utf-8").splitlines()
    mine = [f"9{number:05}{row[row.index(',') :]}" for row in rows[:5] if not row.startswith("C")]
    (orders / f"late-{number}.csv").write_text("\n".join([header, *mine]) + "\n", encoding="utf-8")


def kill_at_work(root: Path, tally: Tally, *, pid: int | None = None, run_id: str | None = None) -> str | None:
    """Kill the run of a process, or the process of a run, in one of its steps; the run's id, None if none began."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        for line in steps_logged(root):
            if line["event"] == "started" and (line["pid"] == pid or line["run"] == run_id):
                os.kill(int(line["pid"]), signal.SIGKILL)
                tally.killed.add(str(line["run"]))
                return str(line["run"])
        time.sleep(0.5)
    tally.wrong.append(f"the run that was to be killed ({pid or run_id}) did not start")
    return None


def steps_logged(root: Path) -> Iterator[dict[str, Any]]:
    """The lines of the log of steps."""
    for file in sorted((root / "logs").glob("steps-*.jsonl")):
        yield from (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())


def see_it_noticed(ui: DagsterUi, run_id: str, tally: Tally) -> None:
    """Wait until Dagster has the run as failed."""
    began = time.monotonic()
    while ui.runs()[run_id]["status"] in UNFINISHED:
        if time.monotonic() - began > 5 * NOTICED_SECONDS:
            tally.wrong.append(f"run {run_id} was killed, and still counts as running")
            return
        time.sleep(1)
    tally.noticed.append(time.monotonic() - began)
    if tally.noticed[-1] > NOTICED_SECONDS:
        tally.wrong.append(f"run {run_id} was killed, and marked as failed after {tally.noticed[-1]:.0f} s only")


def look_through(backup: Path, tally: Tally) -> None:
    """Restore a backup, have the doctor look at it, and clear both away."""
    home = Home(backup.with_name(f"{backup.name}-restored"))
    restore(backup, home)
    damaged = [found.what for found in examine(home) if found.level == "damaged"]
    tally.wrong += [f"{backup.name}: {what}" for what in damaged]
    tally.backups += not damaged
    shutil.rmtree(backup)
    shutil.rmtree(home.root)


def wait_for_the_queue(ui: DagsterUi, tally: Tally) -> None:
    """Until every run has ended."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while any(run["status"] in UNFINISHED for run in ui.runs().values()):
        if time.monotonic() > deadline:
            tally.wrong.append("the queue did not empty")
            return
        time.sleep(2)


def read_in_loops(file: Path, stop: Event, told: Any) -> None:
    """An analyst: opens the file, looks, closes it, until told to stop."""
    looks, errors, seen = 0, [], set()
    while not stop.is_set():
        try:
            with duckdb.connect(str(file), read_only=True, config={"threads": 1}) as connection:
                ((as_of, forecasts, recommended, nights, days, unequal),) = connection.execute(QUESTIONS).fetchall()
                stop.wait(0.5)
                again = connection.execute(QUESTIONS).fetchall()
            if again != [(as_of, forecasts, recommended, nights, days, unequal)]:
                errors.append("an open file changed")
            if not as_of == forecasts == recommended or not nights or unequal or not days:
                errors.append(f"half a night: {as_of}, {forecasts}, {recommended}, {nights}, {unequal}")
            seen.add(file.stat().st_ino)
        except (duckdb.Error, OSError) as error:
            errors.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        looks += 1
        stop.wait(0.5)
    told.put({"looks": looks, "errors": errors, "files": len(seen)})


if __name__ == "__main__":
    main()
