"""Kills nights at random moments (SIGKILL) and looks at what is left: a harness for the promise that nothing is lost.

    python -m benchmarks.crashes --source DIR --moments 100 --work /tmp/crashes

DIR holds the by-day files of online_retail (default: the shared data). A small home is made of some weeks of it, and
two nights are run. Then, moment after moment, the next night is started on a copy and killed: in every step in turn,
at a random point of its usual duration. After each kill

- the warehouse opens, and every block of it can be read;
- the ledger agrees with the tables;
- the published file is whole: all its rows are those of the night before, or all are those of the new night;
- the night, run again, ends, and every table of warehouse and published file is as after a night never disturbed.
  With `--chain N` it is killed N times in a row, and this last point is looked at after the N-th.

With `--images` one night gives a moment for each of its steps: at a random point of the step it is stopped (SIGSTOP),
its home is copied as it lies on the disk, which is what SIGKILL would have left, and it goes on. Each copy is looked at
as above; in one of `--again-every` of them the night is run again and compared.

Each moment is written to `moments.jsonl` in the work folder as soon as it is judged; the harness, started again, goes
on where it left off. Nights run in forked children of a process that has imported everything, the networks train for a
few steps, and Great Expectations, which only reads, is not asked (its results are written as if every rule held), so
that a night takes seconds. Exit status 1 if anything was lost.
"""

import argparse
import csv
import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ecom_pipeline.settings import Home

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ECOM_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
FORK = multiprocessing.get_context("fork")
HEAVY = (
    "tensorflow", "keras", "mlflow.tracking", "matplotlib.pyplot", "scipy.sparse.linalg",
    "pyarrow.parquet", "alembic", "ecom_pipeline.definitions", "ecom_pipeline.forecasting",
    "ecom_pipeline.forecasting.forecaster", "ecom_pipeline.recommending.fitting", "ecom_pipeline.steps.forecast",
    "ecom_pipeline.steps.recommend", "ecom_pipeline.quality.gx", "ecom_pipeline.orchestration.running",
    "ecom_pipeline.orchestration.plots", "ecom_pipeline.warehouse.publishing", "ecom_pipeline.operations.doctor",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store",
)  # fmt: skip
SETTINGS = {
    "horizon_days": 7,
    "backtest_windows": 1,
    "forecast_time_budget_seconds": 3600,
    "next_item_time_budget_seconds": 3600,
    "next_item_model": "gru",
    "recommendations_per_user": 5,
    "similar_items_per_item": 5,
    "retrain_after_days": 1,
    # a day of few orders may have one bad row in six
    "max_bad_row_share": 1,
    "threads": 1,
}
SHORT_PLAN = {"steps": 2, "final_steps": 2, "update_steps": 2, "units": 8, "hidden": 8, "batch_size": 16}
OF_THE_RUN = {"run_id", "published_at", "loaded_at", "modified_at", "made", "parts", "read_with"}
"""Columns that tell of the run: `made` says how much of a table it had to make anew, `parts` how often rows were read
that had changed, `read_with` when the published file was put in its place."""
BEFORE_FIRST = "before the first step"
AFTER_LAST = "after the last step"


@dataclass(frozen=True)
class Moment:
    """One kill and what it left; `lost` lists everything that was not as promised."""

    number: int
    step: str
    share: float
    killed: bool
    published: str
    compared: bool
    lost: tuple[str, ...]
    seconds: float


