"""Nights that did not end: their results are published by nobody else, and past nights do not turn the clock back."""

import shutil
from pathlib import Path

import pytest

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.orchestration.jobs import INGEST_JOB
from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.running import NO_CONSOLE_LOG, run_night
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.publishing import night_that_did_not_end, nights_by_end
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline_tests.operations.odd_shops import ask, day, land, night, open_home, trade


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


def test_half_a_night_is_published_neither_between_nights_nor_by_another_night(home: Home) -> None:
    land(home, "second", trade(2, 2, seed=1))
    stopped = run_night(home, day(2), observer=StopsAt("recommendations"))
    assert not stopped.succeeded
    before = home.published_file.read_bytes()

    land(home, "third", trade(3, 3, seed=2))
    ingest(home)
    assert home.published_file.read_bytes() == before

    night(home, 1)
    assert nights_of(home) == [day(0), day(1)]
    assert ask(home, "SELECT as_of, nights FROM about") == [(day(1), 2)]
    assert ask(home, "SELECT max(date) FROM sales_daily") == [(day(1),)]


def test_files_that_arrive_between_nights_make_no_night(home: Home) -> None:
    land(home, "second", trade(2, 2, seed=1))
    ingest(home)
    assert ask(home, "SELECT count(*) > 0 FROM recommendations WHERE user_id IN (SELECT user_id FROM user_events)") == [
        (True,)
    ]
    assert ask(home, "SELECT as_of, first_night, nights FROM about") == [(day(1), day(0), 2)]
    assert ask(home, "SELECT count(DISTINCT as_of) FROM validation_results") == [(3,)], "two nights, and today's files"


def test_a_past_night_that_is_run_again_leaves_everything_else_with_the_last_one(home: Home) -> None:
    standing = ("sales_daily", "user_events", "sessions", "items", "funnel_daily", "cohort_retention", "user_rfm")
    before = {name: ask(home, f"SELECT * FROM {name} ORDER BY ALL") for name in standing}
    night(home, 0)
    assert {name: ask(home, f"SELECT * FROM {name} ORDER BY ALL") for name in standing} == before
    assert ask(home, "SELECT as_of FROM about") == [(day(1),)]
