"""The setting isolate_steps: each step in a process of its own, on the same warehouse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.conftest import set_up

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A shop of one order line."""
    exports = tmp_path / "exports" / "orders"
    exports.mkdir(parents=True)
    (exports / "day.csv").write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n",
        encoding="utf-8",
    )
    return set_up(tmp_path / "shop", profile="online_retail", exports=exports.parent, settings={"isolate_steps": True})


def test_steps_in_processes_of_their_own_share_the_warehouse(home: Home) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            "asset",
            "materialize",
            "-m",
            "ecom_pipeline.definitions",
            "--select",
            "group:raw",
        ],
        cwd=home.root,
        env={
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "ECOM_PIPELINE_HOME": str(home.root),
            "DAGSTER_HOME": str(home.dagster_home),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'Launching subprocess for "raw"' in done.stderr
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        steps = {step for (step,) in warehouse.rows("SELECT step FROM runs WHERE status = 'succeeded'")}
        assert {"raw", "raw_orders_checks"} <= steps
        assert warehouse.scalar("SELECT count(*) FROM raw_orders") == 1
