import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.forecasting import (
    FORECAST_COLUMNS,
    LEVELS,
    better_by_class,
    metrics,
    seasonal_profile,
    series_classes,
)
from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.calendar import season_of
from ecom_pipeline.forecasting.calibration import Calibration
from ecom_pipeline.forecasting.combining import (
    Combination,
    Combinations,
    Evidence,
    combination_weights,
    learn_combinations,
    level_factor,
    prior_weights,
    trust,
)
from ecom_pipeline.forecasting.effects import Columns, Observations, fit_effects, useful_columns
from ecom_pipeline.forecasting.form import choose_form
from ecom_pipeline.forecasting.panel import read_panel
from ecom_pipeline.forecasting.points import percentage_point
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.forecasting.windows import fill_gaps
from ecom_pipeline_tests.forecasting.series import weekly_sales


def test_the_profile_repeats_the_weekdays() -> None:
    sales = weekly_sales(series=1, days=70, promotions=False)
    forecast = seasonal_profile(sales, 14, "D")
    assert tuple(forecast.columns) == FORECAST_COLUMNS
    assert np.allclose(forecast["mean"].to_numpy()[:7], forecast["mean"].to_numpy()[7:])
    last = sales["y"].to_numpy()[-56:].reshape(8, 7)
    assert np.allclose(forecast["mean"].to_numpy()[:7], last.mean(axis=0))
    assert np.allclose(forecast["p50"].to_numpy()[:7], np.median(last, axis=0))


def test_metrics_follow_their_definitions() -> None:
    y, f = np.array([1.0, 2.0, 0.0]), np.array([2.0, 2.0, 1.0])
    assert metrics.wape(y, f) == pytest.approx(2 / 3)
    assert metrics.bias(y, f) == pytest.approx(2 / 3)
    assert metrics.mape(y, f) == pytest.approx(50)
    assert metrics.weighted_pinball(y, f, 0.9) == pytest.approx(2 * 0.1 * 2 / 3)
    assert metrics.coverage(y, f - 1, f) == pytest.approx(1.0)
    history = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=4), "y": [1, None, 3, 5.0]})
    assert metrics.training_scales(history)["squared"].iloc[0] == pytest.approx((1 + 9 + 4) / 3)
    assert metrics.training_scales(history, fill="forward")["squared"].iloc[0] == pytest.approx((0 + 4 + 4) / 3)
    scales = metrics.training_scales(history).reset_index().assign(cutoff="c")
    rows = pd.DataFrame({"unique_id": "a", "cutoff": "c", "y": y, "mean": f})
    assert metrics.rmsse(rows, scales) == pytest.approx(np.sqrt((2 / 3) / (14 / 3)))


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_calibration_reaches_the_nominal_coverage(factor: float) -> None:
    rng = np.random.default_rng(0)
    normal = np.quantile(rng.normal(size=100_000), LEVELS)
    quantiles = 5 + factor * np.tile(normal, (8000, 1))
    y, step = 5 + rng.normal(size=8000), rng.integers(0, 28, 8000)
    calibration = Calibration.empty().add(y[:4000], quantiles[:4000], step[:4000], horizon=28, keep=4, limit=4000)
    corrected = calibration.apply(quantiles[4000:].reshape(-1, 1, 7).repeat(28, axis=1), horizon=28)
    assert (np.diff(corrected, axis=-1) >= 0).all()
    chosen = corrected[np.arange(4000), step[4000:]]
    assert metrics.coverage(y[4000:], chosen[:, 1], chosen[:, 5]) == pytest.approx(0.8, abs=0.03)


def test_calibration_follows_the_newest_errors() -> None:
    rng = np.random.default_rng(1)
    quantiles = np.tile(np.quantile(rng.normal(size=100_000), LEVELS), (2000, 1))
    step = np.zeros(2000, dtype=int)
    calibration = Calibration.empty().add(rng.normal(size=2000), quantiles, step, horizon=1, keep=2, limit=2000)
    for _ in range(2):
        calibration = calibration.add(3 * rng.normal(size=2000), quantiles, step, horizon=1, keep=2, limit=2000)
    corrected = calibration.apply(quantiles[:, None], horizon=1)[:, 0]
    assert metrics.coverage(3 * rng.normal(size=2000), corrected[:, 1], corrected[:, 5]) == pytest.approx(0.8, abs=0.03)


