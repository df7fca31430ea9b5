"""Quantiles above the products come from the series' own last weeks."""

import numpy as np
import pytest

from ecom_pipeline.forecasting.types import LEVELS
from ecom_pipeline.steps.forecast_spread import FEWEST_DAYS, ORIGINS, USUAL_WEEKS, relative_quantiles

DAYS = 7 * (USUAL_WEEKS + ORIGINS + 3)
WEEKDAY = np.arange(1.0, 8.0)


def days(noise: np.ndarray) -> np.ndarray:
    """(1, T): a fixed weekly season times noise (T,)."""
    return (np.tile(WEEKDAY, len(noise) // 7) * noise * 100)[None]


def test_the_spread_is_relative_to_what_was_usual_on_the_weekday() -> None:
    noise = np.random.default_rng(0).choice([0.8, 1.2], DAYS)
    steady = relative_quantiles(days(np.ones(DAYS)), weeks_ahead=4)
    assert steady == pytest.approx(np.ones((1, 4, 7)))
    (scattered,) = relative_quantiles(days(noise), weeks_ahead=4)
    assert (np.diff(scattered, axis=1) >= 0).all()
    assert scattered[:, LEVELS.index(0.1)] == pytest.approx(np.full(4, 0.8), abs=0.12)
    assert scattered[:, LEVELS.index(0.9)] == pytest.approx(np.full(4, 1.2), abs=0.12)


def test_80_percent_of_the_days_to_come_lie_in_intervals_of_a_level_that_wanders() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(80):
        level = np.exp(np.cumsum(0.005 * rng.standard_normal(DAYS + 28)))
        y = days(level * np.exp(0.1 * rng.standard_normal(DAYS + 28)))
        past, ahead = y[:, :DAYS], y[0, DAYS:]
        usual = np.tile(past[0, -56:].reshape(8, 7).mean(axis=0), 4)
        bounds = np.repeat(relative_quantiles(past, weeks_ahead=4)[0], 7, axis=0) * usual[:, None]
        inside += list((ahead >= bounds[:, LEVELS.index(0.1)]) & (ahead <= bounds[:, LEVELS.index(0.9)]))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.05)


def test_the_spread_grows_with_the_weeks_ahead_where_the_level_wanders() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for _ in range(20):
        (found,) = relative_quantiles(days(np.exp(np.cumsum(0.04 * rng.standard_normal(DAYS)))), weeks_ahead=4)
        widths.append(found[:, LEVELS.index(0.9)] - found[:, LEVELS.index(0.1)])
    assert (np.diff(np.mean(widths, axis=0)) > 0).all()


def test_a_season_or_a_trend_moves_no_quantile_away_from_the_mean() -> None:
    (found,) = relative_quantiles(days(1.002 ** np.arange(DAYS)), weeks_ahead=4)
    assert found[:, LEVELS.index(0.5)] == pytest.approx(np.ones(4), abs=0.01)


def test_no_quantile_is_negative_and_weekdays_without_sales_do_not_count() -> None:
    rare = np.tile([0.0, 0, 0, 0, 0, 0, 0, 10], DAYS // 8 + 1)[:DAYS]
    rare[3::16] = -4.0  # more came back than was sold
    assert (relative_quantiles(rare[None], weeks_ahead=4) >= 0).all()
    closed = np.tile([0.0, 5, 5, 5, 5, 5, 5], DAYS // 7)
    assert relative_quantiles(closed[None], weeks_ahead=4) == pytest.approx(np.ones((1, 4, 7)))


def test_a_series_with_few_recorded_days_is_left_to_the_network_and_a_late_week_takes_the_one_before() -> None:
    short = np.full((1, DAYS), np.nan)
    short[:, -FEWEST_DAYS:] = 5.0
    assert np.isnan(relative_quantiles(short, weeks_ahead=4)).all()
    assert np.isnan(relative_quantiles(np.zeros((1, 0)), weeks_ahead=1)).all()
    longer = days(np.random.default_rng(3).uniform(0.5, 1.5, DAYS))[:, -49:]
    (found,) = relative_quantiles(longer, weeks_ahead=4)
    assert np.isfinite(found).all()
    assert (found[3] == found[2]).all() and (found[1] != found[0]).any()


def test_a_series_that_sold_nothing_is_left_to_the_network() -> None:
    assert np.isnan(relative_quantiles(np.zeros((1, DAYS)), weeks_ahead=2)).all()
