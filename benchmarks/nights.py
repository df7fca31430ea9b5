"""A night of a real shop in a fresh home, training included, as Markdown: rows, quarantine, seconds, memory, accuracy.

    python -m benchmarks.nights online_retail
    python -m benchmarks.nights tmall2014
    python -m benchmarks.nights complete_journey
    python -m benchmarks.nights sample --backfill 0

`--backfill 14` also runs the 14 nights before, oldest first, and reports the accuracy of what they forecast.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb

from ecom_pipeline.settings import Home
from ecom_pipeline.sources.complete_journey import export_complete_journey

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ECOM_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
EXPORTS = {
    "online_retail": (SHARED / "online_retail" / "by-day", date(2011, 12, 9)),
    "tmall2014": (SHARED / "tmall2014", date(2013, 8, 15)),
    "complete_journey": (None, date(2017, 12, 31)),
    "sample": (CHECKOUT / "data" / "sample", date(2026, 10, 31)),
}
QUERIES = {
    "Files and rows": """
        SELECT feed, count(*) AS files, sum(rows_in) AS "rows in", sum(rows_core) AS core,
          sum(rows_quarantined) AS quarantined, sum(rows_duplicate) AS duplicates
        FROM ingest_files GROUP BY feed ORDER BY feed""",
    "Quarantined by rule": """
        SELECT feed, rule, sum("rows") AS "rows" FROM quarantine_summary GROUP BY feed, rule ORDER BY feed, rule""",
    "Seconds by step (the last night's run; peak memory of the process so far)": """
        SELECT step, "rows", round(seconds, 1) AS seconds, round(peak_memory_mb) AS "peak MiB"
        FROM runs
        WHERE run_id = (SELECT run_id FROM runs ORDER BY started_at DESC LIMIT 1) AND seconds >= 0.5
        ORDER BY started_at""",
    "Models on held-out time": """
        SELECT model, dataset, metric, round(value, 4) AS model_value, round(baseline_value, 4) AS baseline, n
        FROM model_metrics
        WHERE as_of = (SELECT max(as_of) FROM model_metrics)
          AND NOT (model = 'sales_forecaster' AND dataset LIKE '%,%,%') -- parts of days, classes
        ORDER BY ALL""",
    "Decisions": "SELECT model, model_version, data_cutoff, decision, reason FROM model_versions ORDER BY ALL",
    "Published rows by source": """
        SELECT 'sales_forecasts' AS "table", level AS part, model AS source, fallback, count(*) AS "rows"
        FROM sales_forecasts GROUP BY ALL
        UNION ALL
        SELECT 'recommendations', '', source, fallback, count(*) FROM recommendations GROUP BY ALL
        ORDER BY ALL""",
    "Forecasts of past nights beside what came": """
        SELECT level, measure, count(DISTINCT as_of) AS nights, count(*) AS "rows",
          round(sum(abs_error) / nullif(sum(abs(actual)), 0), 4) AS wape,
          round(sum(baseline_abs_error) / nullif(sum(abs(actual)), 0), 4) AS "wape of the baseline",
          round(avg(CAST(in_80 AS INTEGER)), 3) AS "within the 80 % interval"
        FROM sales_forecast_accuracy GROUP BY level, measure ORDER BY level, measure""",
    "Checks": """
        SELECT severity, count(*) AS checks, sum(CAST(NOT success AS INTEGER)) AS failed
        FROM validation_results GROUP BY severity ORDER BY severity""",
}


def main() -> None:
    """Run the night that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", choices=sorted(EXPORTS))
    parser.add_argument("--backfill", type=int, default=0, help="past nights to run before the last one")
    parser.add_argument("--home", type=Path, default=None, help="keep the home here (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.home or Path(scratch) / "shop"
        seconds, last = run_nights(arguments.shop, root, nights_before=arguments.backfill)
        print(f"## {arguments.shop}\n")
        print(f"{arguments.backfill + 1} night(s), {seconds:.0f} s from the first command to the last, on "
              f"{os.cpu_count()} cores.\n")  # fmt: skip
        report(Home(root).published_file)
        report_orchestration(Home(root).published_file, last)


def run_nights(shop: str, root: Path, *, nights_before: int) -> tuple[float, float]:
    """Make a home, bring the exports in, run the nights; returns the seconds of all nights and of the last one."""
    exports, as_of = EXPORTS[shop]
    command = [sys.executable, "-m", "ecom_pipeline"]
    bring = ["--exports", str(exports)] if exports is not None else []
    subprocess.run([*command, "init", "--profile", shop, "--home", str(root), *bring], check=True, stdout=sys.stderr)
    if exports is None:
        export_complete_journey(Home(root).landing)
    began = time.monotonic()
    if nights_before:
        first, last = as_of - timedelta(days=nights_before), as_of - timedelta(days=1)
        subprocess.run(
            [*command, "backfill", "--home", str(root), "--from", str(first), "--to", str(last)],
            check=True,
            stdout=sys.stderr,
        )
    began_last = time.monotonic()
    subprocess.run([*command, "nightly", "--home", str(root), "--as-of", str(as_of)], check=True, stdout=sys.stderr)
    return time.monotonic() - began, time.monotonic() - began_last


def report(published: Path) -> None:
    """Print each query's answer as a Markdown table."""
    connection = duckdb.connect(str(published), read_only=True)
    for title, query in QUERIES.items():
        result = connection.execute(query)
        header = [column[0] for column in result.description or []]
        rows = result.fetchall()
        print(f"### {title}\n")
        if not rows:
            print("(none)\n")
            continue
        print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
        for row in rows:
            print("| " + " | ".join("" if value is None else str(value) for value in row) + " |")
        print()
    connection.close()


def report_orchestration(published: Path, seconds: float) -> None:
    """Print what the night took beside its steps, and what Dagster takes to load the definitions, in seconds."""
    with duckdb.connect(str(published), read_only=True) as connection:
        ((steps, inside),) = connection.execute(
            "SELECT count(*), sum(seconds) FROM runs WHERE run_id = (SELECT arg_max(run_id, started_at) FROM runs)"
        ).fetchall()
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from ecom_pipeline.definitions import build_defs; build_defs()"],
        check=True,
        env={**os.environ, "ECOM_PIPELINE_HOME": str(published.parents[1])},
    )
    print(f"Beside its {steps} steps the last night took {seconds - inside:.1f} s; the definitions load in "
          f"{time.monotonic() - began:.1f} s.")  # fmt: skip


if __name__ == "__main__":
    main()
