"""Nights that did not end, past nights, and clocks set back: nothing unfinished is published, nothing new is missed."""

import shutil
from pathlib import Path

import pytest

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.operations.health import health_of
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.orchestration.jobs import INGEST_JOB
from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.running import NO_CONSOLE_LOG, run_night
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.publishing import night_that_did_not_end, nights_by_end
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline_tests.operations.odd_shops import ask, day, land, night, open_home, sold, trade

DAYS_BACK = 30


class StopsAt(SilentObserver):
    """Ends a night as a step begins; what came before it is done."""

    def __init__(self, step: str) -> None:
        self.step = step

    def step_started(self, step: str) -> None:
        if step == self.step:
            raise RuntimeError("stopped")


def run_of(warehouse: Warehouse, run_id: str, n: int | None, *steps: str, failed: str | None = None, at: int) -> None:
    as_of = None if n is None else day(n)
    for step in steps:
        status = "failed" if step == failed else "succeeded"
        warehouse.run(
            "INSERT INTO runs (run_id, as_of, step, status, started_at) VALUES (:run_id, CAST(:as_of AS DATE), :step, "
            ":status, TIMESTAMP '2024-01-01' + INTERVAL 1 HOUR * CAST(:at AS INTEGER))",
            {
                "run_id": run_id,
                "as_of": as_of,
                "step": step,
                "status": status,
                "at": at,
            },
        )


def test_a_night_has_ended_when_its_last_whole_run_has_published(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "w.duckdb", Settings(profile="sample")) as warehouse:
        assert nights_by_end(warehouse) == (frozenset(), frozenset())
        assert night_that_did_not_end(warehouse) is None
        run_of(warehouse, "a", 1, "raw", "core", "analytics", "report", at=1)
        run_of(warehouse, "b", 2, "raw", "core", at=2)
        run_of(warehouse, "ingest", None, "raw", "core", at=3)
        assert nights_by_end(warehouse) == ({day(2)}, {day(1)})
        assert night_that_did_not_end(warehouse) == day(2)
        run_of(warehouse, "c", 2, "raw", "analytics", failed="analytics", at=4)
        assert nights_by_end(warehouse) == ({day(2)}, {day(1)})
        run_of(warehouse, "d", 1, "raw", "analytics", at=5)
        assert nights_by_end(warehouse) == ({day(2)}, {day(1)})
        assert night_that_did_not_end(warehouse) is None
        run_of(warehouse, "e", 2, "raw", "analytics", at=6)
        run_of(warehouse, "by hand", 2, "sales_forecasts", at=7)
        assert nights_by_end(warehouse) == (frozenset(), {day(1), day(2)})


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = open_home(tmp_path_factory.mktemp("unfinished") / "home")
    land(home, "first", trade(0, 1))
    night(home, 0)
    night(home, 1)
    assert ask(home, "SELECT DISTINCT fallback FROM sales_forecasts") == [(True,)], "too little history for a network"
    return home


@pytest.fixture
def home(two_nights: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(two_nights.root, tmp_path / "home")))


def ingest(home: Home) -> None:
    with instance_of(home) as instance:
        job = build_defs(home.root).resolve_job_def(INGEST_JOB)
        assert job.execute_in_process(instance=instance, run_config=NO_CONSOLE_LOG).success


def nights_of(home: Home) -> list[object]:
    return [row[0] for row in ask(home, "SELECT DISTINCT as_of FROM sales_forecasts ORDER BY as_of")]


def test_half_a_night_is_published_neither_between_nights_nor_by_a_past_night_that_is_run_again(home: Home) -> None:
    standing = ("sales_daily", "user_events", "sessions", "items", "funnel_daily", "cohort_retention", "user_rfm")
    tables = {name: ask(home, f"SELECT * FROM {name} ORDER BY ALL") for name in standing}
    land(home, "second", trade(2, 2, seed=1))
    stopped = run_night(home, day(2), observer=StopsAt("recommendations"))
    assert not stopped.succeeded
    before = home.published_file.read_bytes()

    land(home, "third", trade(3, 3, seed=2))
    ingest(home)
    assert home.published_file.read_bytes() == before

    night(home, 0)
    assert nights_of(home) == [day(0), day(1)]
    assert ask(home, "SELECT as_of, nights FROM about") == [(day(1), 2)]
    assert {name: ask(home, f"SELECT * FROM {name} ORDER BY ALL") for name in standing} == tables


def test_files_that_arrive_between_nights_make_no_night(home: Home) -> None:
    land(home, "second", trade(2, 2, seed=1))
    ingest(home)
    assert ask(home, "SELECT count(*) > 0 FROM recommendations WHERE user_id IN (SELECT user_id FROM user_events)") == [
        (True,)
    ]
    assert ask(home, "SELECT as_of, first_night, nights FROM about") == [(day(1), day(0), 2)]
    assert ask(home, "SELECT count(DISTINCT as_of) FROM validation_results") == [(3,)], "two nights, and today's files"


def set_clock_back(home: Home) -> None:
    """Move what the warehouse remembers into the future; as if the clock had been set back since."""
    moved = f"+ INTERVAL {DAYS_BACK} DAY"
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        warehouse.run(f"UPDATE ingest_files SET loaded_at = loaded_at {moved}, modified_at = modified_at {moved}")
        warehouse.run(f"UPDATE runs SET started_at = started_at {moved}")
        warehouse.run(f"UPDATE about SET published_at = published_at {moved}")


def test_after_the_clock_was_set_back_bad_files_still_stop_the_night_and_mended_ones_are_loaded(home: Home) -> None:
    set_clock_back(home)
    before, published = sold(home), home.published_file.read_bytes()
    land(home, "second", more := trade(2, 2, seed=1))
    file = home.landing / "orders" / "second.csv"
    good = file.read_text()
    file.write_text(good.replace("2.5", "cheap"))
    run = run_night(home, day(2))
    assert run.blocked
    assert any("of new files are bad" in check.sentence for check in run.failed_checks)
    assert home.published_file.read_bytes() == published

    file.write_text(good)
    night(home, 2)
    assert sold(home) == before + sum(getattr(row, "quantity", 0) for row in more)
    assert ask(home, "SELECT as_of FROM about") == [(day(2),)]
    moments = ask(home, "SELECT path, loaded_at FROM ingest_files ORDER BY loaded_at, path")
    assert [path.split("/")[-1] for path, _ in moments] == ["first.csv", "first.csv", "second.csv", "second.csv"]
    assert all(symptom.name != "published" for symptom in health_of(home).symptoms)
