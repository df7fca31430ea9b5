import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecom_pipeline.forecasting import (
    FORECAST_COLUMNS,
    QUANTILES,
    ForecastingError,
    SalesForecaster,
    TrainingSettings,
    backtest,
    backtest_profile,
    metrics,
)
from ecom_pipeline_tests.forecasting.series import TINY, split, tiny_forecaster, weekly_sales


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return weekly_sales()


@pytest.fixture(scope="module")
def fitted(sales: pd.DataFrame) -> SalesForecaster:
    history, _ = split(sales)
    return tiny_forecaster(known_future=("promo",), static=("category",), group_by="category").fit(history)


def assert_sound(forecast: pd.DataFrame, *, negative: bool = False) -> None:
    values = forecast[["mean", *QUANTILES, "point"]].to_numpy()
    assert np.isfinite(values).all()
    assert negative or (values >= 0).all()
    assert (np.diff(forecast[list(QUANTILES)].to_numpy(), axis=1) >= 0).all()


def test_a_forecast_has_the_columns_and_rows_of_the_contract(fitted: SalesForecaster, sales: pd.DataFrame) -> None:
    history, future = split(sales)
    shuffled = future.drop(columns="y").sample(frac=1, random_state=1)
    forecast = fitted.predict(history, shuffled)
    assert tuple(forecast.columns) == FORECAST_COLUMNS
    assert (forecast["unique_id"].to_numpy() == shuffled["unique_id"].to_numpy()).all()
    assert (forecast["ds"].to_numpy() == shuffled["ds"].to_numpy()).all()
    assert_sound(forecast)
    ordered = fitted.predict(history, future.drop(columns="y"))
    merged = ordered.merge(forecast, on=["unique_id", "ds"], suffixes=("", "_shuffled"))
    assert np.allclose(merged["mean"], merged["mean_shuffled"])


def test_the_point_is_the_functional_asked_for(fitted: SalesForecaster, sales: pd.DataFrame) -> None:
    history, future = split(sales)
    future = future.drop(columns="y")
    median = fitted.predict(history, future, point="median")
    percentage = fitted.predict(history, future, point="percentage")
    assert (median["point"] == median["p50"]).all()
    assert (percentage["point"] <= percentage["p50"] + 1e-9).all()
    assert (fitted.predict(history, future)["point"] == median["mean"]).all()


def test_without_known_columns_the_future_may_be_left_out(sales: pd.DataFrame) -> None:
    history, _ = split(sales)
    forecast = tiny_forecaster().fit(history).predict(history)
    assert len(forecast) == 6 * 7
    assert forecast["ds"].min() == history["ds"].max() + pd.Timedelta(days=1)


def test_the_same_data_settings_and_seed_give_the_same_forecast(sales: pd.DataFrame) -> None:
    history, future = split(sales)
    forecasts = [
        tiny_forecaster(known_future=("promo",), seed=seed).fit(history).predict(history, future) for seed in (3, 3, 4)
    ]
    pd.testing.assert_frame_equal(forecasts[0], forecasts[1])
    assert not np.allclose(forecasts[0]["mean"], forecasts[2]["mean"])


def test_a_loaded_forecaster_forecasts_the_same(fitted: SalesForecaster, sales: pd.DataFrame, tmp_path: Path) -> None:
    history, future = split(sales)
    fitted.save(tmp_path / "model")
    loaded = SalesForecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(history, future), fitted.predict(history, future))
    assert loaded.settings_ == fitted.settings_
    json.dumps(loaded.report())


