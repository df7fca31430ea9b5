"""`ecom-pipeline ui`: Dagster's own process, on 127.0.0.1, with the instance of the home."""

import os
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode


class BecameError(Exception):
    """Stands for the process that the command has become."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = CliRunner().invoke(app, ["init", "--profile", "online_retail", "--home", str(tmp_path / "shop")])
    assert made.exit_code == ExitCode.DONE
    return tmp_path / "shop"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_ui_listens_on_this_machine_alone_with_the_homes_instance(
    home: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[tuple[str, list[str], dict[str, str]]] = []

    def become(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        became.append((path, arguments, environment))
        raise BecameError

    monkeypatch.setattr(os, "execve", become)
    done = CliRunner().invoke(app, ["ui", "--home", str(home), "--port", str(free_port)])
    assert isinstance(done.exception, BecameError)
    assert f"http://127.0.0.1:{free_port}/guess/nightly" in done.stdout
    ((path, arguments, environment),) = became
    assert path == sys.executable
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--port") + 1] == str(free_port)
    assert environment["DAGSTER_HOME"] == str(home / ".dagster")
    assert environment["ECOM_PIPELINE_HOME"] == str(home)


def test_a_port_that_is_taken_is_told(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["ui", "--home", str(home), "--port", str(port)])
    assert done.exit_code == ExitCode.UNUSABLE
    assert f"Port {port} on 127.0.0.1 is taken. Choose another with --port." in done.stderr
