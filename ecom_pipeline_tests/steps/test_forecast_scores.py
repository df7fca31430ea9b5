"""Figures of held-out windows from arrays: those of the library, of a whole and of its parts."""

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import metrics
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.steps.forecast_days import DayForecasts
from ecom_pipeline.steps.forecast_judging import parts_of_days
from ecom_pipeline.steps.forecast_scores import WindowErrors, scores

SERIES, DAYS = 9, 16


def window(seed: int) -> tuple[np.ndarray, DayForecasts, np.ndarray, np.ndarray]:
    """What came, with gaps; forecasts, of which some are not asked for; scales, of which one is 0 and one unknown."""
    rng = np.random.default_rng(seed)
    actual = rng.poisson(4.0, (SERIES, DAYS)).astype(float)
    actual[rng.random(actual.shape) < 0.2] = np.nan
    actual[3] = np.nan
    made = DayForecasts(
        mean=rng.gamma(4.0, 1.0, actual.shape),
        quantiles=np.sort(rng.gamma(4.0, 1.0, (*actual.shape, len(QUANTILES))), axis=2),
        asked=rng.random(actual.shape) < 0.9,
    )
    scale = rng.gamma(5.0, 1.0, SERIES)
    scale[:2] = 0.0, np.nan
    return actual, made, scale, np.sqrt(scale)


def by_the_library(seeds: tuple[int, ...], wanted: np.ndarray, days: slice) -> dict[str, float]:
    rows, scales = [], []
    for seed in seeds:
        actual, made, squared, absolute = window(seed)
        for series in np.flatnonzero(wanted):
            for day in range(DAYS)[days]:
                if made.asked[series, day]:
                    forecasts = dict(zip(QUANTILES, made.quantiles[series, day], strict=True))
                    of = {"cutoff": seed, "unique_id": series, "y": actual[series, day]}
                    rows.append({**of, "mean": made.mean[series, day], **forecasts})
        ids = np.arange(SERIES)
        scales.append(pd.DataFrame({"cutoff": seed, "unique_id": ids, "squared": squared, "absolute": absolute}))
    found = metrics.summary(pd.DataFrame(rows), pd.concat(scales))
    found["wpl"] = float(np.mean([found[f"wpl_{name}"] for _, name in zip(LEVELS, QUANTILES, strict=True)]))
    found["wpl_90"] = found["wpl_p90"]
    return found


@pytest.mark.parametrize("days", [slice(None), slice(7, 14)])
@pytest.mark.parametrize("some", [np.ones(SERIES, bool), np.arange(SERIES) % 2 == 0])
def test_the_figures_are_the_librarys_for_any_series_and_days(some: np.ndarray, days: slice) -> None:
    errors = []
    for seed in (1, 2):
        actual, made, squared, absolute = window(seed)
        whole = WindowErrors.of(actual, made, squared=squared, absolute=absolute, some=np.ones(SERIES, bool))
        errors.append(whole.part(series=some, days=days))
        again = WindowErrors.of(actual, made, squared=squared, absolute=absolute, some=some).part(days=days)
        np.testing.assert_array_equal(again.loss, errors[-1].loss)
    found = scores(errors)
    expected = by_the_library((1, 2), some, days)
    assert found.pop("n") > 0
    assert found == pytest.approx({name: expected[name] for name in found})


def test_of_days_that_nobody_asked_about_nothing_is_said() -> None:
    actual, made, squared, absolute = window(1)
    nothing = DayForecasts(mean=made.mean, quantiles=made.quantiles, asked=np.zeros_like(made.asked))
    errors = WindowErrors.of(actual, nothing, squared=squared, absolute=absolute, some=np.ones(SERIES, bool))
    found = scores([errors])
    assert found.pop("n") == 0
    assert all(np.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("horizon", "names"),
    [(28, ["days 1 to 7", "days 8 to 14", "days 15 to 21", "days 22 to 28"]), (10, ["days 1 to 7", "days 8 to 10"])],
)
def test_a_horizon_is_parted_into_weeks(horizon: int, names: list[str]) -> None:
    parts = parts_of_days(horizon)
    assert list(parts) == names
    assert [day for part in parts.values() for day in range(horizon)[part]] == list(range(horizon))


def test_a_week_is_parted_into_days() -> None:
    assert parts_of_days(2) == {"day 1": slice(0, 1), "day 2": slice(1, 2)}
