"""A worker that dies in the middle of a stage: the others do its work, and the tables are the same."""

import threading
import time
from pathlib import Path

from ecom_pipeline.spark.cluster import LocalCluster, local_cluster
from ecom_pipeline.spark.session import spark_session
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER, OPTIONS
from ecom_pipeline_tests.spark.shops import exports_by_feed, on_cluster, shop_of

pytestmark = [*ON_A_CLUSTER]
STRUCK = (
    "feat_user_events",
    "feat_item_clicks",
    "feat_items",
    "feat_sessions",
    "session_paths",
    "transitions_daily",
    "path_transitions",
    "user_rfm",
)
"""In the order in which they are made from each other."""


class Killer(threading.Thread):
    """Kills the first worker as soon as a stage that shuffles has tasks at work."""

    def __init__(self, cluster: LocalCluster, tracker: object) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.tracker = tracker
        self.struck_with_tasks = 0

    def run(self) -> None:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            for stage in self.tracker.getActiveStageIds():  # type: ignore[attr-defined]
                about = self.tracker.getStageInfo(stage)  # type: ignore[attr-defined]
                if about is not None and about.numActiveTasks > 0:
                    self.cluster.kill_worker(0)
                    self.struck_with_tasks = about.numActiveTasks
                    return
            time.sleep(0.01)


def test_tables_are_the_same_when_a_worker_dies_in_the_middle_of_a_stage(
    extra_spark: None, small_exports: Path, tmp_path: Path, storage_root: Path
) -> None:
    files = exports_by_feed(small_exports)
    with (
        shop_of(tmp_path, profile_name="sample", files=files, as_of=SMALL_SHOP.last_day) as shop,
        local_cluster(workers=2, cores=1, memory="1g") as cluster,
        spark_session(cluster.url, options=OPTIONS) as spark,
        on_cluster(shop, spark, storage_root) as warehouse,
    ):
        killer = Killer(cluster, spark.sparkContext.statusTracker())
        until = time.monotonic() + 60  # executors start by themselves, some seconds after the session
        while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 3 and time.monotonic() < until:
            time.sleep(0.1)
        before = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()
        assert before == 3, "the driver and an executor on each worker"
        killer.start()
        assert shop.differences(warehouse, STRUCK) == []
        killer.join()
        assert killer.struck_with_tasks > 0
        assert cluster.workers[0].poll() is not None
