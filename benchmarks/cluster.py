"""Features and marts on a standalone Spark cluster of this machine, beside DuckDB: seconds of every table.

    python -m benchmarks.cluster --events 1e6 --workers 1 2
    python -m benchmarks.cluster --events 3e5 --workers 2 --skew 1e6     # one user with so many events, and an item in
                                                                         # a third of all orders
    python -m benchmarks.cluster --events 1e5 --workers 2 --kill         # a worker killed in the middle of every table

All tables are compared, row by row. Seconds by the clock depend on who else is busy, CPU seconds of the workers (in
brackets) and of DuckDB do less. Each run of the cluster begins with an empty storage root, so that the export of
the core tables is part of the first tables that read them. Needs the extra spark and Java 17.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scale import plan_of
from ecom_pipeline import contracts
from ecom_pipeline.sample import generate_shop
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import SourceProfile, load_landing, read_profile, update_core
from ecom_pipeline.spark.cluster import LocalCluster, local_cluster
from ecom_pipeline.spark.session import spark_session
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline.warehouse.spark_engine import SparkWarehouse
from ecom_pipeline_tests.spark.comparing import ABSOLUTE, RELATIVE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = (*FEATURE_ORDER, *TRAJECTORY_ORDER)
EXPECTED = "expected"
"""Name of the attached database that holds DuckDB's tables."""
Measured = dict[str, tuple[float, float]]
"""Table -> seconds by the clock, and of CPU."""
OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "8",
}


class Bench:
    """A generated shop with its core tables, and the night that everything is made for."""

    def __init__(self, warehouse: Warehouse, profile: SourceProfile, settings: Settings, as_of: date) -> None:
        self.warehouse, self.profile, self.settings, self.as_of = warehouse, profile, settings, as_of

    def build(self, name: str, warehouse: Warehouse) -> float:
        """Make one table; the seconds it took."""
        step: Callable[..., Any] = build_feature if name in FEATURE_ORDER else build_trajectory
        began = time.monotonic()
        step(warehouse, name, profile=self.profile, settings=self.settings, as_of=self.as_of)
        return time.monotonic() - began

    def keep(self, name: str) -> None:
        """Put the rows that a table has now aside, as those to expect."""
        self.warehouse.connection.execute(f"CREATE TABLE {EXPECTED}.{name} AS FROM {name}").fetchall()

    def differing(self, name: str) -> int:
        """Rows of a table that are not as expected, or are there on one side only.

        Floating-point numbers may differ in their last digits. Counted in the warehouse, which spills: the tables of
        fifty million events have no room in memory twice.
        """
        declared = contracts.table(name)
        key = declared.key or tuple(c.name for c in declared.columns if c.type != "DOUBLE")
        same_key = " AND ".join(f"ours.{column} IS NOT DISTINCT FROM theirs.{column}" for column in key)
        unequal = " OR ".join(
            f"(ours.{c.name} IS NULL) <> (theirs.{c.name} IS NULL)"
            f" OR abs(ours.{c.name} - theirs.{c.name}) > {ABSOLUTE} + {RELATIVE} * abs(ours.{c.name})"
            if c.type == "DOUBLE"
            else f"ours.{c.name} IS DISTINCT FROM theirs.{c.name}"
            for c in declared.columns
        )
        count: int = self.warehouse.scalar(
            f"SELECT count(*) FROM (SELECT *, true AS there FROM {EXPECTED}.{name}) AS ours "
            f"FULL JOIN (SELECT *, true AS there FROM {name}) AS theirs ON {same_key} "
            f"WHERE ours.there IS NULL OR theirs.there IS NULL OR {unequal}"
        )
        return count


