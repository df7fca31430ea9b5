"""The end of a night: what it tells people to type next works where they stand."""

import sys
from pathlib import Path

import pytest

from ecom_pipeline.cli.summary import command


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An environment in a clone, as `make` leaves it."""
    made = tmp_path / "my clone" / ".venv" / "bin" / "ecom-pipeline"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_a_program_that_the_shell_does_not_find_is_told_by_its_path(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", [str(program), "nightly"])
    monkeypatch.chdir(program.parents[2])
    assert command() == ".venv/bin/ecom-pipeline"
    monkeypatch.chdir(program.parents[3])
    assert command() == "'my clone/.venv/bin/ecom-pipeline'"
    monkeypatch.chdir("/")
    assert command().strip("'").endswith("my clone/.venv/bin/ecom-pipeline")


def test_a_program_that_the_shell_finds_is_told_by_its_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(program), "nightly"])
    monkeypatch.setenv("PATH", str(program.parent))
    assert command() == "ecom-pipeline"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    assert command() == "ecom-pipeline"
