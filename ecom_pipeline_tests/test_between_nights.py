"""Between nights, end to end: a file lands, and those whom it speaks of read new recommendations a moment later."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode
from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.orchestration.jobs import INGEST_JOB
from ecom_pipeline.orchestration.running import NO_CONSOLE_LOG
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import SMALL_SHOP

NEWCOMER = "C99999"


def ecom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def recommended(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Published recommendations by user."""
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        rows = connection.execute(
            "SELECT user_id, as_of, rank, item_id, reason, model_version FROM recommendations ORDER BY ALL"
        ).fetchall()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for user, *rest in rows:
        found.setdefault(user, []).append(tuple(rest))
    return found


def land_views(home: Home, user: str, *products: str) -> None:
    """Somebody looks at products on the day after the last night."""
    day = SMALL_SHOP.last_day + timedelta(days=1)
    lines = [f'"{day} 10:{n:02}:00","s-{user}","{user}","view_item","{sku}","phone"' for n, sku in enumerate(products)]
    file = home.landing / "browse" / f"browse_{day}_{user}.csv"
    file.write_text("at_utc,session,customer,event,sku,device\n" + "\n".join(lines) + "\n")


def test_the_command_renews_the_lists_of_those_who_came_and_leaves_all_others(
    copy_of_shop: Callable[[], Home],
) -> None:
    home = copy_of_shop()
    before = recommended(home)
    known, other = sorted(before)[:2]
    shown = [item for _, _, item, *_ in before[other]]
    land_views(home, known, *shown[:3])
    land_views(home, NEWCOMER, *shown[:2])

    done = ecom("rescore", "--home", home.root, "--json")
    assert done.exit_code == ExitCode.DONE, done.output
    told = json.loads(done.stdout)
    assert (told["users"], told["rows_loaded"], told["as_of"]) == (2, 5, str(SMALL_SHOP.last_day))

    after = recommended(home)
    assert {user: rows for user, rows in after.items() if user not in {known, NEWCOMER}} == {
        user: rows for user, rows in before.items() if user != known
    }
    assert after[known] != before[known]
    assert len(after[NEWCOMER]) == len(before[known])
    assert {row[-1] for row in after[NEWCOMER]} == {row[-1] for row in before[known]}

    again = ecom("rescore", "--home", home.root)
    assert again.exit_code == ExitCode.DONE, again.output
    assert "0 users with new events" in again.output


def test_the_job_of_the_landing_sensor_renews_them_too(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    shown = [item for _, _, item, *_ in next(iter(recommended(home).values()))]
    land_views(home, NEWCOMER, *shown[:2])
    with instance_of(home) as instance:
        job = build_defs(home.root).resolve_job_def(INGEST_JOB)
        result = job.execute_in_process(instance=instance, run_config=NO_CONSOLE_LOG, raise_on_error=True)
        (event,) = list(result.asset_materializations_for_node("rescored_users"))
    assert event.metadata["users with new events"].value == 1
    assert NEWCOMER in recommended(home)


def test_before_the_first_night_the_command_says_what_to_do(tmp_path: Path) -> None:
    made = ecom("init", "--profile", "tmall2014", "--home", tmp_path / "shop")
    assert made.exit_code == ExitCode.DONE, made.output
    done = ecom("rescore", "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.DONE, done.output
    assert "run ecom-pipeline nightly first" in done.output.replace("\n", " ")
