"""The definitions as Dagster loads them: quickly, on a fresh clone, with the graph that the snapshot holds."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from ecom_pipeline.contracts import ALL_TABLES
from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.nights import night_partitions, today_in
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.orchestration.graph import SNAPSHOT, described_graph
from ecom_pipeline_tests.real_data import CHECKOUT

# pandas is missing here: DuckDB imports it by itself when a parameter is bound, and profiles are checked that way
HEAVY = ("tensorflow", "keras", "great_expectations", "mlflow", "pyspark", "matplotlib")
LOAD_AND_TELL = f"""
import json, sys, time
import ecom_pipeline.definitions
ecom_pipeline.definitions.build_defs().resolve_job_def("nightly")
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"cpu_seconds": time.process_time(), "heavy": heavy}}))
"""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(tmp_path_factory.mktemp("nothing") / "not_made")


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    return list(definitions.resolve_all_asset_specs())


def test_definitions_load_without_heavy_libraries(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_TELL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "ECOM_PIPELINE_HOME": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["heavy"] == []
    assert told["cpu_seconds"] < 4


def test_dagster_validates_the_workspace_of_a_fresh_clone(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "ECOM_PIPELINE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(CHECKOUT / "workspace.yaml")],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout


def test_the_graph_is_the_one_of_the_snapshot(definitions: dg.Definitions) -> None:
    assert described_graph(definitions) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_asset_says_what_it_is_who_owns_it_and_what_makes_it(specs: list[dg.AssetSpec]) -> None:
    for spec in specs:
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.group_name in {"raw", "core", "features", "models", "marts", "published"}, spec.key


def test_every_table_shows_its_columns_with_their_meaning(specs: list[dg.AssetSpec]) -> None:
    tables = [spec for spec in specs if spec.key.to_user_string() in ALL_TABLES]
    assert len(tables) > 25
    for spec in tables:
        declared = ALL_TABLES[spec.key.to_user_string()]
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(declared.column_names)
        assert all(column.description for column in schema.columns)


def test_publishing_waits_for_every_asset(definitions: dg.Definitions, specs: list[dg.AssetSpec]) -> None:
    parents = {spec.key: {dependency.asset_key for dependency in spec.deps} for spec in specs}
    waited_for: set[dg.AssetKey] = set()
    pending = [dg.AssetKey("analytics")]
    while pending:
        for parent in parents[pending.pop()] - waited_for:
            waited_for.add(parent)
            pending.append(parent)
    of_the_published_file = {key for key, of in parents.items() if of == {dg.AssetKey("analytics")}}
    between_nights = {dg.AssetKey("rescored_users"), dg.AssetKey("sales_scenarios")}
    assert waited_for == parents.keys() - {dg.AssetKey("analytics")} - of_the_published_file - between_nights
    assert dg.AssetKey("report") in of_the_published_file


def test_every_table_has_a_blocking_check_of_its_contract(
    definitions: dg.Definitions, specs: list[dg.AssetSpec]
) -> None:
    blocking = {
        spec.asset_key
        for checks in definitions.asset_checks or ()
        for spec in checks.check_specs
        if spec.name == "contract" and spec.blocking
    }
    no_tables = {
        dg.AssetKey(name) for name in ("sales_forecaster", "next_item", "analytics", "report", "sales_scenarios")
    }
    assert blocking == {spec.key for spec in specs} - no_tables


def test_nights_include_the_past_and_today_but_not_tomorrow() -> None:
    partitions = night_partitions("Europe/London")
    now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the night in which the clocks go forward
    keys = partitions.get_partition_keys(current_time=now)
    assert "2010-12-01" in keys
    assert keys[-1] == "2026-03-29"


def test_nights_reach_the_last_day_of_a_shop_that_lies_ahead_of_the_clock() -> None:
    partitions = night_partitions("Europe/London", until=date(2099, 12, 31))
    assert partitions.get_last_partition_key() == "2099-12-31"


def test_today_is_the_shops_day_not_the_machines() -> None:
    late = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    assert today_in("Asia/Tokyo", now=late) == date(2026, 7, 1)
    assert today_in("America/New_York", now=late) == date(2026, 6, 30)


def test_the_schedule_runs_the_night_that_has_just_ended_in_the_shops_time_zone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings_file.write_text('profile: online_retail\nschedule_time: "03:15"\n', encoding="utf-8")
    schedule = build_defs(tmp_path).resolve_schedule_def("every_night")
    assert schedule.cron_schedule == "15 3 * * *"
    assert schedule.execution_timezone == "Europe/London"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    tick = datetime(2026, 3, 29, 2, 15, tzinfo=UTC)  # 03:15 British summer time, which began that night
    request = schedule(dg.build_schedule_context(scheduled_execution_time=tick))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026-03-28"


def test_nothing_starts_by_itself_before_a_home_is_made_or_in_the_sample_shop(tmp_path: Path) -> None:
    unmade = build_defs(tmp_path)
    (tmp_path / "settings.yaml").write_text("profile: sample\n", encoding="utf-8")
    for loaded in (unmade, build_defs(tmp_path)):
        assert loaded.resolve_schedule_def("every_night").default_status is dg.DefaultScheduleStatus.STOPPED
        assert loaded.resolve_sensor_def("landing_sensor").default_status is dg.DefaultSensorStatus.STOPPED


def test_everything_loads_as_the_code_server_of_the_ui_loads_it(tmp_path: Path) -> None:
    build_defs(tmp_path).get_repository_def().load_all_definitions()
