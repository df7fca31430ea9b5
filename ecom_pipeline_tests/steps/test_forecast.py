"""The forecaster in the night: what it publishes, when it trains, what it may see, and what happens when it fails."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import ForecastingError, SalesForecaster, TrainingSettings
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home
from ecom_pipeline.steps import forecast, forecast_judging, forecast_making, forecast_training
from ecom_pipeline.steps.features import FeatureError
from ecom_pipeline.steps.forecast import forecast_sales, train_forecaster
from ecom_pipeline.steps.forecast_frames import Covariates
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse
from ecom_pipeline_tests.steps.model_shop import ITEMS, SETTINGS, new_home, open_shop

NIGHT = 99
TINY = TrainingSettings(steps=25, final_steps=5, update_steps=5, units=8, hidden=8, warmup=5, link="sqrt")


@pytest.fixture(autouse=True, scope="module")
def tiny_networks() -> Iterator[None]:
    """Every forecaster of this module trains for a handful of steps, by a fixed plan that no clock can cut."""

    def unfitted(*args: Any, **kwargs: Any) -> SalesForecaster:
        planned = original(*args, **kwargs)
        return SalesForecaster(
            freq="D",
            horizon=planned.horizon,
            known_future=planned.known_future,
            past_only=planned.past_only,
            static=planned.static,
            seed=planned.seed,
            settings=TINY,
        )

    with pytest.MonkeyPatch.context() as patch:
        original = forecast_training._unfitted
        patch.setattr(forecast_training, "_unfitted", unfitted)
        # After a handful of steps the profile is better at everything; a test below asks what comes of it.
        patch.setattr(forecast, "classes_left_to_profile", lambda *arguments: ())
        yield


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("forecast")) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return new_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def shop(warehouse: Warehouse) -> CoreRows:
    shop = CoreRows(warehouse)
    open_shop(shop, days=NIGHT + 40)
    return shop


def build(shop: CoreRows, night: int) -> None:
    shop.build(night, **SETTINGS.model_dump(exclude={"profile"}))


def train(shop: CoreRows, home: Home, night: int, **settings: Any) -> Any:
    return train_forecaster(
        shop.warehouse,
        home=home,
        settings=SETTINGS.model_copy(update=settings),
        country=None,
        as_of=day(night),
    )


def publish(shop: CoreRows, home: Home, night: int) -> Any:
    return forecast_sales(shop.warehouse, home=home, settings=SETTINGS, as_of=day(night))


def rows(shop: CoreRows, night: int) -> pd.DataFrame:
    return shop.warehouse.arrow(
        "SELECT * FROM sales_forecasts WHERE as_of = :night ORDER BY ALL", {"night": day(night)}
    ).to_pandas()


def decide_on(monkeypatch: pytest.MonkeyPatch, *gains: float) -> None:
    """Script the figures of the gate: the challenger's, then the champion's if it is asked for."""
    left = list(gains)
    monkeypatch.setattr(forecast, "gain_over_profile", lambda metrics: left.pop(0))


@pytest.fixture(scope="module")
def promoted(shop: CoreRows, home: Home) -> Any:
    """The first version, promoted whatever it is worth after its few steps."""
    build(shop, NIGHT)
    with pytest.MonkeyPatch.context() as patch:
        decide_on(patch, 0.1)
        return train(shop, home, NIGHT)


def test_a_night_publishes_forecasts_of_all_levels_that_add_up(shop: CoreRows, home: Home, promoted: Any) -> None:
    build(shop, NIGHT)
    report = publish(shop, home, NIGHT)
    table = rows(shop, NIGHT)

    assert report.rows == len(table) == 2 * (1 + 2 + 6) * 7
    assert (report.model, report.fallback, report.model_version) == ("lstm", False, promoted.name)
    assert set(table["model_version"]) == {promoted.name}
    assert sorted(table["horizon"].unique()) == list(range(1, 8))
    assert (table["target_date"] > table["as_of"]).all()
    wide = table.pivot(index=["measure", "target_date"], columns="series_id", values="mean")
    assert (wide["A"] - wide[["a1", "a2", "a3"]].sum(axis=1)).abs().max() < 1e-6
    assert (wide["total"] - wide[["A", "B"]].sum(axis=1)).abs().max() < 1e-6
    quantiles = table[["p05", "p10", "p25", "p50", "p75", "p90", "p95"]]
    assert (quantiles.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None) and (quantiles >= 0).all(axis=None)


def test_the_figures_are_those_of_rolling_windows_by_level_and_measure(shop: CoreRows, promoted: Any) -> None:
    metrics = {(row.dataset, row.metric): row for row in promoted.manifest.metrics}
    assert {dataset for dataset, _ in metrics if dataset.count(",") == 1} == {
        f"{measure}, {level}" for measure in ("quantity", "revenue") for level in ("total", "category", "product")
    }
    assert {metric for dataset, metric in metrics if dataset == "revenue, category"} == {
        *("wape", "wape_median", "rmsse", "mase", "bias", "wpl", "wpl_90", "coverage_80")
    }
    assert metrics["quantity, product", "wape"].n == 6 * 7 * 2
    assert metrics["quantity, total", "coverage_80"].n == 7 * 2
    assert shop.warehouse.rows("SELECT count(*), count(DISTINCT metric), bool_and(is_champion) FROM model_metrics") == [
        (len(promoted.manifest.metrics), 8, True)
    ]


def test_the_figures_are_told_by_days_ahead_and_by_class_of_the_product_too(promoted: Any) -> None:
    parts = {
        row.dataset: row for row in promoted.manifest.metrics if row.metric == "rmsse" and row.dataset.count(",") == 2
    }
    products = {
        name.removeprefix("quantity, product, "): row for name, row in parts.items() if "quantity, product" in name
    }
    days = {f"day {day}" for day in range(1, 8)}
    assert set(products) - days <= {"smooth", "intermittent", "new", "dying", "empty", "A", "B", "C"}
    assert sum(row.n for name, row in products.items() if name in days) == 6 * 7 * 2
    assert sum(row.n for name, row in products.items() if name in ("A", "B", "C")) == 6 * 7 * 2
    assert all(row.baseline_value is not None for row in products.values())
    totals = [name for name in parts if name.startswith("quantity, total")]
    assert len(totals) == 7


def test_the_same_night_again_reuses_its_model_and_gives_the_same_rows(
    shop: CoreRows, home: Home, promoted: Any
) -> None:
    build(shop, NIGHT)
    publish(shop, home, NIGHT)
    before = rows(shop, NIGHT)
    assert train(shop, home, NIGHT) == promoted
    publish(shop, home, NIGHT)
    pd.testing.assert_frame_equal(rows(shop, NIGHT), before)


def test_what_happens_after_the_night_changes_neither_model_nor_forecasts(
    shop: CoreRows, home: Home, promoted: Any, tmp_path: Path
) -> None:
    own = new_home(tmp_path)
    build(shop, NIGHT)
    publish(shop, home, NIGHT)
    before = rows(shop, NIGHT)
    with empty_warehouse(tmp_path) as other:
        elsewhere = CoreRows(other)
        open_shop(elsewhere, days=NIGHT + 1)
        open_shop(elsewhere, days=20, first=NIGHT + 1, seed=7)
        build(elsewhere, NIGHT)
        with pytest.MonkeyPatch.context() as patch:
            decide_on(patch, 0.1)
            again = train(elsewhere, own, NIGHT)
        publish(elsewhere, own, NIGHT)
        after = rows(elsewhere, NIGHT)

    assert again.name == promoted.name
    assert again.manifest.metrics == promoted.manifest.metrics
    pd.testing.assert_frame_equal(after, before, check_exact=True)


def test_what_is_judged_has_learnt_nothing_from_its_held_out_days_not_even_which_products_sell(
    shop: CoreRows, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[pd.DataFrame] = []

    def look(history: pd.DataFrame, **others: Any) -> None:
        seen.append(history)
        raise ForecastingError("looked at")

    monkeypatch.setattr(forecast, "fit_forecaster", look)
    monkeypatch.setattr(forecast_training, "FIT_PRODUCTS", 2)
    held_out = SETTINGS.horizon_days * SETTINGS.backtest_windows
    build(shop, NIGHT)
    train(shop, new_home(tmp_path_factory.mktemp("one")), NIGHT)
    with empty_warehouse(tmp_path) as other:
        elsewhere = CoreRows(other)
        open_shop(elsewhere, days=NIGHT + 1 - held_out)
        open_shop(elsewhere, days=held_out, first=NIGHT + 1 - held_out, seed=7)
        elsewhere.order(NIGHT, ITEMS[0], quantity=5_000)  # what hardly sold before becomes the bestseller
        build(elsewhere, NIGHT)
        train(elsewhere, new_home(tmp_path_factory.mktemp("other")), NIGHT)
    pd.testing.assert_frame_equal(seen[1], seen[0], check_exact=True)
    assert seen[0]["ds"].max() <= pd.Timestamp(day(NIGHT - held_out))


def test_a_worse_challenger_is_rejected_and_the_champion_goes_on(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = NIGHT + 7
    build(shop, night)
    decide_on(monkeypatch, 0.05, 0.1)
    challenger = train(shop, home, night)
    assert (challenger.decision, challenger.data_cutoff) == ("rejected", day(night))
    assert "0.05 against 0 of the baseline and 0.1 of the champion" in challenger.reason
    assert publish(shop, home, night).model_version == promoted.name
    assert train(shop, home, night) == challenger
    assert shop.warehouse.rows(
        "SELECT DISTINCT model_version, is_champion FROM model_metrics WHERE as_of = :night ORDER BY ALL",
        {"night": day(night)},
    ) == [(promoted.name, True), (challenger.name, False)]


def test_a_better_challenger_becomes_champion_and_a_backfilled_night_keeps_the_older_one(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = NIGHT + 14
    build(shop, night)
    decide_on(monkeypatch, 0.2, 0.1)
    challenger = train(shop, home, night)
    assert challenger.decision == "promoted"
    assert publish(shop, home, night).model_version == challenger.name

    build(shop, NIGHT + 1)
    assert train(shop, home, NIGHT + 1) == promoted
    assert publish(shop, home, NIGHT + 1).model_version == promoted.name

    Registry(home, SETTINGS).rollback("sales_forecaster")
    build(shop, night)
    assert publish(shop, home, night).model_version == promoted.name


def test_a_night_before_every_version_trains_its_own(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(shop, NIGHT - 7)
    decide_on(monkeypatch, -0.3)
    version = train(shop, home, NIGHT - 7)
    report = publish(shop, home, NIGHT - 7)

    assert (version.data_cutoff, version.decision) == (day(NIGHT - 7), "rejected")
    assert (report.model, report.fallback, report.model_version) == ("seasonal_profile", True, version.name)
    table = rows(shop, NIGHT - 7)
    assert set(table["fallback"]) == {True}
    products = table[table["level"] == "product"]
    assert (products["mean"] - products["baseline"]).abs().max() < 0.2


def test_too_little_history_is_said_and_the_profile_stands_in(shop: CoreRows, tmp_path: Path) -> None:
    own = new_home(tmp_path)
    build(shop, 30)
    version = train(shop, own, 30)
    report = publish(shop, own, 30)
    assert not version.usable
    assert "too little history: 31 days of sales" in version.reason
    assert report.fallback and report.rows > 0
    assert (rows(shop, 30)["mean"] >= 0).all()


def test_a_training_that_goes_wrong_is_recorded_and_the_profile_stands_in(
    shop: CoreRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = new_home(tmp_path)

    def diverged(self: SalesForecaster, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        frame = future[["unique_id", "ds"]].copy()
        return frame.assign(mean=float("nan"), p05=0.0, p95=1.0, point=0.0)

    build(shop, NIGHT)
    monkeypatch.setattr(SalesForecaster, "fit", lambda self, history: self)
    monkeypatch.setattr(SalesForecaster, "predict", diverged)
    version = train(shop, own, NIGHT)
    assert (version.decision, version.usable) == ("rejected", False)
    assert "the training went wrong: the network's forecast of quantity/" in version.reason
    assert publish(shop, own, NIGHT).fallback


def test_the_long_tail_gets_its_recent_mean_and_its_rows_say_so(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(shop, NIGHT)
    monkeypatch.setattr(forecast_making, "NETWORK_PRODUCTS", 2)
    publish(shop, home, NIGHT)
    table = rows(shop, NIGHT)
    by_network = table[table["model"] == "lstm"]
    # the last products of the shop sell most
    assert set(by_network["series_id"]) == {"total", "A", "B", "b2", "b3"}
    assert set(table[table["model"] == "recent_mean"]["series_id"]) == {"a1", "a2", "a3", "b1"}
    wide = table.pivot(index=["measure", "target_date"], columns="series_id", values="mean")
    assert (wide["total"] - wide[["a1", "a2", "a3", "b1", "b2", "b3"]].sum(axis=1)).abs().max() < 1e-6


def test_products_of_a_class_that_the_profile_forecasts_better_get_it_and_their_rows_say_so(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(shop, NIGHT)
    load = forecast_training.FittedForecaster.load
    monkeypatch.setattr(
        forecast_training.FittedForecaster,
        "load",
        lambda folder: replace(load(folder), profile_classes=("smooth", "intermittent")),
    )
    publish(shop, home, NIGHT)
    table = rows(shop, NIGHT)
    assert set(table[table["level"] == "product"]["model"]) == {"seasonal_profile"}
    assert set(table[table["level"] != "product"]["model"]) == {"lstm"}


def test_a_class_is_left_to_the_profile_where_the_profile_was_better_on_the_held_out_days(shop: CoreRows) -> None:
    build(shop, NIGHT)
    cutoffs = (day(NIGHT - 14), day(NIGHT - 7))
    windows = forecast_judging.open_windows(shop.warehouse, cutoffs=cutoffs, horizon=7, active_days=120, country=None)

    def predicted(forecasts: list[np.ndarray]) -> list[forecast_making.MadeForecasts]:
        """Of forecasts that are sure: all their quantiles are the same."""
        return [
            forecast_making.MadeForecasts(
                forecasts=replace(
                    window.baseline, mean=sure, quantiles=np.repeat(sure[:, :, None], len(QUANTILES), axis=2)
                ),
                by_network=np.ones(len(sure), dtype=bool),
                in_tail=np.zeros(len(sure), dtype=bool),
                series_class=window.series["level"].map({"product": "smooth"}).astype(object).to_numpy(),
            )
            for window, sure in zip(windows, forecasts, strict=True)
        ]

    truth = predicted([window.actual for window in windows])
    off = predicted([window.baseline.mean + 1000 for window in windows])
    assert forecast_judging.classes_left_to_profile(windows, truth) == ()
    assert forecast_judging.classes_left_to_profile(windows, off) == ("smooth",)


def test_nothing_is_forecast_for_a_day_on_which_the_shop_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    future = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2026-01-01", periods=3), "is_closed": [0.0, 1, 0]})
    made = future[["unique_id", "ds"]].assign(mean=2.0, p05=1.0, p95=3.0, point=2.0)
    monkeypatch.setattr(SalesForecaster, "predict", lambda self, history, future: made)
    fitted = forecast_training.FittedForecaster(
        forecaster=SalesForecaster(), covariates=Covariates(known_future=("is_closed",), past_only=())
    )
    assert fitted.predict(future, future)["mean"].tolist() == [2.0, 0.0, 2.0]
    assert fitted.predict(future, future)["p95"].tolist() == [3.0, 0.0, 3.0]


def test_a_champion_of_another_horizon_is_not_asked(
    shop: CoreRows, home: Home, promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"horizon_days": 5})
    shop.build(NIGHT, **settings.model_dump(exclude={"profile"}))
    decide_on(monkeypatch, -0.1)
    version = train(shop, home, NIGHT, horizon_days=5)
    assert version != promoted
    assert "champion" not in version.reason
    report = forecast_sales(shop.warehouse, home=home, settings=settings, as_of=day(NIGHT))
    assert (report.fallback, report.model_version, report.rows) == (True, version.name, 2 * (1 + 2 + 6) * 5)


def test_features_of_another_night_are_refused(shop: CoreRows, home: Home) -> None:
    build(shop, NIGHT)
    with pytest.raises(FeatureError, match="feat_sales_daily stands for the night"):
        train(shop, home, NIGHT + 1)
    with pytest.raises(FeatureError, match="feat_sales_daily stands for the night"):
        publish(shop, home, NIGHT + 1)


def test_a_shop_that_sells_nothing_has_no_forecasts(tmp_path: Path) -> None:
    own = new_home(tmp_path)
    with empty_warehouse(tmp_path) as empty:
        shop = CoreRows(empty)
        shop.event(0, "a")
        shop.event(3, "b")
        build(shop, 5)
        version = train(shop, own, 5)
        assert "0 days of sales" in version.reason
        report = publish(shop, own, 5)
        assert (report.rows, report.fallback) == (0, True)