def test_the_percentage_point_of_a_lognormal_is_the_known_one() -> None:
    sigma = 0.5
    rng = np.random.default_rng(0)
    quantiles = np.quantile(np.exp(rng.normal(1.0, sigma, size=2_000_000)), LEVELS)[None]
    assert percentage_point(quantiles)[0] == pytest.approx(np.exp(1.0 - sigma**2), rel=0.05)
    assert percentage_point(np.zeros((2, 7))).tolist() == [0.0, 0.0]


def test_a_guess_at_the_lower_tail_does_not_rule_the_percentage_point() -> None:
    likely = np.array([[40.0, 50.0, 70.0, 100.0, 130.0, 170.0, 200.0]])
    guessed = likely.copy()
    guessed[0, :2] = [0.0, 1.0]
    assert percentage_point(guessed)[0] > 0.8 * percentage_point(likely)[0]


def test_the_factor_of_the_mean_follows_what_all_dates_say_and_not_one_of_them() -> None:
    rng = np.random.default_rng(0)
    date = np.repeat(np.arange(30), 40)
    forecast = np.full(len(date), 10.0)
    ones = np.ones(len(date))
    noise = rng.normal(1.0, 0.1, size=len(date))
    steady = level_factor(y=12 * noise, forecast=forecast, weight=ones, date=date)
    assert steady == pytest.approx(np.sqrt(1.2), rel=0.01)
    shock = np.where(date == 7, 70.0, 10.0) * noise  # 20 % too little in all, on one date
    assert level_factor(y=shock, forecast=forecast, weight=ones, date=date) == pytest.approx(1.0, abs=0.03)
    assert level_factor(y=12 * noise, forecast=forecast, weight=ones, date=np.zeros(len(date), int)) == 1.0


def test_covariates_that_say_nothing_about_sales_are_left_out() -> None:
    rng = np.random.default_rng(0)
    count, length = 20, 80
    known = rng.normal(size=(count, length, 6)).astype(np.float32)
    known[:, :, 1:] = known[:1, :, 1:]  # five columns that tell only which week it is
    week = rng.normal(size=length)  # what all series share and nothing explains
    u = known[:, :, 0] + week + 0.3 * rng.normal(size=(count, length))
    data = Observations(
        u=u.astype(np.float32),
        weight=np.ones((count, length), np.float32),
        known=known,
        calendar=np.zeros((length, 0), np.float32),
        codes=np.zeros((count, 0), np.int32),
        columns=Columns(now=tuple(range(6)), next=()),
        span=17,
    )
    kept = useful_columns(data, owners=np.arange(6), count=6)
    assert kept[0]
    assert kept.sum() <= 3


def test_a_series_whose_days_scatter_little_has_effects_of_its_own() -> None:
    rng = np.random.default_rng(0)
    products, length = 200, 160
    flags = (rng.random((products, length)) < 0.3).astype(np.float32)
    share = np.where(np.arange(length) // 20 % 2, 0.45, 0.1).astype(
        np.float32
    )  # what was noted down changes, not what was done
    known = np.concatenate([flags, np.tile(share, (2, 1))])[:, :, None]
    noise = np.concatenate([np.full(products, 1.0), np.full(2, 0.05)])[:, None]
    u = np.concatenate([0.8 * flags, np.zeros((2, length))]) + noise * rng.normal(size=(products + 2, length))
    codes = np.array([1] * products + [2] * 2, np.int32)[:, None]
    data = Observations(
        u=u.astype(np.float32),
        weight=np.ones((products + 2, length), np.float32),
        known=known,
        calendar=np.zeros((length, 0), np.float32),
        codes=codes,
        columns=Columns(now=(0,), next=()),
        span=57,
        by_precision=True,
    )
    effects = fit_effects(data)
    coefficients = effects.coefficients(fold=4, rows=np.arange(products + 2), codes=codes)[:, 0]
    assert coefficients[:products].mean() == pytest.approx(0.8, abs=0.05)
    assert np.abs(coefficients[products:]).max() < 0.3  # .69 where days of all series count alike


def test_the_combination_finds_the_better_forecast() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=3000)
    members = np.column_stack([rng.normal(size=3000), y + 0.1 * rng.normal(size=3000)])
    weights = combination_weights(y=y, members=members, weight=np.ones(3000), loss="squared")
    assert weights[1] > 0.9
    alike = np.column_stack([members[:, 1], members[:, 1]])
    assert combination_weights(y=y, members=alike, weight=np.ones(3000), loss="absolute")[0] > 0.9