@contextmanager
def generated(folder: Path, events: int) -> Iterator[Bench]:
    """A shop with so many browse events, its core tables made."""
    plan = plan_of(events, "csv")
    landing = folder / "landing"
    generate_shop(landing, plan)
    settings = Settings(profile="sample", memory_limit="4GB", threads=2)
    profile = read_profile("sample", base=folder)
    with open_warehouse(folder / "warehouse.duckdb", settings) as warehouse:
        load_landing(warehouse, landing=landing, profile=profile, run_id="bench")
        update_core(warehouse, profile=profile, run_id="bench")
        warehouse.connection.execute(
            f"ATTACH {contracts.literal(str(folder / 'expected.duckdb'))} AS {EXPECTED}"
        ).fetchall()
        yield Bench(warehouse, profile, settings, plan.last_day - timedelta(days=1))


def skew(warehouse: Warehouse, count: int) -> None:
    """Give one user `count` events more, and put one item into every third order."""
    first = warehouse.scalar("SELECT min(event_ts) FROM core_events")
    span = int(warehouse.scalar("SELECT date_diff('second', min(event_ts), max(event_ts)) FROM core_events"))
    rows = warehouse.scalar("SELECT count(*) FROM core_events")
    moment = f"TIMESTAMP '{first}' + to_seconds(k * {span} // {count})"
    _insert(
        warehouse,
        "core_events",
        {
            "user_id": "'skewed user'",
            "session_id": "concat('skewed ', k // 40)",
            "event_ts": moment,
            "event_date": f"CAST({moment} AS DATE)",
            "file_id": "(SELECT max(file_id) + 1 FROM core_events)",
            "line": "k",
        },
        # The place is a column of its own: an expression over a table function is joined by trying all pairs.
        f"(SELECT e.*, r.k FROM (SELECT range AS k, range % {rows} AS place FROM range({count})) AS r "
        "JOIN (SELECT *, row_number() OVER () - 1 AS place FROM core_events) AS e ON e.place = r.place)",
    )
    _insert(
        warehouse,
        "core_order_lines",
        {
            "item_id": "(SELECT min(item_id) FROM core_order_lines)",
            "file_id": "(SELECT max(file_id) + 1 FROM core_order_lines)",
            "line": "row_number() OVER ()",
        },
        "(SELECT * FROM core_order_lines WHERE hash(order_id) % 3 = 0 "
        "QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY line) = 1)",
    )


def _insert(warehouse: Warehouse, name: str, changed: dict[str, str], rows: str) -> None:
    columns = [row[0] for row in warehouse.connection.execute(f"DESCRIBE {name}").fetchall()]
    chosen = ", ".join(f"{changed.get(column, column)} AS {column}" for column in columns)
    warehouse.connection.execute(f"INSERT INTO {name} BY NAME SELECT {chosen} FROM {rows}").fetchall()


@contextmanager
def on_cluster(
    bench: Bench, folder: Path, *, workers: int, memory: str
) -> "Iterator[tuple[SparkWarehouse, LocalCluster, SparkSession]]":
    """The shop's warehouse with a cluster at work, whose executors are there."""
    options = {**OPTIONS, "spark.executor.memory": memory}
    with (
        local_cluster(workers=workers, cores=1, memory=memory) as cluster,
        spark_session(cluster.url, options=options) as spark,
    ):
        wait_for_executors(spark, workers)
        storage = folder / f"storage-{workers}-{time.monotonic_ns()}"
        warehouse = SparkWarehouse(bench.warehouse.connection, session=nullcontext(spark), storage=str(storage))
        try:
            yield warehouse, cluster, spark
        finally:
            warehouse.close_session()


def wait_for_executors(spark: "SparkSession", count: int) -> None:
    """Wait until so many executors are there."""
    until = time.monotonic() + 120
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < count + 1:
        if time.monotonic() > until:
            raise SystemExit(f"{count} executors did not come up in two minutes")
        time.sleep(0.1)


