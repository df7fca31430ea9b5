"""Days of all series as arrays: what the features say, and the profile that the library makes of long frames."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import scales_at, seasonal_profile
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.steps import forecast_baseline
from ecom_pipeline.steps.forecast_baseline import profile_forecasts
from ecom_pipeline.steps.forecast_days import changes_before, days_ahead, days_before
from ecom_pipeline.steps.forecast_frames import Covariates, history_of, known_ahead, series_at_cutoff, series_of_night
from ecom_pipeline.steps.forecast_judging import open_windows
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_tail import tail_forecasts
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import day, empty_warehouse

DAYS, NIGHT, HORIZON = 90, 79, 10
CLOSED = Covariates(known_future=("is_closed",), past_only=())
SUNDAYS = frozenset(day(n) for n in range(-100, DAYS + HORIZON) if day(n).weekday() == 6)
THEN = Outlook(cutoff=day(NIGHT), closed=SUNDAYS, planned=False)
TONIGHT = Outlook(cutoff=day(DAYS - 1), closed=SUNDAYS, planned=True)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Features of the night DAYS - 1: products that start late, end early, are sold out, or have no price."""
    rng = np.random.default_rng(0)
    rows = []
    for name, first, last in (("a", 0, DAYS), ("b", 0, NIGHT + 4), ("new", NIGHT - 5, DAYS), ("c", 20, DAYS)):
        for n in range(first, last):
            closed = n % 7 == 6
            quantity = None if name == "c" and n % 9 == 0 else 0.0 if closed else float(rng.poisson(3))
            revenue = None if name == "b" or quantity is None else quantity * 2.5
            rows.append(("product", name, day(n), quantity, revenue, int(bool(quantity)), closed, n % 5 / 5, n % 3))
    for n in range(DAYS):
        rows.append(("total", "total", day(n), float(n), 2.0 * n, 1, n % 7 == 6, 0.0, 1))
    columns = ["level", "series_id", "date", "quantity", "revenue", "orders", "is_closed", "promotion_share", "views"]
    frame = pd.DataFrame(rows, columns=columns).sample(frac=1.0, random_state=0)
    with empty_warehouse(tmp_path_factory.mktemp("days")) as opened:
        opened.connection.register("made", frame)
        opened.run(f"INSERT INTO feat_sales_daily ({', '.join(columns)}) SELECT * FROM made")
        opened.run(
            "INSERT INTO feat_sales_future (level, series_id, date, is_closed, promotion_share) "
            "SELECT level, series_id, date + 10, is_closed, promotion_share FROM feat_sales_daily WHERE date > :night",
            {"night": day(NIGHT)},
        )
        opened.run(
            "INSERT INTO feat_items (item_id, category) VALUES ('a', 'A'), ('b', NULL), ('c', 'A'), ('new', 'B')"
        )
        opened.connection.unregister("made")
        yield opened


@pytest.fixture(scope="module")
def series(warehouse: Warehouse) -> pd.DataFrame:
    return series_at_cutoff(warehouse, cutoff=day(NIGHT), horizon=HORIZON, active_days=60)


def test_days_are_what_the_features_say_in_the_order_of_the_series(warehouse: Warehouse, series: pd.DataFrame) -> None:
    some = series.iloc[::-1].reset_index(drop=True)
    days = days_ahead(warehouse, some, outlook=THEN, horizon=HORIZON)
    for place, (_, row) in enumerate(some.iterrows()):
        known = dict(
            warehouse.rows(
                f"SELECT date, {row['measure']} FROM feat_sales_daily "
                "WHERE level = :level AND series_id = :series_id AND date > :night",
                {"level": row["level"], "series_id": row["series_id"], "night": day(NIGHT)},
            )
        )
        for ahead in range(HORIZON):
            value = known.get(day(NIGHT + 1 + ahead))
            assert days.listed[place, ahead] == (day(NIGHT + 1 + ahead) in known)
            assert days.closed[place, ahead] == (day(NIGHT + 1 + ahead).weekday() == 6)
            np.testing.assert_equal(days.y[place, ahead], np.nan if value is None else value)
    assert not days.listed[list(some["series_id"]).index("b")].all(), "one of them ends within the window"


def test_a_plan_has_days_and_no_sales(warehouse: Warehouse) -> None:
    planned = series_of_night(warehouse, as_of=day(DAYS - 1))
    days = days_ahead(warehouse, planned, outlook=TONIGHT, horizon=HORIZON)
    assert days.listed.any() and days.closed.any()
    assert np.isnan(days.y).all()


@pytest.mark.parametrize("at_once", [3, 10_000])
@pytest.mark.parametrize("planned", [False, True])
def test_the_profile_is_the_librarys_of_the_last_eight_weeks_of_open_days(
    warehouse: Warehouse, series: pd.DataFrame, planned: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_baseline, "AT_ONCE", at_once)
    outlook = TONIGHT if planned else THEN
    chosen = series_of_night(warehouse, as_of=outlook.cutoff) if planned else series
    history = history_of(warehouse, chosen, covariates=CLOSED, outlook=outlook, first=outlook.day(-56))
    future = known_ahead(warehouse, chosen, covariates=CLOSED, outlook=outlook, horizon=HORIZON)
    expected = seasonal_profile(
        history.assign(y=history["y"].mask(history["is_closed"] > 0)), HORIZON, "D", future=future
    )
    values = ["mean", *QUANTILES]
    expected[values] = expected[values].clip(lower=0).mul(future["is_closed"] <= 0, axis=0)

    made = profile_forecasts(warehouse, chosen, outlook=outlook, horizon=HORIZON)

    place = pd.Index(chosen["unique_id"]).get_indexer(pd.Index(expected["unique_id"].astype(object)))
    ahead = (expected["ds"] - pd.Timestamp(outlook.cutoff)).dt.days.to_numpy() - 1
    assert made.asked.sum() == len(expected) and made.asked[place, ahead].all()
    np.testing.assert_array_equal(made.mean[place, ahead], expected["mean"])
    np.testing.assert_array_equal(made.quantiles[place, ahead], expected[list(QUANTILES)])