def evidence_of_two_kinds(*, dates: int) -> Evidence:
    """Forty series each of two groups: the first forecast is right for group 1, the last for group 2, half too high."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(20.0, 1.0, size=(80, dates))
    noisy = truth * np.exp(rng.normal(0, 0.5, size=truth.shape))
    second = np.arange(80)[:, None] >= 40
    members = [np.where(second, noisy, truth), noisy, *([noisy] * 5), np.where(second, 1.5 * truth, noisy)]
    means = np.stack([member.ravel() for member in members], axis=1)
    flat = np.ones(truth.size)
    return Evidence(
        y=truth.ravel(),
        means=means,
        medians=means[:, [0, *range(2, 8)]],
        weight=flat,
        volume=flat,
        date=np.tile(np.arange(dates), 80),
        code=np.repeat([1, 2], 40 * dates),
    )


def test_a_group_has_weights_and_a_factor_of_its_own() -> None:
    learnt = learn_combinations(
        evidence_of_two_kinds(dates=200), levels=("one", "two", "never seen"), trained=700, negative=False
    )
    assert set(learnt.groups) == {"one", "two"}
    assert learnt.groups["one"].mean[0] > learnt.common.mean[0] > learnt.groups["two"].mean[0]
    assert learnt.groups["one"].median[0] > learnt.groups["two"].median[0]
    assert learnt.groups["one"].factor == pytest.approx(1.0, abs=0.02)
    assert learnt.groups["two"].factor < 0.95
    weights = learnt.weights(("one", "two", "never seen"), np.array([0, 1, 2, 3, 1]))
    assert np.allclose(weights.mean.sum(axis=1), 1) and np.allclose(weights.median.sum(axis=1), 1)
    assert weights.factor.tolist() == [
        learnt.common.factor, learnt.groups["one"].factor, learnt.groups["two"].factor, learnt.common.factor,
        learnt.groups["one"].factor,
    ]  # fmt: skip


def test_the_fewer_dates_a_group_has_the_more_its_weights_are_those_of_all() -> None:
    away = [
        np.abs(learnt.groups["two"].mean - learnt.common.mean).sum()
        for learnt in (
            learn_combinations(evidence_of_two_kinds(dates=dates), levels=("one", "two"), trained=700, negative=False)
            for dates in (10, 20, 200)
        )
    ]
    assert away[0] == 0.0 < away[1] < 0.6 * away[2]


def test_a_combination_moves_towards_another_group_by_group() -> None:
    def plain(weight: float, factor: float) -> Combination:
        return Combination(mean=np.array([weight, 1 - weight]), median=np.array([1.0]), factor=factor)

    before = Combinations(common=plain(1.0, 1.0), groups={"a": plain(0.0, 1.0), "gone": plain(0.2, 0.9)})
    after = Combinations(common=plain(0.0, 1.21), groups={"a": plain(1.0, 1.0), "new": plain(0.7, 1.1)})
    between = before.towards(after, 0.5)
    assert between.common.mean.tolist() == [0.5, 0.5]
    assert between.common.factor == pytest.approx(1.1)
    assert between.groups["a"].mean.tolist() == [0.5, 0.5]
    assert between.groups["gone"] is before.groups["gone"] and between.groups["new"] is after.groups["new"]


def test_before_anything_is_learnt_a_short_history_leaves_most_to_simple_forecasts() -> None:
    rng = np.random.default_rng(0)
    y = 10 + rng.normal(size=500)
    members = np.column_stack([y, y, y + 1, y + 2])
    short, long = (
        prior_weights(y=y, members=members, weight=np.ones(500), networks=2, trained=trained) for trained in (8, 700)
    )
    assert short.sum() == pytest.approx(1) and long.sum() == pytest.approx(1)
    assert short[:2].sum() < 0.5
    assert long[:2].sum() > 0.8
    assert short[0] == short[1] and short[2] == pytest.approx(4 * short[3])


def test_what_was_learnt_counts_by_dates_and_not_by_rows() -> None:
    assert trust(np.repeat(np.arange(6), 10_000)) == trust(np.arange(6)) < 0.1
    assert trust(np.arange(56)) == 0.5


@pytest.mark.parametrize("seasonal", [True, False])
def test_the_calendar_knows_the_time_of_the_year_only_where_that_has_helped(seasonal: bool) -> None:
    rng = np.random.default_rng(0)
    weeks, count = 250, 6
    wave = np.sin(2 * np.pi * np.arange(weeks) / 52.18)
    walk = np.cumsum(rng.normal(0, 0.05, size=(count, weeks)), axis=1)
    level = np.exp(0.8 * wave + 0.1 * walk if seasonal else walk)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{k}" for k in range(count)], weeks),
            "ds": np.tile(pd.date_range("2018-01-01", periods=weeks, freq="W-MON"), count),
            "y": (100 * level * rng.gamma(20, 1 / 20, size=level.shape)).ravel(),
        }
    )
    panel = read_panel(history=frame, future=None, freq="W-MON", horizon=8)
    given = {"settings": TrainingSettings(), "season": season_of(panel.offset), "horizon": 8, "allow_negative": False}
    assert choose_form(panel, **given)[1] is seasonal  # type: ignore[arg-type]
    late = read_panel(history=frame[frame["ds"] > "2021-01-01"], future=None, freq="W-MON", horizon=8)
    assert choose_form(late, **given)[1] is False  # type: ignore[arg-type]


@pytest.mark.parametrize("link", ["identity", "sqrt", "log"])
def test_a_link_is_increasing_and_inverted(link: str) -> None:
    z = np.linspace(0, 20, 50)
    u = links.forward(z, link)  # type: ignore[arg-type]
    assert (np.diff(u) > 0).all()
    assert np.allclose(links.inverse(u, link), z, atol=1e-9)  # type: ignore[arg-type]


def test_gaps_are_filled_from_the_past_of_the_same_phase() -> None:
    values = np.array([[1.0, 2.0, 3.0, 0.0, 5.0, 0.0, 7.0]])
    recorded = np.array([[True, True, True, False, True, False, True]])
    filled = fill_gaps(values, recorded, cycle=3, empty=1.0)
    average = 10 / 3  # of the first cycle; the very first record counts as a gap
    assert filled[0].tolist() == pytest.approx([average, 2, 3, average, 5, 3, 7])


def test_series_are_classed_by_their_record() -> None:
    dates = pd.date_range("2024-01-01", periods=120)
    kinds = {
        "smooth": np.ones(120) * 50,
        "intermittent": np.where(np.arange(120) % 5 == 4, 4.0, 0.0),
        "dying": np.where(np.arange(120) < 60, 9.0, 0.0),
        "new": np.where(np.arange(120) > 100, 9.0, 0.0),
        "empty": np.zeros(120),
    }
    history = pd.concat([pd.DataFrame({"unique_id": k, "ds": dates, "y": v}) for k, v in kinds.items()])
    classes = series_classes(history).set_index("unique_id")
    assert classes["series_class"].to_dict() == {k: k for k in kinds}
    assert classes.loc["smooth", "abc_class"] == "A"


def test_each_class_gets_the_better_forecast() -> None:
    rows = pd.DataFrame(
        {"unique_id": ["a", "b"], "ds": pd.Timestamp("2024-01-01"), "cutoff": pd.Timestamp("2023-12-31"), "y": 10.0}
    )
    classes = pd.DataFrame({"unique_id": ["a", "b"], "series_class": ["smooth", "intermittent"]})

    def forecast(values: list[float]) -> pd.DataFrame:
        return rows.assign(**dict.fromkeys(QUANTILES, values))

    choice = better_by_class(forecast([10.0, 0.0]), forecast([0.0, 10.0]), classes)
    assert choice["smooth"] == "model"
    assert choice["intermittent"] == "profile"
    assert choice["new"] == "profile"


def test_a_class_of_rare_sales_is_not_left_to_a_forecast_of_nothing() -> None:
    # one sale of ten in ten days: a mean of zero has the least absolute error, quantiles of zero say that nothing sells
    rows = pd.DataFrame(
        {
            "unique_id": "a",
            "ds": pd.date_range("2024-01-01", periods=10),
            "cutoff": pd.Timestamp("2023-12-31"),
            "y": [10.0] + [0.0] * 9,
        }
    )
    classes = pd.DataFrame({"unique_id": ["a"], "series_class": ["intermittent"]})
    zero = dict.fromkeys(QUANTILES, 0.0)
    honest = rows.assign(mean=1.0, **(zero | {"p90": 2.0, "p95": 10.0}))
    nothing = rows.assign(mean=0.0, **zero)
    assert better_by_class(honest, nothing, classes)["intermittent"] == "model"
    assert better_by_class(nothing, honest, classes)["intermittent"] == "profile"


def test_means_are_combined_by_what_they_sum_to_where_most_days_sell_nothing() -> None:
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 0.05, size=20_000)
    y = rng.poisson(rate).astype(float)
    members = np.column_stack([0.3 * rate, rate])
    even = np.ones(len(y))
    assert combination_weights(y=y, members=members, weight=even, loss="poisson")[1] > 0.7
    assert combination_weights(y=y, members=members, weight=even, loss="absolute")[1] < 0.1
