"""Reconciled forecasts add up, give every level its say, and stay plausible."""

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting.reconciliation import LEVEL_FACTORS, reconcile, reconcile_arrays, structural_variance
from ecom_pipeline.forecasting.types import QUANTILES


def series() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("quantity", "total", "total", None),
            ("quantity", "category", "A", "A"),
            ("quantity", "category", "B", "B"),
            ("quantity", "product", "a1", "A"),
            ("quantity", "product", "a2", "A"),
            ("quantity", "product", "b1", "B"),
            ("quantity", "product", "none", None),
        ],
        columns=["measure", "level", "series_id", "category"],
    ).assign(unique_id=lambda frame: frame["measure"] + "/" + frame["level"] + "/" + frame["series_id"])


def forecasts(means: list[float], spreads: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"unique_id": series()["unique_id"], "ds": pd.Timestamp("2020-01-01"), "mean": means})
    for place, name in enumerate(QUANTILES):
        frame[name] = np.maximum(frame["mean"] + (place - 3) * np.array(spreads) * 2.5631 / 4, 0.0)
    return frame


def by_id(frame: pd.DataFrame) -> dict[str, float]:
    return {unique_id.split("/")[2]: value for unique_id, value in zip(frame["unique_id"], frame["mean"], strict=True)}


def test_products_add_up_to_categories_and_categories_to_the_total_on_every_day_and_measure() -> None:
    rng = np.random.default_rng(0)
    days = [
        forecasts(list(rng.gamma(2, 20, 7)), list(rng.gamma(2, 3, 7))).assign(ds=day)
        for day in pd.date_range("2020-01-01", periods=5)
    ]
    quantity = pd.concat(days, ignore_index=True)
    both = pd.concat(
        [quantity, quantity.assign(unique_id=quantity["unique_id"].str.replace("quantity", "revenue"))],
        ignore_index=True,
    )
    named = pd.concat(
        [
            series(),
            series().assign(measure="revenue", unique_id=series()["unique_id"].str.replace("quantity", "revenue")),
        ]
    )

    result = reconcile(both, named)

    assert list(result["unique_id"]) == list(both["unique_id"])
    for _, group in result.groupby([result["ds"], result["unique_id"].str.split("/").str[0]]):
        mean = by_id(group)
        assert mean["A"] == pytest.approx(mean["a1"] + mean["a2"])
        assert mean["B"] == pytest.approx(mean["b1"])
        assert mean["total"] == pytest.approx(mean["A"] + mean["B"] + mean["none"])
    quantiles = result[list(QUANTILES)].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles >= 0).all() and (result["mean"] >= 0).all()


def test_the_result_is_the_weighted_least_squares_solution() -> None:
    frame = forecasts([100.0, 58, 30, 30, 25, 28, 9], [8.0, 4, 3, 2, 4, 2, 1])
    summing = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0], *np.eye(4)])
    products = frame["mean"].to_numpy()[3:]
    factors = np.array([LEVEL_FACTORS[level] for level in series()["level"]])
    precision = np.diag(1 / (factors * (summing @ products)))
    bottom = np.linalg.solve(summing.T @ precision @ summing, summing.T @ precision @ frame["mean"].to_numpy())

    assert reconcile(frame, series())["mean"].to_numpy() == pytest.approx(summing @ bottom, abs=1e-3)


def test_forecasts_that_add_up_already_stay_as_they_are() -> None:
    frame = forecasts([100.0, 60, 30, 35, 25, 30, 10], [8.0, 4, 3, 2, 4, 2, 1])
    pd.testing.assert_frame_equal(reconcile(frame, series()), frame, rtol=1e-3)


def test_no_mean_turns_negative_when_the_total_is_far_below_its_parts() -> None:
    frame = forecasts([1.0, 60, 30, 35, 25, 30, 10], [0.001, 4, 3, 2, 4, 2, 1])
    mean = by_id(reconcile(frame, series()))
    assert min(mean.values()) >= 0
    assert mean["total"] == pytest.approx(mean["A"] + mean["B"] + mean["none"])


def test_without_categories_products_add_up_to_the_total() -> None:
    named = series().query("level != 'category'").assign(category=None)
    frame = forecasts([100.0, 0, 0, 30, 25, 28, 9], [8.0, 1, 1, 2, 4, 2, 1])
    mean = by_id(reconcile(frame[frame["unique_id"].isin(named["unique_id"])], named))
    assert mean["total"] == pytest.approx(mean["a1"] + mean["a2"] + mean["b1"] + mean["none"])


def test_a_category_without_products_on_sale_is_forecast_as_zero() -> None:
    frame = forecasts([100.0, 60, 30, 35, 25, 30, 10], [8.0, 4, 3, 2, 4, 2, 1])
    mean = by_id(reconcile(frame[~frame["unique_id"].str.endswith("/b1")], series()))
    assert mean["B"] == 0
    assert mean["total"] == pytest.approx(mean["A"] + mean["none"])


def test_forecasts_without_any_product_are_refused() -> None:
    frame = forecasts([100.0, 60, 30, 35, 25, 30, 10], [8.0, 4, 3, 2, 4, 2, 1]).iloc[:1]
    with pytest.raises(ValueError, match="needs forecasts of products"):
        reconcile(frame, series())


@pytest.mark.parametrize("kind", ["equal", "random"])
def test_any_diagonal_covariance_gives_its_weighted_least_squares_solution(kind: str) -> None:
    mean = np.array([100.0, 58, 30, 30, 25, 28, 9])[:, None]
    variance = np.ones((7, 1)) if kind == "equal" else np.random.default_rng(1).gamma(2, 3, (7, 1))
    summing = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0], *np.eye(4)])
    precision = np.diag(1 / variance[:, 0])
    bottom = np.linalg.solve(summing.T @ precision @ summing, summing.T @ precision @ mean[:, 0])

    result, _ = reconcile_arrays(
        mean, np.zeros((7, 1, 0)), np.ones((7, 1), dtype=bool), series=series(), variance=variance
    )

    assert result[:, 0] == pytest.approx(summing @ bottom, abs=1e-3)


def test_a_level_moves_the_less_the_more_it_is_trusted() -> None:
    mean = np.array([100.0, 58, 30, 30, 25, 28, 9])[:, None]
    present = np.ones((7, 1), dtype=bool)
    totals = []
    for factor in (0.01, 0.25, 1.0, 4.0, np.inf):
        factors = {"total": factor, "category": 1.0, "product": 1.0}
        variance = structural_variance(mean, present, series=series(), factors=factors)
        result, _ = reconcile_arrays(mean, np.zeros((7, 1, 0)), present, series=series(), variance=variance)
        totals.append(result[0, 0])
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == pytest.approx(100, abs=0.2)


def test_a_forecast_of_infinite_variance_is_not_heard_and_one_that_is_absent_does_not_count() -> None:
    mean = np.array([100.0, 58, 30, 30, 25, 28, 9])[:, None]
    variance = np.where(series()["level"] == "product", 1.0, np.inf)[:, None]
    present = np.ones((7, 1), dtype=bool)
    present[6] = False
    result, _ = reconcile_arrays(mean, np.zeros((7, 1, 0)), present, series=series(), variance=variance)
    assert result[:, 0] == pytest.approx([83, 55, 28, 30, 25, 28, 9])
