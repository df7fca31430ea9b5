"""The steps of a full and of an incremental night over a generated shop, beside the limit of the machine.

    python -m benchmarks.scale --events 1e6
    python -m benchmarks.scale --events 1e6 1e7 --memory-limit 4GB

Every step runs in a process of its own, so that its peak memory is its own. Seconds by the clock depend on who else is
busy, CPU seconds (all threads) do less; ratios to the bars are of CPU seconds. Imports are not counted; opening the
warehouse, which a night does once in its one process, is a step of its own.
"""

import argparse
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from ecom_pipeline import contracts
from ecom_pipeline.contracts import literal
from ecom_pipeline.orchestration.assets.ingest import CORE_TABLES_FROM, FEEDS, raw_table
from ecom_pipeline.orchestration.questions import MADE_BY_MODELS
from ecom_pipeline.sample import ShopPlan, generate_shop
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources import SourceProfile, load_landing, read_profile, update_core
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline.steps.refreshing import made_of
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline.warehouse import Warehouse, open_warehouse

FIRST_DAY = date(2025, 1, 1)
DAYS = 101
"""A hundred for the full night, and one more, a hundredth, for the incremental one."""
EVENTS_PER_VISIT = 6.0
Step = Literal[
    "limit: read files",
    "opening",
    "raw",
    "core",
    "validation of core",
    "limit: sort",
    "features",
    "marts",
    "validation of features and marts",
    "forecaster",
    "forecasts",
    "recommender",
    "recommendations",
    "purchase predictions",
    "similar items",
    "next steps",
    "segments",
    "validation of results",
    "publishing",
    "report",
]
DATA: tuple[Step, ...] = ("opening", "raw", "core", "validation of core", "features", "marts")
TRAINING: tuple[Step, ...] = ("forecaster", "recommender")
SCORING: tuple[Step, ...] = (
    "forecasts",
    "recommendations",
    "purchase predictions",
    "similar items",
    "next steps",
    "segments",
    "validation of results",
)
EVERY_ROW: tuple[Step, ...] = ("validation of features and marts", "publishing", "report")
"""What looks at every row each night."""
INCREMENTAL: tuple[Step, ...] = (*DATA, *SCORING, *EVERY_ROW)


@dataclass(frozen=True)
class Measure:
    """What one step took: rows, seconds, peak resident memory of its process."""

    step: str
    rows: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    tables: dict[str, tuple[float, str]]
    """Table -> CPU seconds, and what of it was made anew; of steps that make several."""


