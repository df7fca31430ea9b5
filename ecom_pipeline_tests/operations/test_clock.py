"""The clock of the machine is set back between two nights: what is new is still new, and nothing goes back in time."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ecom_pipeline.operations.health import health_of
from ecom_pipeline.orchestration.landing import look_at
from ecom_pipeline.orchestration.running import run_night
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.operations.odd_shops import ask, day, land, night, open_home, trade

DAYS_BACK = 30


def set_clock_back(home: Home) -> None:
    """Move what the warehouse remembers into the future; as if the clock had been set back since."""
    moved = f"+ INTERVAL {DAYS_BACK} DAY"
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        warehouse.run(f"UPDATE ingest_files SET loaded_at = loaded_at {moved}, modified_at = modified_at {moved}")
        warehouse.run(f"UPDATE runs SET started_at = started_at {moved}")
        warehouse.run(f"UPDATE about SET published_at = published_at {moved}")


@pytest.fixture(scope="module")
def set_back(tmp_path_factory: pytest.TempPathFactory) -> Home:
    opened = open_home(tmp_path_factory.mktemp("clock") / "home")
    land(opened, "first", trade(0, 1))
    night(opened, 1)
    set_clock_back(opened)
    return opened


@pytest.fixture
def home(set_back: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(set_back.root, tmp_path / "home")))


def test_nights_go_on_after_the_clock_was_set_back(home: Home) -> None:
    before = ask(home, "SELECT sum(quantity) FROM sales_daily WHERE level = 'total'")[0][0]
    land(home, "second", more := trade(2, 2, seed=1))
    night(home, 2)
    added = sum(getattr(row, "quantity", 0) for row in more)
    assert ask(home, "SELECT sum(quantity) FROM sales_daily WHERE level = 'total'") == [(before + added,)]
    assert ask(home, "SELECT as_of FROM about") == [(day(2),)]
    moments = ask(home, "SELECT path, loaded_at FROM ingest_files ORDER BY loaded_at, path")
    assert [path.split("/")[-1] for path, _ in moments] == ["first.csv", "first.csv", "second.csv", "second.csv"]
    assert all(symptom.name != "published" for symptom in health_of(home).symptoms)


def test_bad_files_that_arrive_after_the_clock_was_set_back_still_stop_the_night(home: Home) -> None:
    before = home.published_file.read_bytes()
    land(home, "bad", trade(2, 2, seed=1))
    file = home.landing / "orders" / "bad.csv"
    file.write_text(file.read_text().replace("2.5", "cheap"))
    run = run_night(home, day(2))
    assert run.blocked
    assert any("of new files are bad" in check.sentence for check in run.failed_checks)
    assert home.published_file.read_bytes() == before


def test_files_from_the_future_do_not_hold_up_the_landing_sensor(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n")
    an_hour_ago = (datetime.now() - timedelta(hours=1)).timestamp()
    assert look_at(tmp_path, now=an_hour_ago).being_written == ()
