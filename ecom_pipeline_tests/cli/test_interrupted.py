"""Ctrl-C ends a command with a status of its own and a sentence, in a step as well as between two."""

import os
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ecom_pipeline.sources
from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    home = tmp_path / "shop"
    made = CliRunner().invoke(app, ["init", "--profile", "online_retail", "--home", str(home), "--quiet"])
    assert made.exit_code == ExitCode.DONE
    return home


def test_a_night_that_somebody_stops_is_not_called_a_failure(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press_ctrl_c(*arguments: object, **more: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)  # the handler raises here

    monkeypatch.setattr(ecom_pipeline.sources, "load_landing", press_ctrl_c)
    for command in (["nightly", "--as-of", "2011-12-09"], ["backfill", "--from", "2011-12-08", "--to", "2011-12-09"]):
        stopped = CliRunner().invoke(app, [*command, "--home", str(shop), "--quiet"])
        assert stopped.exit_code == ExitCode.INTERRUPTED
        assert "was stopped in raw. Nothing was published" in stopped.stderr
        assert "2011-12-09 was stopped" in stopped.stderr or command[0] == "backfill"
    assert not (shop / "published" / "analytics.duckdb").exists()
