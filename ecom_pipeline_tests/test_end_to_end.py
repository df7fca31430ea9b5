"""From landing files to the published tables, through the command line, as a shop would run it."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode
from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import SMALL_BUDGETS, SMALL_SHOP, PublishedShop, set_up
from ecom_pipeline_tests.real_data import shared_data

OF_THE_RUN = {"run_id", "published_at", "loaded_at", "modified_at"}
"""Columns that say when and by which run; everything else must be the same when a night is run again."""
WEEKS = ("2010-12-0*.csv", "2010-12-1*.csv", "2010-12-2*.csv")
LAST_NIGHT = "2010-12-23"


def ecom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def published_rows(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all published tables, in order, but for what names the run."""
    with duckdb.connect(str(file), read_only=True) as connection:
        return {
            name: connection.execute(
                f"SELECT {', '.join(column for column in declared.column_names if column not in OF_THE_RUN)} "
                f"FROM {name} ORDER BY ALL"
            ).fetchall()
            for name, declared in PUBLISHED_TABLES.items()
            if name != "runs"
        }


def differing(before: dict[str, list[tuple[Any, ...]]], after: dict[str, list[tuple[Any, ...]]]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


def value(file: Path, sql: str) -> Any:
    with duckdb.connect(str(file), read_only=True) as connection:
        ((found,),) = connection.execute(sql).fetchall()
        return found


def test_a_night_fills_every_table_that_its_data_can_fill(published_shop: PublishedShop) -> None:
    file = published_shop.home.published_file
    # a network this small loses against the floors, and without a champion there are no states to group users by
    assert value(file, "SELECT decision FROM model_versions WHERE model = 'next_item'") == "rejected"
    waiting = {"sales_forecast_accuracy", "user_segments", "segments", "segment_items"}  # the first for a second night
    assert {name for name, found in published_rows(file).items() if not found} == waiting
    assert published_shop.run.checks > 40


def test_every_step_of_the_night_is_in_the_published_runs(published_shop: PublishedShop) -> None:
    file = published_shop.home.published_file
    assert value(file, "SELECT count(*) FROM runs WHERE status <> 'succeeded'") == 0
    assert value(file, "SELECT count(*) FROM runs WHERE step IN ('raw', 'core', 'next_item', 'sales_forecasts')") == 4
    assert value(file, "SELECT min(peak_memory_mb) > 0 AND min(seconds) >= 0 FROM runs")


def test_published_tables_and_columns_all_have_a_comment(published_shop: PublishedShop) -> None:
    file = published_shop.home.published_file
    assert value(file, "SELECT count(*) FROM duckdb_tables() WHERE comment IS NULL") == 0
    assert value(file, "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL") == 0


def test_models_and_forecasts_show_figures_and_plots_in_dagster(published_shop: PublishedShop) -> None:
    shown: dict[str, dict[str, Any]] = {}
    with instance_of(published_shop.home) as instance:
        for name in ("sales_forecaster", "next_item", "sales_forecasts", "analytics"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert event is not None
            assert event.asset_materialization is not None
            shown[name] = dict(event.asset_materialization.metadata)
    for model in ("sales_forecaster", "next_item"):
        assert set(shown[model]) >= {"version", "decision", "reason", "metrics", "beside the baseline", "seconds"}
        opened = shown[model]["MLflow run"].value
        kept = published_shop.home.models.resolve() / "mlflow.db"
        assert f"mlflow ui --backend-store-uri sqlite:///{kept}`\n" in opened
        assert "```" not in opened  # it would widen the page's table
        assert re.search(r"http://127\.0\.0\.1:5000/#/experiments/\d+/runs/[0-9a-f]{32}\)", opened)
    assert set(shown["sales_forecasts"]) >= {"forecast", "by level", "preview", "dagster/partition_row_count"}
    assert set(shown["analytics"]) >= {"file", "tables", "nights"}


def test_dagster_writes_few_records_for_a_step(published_shop: PublishedShop) -> None:
    with instance_of(published_shop.home) as instance:  # each is a transaction: what orchestration costs, most of all
        records = len(instance.all_logs(published_shop.run.run_id))
        steps = len(instance.get_run_step_stats(published_shop.run.run_id))
    assert steps > 40
    assert records < 8 * steps


def test_the_same_night_again_replaces_itself_and_ends_with_the_summary(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    before = published_rows(home.published_file)
    again = ecom("nightly", "--home", home.root, "--as-of", str(SMALL_SHOP.last_day))
    assert again.exit_code == ExitCode.DONE, again.output
    assert differing(before, published_rows(home.published_file)) == []
    assert "0 rows of 0 new files" in again.output
    assert f"published      {home.published_file}\n" in again.output
    assert again.output.count("SELECT ") >= 3
    assert "What will sell next week" in again.output


def test_the_next_night_scores_the_forecasts_of_the_one_before(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    night = SMALL_SHOP.last_day - timedelta(days=1)
    done = ecom("backfill", "--home", home.root, "--from", str(night), "--to", str(SMALL_SHOP.last_day), "--json")
    assert done.exit_code == ExitCode.DONE, done.output
    nights = [json.loads(line) for line in done.stdout.splitlines()]
    assert [told["as_of"] for told in nights] == [str(night), str(SMALL_SHOP.last_day)]
    file = home.published_file
    assert value(file, "SELECT count(*) FROM sales_forecast_accuracy") > 0
    assert value(file, "SELECT count(DISTINCT as_of) FROM sales_forecasts") == 2
    cutoffs = "SELECT max(data_cutoff) FROM model_versions JOIN sales_forecasts USING (model_version) WHERE as_of = "
    assert value(file, f"{cutoffs} DATE '{night}'") <= night


def test_a_failed_blocking_check_keeps_what_analysts_read(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    before = home.published_file.read_bytes()
    good = sorted((home.landing / "orders").iterdir())[-1]
    header = good.read_text(encoding="utf-8").splitlines()[0]
    (home.landing / "orders" / "orders_2026-04-01.csv").write_text(
        header + "\n" + "\n".join(["?" + "," * header.count(",")] * 40) + "\n", encoding="utf-8"
    )
    stopped = ecom("nightly", "--home", home.root, "--as-of", str(SMALL_SHOP.last_day))
    assert stopped.exit_code == ExitCode.BLOCKED, stopped.output
    assert "was not published: a check failed" in stopped.stderr
    assert "quarantine_summary" in stopped.stderr
    assert home.published_file.read_bytes() == before
    last_run = "run_id = (SELECT arg_max(run_id, started_at) FROM runs)"
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        steps = {step for (step,) in connection.execute(f"SELECT step FROM runs WHERE {last_run}").fetchall()}
    assert "core" in steps
    assert steps.isdisjoint({"sales_forecaster", "next_item", "sales_forecasts"})  # nobody waits for a training


@pytest.fixture(scope="module")
def real_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("online_retail")
    for pattern in WEEKS:
        for file in shared_data("online_retail", "by-day").glob(pattern):
            shutil.copy2(file, folder)
    return folder


def test_weeks_of_a_real_shop_give_the_same_tables_twice(tmp_path: Path, real_exports: Path) -> None:
    home = set_up(
        tmp_path / "home",
        profile="online_retail",
        exports=real_exports,
        settings={**SMALL_BUDGETS, "next_item_model": "co_visitation"},
    )
    first = ecom("nightly", "--home", home.root, "--as-of", LAST_NIGHT, "--json")
    assert first.exit_code == ExitCode.DONE, first.output
    summary = json.loads(first.stdout)
    assert summary["rows_loaded"] == sum(
        len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in real_exports.iterdir()
    )
    assert len(summary["queries"]) == 3
    before = published_rows(home.published_file)
    again = ecom("nightly", "--home", home.root, "--as-of", LAST_NIGHT, "--quiet")
    assert again.exit_code == ExitCode.DONE, again.output
    assert again.output == ""
    assert differing(before, published_rows(home.published_file)) == []
    assert before["sales_forecasts"]
    assert before["recommendations"]
