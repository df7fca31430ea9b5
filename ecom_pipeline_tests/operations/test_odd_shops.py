"""Odd shops and sudden changes as whole nights: each is published, its figures are sound, and the tables say so."""

import shutil
from pathlib import Path

import pytest

from ecom_pipeline.registry import Registry
from ecom_pipeline.registry.manifest import MODEL_NAMES
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.operations.odd_shops import Order, ask, day, land, night, open_home, trade

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


def warned(home: Home, n: int) -> set[str]:
    sql = f"SELECT expectation FROM validation_results WHERE as_of = DATE '{day(n)}' AND NOT success"
    return {name for (name,) in ask(home, sql)}


def sold(home: Home) -> int:
    ((quantity,),) = ask(home, "SELECT sum(quantity) FROM sales_daily WHERE level = 'total'")
    return int(quantity)


@pytest.mark.parametrize(("times", "name"), [(10, "tenfold"), (0.1, "a tenth")])
def test_a_day_of_tenfold_or_a_tenth_of_the_volume_is_published_and_told(usual: Home, times: float, name: str) -> None:
    before = sold(usual)
    rows = trade(LAST + 1, LAST + 1, a_day=15 * times, seed=1)
    land(usual, "odd", rows)
    night(usual, LAST + 1)
    assert sold(usual) == before + sum(row.quantity for row in rows if isinstance(row, Order))
    assert "volume_is_usual" in warned(usual, LAST + 1)


def test_a_feed_that_stops_is_told_and_the_night_goes_on_with_what_is_there(usual: Home) -> None:
    before = sold(usual)
    night(usual, LAST + 6)
    assert sold(usual) == before
    assert "feed_is_fresh" in warned(usual, LAST + 6)
    assert ask(usual, "SELECT count(*) FROM sales_forecasts WHERE as_of = (SELECT as_of FROM about)") != [(0,)]


def test_a_day_on_which_all_users_are_new_gives_them_recommendations(usual: Home) -> None:
    land(usual, "new", trade(LAST + 1, LAST + 1, seed=2, prefix="new"))
    night(usual, LAST + 1)
    sql = "SELECT count(*) FROM recommendations WHERE as_of = (SELECT as_of FROM about) AND user_id LIKE 'new%'"
    assert ask(usual, sql)[0][0] > 0


def test_a_shop_of_one_day_is_published_with_the_baselines_and_says_why(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    land(home, "one", trade(0, 0))
    night(home, 0)
    reasons = ask(home, "SELECT model, decision, reason FROM model_versions ORDER BY model")
    assert [(model, decision) for model, decision, _ in reasons] == [
        ("next_item", "rejected"),
        ("sales_forecaster", "rejected"),
    ]
    assert all("too little history" in reason for _, _, reason in reasons)
    assert ask(home, "SELECT DISTINCT fallback FROM sales_forecasts") == [(True,)]
    assert ask(home, "SELECT DISTINCT fallback FROM recommendations") == [(True,)]
