"""What a night more costs to publish, after so many nights: in part, and as a whole.

Results of generated users, twenty recommendations and twenty predictions each, as nights write them; nothing is
ingested and no model is asked. Each figure is of a process of its own:

    python -m benchmarks.publishing --users 174000 --nights 2 10 30
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from ecom_pipeline import contracts
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse, open_warehouse, publish
from ecom_pipeline.warehouse.row_changes import is_followed, note_everything

FIRST = date(2026, 1, 1)
LIST = 20
KEEP = 90
Way = Literal["nights", "in part", "as a whole"]


def write_night(warehouse: Warehouse, number: int, *, users: int) -> None:
    """The lists and predictions of one night, with ids and reasons as long as those of a shop."""
    as_of = FIRST + timedelta(days=number)
    of_user = f"FROM range({users}) AS u(u), range(1, {LIST + 1}) AS r(r)"
    item = f"printf('P%06d', CAST(hash(u, r, {number // 7}) % 10000 AS INTEGER))"
    columns = {
        "recommendations": {
            "as_of": ":as_of",
            "user_id": "printf('U%07d', u)",
            "rank": "CAST(r AS INTEGER)",
            "item_id": item,
            "score": "1.0 / (r + hash(u) % 100)",
            "source": "if(hash(u, r) % 3 = 0, 'network', 'co_visitation')",
            "reason": "concat('you looked at product ', hash(u, r) % 10000, ' this week')",
            "reason_item_id": f"replace({item}, 'P', 'Q')",
            "is_repeat": "hash(u, r) % 5 = 0",
            "fallback": "FALSE",
            "model_version": "'2026-01-01-a'",
        },
        "purchase_predictions": {
            "as_of": ":as_of",
            "user_id": "printf('U%07d', u)",
            "item_id": f"concat({item}, r)",
            "probability": "(hash(u, r) % 1000) / 5000.0",
            "window_days": "CAST(7 AS INTEGER)",
            "model_version": "'2026-01-01-a'",
        },
    }
    for name, made in columns.items():
        declared = contracts.table(name)
        listed = ", ".join(f"{made.get(column.name, 'NULL')} AS {column.name}" for column in declared.columns)
        warehouse.replace_night(declared, as_of, sql=f"SELECT {listed} {of_user} ORDER BY u, r")


def work(root: Path, way: Way, *, first: int, last: int, users: int, memory_limit: str | None) -> dict[str, float]:
    """Write nights, or publish; what that took."""
    target = root / "published" / "analytics.duckdb"
    with open_warehouse(root / "warehouse.duckdb", Settings(profile="sample", memory_limit=memory_limit)) as warehouse:
        wall, cpu, rows = time.monotonic(), time.process_time(), 0
        if way == "nights":
            for number in range(first, last):
                write_night(warehouse, number, users=users)
        else:
            if way == "as a whole":
                for declared in filter(is_followed, contracts.PUBLISHED_TABLES.values()):
                    note_everything(warehouse, declared)
            rows = publish(warehouse, target=target, keep_nights=KEEP).written
        return {
            "rows": rows,
            "seconds": time.monotonic() - wall,
            "cpu": time.process_time() - cpu,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "mib": target.stat().st_size / 2**20 if target.exists() else 0,
        }


def in_process(arguments: argparse.Namespace, root: Path, way: Way, first: int, last: int) -> dict[str, float]:
    """`work` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.publishing", "--way", way, "--home", str(root)]
    command += ["--users", str(arguments.users), "--nights", str(first), str(last)]
    command += ["--memory-limit", arguments.memory_limit] if arguments.memory_limit else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(arguments: argparse.Namespace, root: Path, nights: Sequence[int]) -> None:
    """For each number of nights: publish them as a whole, then one night more in part."""
    print(f"{arguments.users:,} users, DuckDB {duckdb.__version__}\n")
    print("| nights | | rows written | seconds | CPU seconds | peak MiB | file, MiB |\n|---|---|---|---|---|---|---|")
    written = 0
    for number in nights:
        in_process(arguments, root, "nights", written, number)
        ways: tuple[tuple[Way, int], ...] = (("as a whole", number), ("in part", number + 1))
        for way, last in ways:
            in_process(arguments, root, "nights", number, last)
            found = in_process(arguments, root, way, 0, 0)
            print(
                f"| {last} | {way} | {found['rows']:,.0f} | {found['seconds']:.1f} | {found['cpu']:.1f} "
                f"| {found['peak_mib']:,.0f} | {found['mib']:,.0f} |",
                flush=True,
            )
        written = number + 1


def main() -> None:
    """Run the benchmark, or one step of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--nights", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--memory-limit", default=None, help="of DuckDB, such as 8GB")
    parser.add_argument("--way", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way is not None:
        first, last = arguments.nights
        options = {"first": first, "last": last, "users": arguments.users}
        print(json.dumps(work(arguments.home, arguments.way, **options, memory_limit=arguments.memory_limit)))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder), sorted(arguments.nights))


if __name__ == "__main__":
    main()
