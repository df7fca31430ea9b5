"""Odd shops and sudden changes as whole nights: each is published, its figures are sound, and the tables say so."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ecom_pipeline.orchestration.running import run_night
from ecom_pipeline.registry import Registry
from ecom_pipeline.registry.manifest import MODEL_NAMES
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.operations.conftest import Server
from ecom_pipeline_tests.operations.odd_shops import (
    Order,
    View,
    ask,
    at,
    change,
    day,
    land,
    losses_become_nan,
    night,
    open_home,
    robot,
    sold,
    trade,
    warned,
)

LAST = 69
"""Of the usual shop's days: 2024-03-10, on which the clocks of New York are put forward."""


@pytest.fixture(scope="module")
def usual_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Ten weeks of a usual shop, and its last night; what was trained serves, whatever the gate said."""
    home = open_home(tmp_path_factory.mktemp("usual") / "home")
    land(home, "usual", trade(0, LAST))
    night(home, LAST)
    registry = Registry(home, home.settings())
    for model in MODEL_NAMES:
        version = registry.versions(model)[-1]
        assert version.usable, version.reason
        if version.decision != "promoted":
            registry.promote(model, version.name, reason="the test wants a champion")
    return home


@pytest.fixture
def usual(usual_home: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(usual_home.root, tmp_path / "home")))


def logged(home: Home) -> list[dict[str, Any]]:
    logs = (home.root / "logs").glob("steps-*.jsonl")
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def fallback(home: Home, name: str) -> set[bool]:
    return {
        row[0] for row in ask(home, f"SELECT DISTINCT fallback FROM {name} WHERE as_of = (SELECT as_of FROM about)")
    }


def test_a_tenfold_day_of_new_users_with_broken_trainings_is_published_by_the_champions_and_told(
    usual: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = usual.warehouse_file.read_bytes()
    usual.warehouse_file.write_bytes(b"not a database")
    assert not run_night(usual, day(LAST + 1)).succeeded
    usual.warehouse_file.write_bytes(whole)
    before = sold(usual)
    registry = Registry(usual, usual.settings())
    champions = [registry.champion(model, day(LAST)) for model in ("next_item", "sales_forecaster")]
    land(usual, "odd", rows := trade(LAST + 1, LAST + 1, a_day=150, seed=1, prefix="new"))
    losses_become_nan(monkeypatch)
    change(usual, retrain_after_days=1, next_item_model="gru")
    run = night(usual, LAST + 1)

    assert sold(usual) == before + sum(row.quantity for row in rows if isinstance(row, Order))
    assert {"volume_is_usual", "trainings_ended_with_a_model"} <= warned(usual, LAST + 1)
    sql = "SELECT count(*) FROM recommendations WHERE as_of = (SELECT as_of FROM about) AND user_id LIKE 'new%'"
    assert ask(usual, sql)[0][0] > 0
    new = f"WHERE data_cutoff = DATE '{day(LAST + 1)}' ORDER BY model"
    reasons = ask(usual, f"SELECT decision, reason FROM model_versions {new}")
    assert [decision for decision, _ in reasons] == ["rejected", "rejected"]
    assert all("went wrong: the training of the network diverged" in reason for _, reason in reasons)
    spoke = [(name, ask(usual, f"SELECT DISTINCT model_version FROM {name} WHERE as_of = DATE '{day(LAST + 1)}'"))
             for name in ("recommendations", "sales_forecasts")]  # fmt: skip
    assert [[(version and version.name,)] for version in champions] == [versions for _, versions in spoke]
    assert False in fallback(usual, "recommendations") and fallback(usual, "sales_forecasts") == {False}

    assert [got["kind"] for got in server.got] == ["failure", "recovery", "warning"]
    assert "rebuilt from landing" in server.got[0]["message"]
    assert "sales_forecaster" in server.got[2]["text"] and "diverged" in server.got[2]["text"]
    steps = [line for line in logged(usual) if line["run"] == run.run_id]
    assert {line["event"] for line in steps} == {"started", "succeeded"}
    assert {line["as_of"] for line in steps} == {day(LAST + 1).isoformat()}
    assert {"raw", "core", "next_item", "analytics"} <= {line["asset"] for line in steps}


def test_a_tenth_of_the_orders_and_a_feed_that_has_stopped_are_told_and_the_night_goes_on(usual: Home) -> None:
    before = sold(usual)
    rows = [row for row in trade(LAST + 6, LAST + 6, a_day=1.5, seed=1) if isinstance(row, Order)]
    land(usual, "odd", rows)
    run = night(usual, LAST + 6)
    assert sold(usual) == before + sum(row.quantity for row in rows)
    assert {"volume_is_usual", "feed_is_fresh"} <= warned(usual, LAST + 6)
    told = [check.sentence for check in run.failed_checks]
    assert any("core_order_lines" in sentence and "export is missing" in sentence for sentence in told), told
    assert any("core_events" in sentence for sentence in told), told
    assert ask(usual, "SELECT count(*) FROM sales_forecasts WHERE as_of = (SELECT as_of FROM about)") != [(0,)]


def test_a_shop_of_one_day_one_product_no_purchases_and_a_robot_is_published_with_the_baselines_and_says_why(
    tmp_path: Path,
) -> None:
    home = open_home(tmp_path / "home")
    land(home, "one", [*robot(20_000, items=1), *(View(f"u{n}", "item0", at(0, 12, n)) for n in range(9))])
    run = night(home, 0)
    assert ask(home, "SELECT count(*) FILTER (WHERE user_id = 'robot'), count(*) FROM user_events") == [
        (20_000, 20_009)
    ]
    assert ask(home, "SELECT count(*) FROM sales_daily") == [(0,)]
    assert ask(home, "SELECT count(*) FROM sales_forecasts") == [(0,)]
    assert ask(home, "SELECT count(DISTINCT user_id), count(*) FROM recommendations") == [(10, 10)]
    assert fallback(home, "recommendations") == {True}
    reasons = ask(home, "SELECT decision, reason FROM model_versions")
    assert [decision for decision, _ in reasons] == ["rejected", "rejected"]
    assert all("too little history" in reason for _, reason in reasons)
    assert [check.asset for check in run.failed_checks] == ["model_versions"]
