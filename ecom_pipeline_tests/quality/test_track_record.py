"""Forecasts beside their promises: an alarm where they break them, silence where chance alone explains it."""

from collections.abc import Callable
from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ecom_pipeline.contracts import table
from ecom_pipeline.quality import TableValidation, check_track_record
from ecom_pipeline.quality.track_record import FEWEST_WEEKS, clustered_share
from ecom_pipeline.warehouse import Warehouse

NIGHT = date(2024, 3, 31)
HALF = NormalDist().inv_cdf(0.9)  # of an 80 % interval, in standard deviations


def scored(
    *, nights: int = 63, horizon: int = 7, series: int = 1, level: str = "total", seed: int = 0, width: float = 1.0
) -> pd.DataFrame:
    """Forecasts of 100 each, and normal sales around them with a standard deviation of 10 a day and series."""
    rng = np.random.default_rng(seed)
    made, ahead, number = (
        places.ravel()
        for places in np.meshgrid(np.arange(nights), np.arange(1, horizon + 1), np.arange(series), indexing="ij")
    )
    target = made - nights + ahead  # days after the night that looks back
    keep = target <= 0
    made, target, number = made[keep], target[keep], number[keep]
    noise = 10 * rng.standard_normal((nights + horizon, series))
    frame = pd.DataFrame(
        {
            "as_of": [NIGHT + timedelta(days=int(n) - nights) for n in made],
            "level": level,
            "series_id": [f"s{n}" for n in number],
            "measure": "quantity",
            "target_date": [NIGHT + timedelta(days=int(n)) for n in target],
            "actual": 100 + noise[target, number],
            "mean": 100.0,
            "p50": 100.0,
            "p10": 100 - 10 * HALF * width,
            "p90": 100 + 10 * HALF * width,
            "baseline": 110.0,
        }
    )
    return frame


def put(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    declared = table("sales_forecast_accuracy")
    rows = frame.assign(
        horizon=[(target - made).days for target, made in zip(frame["target_date"], frame["as_of"], strict=True)],
        abs_error=(frame["actual"] - frame["mean"]).abs(),
        baseline_abs_error=(frame["actual"] - frame["baseline"]).abs(),
        in_80=(frame["actual"] >= frame["p10"]) & (frame["actual"] <= frame["p90"]),
        model="lstm",
        model_version="v",
    ).astype({"horizon": "int32"})[list(declared.column_names)]
    warehouse.run("DELETE FROM sales_forecast_accuracy")
    warehouse.append_from_arrow(declared, pa.Table.from_pandas(rows, preserve_index=False))


def check(warehouse: Warehouse, frame: pd.DataFrame, *, as_of: date = NIGHT) -> TableValidation:
    put(warehouse, frame)
    validation = check_track_record(warehouse, as_of=as_of, run_id="run-1")
    assert not validation.blocks
    return validation


def alarms(validation: TableValidation) -> list[str]:
    return [failure.expectation for failure in validation.failures]


@pytest.mark.parametrize("series", [1, 40])
def test_forecasts_that_keep_their_promises_pass(warehouse: Warehouse, series: int) -> None:
    validation = check(warehouse, scored(series=series, level="product"))
    assert alarms(validation) == []
    assert len(validation.results) == 3
    assert warehouse.scalar("SELECT count(*) FROM validation_results WHERE suite = 'track_record'") == 3


@pytest.mark.parametrize(
    ("width", "expected", "words"),
    [(0.4, ["intervals_hold"], "too narrow"), (1.0, [], ""), (3.0, ["intervals_hold"], "too wide")],
)
def test_intervals_that_are_too_narrow_or_too_wide_give_a_warning(
    warehouse: Warehouse, width: float, expected: list[str], words: str
) -> None:
    validation = check(warehouse, scored(series=40, level="product", width=width))
    assert alarms(validation) == expected
    assert words in validation.sentence


def test_the_sentence_says_what_was_expected_what_was_found_and_what_to_do(warehouse: Warehouse) -> None:
    narrow = scored(series=40, level="category")
    narrow[["p10", "p90"]] = 99.0, 101.0
    (failure,) = check(warehouse, narrow).failures
    assert failure.sentence.startswith(
        "sales_forecast_accuracy: expected that the 80 % intervals of quantity of categories hold 80 % of what comes, "
        "but found 7."
    )
    assert "in 8 weeks; not alarming: 75.0% to 85.0%. The intervals are too narrow: plan stock" in failure.sentence


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda frame: frame.assign(mean=frame["mean"] * 1.05), []),
        (lambda frame: frame.assign(mean=frame["mean"] * 1.2, baseline=150.0), ["means_are_unbiased"]),
        (lambda frame: frame.assign(mean=frame["mean"] * 0.8, baseline=50.0), ["means_are_unbiased"]),
        (lambda frame: frame.assign(baseline=frame["actual"] + 5.0), ["forecasts_beat_the_profile"]),
    ],
)
def test_a_bias_and_errors_above_the_profiles_give_a_warning(
    warehouse: Warehouse, change: Callable[[pd.DataFrame], pd.DataFrame], expected: list[str]
) -> None:
    assert alarms(check(warehouse, change(scored(series=40, level="product")))) == expected


