"""What a past night knew of closed days: what had been lived through by then, whatever is known now."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.steps.forecast_frames import Covariates, history_of, known_ahead, series_known_at
from ecom_pipeline.steps.forecast_judging import Window, open_windows
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse

THEN, TONIGHT, HORIZON, COUNTRY = 85, 99, 14, "DE"
GOOD_FRIDAY, EASTER_MONDAY, LABOUR_DAY = day(88), day(91), day(116)


def open_shop(warehouse: Warehouse, *, closed_at_easter: bool) -> None:
    """Two products every day, of which nothing is sold at Easter, or more than ever."""
    shop = CoreRows(warehouse, country=COUNTRY)
    rng = np.random.default_rng(0)
    for n in range(TONIGHT + 1):
        easter = day(n) in (GOOD_FRIDAY, EASTER_MONDAY)
        for item in ("a", "b"):
            quantity = int(rng.integers(1, 6))
            if not (easter and closed_at_easter):
                shop.order(n, item, quantity=40 if easter else quantity)
    shop.build(TONIGHT, horizon_days=28)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("closed")) as opened:
        open_shop(opened, closed_at_easter=True)
        yield opened


def back_then(warehouse: Warehouse, n: int) -> Outlook:
    return Outlook.back_then(warehouse, cutoff=day(n), horizon=HORIZON, country=COUNTRY)


def window_of(warehouse: Warehouse) -> Window:
    (window,) = open_windows(warehouse, cutoffs=(day(THEN),), horizon=HORIZON, active_days=60, country=COUNTRY)
    return window


def frames(warehouse: Warehouse) -> tuple[Covariates, pd.DataFrame, pd.DataFrame]:
    """What a network would be fitted to and asked on the past night."""
    outlook = back_then(warehouse, THEN)
    series = series_known_at(warehouse, cutoff=day(THEN), active_days=60)
    asked = Covariates(known_future=("is_holiday", "is_closed"), past_only=())
    return (
        Covariates.of(warehouse, outlook=outlook),
        history_of(warehouse, series, covariates=asked, outlook=outlook),
        known_ahead(warehouse, series, covariates=asked, outlook=outlook, horizon=HORIZON),
    )


def test_tonight_knows_what_the_features_say(warehouse: Warehouse) -> None:
    assert Outlook.tonight(warehouse, as_of=day(TONIGHT)).closed == {GOOD_FRIDAY, EASTER_MONDAY, LABOUR_DAY}


def test_a_holiday_is_open_until_the_first_one_was_lived_through_closed(warehouse: Warehouse) -> None:
    assert back_then(warehouse, THEN).closed == frozenset()
    assert back_then(warehouse, 87).closed == frozenset()
    assert GOOD_FRIDAY in back_then(warehouse, 88).closed
    assert back_then(warehouse, 89).closed == {GOOD_FRIDAY, EASTER_MONDAY}, "all holidays so far were closed"


def test_a_closing_day_that_nobody_could_know_of_is_forecast_and_judged(warehouse: Warehouse) -> None:
    window = window_of(warehouse)
    easter = [(one - day(THEN)).days - 1 for one in (GOOD_FRIDAY, EASTER_MONDAY)]
    assert (window.baseline.mean[:, easter] > 0).all()
    assert (window.actual[:, easter] == 0).all()


def test_what_is_closed_later_changes_nothing_of_a_past_night(warehouse: Warehouse, tmp_path: Path) -> None:
    with empty_warehouse(tmp_path) as other:
        open_shop(other, closed_at_easter=False)
        assert Outlook.tonight(other, as_of=day(TONIGHT)).closed == frozenset()
        elsewhere, window = frames(other), window_of(other)
    here, own = frames(warehouse), window_of(warehouse)
    assert elsewhere[0] == here[0]
    assert "is_closed" not in here[0].known_future
    pd.testing.assert_frame_equal(elsewhere[1], here[1], check_exact=True)
    pd.testing.assert_frame_equal(elsewhere[2], here[2], check_exact=True)
    assert here[2]["is_holiday"].sum() > 0 == here[2]["is_closed"].sum()
    np.testing.assert_array_equal(window.baseline.mean, own.baseline.mean)
    np.testing.assert_array_equal(window.baseline.quantiles, own.baseline.quantiles)