def test_a_loaded_forecaster_can_be_updated(fitted: SalesForecaster, sales: pd.DataFrame, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    loaded = SalesForecaster.load(tmp_path / "model").update(sales)
    assert loaded.settings_["trained_until"] == str(sales["ds"].max())


def test_a_folder_whose_parts_do_not_fit_is_refused(fitted: SalesForecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["network"]["units"] = 16
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ForecastingError, match="do not fit"):
        SalesForecaster.load(tmp_path)
    with pytest.raises(ForecastingError, match="not a saved forecaster"):
        SalesForecaster.load(tmp_path / "nothing")


def test_business_days_survive_saving(tmp_path: Path) -> None:
    dates = pd.bdate_range("2024-01-01", periods=60, freq="C", weekmask="Sun Mon Tue Wed Thu Fri")
    history = pd.DataFrame({"unique_id": "a", "ds": dates, "y": np.arange(60) % 6 + 1.0})
    freq = pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu Fri")
    forecaster = tiny_forecaster(freq=freq).fit(history)
    forecaster.save(tmp_path)
    forecast = SalesForecaster.load(tmp_path).predict(history)
    assert not (forecast["ds"].dt.day_name() == "Saturday").any()
    assert forecaster.settings_["cycle"] == 6


def test_changing_the_future_leaves_the_forecast_unchanged(sales: pd.DataFrame) -> None:
    cutoff = sales["ds"].max() - pd.Timedelta(days=21)
    changed = sales.copy()
    changed.loc[changed["ds"] > cutoff, "y"] *= 100
    settings = {"known_future": ("promo",), "static": ("category",), "group_by": "category"}
    for refit in ("first", "each"):
        first, second = (backtest(tiny_forecaster(**settings), s, [cutoff], refit) for s in (sales, changed))
        pd.testing.assert_frame_equal(first.drop(columns="y"), second.drop(columns="y"))


def test_a_later_history_moves_the_forecast(fitted: SalesForecaster, sales: pd.DataFrame) -> None:
    history, future = split(sales)
    louder = history.copy()
    louder.loc[louder["ds"] > louder["ds"].max() - pd.Timedelta(days=28), "y"] *= 3
    assert fitted.predict(louder, future)["mean"].sum() > 1.5 * fitted.predict(history, future)["mean"].sum()


def test_series_that_the_fit_never_saw_are_forecast(fitted: SalesForecaster, sales: pd.DataFrame) -> None:
    history, future = split(sales)
    newcomer = history[history["unique_id"] == "p2"].tail(3).assign(unique_id="new")
    unborn = future[future["unique_id"] == "p2"].assign(unique_id="unborn")
    ahead = pd.concat([future, future[future["unique_id"] == "p2"].assign(unique_id="new"), unborn])
    forecast = fitted.predict(pd.concat([history, newcomer]), ahead.drop(columns="y"))
    assert_sound(forecast)
    assert (forecast.loc[forecast["unique_id"].isin(["new", "unborn"]), "mean"] > 0).all()


def test_a_product_that_never_sold_starts_from_its_category(sales: pd.DataFrame) -> None:
    dear = sales["category"] == "odd"
    listed = sales.assign(measure="quantity", y=sales["y"].where(~dear, 100 * sales["y"]))
    history, future = split(listed)
    newcomers = [future[future["unique_id"] == old].assign(unique_id=f"new beside {old}") for old in ("p0", "p1")]
    forecaster = tiny_forecaster(static=("measure", "category")).fit(history)
    forecast = forecaster.predict(history, pd.concat([future, *newcomers]).drop(columns=["y", "promo"]))
    mean = forecast.groupby("unique_id")["mean"].mean()
    assert 10 < mean["new beside p0"] < 100
    assert 1000 < mean["new beside p1"] < 10_000


def test_an_update_takes_in_series_and_categories_that_appeared_since(sales: pd.DataFrame) -> None:
    history, future = split(sales, horizon=21)
    forecaster = tiny_forecaster(static=("category",), group_by="category", settings=TINY).fit(history)
    late = future[future["unique_id"] == "p1"].assign(unique_id="a-late-one", category="late")
    extended = pd.concat([sales, late])
    forecast = forecaster.update(extended).predict(extended)
    assert_sound(forecast)
    assert "a-late-one" in set(forecast["unique_id"])


@pytest.mark.parametrize("cell", ["gru", "simple_rnn", "dilated_cnn"])
def test_every_cell_trains_and_forecasts(cell: str, sales: pd.DataFrame) -> None:
    history, future = split(sales)
    forecaster = tiny_forecaster(cell=cell, known_future=("promo",)).fit(history)
    assert_sound(forecaster.predict(history, future))
    assert len(forecaster.report()["losses"][0]) >= 1


@pytest.mark.parametrize(
    ("freq", "periods", "horizon"), [("W-MON", 60, 4), ("MS", 30, 3), ("B", 90, 5), ("h", 120, 24)]
)
def test_weeks_months_business_days_and_hours_work(freq: str, periods: int, horizon: int) -> None:
    dates = pd.date_range("2022-01-03", periods=periods, freq=freq)
    history = pd.concat(
        [pd.DataFrame({"unique_id": f"s{k}", "ds": dates, "y": 5.0 + k + np.arange(periods) % 5}) for k in range(3)]
    )
    forecast = tiny_forecaster(freq=freq, horizon=horizon).fit(history).predict(history)
    assert_sound(forecast)
    assert len(forecast) == 3 * horizon


def test_a_time_budget_sets_the_number_of_steps_not_the_clock(
    sales: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, _ = split(sales)
    monkeypatch.setattr("ecom_pipeline.forecasting.budget.SECONDS_A_STEP", 0.5)
    endless = TrainingSettings(
        steps=100_000, final_steps=100_000, most_passes=1e9, batch_size=16, units=4, hidden=4, patches=2
    )
    first, second = (tiny_forecaster(time_budget_s=60.0, settings=endless).fit(history) for _ in range(2))
    chosen = first.settings_
    assert 90 < chosen["steps"] == chosen["allowed_steps"] < 120
    assert not chosen["cut_short_by_clock"]
    pd.testing.assert_frame_equal(first.predict(history), second.predict(history))
    assert tiny_forecaster(time_budget_s=600.0).fit(history).settings_["steps"] == TINY.steps + TINY.final_steps


def test_a_small_panel_is_not_learnt_by_heart(sales: pd.DataFrame) -> None:
    history, _ = split(sales)

    def steps(**arguments: float) -> int:
        plan = TrainingSettings(batch_size=16, units=4, hidden=4, patches=2, **arguments)  # type: ignore[arg-type]
        return int(tiny_forecaster(settings=plan).fit(history).settings_["steps"])

    windows = 6 * (133 - 14)  # of six series and 133 days, two cycles before the first origin, when all are trained on
    assert 130 < steps() < 1.3 * 10 * windows / (2 * 16)
    assert steps(most_passes=0.01) == 130


def test_a_machine_much_slower_than_the_budget_reckons_with_is_stopped_by_the_clock(
    sales: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, _ = split(sales)
    monkeypatch.setattr("ecom_pipeline.forecasting.budget.SECONDS_A_STEP", 1e-9)
    monkeypatch.setattr("ecom_pipeline.forecasting.budget.MULTIPLICATIONS_A_SECOND", 1e15)
    endless = TrainingSettings(
        steps=100_000, final_steps=100_000, most_passes=1e9, batch_size=16, units=4, hidden=4, patches=2
    )
    chosen = tiny_forecaster(time_budget_s=1.0, settings=endless).fit(history).settings_
    assert chosen["cut_short_by_clock"]
    assert chosen["steps"] < chosen["allowed_steps"]
    assert chosen["seconds"] < 15


def test_progress_is_told_and_ends_at_one(sales: pd.DataFrame) -> None:
    told: list[tuple[str, float]] = []
    history, _ = split(sales)
    tiny_forecaster(on_progress=lambda stage, share: told.append((stage, share))).fit(history)
    assert {stage for stage, _ in told} == {"train", "validate", "final"}
    assert all(0 <= share <= 1 for _, share in told)


values = st.one_of(
    st.none(),
    st.floats(min_value=-1e4, max_value=1e6, allow_nan=False),
    st.just(0.0),
    st.just(80_995.0),
)


@pytest.fixture(scope="module")
def forecasters(sales: pd.DataFrame) -> dict[bool, SalesForecaster]:
    history, _ = split(sales)
    signed = history.assign(y=history["y"] - 20)
    return {
        False: tiny_forecaster().fit(history),
        True: tiny_forecaster(allow_negative=True).fit(signed),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=st.lists(values, min_size=1, max_size=60), negative=st.booleans())
def test_any_series_gets_a_sound_forecast(
    forecasters: dict[bool, SalesForecaster], record: list[float | None], negative: bool
) -> None:
    dates = pd.date_range("2024-03-01", periods=len(record))
    history = pd.DataFrame({"unique_id": "odd", "ds": dates, "y": pd.Series(record, dtype="float64")})
    assert_sound(forecasters[negative].predict(history), negative=negative)


@pytest.mark.parametrize(
    "y",
    [
        [5.0],
        [0.0] * 30,
        [7.0] * 50,
        [np.nan] * 9 + [3.0],
        [0, 0, 0, 4, 0, 0, 0, 0, 0, 1] * 6,
        [-3.0, 5.0, -2.0] * 12,
        [10.0] * 40 + [80_995.0] + [10.0] * 10,
    ],
)
def test_odd_series_can_be_fitted(y: list[float]) -> None:
    history = pd.DataFrame({"unique_id": "odd", "ds": pd.date_range("2024-01-01", periods=len(y)), "y": y})
    assert_sound(tiny_forecaster().fit(history).predict(history))


def test_one_giant_order_does_not_poison_the_fit() -> None:
    y = np.tile([10.0, 12, 8, 11, 9, 10, 10], 12)
    y[40] = 80_995.0
    history = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=len(y)), "y": y})
    assert tiny_forecaster().fit(history).predict(history)["mean"].max() < 100


