"""Several workers train a network of the sales forecaster as one does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import Job
from ecom_pipeline.distributed.keeping import Keeper
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline_tests.forecasting.series import weekly_sales

SETTINGS = TrainingSettings(
    steps=30, final_steps=10, units=16, hidden=16, batch_size=32, patches=2, dropout=0.0, embed_series=False
)
"""Without dropout, and without categories, of which training hides some: two workers draw others than one."""


class FirstJobByTwo:
    """Two processes do the first job, this process those that follow."""

    size = 2

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.ran = 0

    def run(self, job: Path) -> None:
        if self.ran == 0:
            HostRunner(hosts_here(2), storage=self.storage).run(job)
        else:
            from ecom_pipeline.distributed.group import ALONE
            from ecom_pipeline.distributed.sales import work

            work(Job(job), ALONE, Keeper(Job(job), writes=True, every_s=1e9, resume=None))
        self.ran += 1


def test_a_forecaster_trained_by_two_workers_is_that_of_one_process(tmp_path: Path) -> None:
    history = weekly_sales(series=5, days=150)
    settings = replace(SETTINGS, batch_size=2)  # doubled for short horizons; some batches are all one worker's
    alone = SalesForecaster("D", 7, ("promo",), settings=settings).fit(history)
    workers = FirstJobByTwo(tmp_path)
    together = SalesForecaster("D", 7, ("promo",), settings=settings, workers=workers).fit(history)
    expected, found = alone._fitted(), together._fitted()
    for name, value in expected.members[0].items():
        np.testing.assert_allclose(found.members[0][name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(found.report["losses"], expected.report["losses"], rtol=1e-4)
    assert workers.ran == 2  # before the validation dates, and on all
    assert list(tmp_path.iterdir()) == []  # jobs are cleared away


def test_an_interrupted_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    from ecom_pipeline.distributed.group import ALONE
    from ecom_pipeline.distributed.sales import work

    kept: list[tuple[Job, dict[str, np.ndarray]]] = []

    class KeepingCheckpoints:
        size, storage = 2, tmp_path

        def run(self, job: Path) -> None:
            ran = Job(job)
            work(ran, ALONE, Keeper(ran, writes=True, every_s=0.0, resume=None))
            expected, middle = ran.result(), ran.checkpoints()[0]
            assert 0 < middle < expected.notes["log"]["steps"]
            work(ran, ALONE, Keeper(ran, writes=True, every_s=1e9, resume=middle))
            for name, value in expected.arrays.items():
                np.testing.assert_array_equal(ran.result().arrays[name], value, err_msg=name)
            assert ran.result().notes["log"]["losses"] == expected.notes["log"]["losses"]
            kept.append((ran, expected.arrays))

    settings = replace(SETTINGS, dropout=0.2, final_steps=30)
    forecaster = SalesForecaster("D", 7, ("promo",), settings=settings, workers=KeepingCheckpoints())
    forecaster.fit(weekly_sales(series=4, days=150))
    assert len(kept) == 2


def test_a_shard_gives_the_batches_that_the_whole_gives() -> None:
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
