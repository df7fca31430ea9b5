"""A disk that is full ends a command with a sentence, wherever it is noticed; other errors are not taken for one."""

import errno
import sqlite3
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode, full_disk
from ecom_pipeline.operations import backup


def caused_by(cause: Exception) -> Exception:
    try:
        raise RuntimeError("something of another library") from cause
    except RuntimeError as error:
        return error


def no_room_for_the_log() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    return error


FULL = [
    no_room_for_the_log(),
    OSError(errno.ENOSPC, "No space left on device", "/shop/models/x"),
    OSError(errno.EDQUOT, "Disk quota exceeded", "/shop/models/x"),
    duckdb.IOException('IO Error: Could not write file "w.duckdb": No space left on device'),
    sqlite3.OperationalError("database or disk is full"),
]


@pytest.mark.parametrize("error", [*FULL, *map(caused_by, FULL)], ids=repr)
def test_a_full_disk_is_told_in_one_paragraph(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CliRunner().invoke(app, ["init", "--profile", "online_retail", "--home", str(tmp_path / "shop"), "--quiet"])
    assert made.exit_code == ExitCode.DONE

    def fail(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(backup, "back_up", fail)
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "b"), "--home", str(tmp_path / "shop")])
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("Error: The disk is full (")
    assert "Make room and run the command again" in done.stderr


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "Permission denied"), ValueError("disk"), sqlite3.OperationalError("disk I/O error")],
    ids=repr,
)
def test_other_errors_are_no_full_disk(error: Exception) -> None:
    assert full_disk(error) is None