def test_a_covariate_constant_but_for_rounding_changes_nothing_much(sales: pd.DataFrame) -> None:
    history, future = split(sales)
    rng = np.random.default_rng(0)
    flat = [f.assign(price=0.1 + rng.normal(0, 1e-12, len(f))) for f in (history, future)]
    flat[1] = flat[1].assign(price=0.2)
    with_price = tiny_forecaster(known_future=("price",)).fit(flat[0]).predict(flat[0], flat[1])
    without = tiny_forecaster().fit(history).predict(history)
    assert_sound(with_price)
    ratio = with_price["mean"].to_numpy() / without["mean"].to_numpy()
    assert ((ratio > 0.5) & (ratio < 2)).all()


def test_a_holiday_that_occurred_once_keeps_forecasts_in_bounds(sales: pd.DataFrame) -> None:
    marked = sales.assign(holiday=(sales["ds"] == pd.Timestamp("2024-02-14")).astype(float))
    marked.loc[marked["holiday"] == 1, "y"] = 0.0
    history, future = split(marked)
    future = future.assign(holiday=1.0)
    forecast = tiny_forecaster(known_future=("holiday",)).fit(history).predict(history, future)
    assert_sound(forecast)
    assert forecast["mean"].max() < 3 * history["y"].max()


def test_promotions_known_ahead_beat_the_profile() -> None:
    sales = weekly_sales(series=8, days=210, seed=5)
    cutoffs = ["2024-06-30", "2024-07-07", "2024-07-14"]
    plan = TrainingSettings(steps=80, final_steps=20, update_steps=10, batch_size=64, units=16, hidden=16, patches=4)
    ours = backtest(tiny_forecaster(known_future=("promo",), settings=plan), sales, cutoffs)
    profile = backtest_profile(sales, cutoffs, freq="D", horizon=7)
    error = metrics.wape(ours["y"].to_numpy(), ours["mean"].to_numpy())
    assert error < 0.6 * metrics.wape(profile["y"].to_numpy(), profile["mean"].to_numpy())
    assert 0.6 <= metrics.coverage(*(ours[c].to_numpy() for c in ("y", "p10", "p90"))) <= 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="promo"), "missing column.*promo"),
        (lambda f: pd.concat([f, f.head(1)]), "more than one row"),
        (lambda f: f.assign(y=np.nan), "no recorded value"),
        (lambda f: f.head(0), "no rows"),
        (lambda f: f.assign(promo="yes"), "column promo"),
    ],
)
def test_wrong_input_is_named(change: object, message: str, sales: pd.DataFrame) -> None:
    history, _ = split(sales)
    with pytest.raises(ForecastingError, match=message):
        tiny_forecaster(known_future=("promo",)).fit(change(history))  # type: ignore[operator]


