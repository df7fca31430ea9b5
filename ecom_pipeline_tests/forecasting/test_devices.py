"""Mixed precision and XLA, which are meant for a GPU, on a processor: a network learns what it learns without."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import ForecastingError, SalesForecaster, TrainingSettings
from ecom_pipeline_tests.forecasting.series import split, weekly_sales

PLAN = TrainingSettings(steps=40, final_steps=10, units=16, hidden=16, batch_size=64, patches=3, link="sqrt")


def fitted(sales: pd.DataFrame, settings: TrainingSettings) -> SalesForecaster:
    return SalesForecaster("D", 7, ("promo",), settings=settings).fit(sales)


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return weekly_sales(series=12, days=200)


@pytest.fixture(scope="module")
def plain(sales: pd.DataFrame) -> SalesForecaster:
    return fitted(split(sales)[0], PLAN)


@pytest.mark.parametrize(
    ("changes", "first", "later"),
    [({"xla": True}, 1e-4, 0.01), ({"precision": "mixed_bfloat16"}, 0.003, 0.02)],
    ids=["xla", "mixed precision"],
)
def test_they_change_how_a_network_is_trained_and_not_what_it_learns(
    sales: pd.DataFrame, plain: SalesForecaster, changes: dict[str, object], first: float, later: float
) -> None:
    history, future = split(sales)
    changed = fitted(history, replace(PLAN, **changes))  # type: ignore[arg-type]
    expected, found = (np.array(one.report()["losses"][0]) for one in (plain, changed))
    assert (expected != found).any()  # sums are rounded, or taken in another order
    np.testing.assert_allclose(found[0], expected[0], rtol=first)  # of ten steps; roundings add up from there
    np.testing.assert_allclose(found, expected, rtol=later)
    assert {value.dtype for value in changed._fitted().members[0].values()} == {np.dtype(np.float32)}
    one, other = (model.predict(history, future.drop(columns="y"))["mean"] for model in (plain, changed))
    assert np.abs(one - other).mean() < later * one.mean()


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ForecastingError, match="precision='float16': must be one of float32, mixed_bfloat16"):
        SalesForecaster(settings=TrainingSettings(precision="float16"))  # type: ignore[arg-type]
