"""The shop resource: the warehouse is open for one run at a time, and closed however it ends; steps leave their row."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import dagster as dg
import pytest

from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import Shop, observer_resource, shop_resource
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import open_warehouse


class RememberingObserver(SilentObserver):
    def __init__(self) -> None:
        self.waited: list[float] = []
        self.finished: list[tuple[str, int | None, bool]] = []

    def waiting(self, seconds: float) -> None:
        self.waited.append(seconds)

    def step_finished(self, step: str, *, seconds: float, rows: int | None, succeeded: bool) -> None:
        self.finished.append((step, rows, succeeded))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.settings_file.write_text("profile: online_retail\n", encoding="utf-8")
    return home


@dg.asset
def succeeding(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> None:
    with recorded_step(context, shop) as step:
        step.rows = 3


@dg.asset
def failing(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> None:
    with recorded_step(context, shop):
        raise ValueError("the reason")


def run(home: Home, *assets: dg.AssetsDefinition, observer: RememberingObserver) -> dg.ExecuteInProcessResult:
    resources = {"shop": shop_resource(home.root), "observer": observer_resource(observer)}
    return dg.materialize(list(assets), resources=resources, raise_on_error=False)


@contextmanager
def held_by_another(home: Home) -> Iterator[TextIO]:
    home.warehouse_file.parent.mkdir(parents=True, exist_ok=True)
    with (home.warehouse_file.parent / f"{home.warehouse_file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_every_step_leaves_its_row_whether_it_succeeds_or_fails(home: Home) -> None:
    observer = RememberingObserver()
    result = run(home, succeeding, failing, observer=observer)
    assert not result.success
    assert sorted(observer.finished) == [("failing", None, False), ("succeeding", 3, True)]
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        rows = warehouse.rows(
            "SELECT run_id, step, status, rows, seconds >= 0, peak_memory_mb > 1 FROM runs ORDER BY step"
        )
    assert rows == [
        (result.run_id, "failing", "failed", None, True, True),
        (result.run_id, "succeeding", "succeeded", 3, True, True),
    ]


def test_the_warehouse_is_free_again_after_a_failed_run(home: Home) -> None:
    run(home, failing, observer=RememberingObserver())
    waited = RememberingObserver()
    assert run(home, succeeding, observer=waited).success
    assert waited.waited == []


def test_a_run_waits_for_the_warehouse_and_says_so(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    observer = RememberingObserver()
    with held_by_another(home) as lock:

        def free_it(seconds: float) -> None:
            observer.waited.append(seconds)
            if len(observer.waited) == 3:
                fcntl.flock(lock, fcntl.LOCK_UN)

        patched = RememberingObserver()
        patched.waiting = free_it  # type: ignore[method-assign]
        result = run(home, succeeding, observer=patched)
    assert result.success
    assert len(observer.waited) == 3
    assert "Waiting for the warehouse: another run has it" in capfd.readouterr().err