def plan_of(events: int, file_format: Literal["csv", "parquet"]) -> ShopPlan:
    """A shop with so many browse events in its first hundred days; users and items grow with it to 1 M and 100 k."""
    return ShopPlan(
        seed=1,
        first_day=FIRST_DAY,
        days=DAYS,
        users=min(1_000_000, max(100, events // 50)),
        items=min(100_000, max(50, events // 1_000)),
        visits_per_day=events / EVENTS_PER_VISIT / (DAYS - 1),
        file_format=file_format,
    )


class Night:
    """The steps of one night over a home in `root`."""

    def __init__(self, root: Path, as_of: date, settings: Settings) -> None:
        self.home = Home(root)
        self.as_of = as_of
        self.settings = settings
        self.tables: dict[str, tuple[float, str]] = {}

    def measured(self, step: Step) -> Measure:
        """Run a step in this process and measure it."""
        work: dict[Step, Callable[[_Opened], int]] = {
            "limit: read files": self._read_files,
            "opening": lambda _: 0,
            "raw": self._raw,
            "core": self._core,
            "validation of core": self._validation,
            "limit: sort": self._sort,
            "features": self._features,
            "marts": self._marts,
            "validation of features and marts": partial(self._validation_of, (*FEATURE_ORDER, *TRAJECTORY_ORDER)),
            "validation of results": self._validation_of_results,
            "publishing": self._publishing,
            "report": self._report,
        }
        for name in (*TRAINING, *SCORING):
            work.setdefault(name, partial(self._of_models, name))
        _import_what_it_needs(step)
        opened = _Opened(self.home, self.settings)
        if step not in ("opening", "limit: read files"):
            opened.open()
        wall, cpu = time.monotonic(), time.process_time()
        if step == "opening":
            opened.open()
        rows = work[step](opened)
        opened.close()
        return Measure(
            step=step,
            rows=rows,
            wall_s=time.monotonic() - wall,
            cpu_s=time.process_time() - cpu,
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            tables=self.tables,
        )

    def _read_files(self, _: "_Opened") -> int:
        """What DuckDB needs to put the same files in tables, and nothing else; in a file, as the warehouse is one."""
        with tempfile.TemporaryDirectory(dir=self.home.root) as folder:
            connection = duckdb.connect(str(Path(folder) / "limit.duckdb"), config=self._limits())
            rows = 0
            for feed in FEEDS:
                found = sorted((self.home.landing / feed).iterdir())
                read = "read_parquet" if found[0].suffix == ".parquet" else "read_csv"
                # rows that break the detected types, as every export has some, would stop it
                options = "" if read == "read_parquet" else ", all_varchar = true, ignore_errors = true"
                listed = "[" + ", ".join(literal(str(file)) for file in found) + "]"
                connection.execute(f"CREATE TABLE {feed} AS FROM {read}({listed}{options})").fetchall()
                ((count,),) = connection.execute(f"SELECT count(*) FROM {feed}").fetchall()
                rows += int(count)
            connection.close()
        return rows

    def _limits(self) -> dict[str, str | bool | int | float | list[str]]:
        limits: dict[str, str | bool | int | float | list[str]] = {}
        if self.settings.threads is not None:
            limits["threads"] = self.settings.threads
        if self.settings.memory_limit is not None:
            limits["memory_limit"] = self.settings.memory_limit
        return limits

    def _raw(self, on: "_Opened") -> int:
        report = load_landing(on.warehouse, landing=self.home.landing, profile=on.profile, run_id="scale")
        if report.refused or not report.files_loaded:
            raise RuntimeError(f"{report.files_loaded} of {report.files_found} files loaded, refused: {report.refused}")
        return report.rows_in

    def _core(self, on: "_Opened") -> int:
        return update_core(on.warehouse, profile=on.profile, run_id="scale").rows_in

    def _validation(self, on: "_Opened") -> int:
        raw = sum(self._validated(on, raw_table(on.profile, feed)) for feed in FEEDS)
        return raw + self._validation_of(CORE_TABLES_FROM, on)

    def _validation_of(self, names: Iterable[str], on: "_Opened") -> int:
        return sum(self._validated(on, contracts.table(name)) for name in names)

    def _validated(self, on: "_Opened", declared: contracts.Table) -> int:
        from ecom_pipeline.quality import validate

        validate(on.warehouse, declared, as_of=self.as_of, run_id="scale")
        return int(on.warehouse.scalar(f"SELECT count(*) FROM {declared.name}"))

    def _validation_of_results(self, on: "_Opened") -> int:
        from ecom_pipeline.quality import check_forecasts, check_recommendations

        rows = self._validation_of(MADE_BY_MODELS, on)
        for check in (check_forecasts, check_recommendations):
            check(on.warehouse, settings=self.settings, as_of=self.as_of, run_id="scale")
        return rows

    def _publishing(self, on: "_Opened") -> int:
        from ecom_pipeline.steps.publishing import publish_shop

        published = publish_shop(
            on.warehouse, home=self.home, settings=self.settings, profile=on.profile, night=self.as_of
        )
        return sum(published.rows.values())

    def _report(self, on: "_Opened") -> int:
        from ecom_pipeline.report import report_beside, write_report

        target = report_beside(self.home.published_file)
        return write_report(self.home.published_file, target, currency=on.profile.shop.currency).bytes

    def _sort(self, on: "_Opened") -> int:
        result = on.warehouse.connection.execute(
            "SELECT user_id, item_id, event_ts FROM core_events ORDER BY user_id, event_ts"
        ).to_arrow_reader(100_000)
        return sum(batch.num_rows for batch in result)

    def _features(self, on: "_Opened") -> int:
        return sum(self._made(on, name, build_feature) for name in FEATURE_ORDER)

    def _marts(self, on: "_Opened") -> int:
        return sum(self._made(on, name, build_trajectory) for name in TRAJECTORY_ORDER)

    def _made(self, on: "_Opened", name: str, build: Callable[..., int]) -> int:
        cpu = time.process_time()
        rows = build(on.warehouse, name, profile=on.profile, settings=self.settings, as_of=self.as_of)
        self.tables[name] = time.process_time() - cpu, made_of(on.warehouse, name) or "the rows of the night"
        return rows

    def _of_models(self, step: Step, on: "_Opened") -> int:
        """Train, or write what the models say: the rows that were learnt from, or written."""
        from ecom_pipeline.steps import forecast, next_steps, recommend, recommend_training, segments

        night: dict[str, Any] = {"home": self.home, "settings": self.settings, "as_of": self.as_of}
        if step == "forecaster":
            forecast.train_forecaster(on.warehouse, country=on.profile.shop.country, **night)
            return int(on.warehouse.scalar("SELECT count(*) FROM feat_sales_daily"))
        if step == "recommender":
            recommend_training.train_recommender(on.warehouse, **night)
            return int(on.warehouse.scalar("SELECT count(*) FROM feat_user_events"))
        if step == "segments":
            return segments.segment_users(on.warehouse, time_zone=on.profile.shop.time_zone, **night).users
        scoring: dict[Step, Callable[..., Any]] = {
            "forecasts": forecast.forecast_sales,
            "recommendations": recommend.recommend,
            "purchase predictions": recommend.predict_purchases,
            "similar items": recommend.similar_items,
            "next steps": next_steps.predict_next_steps,
        }
        return int(scoring[step](on.warehouse, **night).rows)


class _Opened:
    """The warehouse and the profile of a home, from `open` to `close`."""

    warehouse: Warehouse
    profile: SourceProfile

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._context = ExitStack()

    def open(self) -> None:
        """Read the profile and open the warehouse."""
        self.profile = read_profile(self._settings.profile, base=self._home.root)
        self.warehouse = self._context.enter_context(open_warehouse(self._home.warehouse_file, self._settings))

    def close(self) -> None:
        """Close the warehouse, if it was opened, with what DuckDB writes then."""
        self._context.close()


def _import_what_it_needs(step: Step) -> None:
    if step == "features":
        import holidays.countries  # noqa: F401
    if step.startswith("validation"):
        import ecom_pipeline.quality.expectations
    if step == "publishing":
        import ecom_pipeline.steps.publishing
    if step == "report":
        import ecom_pipeline.report
    if step in (*TRAINING, *SCORING) and not step.startswith("validation"):
        import ecom_pipeline.steps.forecast
        import ecom_pipeline.steps.recommend_training  # noqa: F401


PARQUET_PROFILE = "parquet.yaml"


def write_parquet_profile(root: Path) -> None:
    """The sample's profile, with Parquet files in place of CSV files."""
    bundled = files("ecom_pipeline").joinpath("sources", "profiles", "sample.yaml").read_text(encoding="utf-8")
    patterns = 'files: ["*.csv", "*.csv.gz"]'
    if bundled.count(patterns) != len(FEEDS):
        raise ValueError(f"the sample's profile has another line than {patterns} for some of its feeds")
    (root / PARQUET_PROFILE).write_text(
        bundled.replace(patterns, 'format: parquet\n    files: ["*.parquet"]'), encoding="utf-8"
    )


def measure_in_process(root: Path, step: Step, as_of: date, memory_limit: str | None) -> Measure:
    """Run a step in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--home", str(root), "--as-of", str(as_of)]
    command += ["--memory-limit", memory_limit] if memory_limit is not None else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measure = Measure(**json.loads(done.stdout.splitlines()[-1]))
    print(
        f"| {measure.step} | {measure.rows:,} | {measure.wall_s:.1f} | {measure.cpu_s:.1f} "
        f"| {measure.rows / measure.wall_s:,.0f} | {measure.peak_mib:,.0f} |",
        flush=True,
    )
    return measure


HEADER = "| step | rows | seconds | CPU seconds | rows/s | peak MiB |\n|---|---|---|---|---|---|"


def run_size(
    root: Path, events: int, *, file_format: Literal["csv", "parquet"], memory_limit: str | None, steps: list[Step]
) -> dict[Step, Measure]:
    """Generate a shop, run its full night and its incremental one, print them; returns the full night's measures."""
    plan = plan_of(events, file_format)
    exports = root / "exports"
    generate_shop(exports, plan)
    if file_format == "parquet":
        write_parquet_profile(root)
    last_full, last = plan.last_day - timedelta(days=1), plan.last_day
    landing = root / "landing"
    for feed in FEEDS:
        (landing / feed).mkdir(parents=True, exist_ok=True)
        for file in sorted((exports / feed).iterdir()):
            if str(last) not in file.name:
                file.rename(landing / feed / file.name)
    print(f"\n### {events:,} browse events, {plan.users:,} users, {plan.items:,} items, {file_format}\n")
    print(f"Load before the start: {os.getloadavg()[0]:.1f}. Full night:\n\n{HEADER}")
    full = {step: measure_in_process(root, step, last_full, memory_limit) for step in steps}
    for feed in FEEDS:
        for file in sorted((exports / feed).iterdir()):
            file.rename(landing / feed / file.name)
    print(f"\nIncremental night, one day more:\n\n{HEADER}")
    again = {step: measure_in_process(root, step, last, memory_limit) for step in INCREMENTAL if step in steps}
    print("\n| table | full night, CPU seconds | incremental night | of which is made anew |\n|---|---|---|---|")
    for step, measure in again.items():
        for name, (cpu, made) in measure.tables.items():
            print(f"| {name} | {full[step].tables[name][0]:.2f} | {cpu:.2f} | {made} |")
    print()
    for line in verdicts(full, again):
        print(f"- {line}")
    return full


def verdicts(full: dict[Step, Measure], again: dict[Step, Measure]) -> list[str]:
    """The ratios that the bars are about, in CPU seconds."""
    lines = []
    ingest = full["raw"].cpu_s + full["core"].cpu_s
    lines.append(f"ingest: {full['limit: read files'].cpu_s / ingest:.2f} of the rate of bare CREATE TABLE AS (bar .5)")
    lines.append(f"validation: {full['validation of core'].cpu_s / ingest:.2f} of the ingest's time (bar .33)")
    tables = full["features"].cpu_s + full["marts"].cpu_s
    lines.append(f"features and marts: {tables / full['limit: sort'].cpu_s:.1f} times the bare sort (bar 3)")
    parts: dict[str, list[Step]] = {
        "data steps": [step for step in again if step in DATA],
        "these, checks of features and marts, and publishing": [step for step in again if step in (*DATA, *EVERY_ROW)],
    }
    if len(again) > len(DATA) + len(EVERY_ROW):
        parts["all of these and what the models write"] = list(again)
    for words, steps in parts.items():
        share = sum(again[step].cpu_s for step in steps) / sum(full[step].cpu_s for step in steps)
        lines.append(f"incremental night, {words}: {share:.1%} of the full night's time (bar 5 %)")
    lines.append(f"peak memory: {max(measure.peak_mib for measure in full.values()):,.0f} MiB")
    return lines


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=[1e6])
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--memory-limit", default=None, help="of DuckDB, such as 4GB")
    parser.add_argument("--without-models", action="store_true", help="leave out the models and what they write")
    parser.add_argument("--scratch", type=Path, default=None, help="where shops are made (default: the system's)")
    parser.add_argument("--step", choices=get_args(Step), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as-of", type=date.fromisoformat, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        profile = PARQUET_PROFILE if (given.home / PARQUET_PROFILE).exists() else "sample"
        settings = Settings(profile=profile, memory_limit=given.memory_limit)
        print(json.dumps(asdict(Night(given.home, given.as_of, settings).measured(given.step))))
        return
    steps = [step for step in get_args(Step) if not (given.without_models and step in (*TRAINING, *SCORING))]
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )
    runs = {}
    for events in sorted(int(size) for size in given.events):
        root = Path(tempfile.mkdtemp(prefix="scale-", dir=given.scratch))
        try:
            runs[events] = run_size(
                root, events, file_format=given.format, memory_limit=given.memory_limit, steps=steps
            )
        finally:
            shutil.rmtree(root)
    if len(runs) > 1:
        smallest, largest = min(runs), max(runs)
        print(f"\nGrowth from {smallest:,} to {largest:,} events, exponent of CPU seconds (bar 1.05):\n")
        for step in steps:
            if step == "opening":
                continue
            factor = runs[largest][step].cpu_s / runs[smallest][step].cpu_s
            print(f"- {step}: {math.log(factor) / math.log(largest / smallest):.2f}")


if __name__ == "__main__":
    main()
