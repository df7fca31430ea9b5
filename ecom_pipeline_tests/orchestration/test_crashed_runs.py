"""Runs whose process died are marked as failed and told of; runs that live, waiting ones too, are left alone."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.operations.alerts import URL_VARIABLE
from ecom_pipeline.orchestration.crashed_runs import DIED, alive, crashed_runs_sensor, mark_dead_runs
from ecom_pipeline.orchestration.instance import instance_of, write_instance
from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL
from ecom_pipeline.orchestration.running import run_night
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.real_data import CHECKOUT

KILLED_NIGHT = """
import os, signal, sys
from datetime import date
from pathlib import Path
from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.running import run_night
from ecom_pipeline.settings import Home

class Killer(SilentObserver):
    def step_started(self, step):
        os.kill(os.getpid(), signal.SIGKILL)

run_night(Home(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]), observer=Killer())
"""


class Stopper(SilentObserver):
    """Ends a night as it begins."""

    def step_started(self, step: str) -> None:
        raise RuntimeError("stopped")


@pytest.fixture(scope="module")
def killed_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which a night from a terminal was killed as its first step began."""
    home = Home(tmp_path_factory.mktemp("killed"))
    home.settings_file.write_text("profile: sample\n", encoding="utf-8")
    write_instance(home)
    done = subprocess.run(
        [sys.executable, "-c", KILLED_NIGHT, str(home.root), str(SMALL_SHOP.last_day)],
        cwd=CHECKOUT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return home


@pytest.fixture
def home(killed_home: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(killed_home.root, tmp_path / "home")))


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with instance_of(home) as opened:
        yield opened


@pytest.fixture
def killed(instance: dg.DagsterInstance) -> str:
    (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.STARTED
    return str(run.run_id)


@contextmanager
def webhook() -> Iterator[list[dict[str, str]]]:
    """A server of this machine that alerts are sent to; what it received."""
    received: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield received
    server.shutdown()
    server.server_close()


def test_a_killed_run_is_marked_as_failed_and_frees_its_place(
    home: Home, killed: str, instance: dg.DagsterInstance
) -> None:
    sensor = crashed_runs_sensor(home, default_status=dg.DefaultSensorStatus.RUNNING)
    told = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(told, dg.SkipReason)
    assert killed in (told.skip_message or "")
    run = instance.get_run_by_id(killed)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert any(DIED in entry.message for entry in instance.all_logs(killed))
    assert mark_dead_runs(home, instance) == [], "once is enough"


def test_the_next_night_from_a_terminal_tells_of_the_one_that_was_killed(home: Home, killed: str) -> None:
    with webhook() as received:
        again = run_night(home, SMALL_SHOP.last_day, observer=Stopper())
    assert [(alert["kind"], alert["run_id"]) for alert in received] == [("failure", killed), ("failure", again.run_id)]
    assert DIED in received[0]["message"]


def test_a_run_that_lives_is_left_alone_and_leaves_nothing_behind(home: Home, instance: dg.DagsterInstance) -> None:
    assert len(mark_dead_runs(home, instance)) == 1

    @dg.op
    def looks(context: dg.OpExecutionContext) -> None:
        with alive(home, context.run_id):
            assert mark_dead_runs(home, instance) == []
            run = instance.get_run_by_id(context.run_id)
            assert run is not None
            assert run.status is dg.DagsterRunStatus.STARTED

    @dg.job
    def living() -> None:
        looks()

    assert living.execute_in_process(instance=instance).success
    assert list((home.dagster_home / "running").iterdir()) == []


def test_every_step_of_every_job_waits_for_the_warehouse_in_one_queue(tmp_path: Path) -> None:
    definitions = build_defs(tmp_path / "none")
    for job in definitions.resolve_all_job_defs():
        for node in job.graph.nodes:
            assert isinstance(node.definition, dg.OpDefinition)
            assert node.definition.pool == WAREHOUSE_POOL, f"{job.name}: {node.name}"


def test_dagster_lets_one_run_of_the_queue_through_at_a_time(instance: dg.DagsterInstance) -> None:
    config = instance.get_concurrency_config().pool_config
    assert config.default_pool_limit == 1
    assert config.pool_granularity is not None
    assert config.pool_granularity.value == "run"
