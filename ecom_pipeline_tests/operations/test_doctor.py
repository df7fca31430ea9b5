"""Damage done to a real home, what the doctor says of it, and the ways back that it names."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.operations.backup import back_up, restore
from ecom_pipeline.operations.doctor import Finding, examine
from ecom_pipeline.operations.health import Level, as_prometheus, health_of
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.conftest import SMALL_SHOP, PublishedShop

DAY = SMALL_SHOP.last_day


def ecom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def damaged(home: Home) -> list[Finding]:
    return [finding for finding in examine(home) if finding.level == "damaged"]


def published(file: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def overwrite(file: Path, share: float, size: int = 4096) -> None:
    with file.open("r+b") as stream:
        stream.seek(int(file.stat().st_size * share) // 4096 * 4096)
        stream.write(b"\xa5" * size)


def test_a_home_after_its_night_is_whole(published_shop: PublishedShop) -> None:
    found = examine(published_shop.home)
    assert [finding for finding in found if finding.level == "damaged"] == []
    assert {finding.part for finding in found} >= {"settings", "warehouse", "ledger", "published", "models", "dagster"}


def test_the_doctor_leaves_a_warehouse_alone_that_a_run_has(published_shop: PublishedShop) -> None:
    home = published_shop.home
    with open_warehouse(home.warehouse_file, home.settings()):
        looked = {finding.part: finding for finding in examine(home)}
    assert looked["warehouse"].level == "note"
    assert "a run has it" in looked["warehouse"].what


@pytest.mark.parametrize(
    "how", ["cut short", "a block overwritten", "no database at all", "rows taken out behind its back"]
)
def test_a_damaged_warehouse_is_found_and_is_rebuilt_from_landing(copy_of_shop: Callable[[], Home], how: str) -> None:
    home = copy_of_shop()
    file = home.warehouse_file
    rows = "SELECT count(*), count(DISTINCT as_of) FROM sales_forecasts"
    before = published(home.published_file, rows)
    if how == "cut short":
        with file.open("r+b") as stream:
            stream.truncate(file.stat().st_size // 2)
    elif how == "a block overwritten":
        for share in (0.2, 0.4, 0.6, 0.8):
            overwrite(file, share, size=262_144)
    elif how == "no database at all":
        file.write_bytes(b"not a database")
    else:
        with open_warehouse(file, home.settings()) as warehouse:
            warehouse.run("DELETE FROM core_order_lines WHERE line = 5")
    told = ecom("doctor", "--home", home.root)
    assert told.exit_code == 1
    assert "ecom-pipeline rebuild --home" in told.output
    kept = home.published_file.read_bytes()
    assert ecom("rebuild", "--home", home.root).exit_code == 0
    assert home.published_file.read_bytes() == kept, "analysts keep what they have"
    assert list(file.parent.glob("*.damaged-*"))
    assert damaged(home) == []
    with open_warehouse(file, home.settings()) as warehouse:
        assert warehouse.rows(rows) == before, "past nights are back"


def test_a_night_on_a_warehouse_that_is_no_database_says_what_to_do(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    home.warehouse_file.write_bytes(b"not a database")
    failed = ecom("nightly", "--home", home.root, "--as-of", str(DAY))
    assert failed.exit_code == 1
    assert "rebuilt from landing" in failed.stderr
    assert "Traceback" not in failed.output


def test_a_model_file_cut_short_is_found_and_named(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    weights = max((home.models / "next_item").rglob("*.npz"), key=lambda path: path.stat().st_size)
    weights.write_bytes(weights.read_bytes()[:500])
    (finding,) = damaged(home)
    assert finding.part == "models"
    assert weights.name in finding.what
    assert "models reject next_item" in finding.advice


def test_a_damaged_published_file_and_damaged_run_history_are_found(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    with home.published_file.open("r+b") as stream:
        stream.truncate(home.published_file.stat().st_size - 300_000)
    database = max(home.dagster_home.rglob("*.db"), key=lambda path: path.stat().st_size)
    overwrite(database, 0.3, size=20_000)
    assert {finding.part for finding in damaged(home)} == {"published", "dagster"}
    assert all(finding.advice for finding in damaged(home))


def test_a_backup_is_restored_as_it_was_and_nights_go_on_from_it(
    copy_of_shop: Callable[[], Home], tmp_path: Path
) -> None:
    home = copy_of_shop()
    made = ecom("backup", tmp_path / "backup", "--home", home.root)
    assert made.exit_code == 0, made.output
    assert ecom("backup", tmp_path / "backup", "--home", home.root).exit_code == 4, "a backup is never overwritten"
    refused = ecom("restore", tmp_path / "backup", "--home", home.root)
    assert refused.exit_code == 4
    assert "move it away first" in refused.stderr
    before = home.published_file.read_bytes()
    shutil.rmtree(home.root)
    assert ecom("restore", tmp_path / "backup", "--home", home.root).exit_code == 0
    assert home.published_file.read_bytes() == before
    assert damaged(home) == []
    for database in home.root.rglob("*.db"):
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_backup_beside_a_run_waits_for_it_says_so_and_holds_all_that_the_run_wrote(
    copy_of_shop: Callable[[], Home], tmp_path: Path
) -> None:
    home = copy_of_shop()
    waited: list[float] = []
    with ThreadPoolExecutor(1) as other:
        with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
            warehouse.run("DELETE FROM recommendations")
            backup = other.submit(back_up, home, tmp_path / "backup", on_wait=waited.append)
            while not waited:
                time.sleep(0.01)
            warehouse.run("DELETE FROM sales_forecasts")
            assert not backup.done() and list(tmp_path.glob("backup")) == []
        backup.result(timeout=60)
    restore(tmp_path / "backup", Home(tmp_path / "restored"))
    for name in ("recommendations", "sales_forecasts"):
        restored = Home(tmp_path / "restored").warehouse_file
        assert published(restored, f"SELECT count(*) FROM {name}") == [(0,)]


def test_a_damaged_backup_is_not_put_back(copy_of_shop: Callable[[], Home], tmp_path: Path) -> None:
    home = copy_of_shop()
    assert ecom("backup", tmp_path / "backup", "--home", home.root).exit_code == 0
    (tmp_path / "backup" / "home" / "settings.yaml").write_text("profile: sample\n")
    refused = ecom("restore", tmp_path / "backup", "--home", tmp_path / "new")
    assert refused.exit_code == 4
    assert "settings.yaml" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_health_is_told_with_an_exit_status_and_to_prometheus(published_shop: PublishedShop, tmp_path: Path) -> None:
    home = published_shop.home
    metrics = tmp_path / "shop.prom"
    told = ecom("health", "--home", home.root, "--prometheus", metrics)
    assert told.exit_code in (0, 1)
    assert f"night: the last night published is that of {DAY}" in told.output
    lines = metrics.read_text().splitlines()
    assert all(line.startswith(("# HELP ecom_pipeline_", "# TYPE ecom_pipeline_", "ecom_pipeline_")) for line in lines)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert {"ecom_pipeline_health", "ecom_pipeline_nights_late", "ecom_pipeline_disk_free_bytes"} <= set(names)


@pytest.mark.parametrize(("days", "level"), [(1, Level.WELL), (2, Level.WARNING), (9, Level.CRITICAL)])
def test_a_night_that_is_late_is_told(copy_of_shop: Callable[[], Home], days: int, level: Level) -> None:
    home = copy_of_shop()
    text = (Path(__file__).parents[2] / "ecom_pipeline" / "sources" / "profiles" / "sample.yaml").read_text()
    (home.root / "own.yaml").write_text(text)
    home.settings_file.write_text("profile: own.yaml\n")
    clock = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC) + timedelta(days=days)
    found = health_of(home, now=clock)
    assert next(symptom.level for symptom in found.symptoms if symptom.name == "night") == level
    assert f"ecom_pipeline_nights_late {max(days - 1, 0)}" in as_prometheus(found.metrics)


def test_a_home_without_a_night_is_critical(tmp_path: Path) -> None:
    assert ecom("init", "--profile", "sample", "--home", tmp_path / "home").exit_code == 0
    assert ecom("health", "--home", tmp_path / "home").exit_code == 2