def cpu_of(cluster: LocalCluster) -> float:
    """CPU seconds so far of the cluster's workers and their executors, all that are alive."""
    groups = {worker.pid for worker in cluster.workers}
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if int(fields[2]) in groups:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Killer(threading.Thread):
    """Kills a worker as soon as tasks are at work."""

    def __init__(self, cluster: LocalCluster, spark: "SparkSession", victim: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.victim = cluster, victim
        self.tracker = spark.sparkContext.statusTracker()
        self.struck = False
        self.stopped = False

    def run(self) -> None:
        """Watch, and strike once."""
        while not self.stopped:
            for stage in self.tracker.getActiveStageIds():
                about = self.tracker.getStageInfo(stage)
                if about is not None and about.numActiveTasks > 0:
                    self.cluster.kill_worker(self.victim)
                    self.struck = True
                    return
            time.sleep(0.005)


def killed_in_each(bench: Bench, folder: Path, tables: Iterable[str], memory: str) -> None:
    """Each table while one of two workers is killed in the middle of it; a new one takes its place before the next."""
    print("| table | struck | seconds | rows that differ |\n|---|---|---|---|")
    struck = 0
    with on_cluster(bench, folder, workers=2, memory=memory) as (warehouse, cluster, spark):
        for name in tables:
            killer = Killer(cluster, spark, struck)  # the oldest that lives
            killer.start()
            seconds = bench.build(name, warehouse)
            killer.stopped = True
            killer.join()
            print(f"| {name} | {killer.struck} | {seconds:.1f} | {bench.differing(name)} |", flush=True)
            if killer.struck:
                struck += 1
                cluster.add_worker(cores=1, memory=memory)
                cluster.wait_for_workers(2)
                wait_for_executors(spark, 2)


def shown(measured: Iterable[tuple[float, float]]) -> str:
    """Seconds by the clock and, in brackets, of CPU."""
    clock, cpu = zip(*measured, strict=True)
    return f"{sum(clock):.1f} ({sum(cpu):.1f})"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--memory", default="2g", help="of each worker's executor")
    parser.add_argument("--skew", type=float, default=0, help="events of one user, and an item in a third of orders")
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle of every table")
    parser.add_argument(
        "--tables", nargs="+", choices=TABLES, default=TABLES, help="made by the cluster; DuckDB makes all"
    )
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as scratch,
        generated(Path(scratch), int(given.events)) as bench,
    ):
        if given.skew:
            skew(bench.warehouse, int(given.skew))
        events = bench.warehouse.scalar("SELECT count(*) FROM core_events")
        print(f"{events:,} events; load {os.getloadavg()[0]:.1f}", flush=True)
        measured: Measured = {}
        for name in TABLES:
            cpu = time.process_time()
            measured[name] = bench.build(name, bench.warehouse), time.process_time() - cpu
        seconds = {"DuckDB": measured}
        for name in given.tables:
            bench.keep(name)
        print(f"DuckDB: {shown(measured.values())}", flush=True)
        if given.kill:
            killed_in_each(bench, Path(scratch), given.tables, given.memory)
            return
        differing: dict[str, int] = {}
        for workers in given.workers:
            with on_cluster(bench, Path(scratch), workers=workers, memory=given.memory) as (warehouse, cluster, _):
                measured = {}
                for name in given.tables:
                    cpu = cpu_of(cluster)
                    measured[name] = bench.build(name, warehouse), cpu_of(cluster) - cpu
                    count = bench.differing(name)
                    print(
                        f"{workers} workers, {name}: {shown([measured[name]])}, rows that differ: {count}", flush=True
                    )
                    if count:
                        differing[f"{workers} workers, {name}"] = count
                seconds[f"{workers} workers"] = measured
        print(f"\n| table | {' | '.join(seconds)} |\n|---|{'---|' * len(seconds)}")
        for name in given.tables:
            print(f"| {name} | {' | '.join(shown([measured[name]]) for measured in seconds.values())} |")
        print(
            f"| all | {' | '.join(shown([measured[name] for name in given.tables]) for measured in seconds.values())} |"
        )
        print(f"\nrows that differ: {differing or 'none'}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
