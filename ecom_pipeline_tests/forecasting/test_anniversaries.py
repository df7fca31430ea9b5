"""Days of the year that come back: closing days, feasts that move with Easter, and what is only noise."""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.anniversaries import ClosingDays, add_recurring_days, anniversary_positions
from ecom_pipeline.forecasting.calendar import season_of

GRID = pd.date_range("2022-01-01", "2023-12-31")
OBSERVED = len(GRID) - 28
WEEK = season_of(pd.offsets.Day())


def learnt(sales: np.ndarray, *, observed: int = OBSERVED) -> tuple[np.ndarray, ClosingDays]:
    """What is learnt from sales (N, T) under the identity link."""
    sales = sales[:, :observed]
    effects = np.zeros((len(sales), observed + 28), dtype=np.float32)
    closing = add_recurring_days(
        effects,
        linked=sales,
        sales=sales,
        recorded=np.isfinite(sales),
        positions=anniversary_positions(GRID, WEEK)[:, : observed + 28],
        cycle=7,
    )
    return effects, closing


def steady(series: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 10 * (1 + 0.3 * np.sin(2 * np.pi * np.arange(len(GRID)) / 7)) + rng.normal(0, 0.5, (series, len(GRID)))


def test_the_anniversary_of_a_feast_is_the_feast_and_of_another_date_the_date() -> None:
    positions = anniversary_positions(GRID, WEEK, years=1)[0]

    def before(day: str) -> str | None:
        place = positions[GRID.get_loc(day)]
        return None if place < 0 else str(GRID[place].date())

    assert before("2023-04-07") == "2022-04-15"  # Good Friday
    assert before("2023-12-25") == "2022-12-25"
    assert before("2023-04-15") is None  # Good Friday of 2022: says nothing about a plain Saturday
    assert before("2022-12-25") is None
    every_monday = pd.offsets.Week(weekday=0)
    weeks = pd.date_range("2020-01-06", periods=200, freq=every_monday)
    assert (anniversary_positions(weeks, season_of(every_monday)) == -1).all()


def test_a_closing_day_comes_back_also_for_series_that_do_not_sell_on_that_weekday() -> None:
    sales = steady()
    christmas = GRID.get_loc("2022-12-25")
    sales[:, christmas] = 0
    sales[15:, GRID.day_of_week == GRID[christmas].day_of_week] = 0
    _, closing = learnt(sales)
    closed = closing.closed_on(np.arange(20), np.tile(int(GRID.searchsorted(pd.Timestamp("2023-12-25"))), (20, 1)))
    assert (closed == 1).all()
    other = closing.closed_on(np.arange(20), np.tile(int(GRID.searchsorted(pd.Timestamp("2023-12-20"))), (20, 1)))
    assert (other == 0).all()


def test_a_day_on_which_everything_sold_more_is_added_and_noise_is_not() -> None:
    sales = steady()
    sales[:, GRID.get_loc("2022-12-23")] += 3
    effect, _ = learnt(sales)
    assert 2 < effect[:, GRID.get_loc("2023-12-23")].mean() < 3.5
    plain = effect[:, GRID.get_loc("2023-12-05") : GRID.get_loc("2023-12-20")]
    assert np.abs(plain).mean() < 0.2


def test_what_is_learnt_for_a_date_rests_on_days_long_before_it() -> None:
    sales = steady()
    changed = sales.copy()
    changed[:, OBSERVED - 60 :] = 0
    ahead = slice(OBSERVED, OBSERVED + 28)
    (one, _), (two, closing) = learnt(sales), learnt(changed)
    assert np.abs(one[:, ahead] - two[:, ahead]).max() < 0.5
    assert (closing.column[ahead] == -1).all()


def test_with_less_than_a_year_there_is_nothing_to_learn() -> None:
    effect, closing = learnt(steady(), observed=200)
    assert not effect.any()
    assert (closing.column == -1).all()