def test_groups_are_those_of_a_static_column() -> None:
    with pytest.raises(ForecastingError, match="group_by='level': must be one of the static columns"):
        tiny_forecaster(static=("category",), group_by="level")


def test_one_group_whose_level_was_off_does_not_move_the_others() -> None:
    drifted, _ = split(weekly_sales(days=300))
    growing = (drifted["ds"] - drifted["ds"].max() + pd.Timedelta(days=60)).dt.days.clip(lower=0)
    drifted["y"] *= np.exp(0.02 * growing.where(drifted["category"] == "odd", 0))
    groups = {
        name: tiny_forecaster(horizon=28, static=("category",), group_by=name).fit(drifted).settings_
        for name in (None, "category")
    }
    assert groups[None]["combination"]["mean_factor"] > 1.05
    assert groups[None]["combination_by_group"] == {}
    by_group = groups["category"]["combination_by_group"]
    assert by_group["even"]["mean_factor"] < 1.01
    assert by_group["odd"]["mean_factor"] > 1.05


def test_dates_off_the_frequency_are_named() -> None:
    history = pd.DataFrame({"unique_id": "a", "ds": pd.to_datetime(["2024-01-05", "2024-01-06"]), "y": [1.0, 2.0]})
    with pytest.raises(ForecastingError, match="2024-01-06"):
        tiny_forecaster(freq="B").fit(history)


def test_importing_the_library_does_not_import_tensorflow() -> None:
    code = "import sys, ecom_pipeline.forecasting; sys.exit('tensorflow' in sys.modules or 'dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_means_of_rarely_sold_products_add_up_and_their_quantiles_stay_in_bounds() -> None:
    rng = np.random.default_rng(0)
    dates = pd.date_range("2024-01-01", periods=112)
    starts = rng.integers(0, 40, size=120)
    parts = []
    for k, start in enumerate(starts):
        y = (rng.random(112) < 0.04).astype(float)
        y[start] = 1.0  # a product's record begins with its first sale
        parts.append(pd.DataFrame({"unique_id": f"p{k}", "ds": dates[start:], "y": y[start:]}))
    history, _ = split(pd.concat(parts, ignore_index=True), horizon=14)
    plan = TrainingSettings(steps=150, final_steps=40, batch_size=64, units=16, hidden=16)
    forecast = tiny_forecaster(horizon=14, settings=plan).fit(history).predict(history)
    assert_sound(forecast)
    assert 0.75 < forecast["mean"].sum() / (0.04 * len(forecast)) < 1.4
    assert (forecast["p50"] == 0).mean() > 0.95
    assert forecast["p95"].max() <= 3.0