@pytest.mark.parametrize("planned", [False, True])
def test_the_tail_gets_means_of_open_days_between_its_own_and_the_common_one(
    warehouse: Warehouse, series: pd.DataFrame, planned: bool
) -> None:
    outlook = TONIGHT if planned else THEN
    chosen = series_of_night(warehouse, as_of=outlook.cutoff) if planned else series
    products = chosen[(chosen["level"] == "product") & (chosen["measure"] == "quantity")].reset_index(drop=True)
    mean, quantiles = tail_forecasts(warehouse, products, outlook=outlook, horizon=HORIZON)
    past = days_before(warehouse, products, outlook=outlook, days=56)
    ahead = days_ahead(warehouse, products, outlook=outlook, horizon=HORIZON)
    y = np.where(past.closed, np.nan, past.y)
    new = list(products["series_id"]).index("new")
    y[new, np.flatnonzero(past.listed[new])[0]] = np.nan  # tells when it began
    own, common = np.nanmean(y, axis=1), np.nanmean(y)
    counts = ahead.listed & ~ahead.closed
    assert (ahead.listed & ahead.closed).any() and counts.any(axis=1).all()
    for k in range(len(products)):
        assert set(mean[k][~counts[k]]) | set(quantiles[k][~counts[k]].ravel()) == {0.0}
        (value,) = set(mean[k][counts[k]])
        assert min(own[k], common) <= value <= max(own[k], common)
        expected = np.nanquantile(y[k], LEVELS)
        assert np.allclose(quantiles[k][counts[k]], expected)


def test_what_comes_after_the_night_does_not_change_the_tails_forecast(
    warehouse: Warehouse, series: pd.DataFrame
) -> None:
    products = series[series["level"] == "product"].reset_index(drop=True)
    before = tail_forecasts(warehouse, products, outlook=THEN, horizon=HORIZON)
    warehouse.run("BEGIN")
    warehouse.run(
        "UPDATE feat_sales_daily SET quantity = 7777, revenue = 7777 WHERE date > :night", {"night": day(NIGHT)}
    )
    after = tail_forecasts(warehouse, products, outlook=THEN, horizon=HORIZON)
    warehouse.run("ROLLBACK")
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_days_on_which_the_shop_was_known_to_be_closed_judge_nobody(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outlook, "back_then", lambda *_, cutoff, **__: replace(THEN, cutoff=cutoff))
    (window,) = open_windows(warehouse, cutoffs=(day(NIGHT),), horizon=HORIZON, active_days=60, country=None)
    after = days_ahead(warehouse, window.series, outlook=THEN, horizon=HORIZON)
    closed = after.listed & after.closed
    assert closed.any() and np.isnan(window.actual[closed]).all()
    np.testing.assert_array_equal(window.actual[~closed], after.y[~closed])


def test_scales_are_those_of_the_library_at_each_cutoff(warehouse: Warehouse, series: pd.DataFrame) -> None:
    cutoffs = [day(NIGHT - 20), day(NIGHT)]
    covariates = Covariates(known_future=(), past_only=())
    history = history_of(warehouse, series, covariates=covariates, outlook=THEN)
    history = history.astype({"unique_id": object})
    recorded = history[
        history.groupby("unique_id")["y"].transform("count") == history.groupby("unique_id")["y"].transform("size")
    ]
    scales = scales_at(recorded, [str(cutoff) for cutoff in cutoffs], fill="zero")
    squared, absolute = changes_before(warehouse, series, cutoffs=cutoffs)
    assert len(scales) >= 8
    place = pd.Index(series["unique_id"]).get_indexer(pd.Index(scales["unique_id"]))
    number = pd.DatetimeIndex(cutoffs).get_indexer(pd.DatetimeIndex(scales["cutoff"]))
    np.testing.assert_allclose(squared[place, number], scales["squared"])
    np.testing.assert_allclose(absolute[place, number], scales["absolute"])


def test_changes_across_a_day_without_a_record_do_not_count(warehouse: Warehouse, series: pd.DataFrame) -> None:
    place = list(series["unique_id"]).index("quantity/product/c")
    y = days_before(warehouse, series, outlook=THEN, days=NIGHT + 1).y[place]
    squared, absolute = changes_before(warehouse, series, cutoffs=[day(NIGHT)])
    assert squared[place, 0] == pytest.approx(np.nanmean(np.diff(y) ** 2))
    assert absolute[place, 0] == pytest.approx(np.nanmean(np.abs(np.diff(y))))


def test_long_frames_hold_names_as_numbers(warehouse: Warehouse, series: pd.DataFrame) -> None:
    covariates = Covariates(known_future=("promotion_share",), past_only=("views",))
    history = history_of(warehouse, series, covariates=covariates, outlook=THEN)
    assert history["unique_id"].dtype == "category"
    codes = dict(zip(series["unique_id"], series["category_code"], strict=True))
    by_id = history.drop_duplicates("unique_id")
    assert dict(zip(by_id["unique_id"], by_id["category_code"], strict=True)) == codes
    assert set(codes.values()) == {"A", "B", ""}
