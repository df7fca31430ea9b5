"""Cost of validating a table of the shape of core_events, beside the bare INSERT … SELECT that makes it.

`python benchmarks/validation.py 1000000 5000000 10000000` prints a row of Markdown for each size: wall seconds, CPU
seconds (all threads, and so nearly the same on a busy machine) and the peak memory that validation adds.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from ecom_pipeline.contracts import table
from ecom_pipeline.quality import validate
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import open_warehouse

NIGHT = date(2024, 1, 1)
EVENTS = """
INSERT INTO core_events
SELECT 'u' || (i % 100000), 's' || (i // 7), 'item' || (i % 5000), CASE WHEN i % 9 = 0 THEN 'purchase' ELSE 'view' END,
       NULL, (i % 100) / 3.0, 'web', TIMESTAMP '2023-01-01' + to_seconds(i),
       CAST(TIMESTAMP '2023-01-01' + to_seconds(i) AS DATE), 'browse', CAST(i // 1000000 AS INTEGER), i % 1000000
FROM range({rows}) AS r(i)
"""


def peak_mib() -> float:
    """Peak resident memory of this process, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of `work`."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - cpu


def main(sizes: list[int]) -> None:
    print("| rows | insert: wall, CPU s | validation: wall, CPU s | share of CPU | peak memory added, MiB |")
    print("|---|---|---|---|---|")
    for rows in sizes:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_warehouse(Path(folder) / "w.duckdb", Settings(profile="sample")) as warehouse,
        ):
            validate(warehouse, table("runs"), as_of=NIGHT, run_id="warm")
            insert = timed(lambda: warehouse.run(EVENTS.format(rows=rows)))  # noqa: B023
            before = peak_mib()
            check = timed(lambda: validate(warehouse, table("core_events"), as_of=NIGHT, run_id="b"))
        print(
            f"| {rows:,} | {insert[0]:.1f}, {insert[1]:.1f} | {check[0]:.1f}, {check[1]:.1f} "
            f"| {check[1] / insert[1]:.0%} | {peak_mib() - before:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1_000_000])
