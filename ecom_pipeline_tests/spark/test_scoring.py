"""Workers rank items for users as one process does."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.spark.scoring import recommended_by_workers
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]
USERS, ITEMS, EVENTS = 300, 40, 6_000


def history() -> pa.Table:
    """Users with histories of very different lengths: the first has a third of all events."""
    rng = np.random.default_rng(5)
    user = np.sort(np.where(rng.random(EVENTS) < 1 / 3, 0, rng.integers(0, USERS, EVENTS)))
    first = np.searchsorted(user, user)
    seconds = np.datetime64("2026-01-01", "us") + np.arange(EVENTS).astype("timedelta64[s]")
    return pa.table(
        {
            "user_id": pa.array([f"u{n}" for n in user]),
            "item_id": pa.array([f"i{n}" for n in (rng.integers(0, ITEMS, EVENTS) + user) % ITEMS]),
            "position": pa.array((np.arange(EVENTS) - first + 1).astype(np.int32)),
            "event_ts": pa.array(seconds),
            "event": pa.array(["view"] * EVENTS),
        }
    )


def test_lists_of_users_do_not_depend_on_the_worker_that_makes_them(spark: "SparkSession", tmp_path: Path) -> None:
    events = history()
    recommender = NextItemRecommender(model="co_visitation", repeats="allow", seed=0).fit(events)
    recommender.save(tmp_path / "model")
    candidates, blocked = [f"i{n}" for n in range(35)], ["i3"]
    expected: pa.Table = recommender.recommend(events, 5, candidates=pa.array(candidates), blocked=pa.array(blocked))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")  # users are cut by the edges of batches
    found = recommended_by_workers(
        spark,
        spark.createDataFrame(events),
        tmp_path / "model",
        5,
        stamp="1",
        candidates=candidates,
        blocked=blocked,
    ).toArrow()
    order = [("user_id", "ascending"), ("rank", "ascending")]
    expected, found = expected.sort_by(order), found.sort_by(order)
    assert found.num_rows == expected.num_rows > 0
    for name in ("user_id", "rank", "item_id", "source", "reason_item_id", "is_repeat", "fallback"):
        assert found.column(name).to_pylist() == expected.column(name).to_pylist(), name
    np.testing.assert_allclose(found.column("score").to_numpy(), expected.column("score").to_numpy(), rtol=1e-6)
