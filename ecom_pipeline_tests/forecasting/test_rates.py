"""Factors of the mean: what they are learnt from, and what they do to forecasts of products that sell rarely."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline.forecasting.effects import FOLDS, Columns, Effects, Observations, effect_values
from ecom_pipeline.forecasting.rates import fit_rates

TIMES = 2.5
RATES = np.array([0.05, 0.1, 0.3, 1.0, 4.0])
"""Sales a day without a promotion, one kind of product each."""


def observations(*, products: int = 60, days: int = 400, seed: int = 0) -> tuple[np.ndarray, Observations]:
    """Poisson sales in units of their mean, and what is known of them: promotions a sixth of the time."""
    rng = np.random.default_rng(seed)
    promoted = rng.random((products, days)) < 1 / 6
    rate = np.resize(RATES, products)[:, None]
    sales = rng.poisson(rate * np.where(promoted, TIMES, 1.0))
    sales = sales / np.maximum(sales.mean(axis=1, keepdims=True), 1e-9)
    data = Observations(
        u=sales.astype(np.float32),
        weight=np.ones((products, days), dtype=np.float32),
        known=promoted[:, :, None].astype(np.float32),
        calendar=np.zeros((days, 0), dtype=np.float32),
        codes=np.zeros((products, 0), dtype=np.int32),
        columns=Columns(now=(0,), next=()),
        span=57,
    )
    return sales.astype(np.float32), data


def test_a_promotion_has_one_factor_for_products_that_sell_daily_and_for_those_that_sell_every_twentieth_day() -> None:
    sales, data = observations()
    rates = fit_rates(sales, data)
    own = rates.coefficients(fold=FOLDS, rows=np.arange(len(sales)), codes=data.codes)[:, 0]
    for kind in range(len(RATES)):
        assert np.exp(own[kind :: len(RATES)].mean()) == pytest.approx(TIMES, rel=0.15)


def test_the_mean_is_right_on_days_with_and_without_a_promotion() -> None:
    sales, data = observations()
    rates = fit_rates(sales, data)
    factor = np.exp(factors_of(rates, data, observed=sales.shape[1]))
    expected = factor * (sales.mean(axis=1) / factor.mean(axis=1))[:, None]
    promoted = data.known[:, :, 0] > 0
    assert expected[promoted].sum() == pytest.approx(sales[promoted].sum(), rel=0.05)
    assert expected[~promoted].sum() == pytest.approx(sales[~promoted].sum(), rel=0.05)


def test_products_whose_promotions_do_nothing_are_told_from_the_others() -> None:
    sales, data = observations(days=800)
    nothing = np.arange(4, 60, 10)
    sales[nothing] = np.random.default_rng(1).poisson(4.0, size=(len(nothing), 800)) / 4.0
    own = fit_rates(sales, data).coefficients(fold=FOLDS, rows=np.arange(len(sales)), codes=data.codes)[:, 0]
    assert own[nothing].mean() < 0.3 * np.log(TIMES)
    assert own[nothing + 5].mean() > 0.8 * np.log(TIMES)


def test_gaps_say_nothing() -> None:
    sales, data = observations()
    gaps = np.random.default_rng(2).random(sales.shape) < 0.2
    weighted = replace(data, weight=np.where(gaps, 0, 1).astype(np.float32))
    there = fit_rates(np.where(gaps, 0, sales), weighted)
    here = fit_rates(np.where(gaps, 99, sales), weighted)
    np.testing.assert_allclose(there.common, here.common, rtol=1e-4, atol=1e-4)


def test_where_nothing_was_ever_sold_there_is_no_factor() -> None:
    sales, data = observations(products=5, days=60)
    sales[:] = 0
    assert (factors_of(fit_rates(sales, data), data, observed=60) == 0).all()


def factors_of(rates: Effects, data: Observations, *, observed: int) -> np.ndarray:
    """(N, T) logarithms of the factors on the days that the rates were learnt from, with the last coefficients."""
    (values,) = effect_values(
        [rates],
        known=data.known,
        calendar=data.calendar,
        rows=np.arange(len(data.known)),
        codes=data.codes,
        folds=np.full(data.known.shape[1], FOLDS),
        observed=observed,
    )
    return values


def rare_sales(*, products: int, days: int) -> pd.DataFrame:
    """unique_id, ds, y, promo: products that sell on a third of their days, 2.5 times as much in promotions."""
    rng = np.random.default_rng(3)
    dates = pd.date_range("2024-01-01", periods=days)
    parts = []
    for k in range(products):
        promoted = (rng.random(days) < 0.2).astype(float)
        y = rng.poisson(0.35 * np.where(promoted > 0, TIMES, 1.0)).astype(float)
        parts.append(pd.DataFrame({"unique_id": f"p{k}", "ds": dates, "y": y, "promo": promoted}))
    return pd.concat(parts, ignore_index=True)


def test_promotions_of_products_that_sell_rarely_are_forecast_in_full() -> None:
    sales = rare_sales(products=60, days=240)
    cutoff = sales["ds"].max() - pd.Timedelta(days=14)
    plan = TrainingSettings(steps=60, final_steps=10, update_steps=10, batch_size=64, units=16, hidden=16, patches=6)
    forecaster = SalesForecaster(freq="D", horizon=14, known_future=("promo",), settings=plan)
    history, future = sales[sales["ds"] <= cutoff], sales[sales["ds"] > cutoff]
    forecasts = forecaster.fit(history).predict(history, future[["unique_id", "ds", "promo"]])
    rows = forecasts.merge(future, on=["unique_id", "ds"])
    mean = rows.groupby(rows["promo"] > 0)["mean"].mean()
    assert mean[True] / mean[False] == pytest.approx(TIMES, rel=0.2)
    assert mean[False] == pytest.approx(0.35, rel=0.15)
