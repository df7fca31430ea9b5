"""Quantiles above the products come from the series' own last weeks."""

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.steps.forecast_spread import relative_quantiles


def history(values: np.ndarray, name: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"unique_id": name, "ds": pd.date_range("2026-01-05", periods=len(values)), "y": values})


def test_the_spread_is_relative_to_the_weekday_and_widened_by_its_degree_of_freedom() -> None:
    weekday = np.tile(np.arange(1.0, 8.0), 8)
    noise = np.repeat([0.8, 1.2], 28)
    table = relative_quantiles(history(weekday * noise * 100))
    half = 0.2 * np.sqrt(8 / 7)
    assert table.loc["a", "p10"] == pytest.approx(1 - half)
    assert table.loc["a", "p90"] == pytest.approx(1 + half)
    assert list(table.columns) == list(QUANTILES)


def test_no_quantile_is_negative_and_weekdays_without_sales_do_not_count() -> None:
    values = np.tile([0.0, 0, 0, 0, 0, 0, 0, 10], 7)
    table = relative_quantiles(history(values))
    assert (table >= 0).all(axis=None)
    closed = relative_quantiles(history(np.tile([0.0, 5, 5, 5, 5, 5, 5], 8)))
    assert closed.loc["a"].to_numpy() == pytest.approx(np.ones(7))


def test_a_series_with_few_recorded_days_is_left_to_the_network() -> None:
    values = np.full(56, np.nan)
    values[-10:] = 5.0
    assert relative_quantiles(history(values)).empty