@pytest.mark.parametrize(("growth", "expected"), [(1.0, []), (1.05, []), (1.6, ["errors_do_not_grow"]), (0.5, [])])
def test_errors_that_grow_give_a_warning(warehouse: Warehouse, growth: float, expected: list[str]) -> None:
    frame = scored(nights=161, series=40, level="product")
    late = (frame["target_date"] > NIGHT - timedelta(weeks=8)).to_numpy()
    frame["actual"] = np.where(late, 100 + growth * (frame["actual"] - 100), frame["actual"])
    frame[["p10", "p90"]] = [0.0, 1000.0]  # their own check is not asked here
    frame.loc[frame.index % 5 == 0, "p90"] = 1.0
    frame["baseline"] = 100 + 2 * (frame["actual"] - 100)
    validation = check(warehouse, frame)
    assert alarms(validation) == expected
    assert any("in the 16 weeks before" in result.rule for result in validation.results)


def test_levels_and_measures_are_judged_apart(warehouse: Warehouse) -> None:
    products = scored(series=20, level="product")
    revenue = scored(series=20, level="product", width=0.3).assign(measure="revenue")
    (failure,) = check(warehouse, pd.concat([products, revenue, scored()])).failures
    assert "revenue of products" in failure.sentence


def test_a_few_weeks_are_not_enough_for_an_alarm(warehouse: Warehouse) -> None:
    days = 7 * (FEWEST_WEEKS - 1)
    narrow = scored(nights=days, series=40, level="product", width=0.1)
    assert alarms(check(warehouse, narrow)) == []
    assert f"{FEWEST_WEEKS} are needed to judge" in check(warehouse, narrow).results[0].sentence
    assert alarms(check(warehouse, scored(nights=days + 7, series=40, level="product", width=0.1))) != []


def test_sales_of_almost_nothing_lie_at_the_ends_of_their_intervals_and_are_not_called_too_wide(
    warehouse: Warehouse,
) -> None:
    rare = scored(series=40, level="product").assign(p10=0.0, p50=0.0, p90=0.0, mean=0.05, baseline=0.1, actual=0.0)
    rare.loc[::19, "actual"] = 1.0
    validation = check(warehouse, rare)
    assert next(result.expectation for result in validation.results if result.success) == "intervals_hold"
    assert "94.7% of the days in the intervals, 0.0% without those at an end" in validation.results[0].sentence


def test_days_on_which_the_shop_is_closed_say_nothing(warehouse: Warehouse) -> None:
    frame = scored(series=40, level="product", width=0.85)
    closed = [day.weekday() == 6 for day in frame["target_date"]]
    frame.loc[closed, ["actual", "mean", "p10", "p90", "baseline"]] = 0.0
    assert alarms(check(warehouse, frame)) == []  # the Sundays make up for the other days
    for day in sorted(set(frame.loc[closed, "target_date"])):
        warehouse.run(
            "INSERT INTO feat_sales_daily (level, series_id, date, is_closed) VALUES ('total', 'total', :day, true)",
            {"day": day},
        )
    assert alarms(check(warehouse, frame)) == ["intervals_hold"]


def test_what_later_nights_scored_is_not_seen(warehouse: Warehouse) -> None:
    frame = scored(series=40, level="product")
    before = check(warehouse, frame, as_of=NIGHT - timedelta(days=7)).results
    of_the_night = check(warehouse, frame).results
    later = frame["target_date"] > NIGHT - timedelta(days=7)
    frame.loc[later, "actual"] = 1000.0
    assert check(warehouse, frame, as_of=NIGHT - timedelta(days=7)).results == before
    assert check(warehouse, frame).results != of_the_night


def test_a_shop_without_scored_forecasts_has_nothing_to_say(warehouse: Warehouse) -> None:
    assert check_track_record(warehouse, as_of=NIGHT, run_id="run-1").results == ()


def test_a_share_and_its_error_worked_out_by_hand() -> None:
    hits, days = np.array([1.0, 3.0, 2.0, 4.0]), np.array([4.0, 4.0, 4.0, 4.0])
    weeks = np.arange(4)
    share = clustered_share(hits, days, (weeks, weeks))
    assert share.value == 10 / 16
    # influences -1.5/16, .5/16, -.5/16, 1.5/16; four clusters of one each, times 4 / 3; t with 3 degrees of freedom
    assert share.half_width == pytest.approx(5.8409 * np.sqrt(5 / 256 * 4 / 3), rel=1e-4)
    assert clustered_share(hits, days, (weeks // 2, weeks)).half_width is None


def test_days_that_go_together_give_few_false_alarms_where_counted_rows_would_give_many() -> None:
    rng = np.random.default_rng(0)
    alarms, naive = 0, 0
    target, made = (places.ravel() for places in np.meshgrid(np.arange(8), np.arange(9), indexing="ij"))
    for _ in range(400):
        # each week has a share of its own around .8, as do the nights of a week; 500 rows in each
        chance = 0.8 + 0.06 * rng.standard_normal(8)[target] + 0.06 * rng.standard_normal(9)[made]
        hits = rng.binomial(500, chance.clip(0, 1)).astype(float)
        share = clustered_share(hits, np.full(len(hits), 500.0), (target, made))
        assert share.half_width is not None
        alarms += abs(share.value - 0.8) > share.half_width
        naive += abs(share.value - 0.8) > 2.6 * np.sqrt(0.16 / hits.size / 500)
    assert alarms <= 0.03 * 400
    assert naive > 0.5 * 400