def main() -> None:
    """Run the harness as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=SHARED / "online_retail" / "by-day")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the homes; started again, it goes on there"
    )
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=None, help="stop after so long; started again, it goes on")
    parser.add_argument("--weeks", type=int, default=10, help="weeks of orders in the home")
    parser.add_argument("--one-in", type=int, default=25, help="keep one product in so many")
    parser.add_argument("--chain", type=int, default=1, help="kills in a row before the night may end")
    parser.add_argument("--images", action="store_true", help="stop and copy one night in all its steps, kill none")
    parser.add_argument(
        "--again-every", type=int, default=10, help="with --images: run the night again in one of so many"
    )
    parser.add_argument("--nights", type=int, default=2, help="nights that the home has before the one that is killed")
    parser.add_argument("--no-control", action="store_true", help="do not try first that two undisturbed nights agree")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    preload()
    plan = prepare(
        arguments.work,
        source=arguments.source,
        weeks=arguments.weeks,
        one_in=arguments.one_in,
        nights=arguments.nights,
        with_control=not arguments.no_control,
    )
    if arguments.images:
        from benchmarks.crash_images import images_of_nights

        moments = images_of_nights(
            arguments.work,
            plan,
            moments=arguments.moments,
            seed=arguments.seed,
            every=arguments.again_every,
            minutes=arguments.minutes,
        )
        sys.exit(1 if summarise(moments) else 0)
    journal = arguments.work / "moments.jsonl"
    done = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    for number in range(len(done), arguments.moments):
        if arguments.minutes is not None and time.monotonic() - began > 60 * arguments.minutes:
            break
        is_last = (number + 1) % arguments.chain == 0 or number + 1 == arguments.moments
        moment = try_moment(arguments.work, plan, number=number, seed=arguments.seed, ends_chain=is_last)
        done.append(asdict(moment))
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[-1]) + "\n")
        verdict = "; ".join(moment.lost) or "nothing lost"
        print(f"{number + 1:4d}  {moment.step:28s} {moment.share:4.0%}  {moment.published:12s} {verdict}", flush=True)
    sys.exit(1 if summarise(done) else 0)


def summarise(done: list[dict[str, Any]]) -> bool:
    """Print moments tried by step, and anything lost; whether anything was."""
    killed = [moment for moment in done if moment["killed"]]
    lost = [moment for moment in done if moment["lost"]]
    print(
        f"\nmoments tried: {len(done)}; killed before the end: {len(killed)}; moments with anything lost: {len(lost)}"
    )
    print(
        "published file after the kill: "
        + ", ".join(f"{n} {k}" for k, n in Counter(m["published"] for m in done).items())
    )
    print("by step: " + ", ".join(f"{step} {n}" for step, n in sorted(Counter(m["step"] for m in killed).items())))
    for moment in lost:
        print(f"  LOST at moment {moment['number'] + 1} ({moment['step']}, {moment['share']:.0%}): {moment['lost']}")
    return bool(lost)


def preload() -> None:
    """Import, once, everything that a night imports; shorten the training of networks, leave out Great Expectations."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    for name in HEAVY:
        importlib.import_module(name)
    # compiling takes longer than ten steps do
    importlib.import_module("tensorflow").config.run_functions_eagerly(True)
    forecaster = importlib.import_module("ecom_pipeline.forecasting.forecaster")
    plan = forecaster.TrainingSettings
    forecaster.TrainingSettings = lambda: plan(**SHORT_PLAN)  # type: ignore[attr-defined]
    recommending = importlib.import_module("ecom_pipeline.recommending.fitting")
    schedule = recommending.schedule
    recommending.schedule = lambda *sizes: (1, schedule(*sizes)[1])  # type: ignore[attr-defined]
    # Dagster makes an engine for each event, and each compiles its statements anew
    events = importlib.import_module("dagster._core.storage.event_log.sqlite.sqlite_event_log")
    new_engine = events.create_engine

    @functools.cache
    def engine(url: str) -> Any:
        return new_engine(url, poolclass=events.NullPool, connect_args={"timeout": 60})

    events.create_engine = lambda url, **options: engine(url)  # type: ignore[attr-defined]
    gx = importlib.import_module("ecom_pipeline.quality.gx")
    gx.contract_suite = lambda table, rules: ("schema", *rules)  # type: ignore[attr-defined]

    def run_suite(
        connection: Any, table: Any, suite: Any, *, rows: str | None = None, where: str | None = None
    ) -> list[Any]:
        """Everything holds, of as many rows as were asked about."""
        asked = f"SELECT count(*) FROM {rows or table.name} WHERE {where or 'TRUE'}"
        found = connection.execute(asked).fetchone()[0]
        return [gx.Outcome(expectation="not_asked", success=True, rows_checked=found, rows_unexpected=0) for _ in suite]

    gx.run_suite = run_suite  # type: ignore[attr-defined]


