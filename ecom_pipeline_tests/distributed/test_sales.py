"""Several workers train a network of the sales forecaster as one does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline_tests.forecasting.series import weekly_sales

SETTINGS = TrainingSettings(
    steps=30, final_steps=10, units=16, hidden=16, batch_size=32, patches=2, dropout=0.0, embed_series=False
)
"""Without dropout, and without categories, of which training hides some: two workers draw others than one."""


def test_a_forecaster_fitted_by_two_workers_is_that_of_one_process(tmp_path: Path) -> None:
    history = weekly_sales(series=9, days=150)
    alone = SalesForecaster("D", 7, ("promo",), settings=SETTINGS).fit(history)
    runner = HostRunner(hosts_here(2), storage=tmp_path)
    together = SalesForecaster("D", 7, ("promo",), settings=SETTINGS, workers=runner)
    together.fit(history)
    expected, found = alone._fitted(), together._fitted()
    for name, value in expected.members[0].items():
        np.testing.assert_allclose(found.members[0][name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found.report["losses"], expected.report["losses"], rtol=1e-4)
    assert list(tmp_path.iterdir()) == []  # jobs are cleared away


def test_a_shard_gives_the_batches_that_the_whole_gives(tmp_path: Path) -> None:
    from ecom_pipeline.distributed.sales import rows_of, tables_of
    from ecom_pipeline.forecasting.preparation import build_tables
    from ecom_pipeline.forecasting.windows import gather

    forecaster = SalesForecaster("D", 14, ("promo",), settings=replace(SETTINGS, steps=2, final_steps=1))
    history = weekly_sales(series=5, days=500)
    model = forecaster.fit(history)._fitted()
    tables = build_tables(forecaster._panel(history, None), model.preparation, model.geometry, training=True)
    shards = [rows_of(tables, np.array(rows)) for rows in ([0, 2, 4], [1, 3])]
    parted, order = tables_of(shards), np.array([0, 2, 4, 1, 3])
    origin = np.array([120, 200, 444, 460, 480])
    expected = gather(tables, model.geometry, order, origin).inputs()
    found = gather(parted, model.geometry, np.arange(5), origin).inputs()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_more_workers_than_series_are_refused(tmp_path: Path) -> None:
    runner = HostRunner(hosts_here(4), storage=tmp_path)
    forecaster = SalesForecaster("D", 14, settings=SETTINGS, workers=runner)
    with pytest.raises(ValueError, match="3 series cannot be spread over 4 workers"):
        forecaster.fit(weekly_sales(series=3, days=150)[["unique_id", "ds", "y"]])
