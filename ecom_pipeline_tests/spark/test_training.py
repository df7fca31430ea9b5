"""Networks trained by the cluster's workers, in Spark's barrier mode."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ecom_pipeline.distributed.jobs import JobError
from ecom_pipeline.spark.training import BarrierRunner
from ecom_pipeline_tests.distributed.test_next_item import create, train_here
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]


def test_the_workers_of_a_cluster_end_with_the_weights_of_one_process(spark: "SparkSession", tmp_path: Path) -> None:
    alone, together = create(tmp_path / "alone"), create(tmp_path / "together")
    expected = train_here(alone)
    BarrierRunner(lambda: spark, workers=2, storage=tmp_path).run(together.folder)
    found = together.result()
    assert found.notes["workers"] == 2
    for name, value in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_job_that_cannot_be_done_ends_with_what_a_worker_said(spark: "SparkSession", tmp_path: Path) -> None:
    job = create(tmp_path / "job")
    (job.folder / "shard-0001.npz").unlink()
    with pytest.raises(JobError, match=r"shard-0001\.npz: cannot be read"):
        BarrierRunner(lambda: spark, workers=2, storage=tmp_path).run(job.folder)
