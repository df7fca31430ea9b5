"""The landing sensor: changed files start one run, once nobody writes any more."""

import os
import time
from pathlib import Path

import dagster as dg
import pytest

from ecom_pipeline.orchestration.landing import QUIET_SECONDS, landing_sensor, look_at
from ecom_pipeline.settings import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    (home.landing / "orders").mkdir(parents=True)
    return home


def tick(home: Home, cursor: str | None, monkeypatch: pytest.MonkeyPatch, *, seconds_later: float) -> object:
    now = time.time() + seconds_later
    monkeypatch.setattr("ecom_pipeline.orchestration.landing.time.time", lambda: now)
    sensor = landing_sensor(home, "ingest", default_status=dg.DefaultSensorStatus.STOPPED)
    return sensor(dg.build_sensor_context(cursor=cursor))


def test_new_files_start_a_run_once_they_have_come_to_rest(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.landing / "orders" / "today.csv").write_text("a\n1\n")
    fresh = tick(home, None, monkeypatch, seconds_later=1)
    assert isinstance(fresh, dg.SkipReason)
    assert "Still being written: orders/today.csv" in (fresh.skip_message or "")

    rested = tick(home, None, monkeypatch, seconds_later=QUIET_SECONDS + 1)
    assert isinstance(rested, dg.SensorResult)
    assert rested.run_requests is not None
    (request,) = rested.run_requests
    assert request.run_key == rested.cursor

    again = tick(home, rested.cursor, monkeypatch, seconds_later=QUIET_SECONDS + 60)
    assert isinstance(again, dg.SkipReason)
    assert "Nothing changed among the 1 files" in (again.skip_message or "")


def test_a_changed_file_starts_another_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home.landing / "orders" / "today.csv"
    file.write_text("a\n1\n")
    first = tick(home, None, monkeypatch, seconds_later=60)
    assert isinstance(first, dg.SensorResult)
    file.write_text("a\n2\n")
    second = tick(home, first.cursor, monkeypatch, seconds_later=120)
    assert isinstance(second, dg.SensorResult)
    assert second.cursor != first.cursor


def test_a_file_copied_with_its_old_times_still_counts_as_being_written(home: Home) -> None:
    file = home.landing / "orders" / "old.csv"
    file.write_text("a\n1\n")
    os.utime(file, (0, 0))
    assert look_at(home.landing, now=time.time()).being_written == ("orders/old.csv",)


def test_hidden_files_are_left_out(home: Home) -> None:
    empty = look_at(home.landing, now=time.time())
    (home.landing / "orders" / ".today.csv.incoming").write_text("a\n1\n")
    assert look_at(home.landing, now=time.time()) == empty


def test_a_home_without_landing_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skipped = tick(Home(tmp_path / "nowhere"), None, monkeypatch, seconds_later=0)
    assert isinstance(skipped, dg.SkipReason)


def test_files_from_the_future_do_not_hold_up_the_sensor(tmp_path: Path) -> None:
    """As after the machine's clock was set back."""
    (tmp_path / "a.csv").write_text("a\n")
    assert look_at(tmp_path, now=time.time() - 3600).being_written == ()
