import numpy as np
import pytest

from ecom_pipeline.forecasting.rare import credible_means, recent_quantiles, without_first_record


def rare_sales(*, series: int = 4000, days: int = 84, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sales (N, T), listed (N, T) from the first sale on, and the rates (N,) behind them; 4 in 10 begin late."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.05, size=series)
    y = rng.poisson(rate[:, None], size=(series, days)).astype(float)
    began = np.where(rng.random(series) < 0.4, rng.integers(1, days - 7, series), 0)
    y[np.arange(days) < began[:, None]] = 0
    late = np.flatnonzero(began > 0)
    y[late, began[late]] = np.maximum(y[late, began[late]], 1)  # a series begins with a sale
    listed = np.arange(days) >= began[:, None]
    return np.where(listed, y, np.nan), listed, rate


def test_credible_means_are_nearer_to_what_sells_than_plain_ones_and_add_up_to_it() -> None:
    y, listed, rate = rare_sales()
    past, plain = without_first_record(y[:, :56], listed[:, :56]), np.nanmean(np.where(listed, y, 0.0)[:, :56], axis=1)
    begun = listed[:, :56].any(axis=1)
    mean = credible_means(past)
    own = np.array([np.nanmean(row) if (~np.isnan(row)).any() else 0.0 for row in y[:, :56]])
    assert mean[begun].sum() == pytest.approx(rate[begun].sum(), rel=0.03)
    assert own[begun].sum() > 1.2 * rate[begun].sum()
    for other in (own, plain):
        assert ((mean - rate)[begun] ** 2).mean() < 0.8 * ((other - rate)[begun] ** 2).mean()


def test_a_series_alone_keeps_its_mean_and_series_that_do_not_differ_get_that_of_all() -> None:
    assert credible_means(np.array([[1.0, 2.0, np.nan]])).tolist() == [1.5]
    assert credible_means(np.array([[1.0, 2.0], [np.nan, np.nan]])).tolist() == [1.5, 1.5]
    assert credible_means(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist() == [0.5, 0.5]
    assert credible_means(np.full((3, 5), np.nan)).tolist() == [0.0, 0.0, 0.0]
    assert credible_means(np.full((2, 1), 3.0)).tolist() == [3.0, 3.0]
    assert np.allclose(credible_means(np.array([[1.0] * 50, [9.0] * 50])), [1.0, 9.0])


def test_the_record_that_a_series_begins_with_is_left_out() -> None:
    y = np.array([[np.nan, 2.0, 0.0], [5.0, 0.0, 1.0]])
    listed = np.array([[False, True, True], [True, True, True]])
    kept = without_first_record(y, listed)
    assert np.isnan(kept[0]).tolist() == [True, True, False]
    assert kept[1].tolist() == [5.0, 0.0, 1.0]
    assert recent_quantiles(kept)[0].tolist() == [0.0] * 7
    assert recent_quantiles(np.full((1, 3), np.nan))[0].tolist() == [0.0] * 7
    assert recent_quantiles(kept)[1, 3] == 1.0