def prepare(work: Path, *, source: Path, weeks: int, one_in: int, nights: int, with_control: bool) -> dict[str, Any]:
    """The home after some nights (`base`), and what one more, undisturbed, makes of it; made once."""
    kept = work / "plan.json"
    if kept.exists():
        plan: dict[str, Any] = json.loads(kept.read_text())
        return plan
    shutil.rmtree(work, ignore_errors=True)
    exports = work / "exports"
    last = make_exports(source, exports, weeks=weeks, one_in=one_in)
    night = last - timedelta(days=1)
    base = Home(work / "base")
    newest = exports / f"{last}.csv"
    held = work / newest.name
    newest.rename(held)
    in_child(_make_home, base.root, exports)
    began = time.monotonic()
    for days_before in range(nights - 1, -1, -1):
        in_child(whole_night, base.root, night - timedelta(days=days_before))
    in_child(_promote, base.root)
    print(f"{nights} nights of the base home: {time.monotonic() - began:.0f} s", flush=True)
    shutil.copy2(held, base.landing / "orders" / newest.name)
    undisturbed = Home(work / "undisturbed")
    shutil.copytree(base.root, undisturbed.root)
    began = time.monotonic()
    steps = in_child(whole_night, undisturbed.root, last)
    plan = {
        "night": str(last),
        "seconds": time.monotonic() - began,
        "steps": steps,
        "old": in_child(published_digests, base.published_file),
        "new": in_child(published_digests, undisturbed.published_file),
        "warehouse": in_child(warehouse_digests, undisturbed.warehouse_file),
    }
    if with_control:
        again = Home(work / "again")
        shutil.copytree(base.root, again.root)
        in_child(whole_night, again.root, last)
        differing = _differing(plan["new"], in_child(published_digests, again.published_file))
        if differing:
            raise SystemExit(f"two undisturbed nights differ in {differing}: the harness could prove nothing")
        shutil.rmtree(again.root)
    kept.write_text(json.dumps(plan))
    print(f"an undisturbed night of {len(steps)} steps: {plan['seconds']:.1f} s", flush=True)
    return plan


def make_exports(source: Path, target: Path, *, weeks: int, one_in: int) -> date:
    """The first `weeks` of the by-day files with one product in `one_in`; returns the last day."""
    target.mkdir(parents=True)
    files = sorted(source.glob("*.csv"))
    if not files:
        raise SystemExit(f"{source}: no by-day files there; give their folder with --source")
    end = date.fromisoformat(files[0].stem) + timedelta(weeks=weeks)
    last = date.min
    for file in files:
        if (day := date.fromisoformat(file.stem)) > end:
            break
        with file.open(encoding="utf-8", newline="") as stream:
            header, *rows = list(csv.reader(stream))
        item = header.index("StockCode")
        kept = [row for row in rows if zlib.crc32(row[item].upper().encode()) % one_in == 0]
        if kept:
            with (target / file.name).open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows([header, *kept])
            last = day
    return last


def try_moment(work: Path, plan: dict[str, Any], *, number: int, seed: int, ends_chain: bool) -> Moment:
    """Kill the night at one moment, look at what is left; at the end of a chain run it again and compare."""
    began = time.monotonic()
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a moment is no secret
    steps = {BEFORE_FIRST: 0.5, **plan["steps"], AFTER_LAST: 0.3}
    order = sorted(steps)
    random.Random(f"{seed}/{number // len(order)}").shuffle(order)  # noqa: S311
    step, share = order[number % len(order)], rng.random()
    home = Home(work / "disturbed")
    if not home.root.exists():
        shutil.copytree(work / "base", home.root)
    night = date.fromisoformat(plan["night"])
    killed = _kill(home, night, step=step, after_seconds=share * steps[step])
    lost, published = in_child(what_is_left, home.root, plan)
    if ends_chain:
        lost += after_the_next_night(home, night, plan)
    if lost:
        shutil.copytree(home.root, work / f"lost-{number}", dirs_exist_ok=True)
    if ends_chain:
        shutil.rmtree(home.root)
    seconds = round(time.monotonic() - began, 1)
    return Moment(number, step, round(share, 3), killed, published, ends_chain, tuple(lost), seconds)


def after_the_next_night(home: Home, night: date, plan: dict[str, Any]) -> list[str]:
    """Run the night to its end; the tables that are not as after a night never disturbed."""
    try:
        in_child(whole_night, home.root, night)
        published = _differing(plan["new"], in_child(published_digests, home.published_file))
        warehouse = _differing(plan["warehouse"], in_child(warehouse_digests, home.warehouse_file))
    except RuntimeError as error:
        return [f"the next night failed: {error}"]
    return [
        *(f"published {name} differs after the next night" for name in published),
        *(f"warehouse {name} differs after the next night" for name in warehouse),
    ]


