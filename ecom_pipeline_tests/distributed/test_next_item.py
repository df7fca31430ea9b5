"""Several workers train a sequence network as one does, and a run that was broken ends as one that was not."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import Job, Stored
from ecom_pipeline.distributed.keeping import Keeper
from ecom_pipeline.sequences import EventSequences
from ecom_pipeline.sequences.event_sequences import offsets_of

ITEMS = 60


def log_of(users: int) -> EventSequences:
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 15, users)
    items = rng.integers(0, ITEMS, lengths.sum()).astype(np.int32)
    return EventSequences(items=items, offsets=offsets_of(lengths), users=pa.nulls(users), n_items=ITEMS)


def create(folder: Path, *, dropout: float = 0.0) -> Job:
    from ecom_pipeline.distributed.next_item import create_job
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import TrainingSettings

    settings = NetworkSettings(cell="gru", width=8, length=6, dropout=dropout, state_dropout=dropout)
    return create_job(
        folder,
        SequenceNetwork(ITEMS, settings, seed=1),
        log_of(200),
        training=TrainingSettings(positions=64, negatives=24),
        epochs=4,
        seed=5,
        shards=2,
    )


def train_here(job: Job, keeper: Keeper | None = None) -> Stored:
    """Train in this process, with all shards."""
    from ecom_pipeline.distributed.group import ALONE
    from ecom_pipeline.distributed.next_item import work

    work(job, ALONE, keeper or Keeper(job, writes=True, every_s=1e9, resume=None))
    return job.result()


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """What two workers end with."""
    job = create(tmp_path_factory.mktemp("two") / "job")
    HostRunner(hosts_here(2), storage=job.folder.parent).run(job.folder)
    return job.result()


def test_two_workers_end_with_the_weights_of_one(by_two: Stored, tmp_path: Path) -> None:
    job = create(tmp_path / "job")
    by_one, start = train_here(job), job.start()
    assert by_one.arrays.keys() == by_two.arrays.keys()
    for name, value in by_one.arrays.items():
        np.testing.assert_allclose(by_two.arrays[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
        assert name == "trace" or np.abs(value - start[name]).max() > 1e-3
    np.testing.assert_allclose(by_two.notes["losses"], by_one.notes["losses"], rtol=1e-5)
    assert (by_one.notes["workers"], by_two.notes["workers"]) == (1, 2)


def test_a_killed_worker_is_replaced_and_the_run_ends_as_an_unbroken_one(by_two: Stored, tmp_path: Path) -> None:
    job = create(tmp_path / "job")
    runner = HostRunner(hosts_here(2), storage=tmp_path, checkpoint_s=0.0)
    killed = []

    def kill() -> None:
        while not job.checkpoints():
            time.sleep(0.01)
        os.kill(runner.processes[1].pid, signal.SIGKILL)
        killed.append(job.checkpoints()[-1])

    killer = threading.Thread(target=kill)
    killer.start()
    runner.run(job.folder)
    killer.join()
    assert killed and killed[0] < job.checkpoints()[-1]
    for name, value in by_two.arrays.items():
        np.testing.assert_array_equal(job.result().arrays[name], value, err_msg=name)
    assert job.result().notes["losses"] == by_two.notes["losses"]


class Interrupting(Keeper):
    """A keeper whose process dies after a checkpoint."""

    def keep(self, step: int, state: Callable[[], Stored]) -> None:
        super().keep(step, state)
        if step == 30:
            raise KeyboardInterrupt


def test_what_is_dropped_out_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    unbroken, broken = (create(tmp_path / name, dropout=0.3) for name in ("unbroken", "broken"))
    expected = train_here(unbroken)
    with pytest.raises(KeyboardInterrupt):
        train_here(broken, Interrupting(broken, writes=True, every_s=0.0, resume=None))
    assert broken.checkpoints()[-1] == 30
    found = train_here(broken, Keeper(broken, writes=True, every_s=1e9, resume=30))
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], value, err_msg=name)
    assert found.notes["losses"] == expected.notes["losses"]


def test_a_recommender_can_have_workers_train_its_network(tmp_path: Path) -> None:
    from ecom_pipeline.recommending import NextItemRecommender
    from ecom_pipeline_tests.recommending.shops import cyclic_shop

    class Here:
        """Runs jobs of two workers in this process."""

        size, storage = 2, tmp_path
        ran = 0

        def run(self, job: Path) -> None:
            train_here(Job(job))
            self.ran += 1

    shop = cyclic_shop(users=60)
    workers = Here()
    recommender = NextItemRecommender("gru", workers=workers).fit(shop)
    losses = recommender.report()["losses"]["gru"]
    assert losses[-1] < losses[0]
    assert workers.ran == 2  # before the held-out events, and on all
    assert list(tmp_path.iterdir()) == []  # jobs are cleared away
    assert len(recommender.recommend(shop, k=3)) == 3 * 60
