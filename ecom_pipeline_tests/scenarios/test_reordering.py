"""Reorder suggestions: the newsvendor's answer on demands whose distribution is known."""

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import gamma
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.scenarios.plan import ScenarioError
from ecom_pipeline.scenarios.reordering import (
    COLUMNS,
    LEVELS,
    ReorderTerms,
    critical_ratio,
    day_deviations,
    demand_quantile,
    exceedance,
    reorder_suggestions,
    suggestions_of,
    sum_moments,
)
from ecom_pipeline_tests.report.conftest import make_shop

NIGHT = date(2026, 1, 1)


def gamma_days(shape: float, scale: float, *, items: list[str], days: int, stock: list[float]) -> pd.DataFrame:
    quantiles = dict(zip(COLUMNS, gamma.ppf(LEVELS, shape, scale=scale), strict=True))
    rows = [
        {"item_id": item, "mean": shape * scale, **quantiles, "name": None, "category": None, "stock": units}
        for item, units in zip(items, stock, strict=True)
        for _ in range(days)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("shape", "scale"), [(1.0, 3.0), (4.0, 2.5), (30.0, 1.0)])
def test_the_spread_of_a_day_is_found_from_its_quantiles(shape: float, scale: float) -> None:
    frame = gamma_days(shape, scale, items=["a"], days=1, stock=[0])
    assert day_deviations(frame)[0] == pytest.approx(np.sqrt(shape) * scale, rel=0.1)


def test_independent_days_add_their_variances_and_shared_errors_add_more() -> None:
    means, deviations = np.full((1, 4), 10.0), np.full((1, 4), 3.0)
    assert [float(value[0]) for value in sum_moments(means, deviations, 0.0)] == pytest.approx([40, 6])
    assert float(sum_moments(means, deviations, 0.999)[1][0]) == pytest.approx(12, rel=0.01)
    by_hand = np.sqrt(9 * (4 + 2 * (3 * 0.5 + 2 * 0.25 + 1 * 0.125)))
    assert float(sum_moments(means, deviations, 0.5)[1][0]) == pytest.approx(by_hand)


def test_the_order_up_to_level_covers_the_demand_as_often_as_wanted() -> None:
    days, shape, scale = 14, 2.0, 3.0
    frame = gamma_days(shape, scale, items=["a"], days=days, stock=[0])
    demand = np.random.default_rng(0).gamma(shape, scale, (20_000, days)).sum(axis=1)
    for level in (0.8, 0.95, 0.99):
        terms = ReorderTerms(lead_time_days=7, review_days=7, service_level=level, day_correlation=0.0)
        (up_to,) = suggestions_of(frame, terms, as_of=NIGHT)["order_up_to"].to_pylist()
        assert (demand <= up_to).mean() == pytest.approx(level, abs=0.025)


def test_stock_is_taken_off_and_never_ordered_back() -> None:
    frame = gamma_days(4.0, 1.0, items=["none", "some", "plenty", "unknown"], days=14, stock=[0, 20, 500, float("nan")])
    rows = suggestions_of(frame, ReorderTerms(), as_of=NIGHT).to_pylist()
    up_to = rows[0]["order_up_to"]
    assert [row["order_units"] for row in rows] == [up_to, up_to - 20, 0, None]
    assert [row["days_of_stock"] for row in rows] == [0.0, 5.0, 125.0, None]
    assert rows[0]["stock_out_probability"] == 1.0
    assert rows[1]["stock_out_probability"] > 0.5 > rows[2]["stock_out_probability"]
    assert rows[3]["stock_out_probability"] is None
    assert rows[0]["safety_stock"] == pytest.approx(up_to - 56)


def test_a_product_without_demand_asks_for_nothing() -> None:
    zero = np.zeros(1)
    assert demand_quantile(zero, zero, 0.99).tolist() == [0.0]
    assert exceedance(zero, zero, zero).tolist() == [0.0]
    frame = pd.DataFrame(
        [{"item_id": "a", "mean": 0.0, **dict.fromkeys(COLUMNS, 0.0), "name": "A", "category": None, "stock": 3.0}] * 14
    )
    (row,) = suggestions_of(frame, ReorderTerms(), as_of=NIGHT).to_pylist()
    assert (row["order_up_to"], row["order_units"], row["days_of_stock"]) == (0, 0, None)


def test_the_critical_ratio_weighs_too_few_against_too_many() -> None:
    assert critical_ratio(underage=4.5, overage=0.5) == 0.9
    with pytest.raises(ScenarioError, match="both above 0"):
        critical_ratio(underage=0, overage=1)


def test_terms_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for wrong, message in (
        ({"service_level": 1.0}, "service level lies between 0 and 1"),
        ({"review_days": 0}, "at least 1"),
        ({"day_correlation": 1.0}, "lies in"),
    ):
        with pytest.raises(ScenarioError, match=message):
            ReorderTerms(**wrong)
    shop = make_shop(tmp_path / "analytics.duckdb")
    with pytest.raises(ScenarioError, match="Lead time and review are 40 days, and forecasts reach 28"):
        reorder_suggestions(shop, ReorderTerms(lead_time_days=33))


def test_the_command_keeps_its_table_and_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "settings.yaml").write_text("profile: sample\n", encoding="utf-8")
    make_shop(tmp_path / "published" / "analytics.duckdb")
    for arguments in (["--lead-time", "3"], ["--underage", "9", "--overage", "1", "--json"]):
        done = CliRunner().invoke(app, ["reorder", "--home", str(tmp_path), *arguments])
        assert done.exit_code == 0, done.output
    with duckdb.connect(str(tmp_path / "published" / "scenarios.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT count(*), max(lead_time_days), max(service_level) FROM reorder_suggestions")
        assert rows.fetchall() == [(9, 7, 0.9)]
        commented = connection.execute("SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND NOT internal")
        assert commented.fetchall() == [(0,)]
    both = CliRunner().invoke(app, ["reorder", "--home", str(tmp_path), "--underage", "1"])
    assert both.exit_code == 2
