"""Homes that several test modules share: made once, because a night with its networks takes many seconds."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import absl.logging
import pytest
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.orchestration.running import NightRun, run_night
from ecom_pipeline.sample import ShopPlan, generate_shop
from ecom_pipeline.settings import Home

SMALL_SHOP = ShopPlan(
    seed=7, first_day=date(2026, 1, 1), days=90, users=120, items=20, visits_per_day=25, file_format="csv"
)
SMALL_BUDGETS = {
    "horizon_days": 7,
    "backtest_windows": 1,
    "forecast_time_budget_seconds": 2,
    "next_item_model": "gru",
    "next_item_time_budget_seconds": 2,
    "recommendations_per_user": 5,
    "similar_items_per_item": 5,
}


@pytest.fixture(scope="session", autouse=True)
def absl_logs_to_a_stream_of_its_own() -> None:
    """absl (TensorFlow's logging) closes the stream it found at its import when logging is configured anew, and that
    stream may be pytest's capture; the interpreter's own it leaves open."""
    absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


@dataclass(frozen=True)
class PublishedShop:
    """A home whose first night was published."""

    home: Home
    run: NightRun


def set_up(root: Path, *, profile: str, exports: Path, settings: dict[str, object]) -> Home:
    """A home made by the command line, with some settings changed."""
    made = CliRunner().invoke(app, ["init", "--profile", profile, "--home", str(root), "--exports", str(exports)])
    assert made.exit_code == 0, made.output
    home = Home(root)
    with home.settings_file.open("a", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in settings.items())
    return home


@pytest.fixture(scope="session")
def small_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exports of a small synthetic shop."""
    exports = tmp_path_factory.mktemp("exports")
    generate_shop(exports, SMALL_SHOP)
    return exports


@pytest.fixture(scope="session")
def published_shop(tmp_path_factory: pytest.TempPathFactory, small_exports: Path) -> PublishedShop:
    """The small synthetic shop after its last night. Tests that change it work on a copy."""
    home = set_up(
        tmp_path_factory.mktemp("shop") / "home", profile="sample", exports=small_exports, settings=SMALL_BUDGETS
    )
    run = run_night(home, SMALL_SHOP.last_day)
    assert run.succeeded, run.failures
    return PublishedShop(home=home, run=run)


@pytest.fixture
def copy_of_shop(published_shop: PublishedShop, tmp_path: Path) -> Callable[[], Home]:
    """Makes a copy of the published shop that a test may change."""

    def copy() -> Home:
        return Home(Path(shutil.copytree(published_shop.home.root, tmp_path / "home")))

    return copy
