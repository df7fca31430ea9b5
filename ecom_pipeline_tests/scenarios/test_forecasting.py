"""Forecasts under a scenario: another plan moves them, the same plan does not, and the warehouse stays as it is."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.assets.scenarios import SCENARIO_JOB
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.registry import Registry
from ecom_pipeline.scenarios.forecasting import forecast_scenario
from ecom_pipeline.scenarios.plan import Change, Scenario, ScenarioError
from ecom_pipeline.settings import Home
from ecom_pipeline.steps.forecast import forecast_sales
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline_tests.conftest import SMALL_SHOP, PublishedShop

NIGHT = SMALL_SHOP.last_day
FIRST, LAST = NIGHT + timedelta(days=2), NIGHT + timedelta(days=4)


@pytest.fixture(scope="module")
def shop(published_shop: PublishedShop, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The small shop with its network as champion, whatever it scored, and its night forecast by it."""
    import shutil

    home = Home(Path(shutil.copytree(published_shop.home.root, tmp_path_factory.mktemp("what_if") / "home")))
    settings = home.settings()
    registry = Registry(home, settings)
    (version, *_) = registry.versions("sales_forecaster")
    registry.promote("sales_forecaster", version.name, reason="a test needs the network")
    with open_warehouse(home.warehouse_file, settings) as warehouse:
        report = forecast_sales(warehouse, home=home, settings=settings, as_of=NIGHT)
        assert not report.fallback
        warehouse.run("UPDATE feat_items SET price = 10 WHERE item_id = (SELECT min(item_id) FROM feat_items)")
    return home


@pytest.fixture
def warehouse(shop: Home) -> Iterator[Warehouse]:
    with open_warehouse(shop.warehouse_file, shop.settings()) as opened:
        yield opened


def change(**told: object) -> Change:
    return Change.model_validate({"from": FIRST, "to": LAST, **told})


def test_a_discount_moves_the_days_it_is_of_and_leaves_the_plan_as_it_was(warehouse: Warehouse, shop: Home) -> None:
    before = warehouse.rows("SELECT * FROM feat_sales_future ORDER BY ALL")
    result = forecast_scenario(
        warehouse, Scenario("half price", (change(discount=0.5),)), home=shop, settings=shop.settings()
    )
    assert warehouse.rows("SELECT * FROM feat_sales_future ORDER BY ALL") == before
    frame = result.rows.to_pandas()
    plan = warehouse.arrow("SELECT * FROM sales_forecasts WHERE as_of = :as_of", {"as_of": NIGHT}).to_pandas()
    assert len(frame) == len(plan)
    assert frame["plan_mean"].sum() == pytest.approx(plan["mean"].sum())
    changed = frame[frame["changed"]]
    assert set(changed["target_date"]) == {FIRST + timedelta(days=day) for day in range(3)}
    assert set(changed["level"]) == {"total", "category", "product"}
    assert (changed["difference"].abs() > 0).mean() > 0.5
    assert frame["difference"].to_numpy() == pytest.approx((frame["mean"] - frame["plan_mean"]).to_numpy())
    assert (frame["difference_low"] <= frame["difference"]).all()
    assert (frame["difference"] <= frame["difference_high"]).all()
    products = frame[(frame["level"] == "product") & (frame["measure"] == "quantity")]
    total = frame[(frame["level"] == "total") & (frame["measure"] == "quantity")]
    assert products["mean"].sum() == pytest.approx(total["mean"].sum(), rel=1e-3)


def test_a_price_is_the_discount_that_it_comes_to(warehouse: Warehouse, shop: Home) -> None:
    ((item, price),) = warehouse.rows(
        "SELECT f.series_id, i.price FROM feat_sales_future f JOIN feat_items i ON f.series_id = i.item_id "
        "WHERE f.level = 'product' AND f.date = :day AND NOT f.on_promotion AND i.price > 0 "
        "ORDER BY f.series_id LIMIT 1",
        {"day": FIRST},
    )
    by_price, by_discount = (
        forecast_scenario(
            warehouse, Scenario("s", (change(item=item, **told),)), home=shop, settings=shop.settings()
        ).rows["mean"]
        for told in ({"price": price * 0.75}, {"discount": 0.25})
    )
    assert by_price.to_numpy() == pytest.approx(by_discount.to_numpy())
    with pytest.raises(ScenarioError, match="is above its list price"):
        forecast_scenario(
            warehouse, Scenario("s", (change(item=item, price=price * 2),)), home=shop, settings=shop.settings()
        )


def test_what_cannot_be_told_is_refused(warehouse: Warehouse, shop: Home) -> None:
    settings = shop.settings()
    for scenario, message in (
        (Scenario("s", (change(item="nothing", discount=0.1),)), "'nothing' has no forecast"),
        (
            Scenario("s", (change(**{"from": NIGHT, "to": NIGHT, "discount": 0.1}),)),
            "lies outside the forecast",
        ),
        (Scenario("s", (change(category="nothing", discount=0.1),)), "no such product or category"),
    ):
        with pytest.raises(ScenarioError, match=message):
            forecast_scenario(warehouse, scenario, home=shop, settings=settings)
    with pytest.raises(ScenarioError, match="stands for the night of"):
        forecast_scenario(
            warehouse,
            Scenario("s", (change(discount=0.1),)),
            home=shop,
            settings=settings,
            as_of=NIGHT - timedelta(days=1),
        )


def test_the_command_and_the_asset_keep_the_rows(shop: Home, tmp_path: Path) -> None:
    file = shop.root / "what_if.yaml"
    file.write_text(f"changes: [{{from: {FIRST}, to: {LAST}, discount: 0.3}}]", encoding="utf-8")
    done = CliRunner().invoke(app, ["scenario", str(file), "--home", str(shop.root), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["scenario"] == "what_if"
    assert {row["level"] for row in told["totals"]} == {"total", "category"}
    with instance_of(shop) as instance:
        run = (
            build_defs(shop.root)
            .resolve_job_def(SCENARIO_JOB)
            .execute_in_process(
                instance=instance,
                run_config={"ops": {"sales_scenarios": {"config": {"file": "what_if.yaml", "name": "from the UI"}}}},
            )
        )
    assert run.success
    with duckdb.connect(told["file"], read_only=True) as connection:
        rows = connection.execute(
            "SELECT scenario, count(*), round(sum(mean), 3) FROM sales_scenarios GROUP BY scenario ORDER BY scenario"
        ).fetchall()
    assert [row[0] for row in rows] == ["from the UI", "what_if"]
    assert rows[0][1:] == (told["rows"], pytest.approx(rows[1][2], rel=1e-4))
    wrong = CliRunner().invoke(app, ["scenario", str(tmp_path / "none.yaml"), "--home", str(shop.root)])
    assert wrong.exit_code == 4
    assert "no such scenario file" in wrong.stderr
