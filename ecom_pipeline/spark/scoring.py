"""Recommendations made by the workers: the model goes to each of them once, histories stay where they are.

Every user's list is what `NextItemRecommender.recommend` says of that user alone, so that it does not matter who shares
a partition. A worker's Python must have the package.
"""

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from ecom_pipeline.recommending import NextItemRecommender

OUTPUT = (
    "user_id STRING, rank INT, item_id STRING, score DOUBLE, source STRING, reason STRING, reason_item_id STRING, "
    "is_repeat BOOLEAN, fallback BOOLEAN"
)
_ARROW_OUTPUT = pa.schema(
    [
        ("user_id", pa.string()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("reason_item_id", pa.string()),
        ("is_repeat", pa.bool_()),
        ("fallback", pa.bool_()),
    ]
)
_Loaded = dict[str, "NextItemRecommender"]
_loaded: _Loaded = {}
"""Of this worker's process, by the model's stamp: Spark keeps the process for the tasks that follow."""


def recommended_by_workers(
    spark: "SparkSession",
    histories: "DataFrame",
    model: Path,
    k: int,
    *,
    stamp: str,
    candidates: Sequence[str] | None,
    blocked: Sequence[str],
) -> "DataFrame":
    """The k best items of each user of `histories`: the columns of `NextItemRecommender.recommend`, in any order.

    Args:
        spark: The session.
        histories: Events with user_id, item_id, position, event_ts and event.
        model: Folder of the saved recommender.
        k: Items a user.
        stamp: What tells this model from others, such as its version.
        candidates: Items that may be shown; None: all.
        blocked: Items that may not.
    """
    packed = spark.sparkContext.broadcast((_packed(model), candidates, tuple(blocked)))
    by_user = histories.repartition("user_id").sortWithinPartitions("user_id", "position")
    return by_user.mapInArrow(_scorer(packed, k, stamp), OUTPUT)


def _scorer(packed: Any, k: int, stamp: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        archive, candidates, blocked = packed.value
        recommender = _recommender(archive, stamp)
        for users in _whole_users(batches):
            for block in recommender.recommend_blocks(
                users,
                k,
                candidates=None if candidates is None else pa.array(candidates, pa.string()),
                blocked=pa.array(blocked, pa.string()),
            ):
                yield from block.select(_ARROW_OUTPUT.names).cast(_ARROW_OUTPUT).combine_chunks().to_batches()

    return score


def _whole_users(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches of rows that are sorted by user, cut where a user ends."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        users = batch.column("user_id")
        last = users[batch.num_rows - 1]
        of_last = int(pc.sum(pc.equal(users, last)).as_py())
        if of_last == batch.num_rows and (not waiting or waiting[-1].column("user_id")[0] == last):
            waiting.append(batch)
            continue
        if of_last < batch.num_rows:
            yield pa.Table.from_batches([*waiting, batch.slice(0, batch.num_rows - of_last)])
        else:
            yield pa.Table.from_batches(waiting)
        waiting = [batch.slice(batch.num_rows - of_last)]
    if waiting:
        yield pa.Table.from_batches(waiting)


def _recommender(archive: bytes, stamp: str) -> "NextItemRecommender":
    if stamp not in _loaded:
        from ecom_pipeline.recommending import NextItemRecommender

        _loaded.clear()
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(folder, filter="data")
            _loaded[stamp] = NextItemRecommender.load(folder)
    return _loaded[stamp]


def _packed(model: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as files:
        files.add(model, arcname=".")
    return packed.getvalue()
