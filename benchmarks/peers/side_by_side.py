"""The same core and feature tables by us, by plain pandas and by dbt-duckdb, from the same files; results compared.

    benchmarks/peers/make_rivals_env.sh
    python -m benchmarks.peers.side_by_side --events 1e6

Each is one process that starts, reads the files and writes the tables, twice: for a shop as it is, and the night after
with a hundredth more. Start-up (imports, parsing of models) is in the figures, and told beside them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from benchmarks.scale import FEEDS, plan_of
from ecom_pipeline.contracts import literal
from ecom_pipeline.sample import generate_shop
from ecom_pipeline.settings import Home

HERE = Path(__file__).resolve().parent
COMPARED: Mapping[str, tuple[str, ...]] = {
    "core_order_lines": (
        "order_id", "user_id", "item_id", "item_name", "quantity", "unit_price", "round(amount, 6) AS amount", "status",
        "is_product", "channel", "ordered_at::TIMESTAMP AS ordered_at", "order_date::DATE AS order_date",
    ),
    "core_events": (
        "user_id", "session_id", "item_id", "event", "quantity", "price", "channel",
        "event_ts::TIMESTAMP AS event_ts", "event_date::DATE AS event_date", "feed",
    ),
    "feat_user_events": (
        "user_id", "position", "item_id", "event", "event_ts::TIMESTAMP AS event_ts",
        "event_date::DATE AS event_date", "session_number", "quantity", "price", "channel",
    ),
    "feat_sessions": (
        "user_id", "session_number", "started_at::TIMESTAMP AS started_at", "ended_at::TIMESTAMP AS ended_at",
        "session_date::DATE AS session_date", "events", "items", "views", "carts", "purchases",
        "round(value, 4) AS value", "entry_item_id", "exit_item_id",
    ),
    "item_sales": ("item_id", "date::DATE AS date", "quantity", "revenue", "orders"),
}  # fmt: skip
_SALES_OF_OURS = """
SELECT series_id AS item_id, date, quantity, revenue, orders FROM feat_sales_daily
WHERE level = 'product' AND (orders > 0 OR quantity <> 0)
"""
"""Days without a sale are zero in our table, and no rows of the peers'."""


def measured(words: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run one process; print its seconds, CPU seconds and peak memory."""
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"{words} failed: {' '.join(command)}")
    cpu = usage.ru_utime + usage.ru_stime
    print(f"| {words} | {seconds:.1f} | {cpu:.1f} | {usage.ru_maxrss / 1024:,.0f} |", flush=True)


def compare(ours: Path, peers: Mapping[str, tuple[str, str]]) -> None:
    """Print for each table in how many rows a peer differs from us, either way."""
    connection = duckdb.connect()
    connection.execute(f"ATTACH {literal(str(ours))} AS ours (READ_ONLY)")
    for name, (statement, _) in peers.items():
        if statement:
            connection.execute(statement.format(name=name))
    print("\n| table | rows | " + " | ".join(f"rows that differ, {name}" for name in peers) + " |")
    print("|---|---|" + "---|" * len(peers))
    for table, columns in COMPARED.items():
        selected = ", ".join(columns)
        own = f"({_SALES_OF_OURS.replace('feat_sales_daily', 'ours.feat_sales_daily')})"
        own = own if table == "item_sales" else f"ours.{table}"
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {own} AS own").fetchall()
        differ = []
        for name, (_, read) in peers.items():
            there = read.format(name=name, table=table)
            if table == "item_sales":
                there = f"(SELECT * FROM {there} WHERE orders > 0 OR quantity <> 0)"
            ((count,),) = connection.execute(
                f"WITH own AS (SELECT {selected} FROM {own} AS own), "
                f"other AS (SELECT {selected} FROM {there} AS other) "
                "SELECT (SELECT count(*) FROM (FROM own EXCEPT ALL FROM other)) "
                "+ (SELECT count(*) FROM (FROM other EXCEPT ALL FROM own))"
            ).fetchall()
            differ.append(f"{count:,}")
        print(f"| `{table}` | {rows:,} | {' | '.join(differ)} |")


def main() -> None:
    """Make the shop, run all three twice, compare the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--dbt", default=str(HERE.parent / ".envs" / "peers" / "bin" / "dbt"))
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="peers-", dir=given.scratch))
    try:
        plan = plan_of(int(given.events), "csv")
        generate_shop(root / "exports", plan)
        shutil.copytree(HERE / "dbt_project", root / "dbt")
        dbt = [
            given.dbt,
            "--no-version-check",
            "{verb}",
            "--project-dir",
            str(root / "dbt"),
            "--profiles-dir",
            str(root / "dbt"),
        ]
        environment = {
            "PEERS_LANDING": str(root / "landing"),
            "PEERS_DATABASE": str(root / "dbt.duckdb"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        print(f"\n{int(given.events):,} browse events, load {os.getloadavg()[0]:.1f}\n")
        print("| what | seconds | CPU seconds | peak MiB |\n|---|---|---|---|")
        measured("start of ours", [sys.executable, "-c", "import benchmarks.peers.ours"], {})
        measured("start of pandas", [sys.executable, "-c", "import benchmarks.peers.pandas_peer"], {})
        measured("start of dbt (parse)", [word.format(verb="parse") for word in dbt], environment)
        for night, words in ((plan.last_day - timedelta(days=1), "full"), (plan.last_day, "the night after")):
            for feed in FEEDS:
                folder = root / "landing" / feed
                folder.mkdir(parents=True, exist_ok=True)
                for file in sorted((root / "exports" / feed).iterdir()):
                    if words != "full" or str(plan.last_day) not in file.name:
                        file.rename(folder / file.name)
            measured(f"ours, {words}", [sys.executable, "-m", "benchmarks.peers.ours", str(root), str(night)], {})
            landing, out = str(root / "landing"), str(root / "pandas")
            measured(f"pandas, {words}", [sys.executable, "-m", "benchmarks.peers.pandas_peer", landing, out], {})
            measured(f"dbt, {words}", [word.format(verb="run") for word in dbt], environment)
        compare(
            Home(root).warehouse_file,
            {
                "pandas": ("", f"read_parquet('{root}/pandas/{{table}}.parquet')"),
                "dbt": (f"ATTACH '{root}/dbt.duckdb' AS {{name}} (READ_ONLY)", "{name}.main.{table}"),
            },
        )
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