def _kill(home: Home, night: date, *, step: str, after_seconds: float) -> bool:
    """Start the night and kill it `after_seconds` after `step` has begun; False if it ended before."""
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=told_night, args=(home.root, night, theirs))
    child.start()
    theirs.close()
    wanted = ("started", step) if step not in (BEFORE_FIRST, AFTER_LAST) else ("run", step)
    try:
        while ours.recv() != wanted:
            pass
        child.join(after_seconds)
    except EOFError:
        child.join()
    killed = child.is_alive()
    child.kill()
    child.join()
    ours.close()
    return killed


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result, from a forked child: this process must start no threads.

    Raises:
        RuntimeError: with the child's error.
    """
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_answer, args=(theirs, function, arguments))
    child.start()
    theirs.close()
    try:
        succeeded, result = ours.recv()
    except EOFError:
        succeeded, result = False, "the child died without an answer"
    child.join()
    ours.close()
    if not succeeded:
        raise RuntimeError(result)
    return result


def _answer(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send((True, function(*arguments)))
    except BaseException as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))
        raise


def _make_home(root: Path, exports: Path) -> None:
    from ecom_pipeline.cli import homes

    homes.init(profile="online_retail", home=root, exports=exports, quiet=True)
    with Home(root).settings_file.open("a", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in SETTINGS.items())


def _promote(root: Path) -> None:
    """Have the networks score the nights: after so short a training the gate would leave that to the baselines."""
    from ecom_pipeline.registry import Registry
    from ecom_pipeline.registry.manifest import MODEL_NAMES

    home = Home(root)
    registry = Registry(home, home.settings())
    for model in MODEL_NAMES:
        version = registry.versions(model)[-1]
        if version.usable and version.decision != "promoted":
            registry.promote(model, version.name, reason="promoted by hand: the harness wants a champion")


class _Teller:
    """Tells the parent of each step, and keeps the seconds of each."""

    def __init__(self, pipe: Connection | None) -> None:
        self.pipe = pipe
        self.seconds: dict[str, float] = {}

    def waiting(self, seconds: float) -> None:
        """Nobody waits here."""

    def step_started(self, step: str) -> None:
        """Tell of it."""
        if self.pipe is not None:
            self.pipe.send(("started", step))

    def step_progress(self, step: str, stage: str, share: float | None) -> None:
        """Nothing."""

    def step_finished(self, step: str, *, seconds: float, rows: int | None, succeeded: bool) -> None:
        """Keep its seconds."""
        self.seconds[step] = seconds
        if self.pipe is not None and step == "analytics":
            self.pipe.send(("run", AFTER_LAST))


def told_night(root: Path, night: date, pipe: Connection) -> None:
    """Run a night, and tell of each step that begins."""
    from ecom_pipeline.orchestration.running import run_night

    pipe.send(("run", BEFORE_FIRST))
    run_night(Home(root), night, observer=_Teller(pipe))


def whole_night(root: Path, night: date) -> dict[str, float]:
    """Run a night to its end; seconds by step.

    Raises:
        RuntimeError: if it fails.
    """
    from ecom_pipeline.orchestration.running import run_night

    teller = _Teller(None)
    run = run_night(Home(root), night, observer=teller)
    if not run.succeeded:
        failures = [f"{failure.step}: {failure.message}" for failure in run.failures]
        raise RuntimeError(f"{failures} {[check.sentence for check in run.failed_checks if check.blocking]}")
    return teller.seconds


def what_is_left(root: Path, plan: dict[str, Any]) -> tuple[list[str], str]:
    """What is not as promised after a kill, and which published file stands: old, new or neither."""
    from ecom_pipeline.operations.doctor import examine

    home = Home(root)
    lost = [f"{found.part}: {found.what}" for found in examine(home) if found.level == "damaged"]
    there = published_digests(home.published_file)
    published = (
        "old" if not _differing(plan["old"], there) else "new" if not _differing(plan["new"], there) else "neither"
    )
    if published == "neither":
        lost.append(f"published file is neither: {_differing(plan['old'], there)}, {_differing(plan['new'], there)}")
    return lost, published


def published_digests(file: Path) -> dict[str, str]:
    """Digest of each published table's rows, but for what names the run and when it was."""
    return _digests(file, skip={"runs"})


def warehouse_digests(file: Path) -> dict[str, str]:
    """The same of the warehouse."""
    return _digests(file, skip={"runs"})


def _digests(file: Path, *, skip: set[str]) -> dict[str, str]:
    import duckdb

    digests = {}
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        for (name,) in tables:
            if name in skip:
                continue
            columns = connection.execute(
                "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
            ).fetchall()
            listed = ", ".join(f'"{column}"' for (column,) in columns if column not in OF_THE_RUN)
            rows = connection.execute(f'SELECT {listed} FROM "{name}" ORDER BY ALL').fetchall()
            text = repr([[_rounded(value) for value in row] for row in rows])
            digests[name] = f"{len(rows)} rows {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return digests


def _rounded(value: Any) -> Any:
    """Floats to 5 digits: a network that is trained again, after a kill, has been seen to differ in the tenth."""
    return f"{value:.5g}" if isinstance(value, float) else value


def _differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


if __name__ == "__main__":
    main()
