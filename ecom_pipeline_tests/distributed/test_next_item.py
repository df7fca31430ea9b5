"""Several workers train a sequence network as one does, and a run that was broken ends as one that was not."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import Job
from ecom_pipeline.sequences import EventSequences
from ecom_pipeline.sequences.event_sequences import offsets_of

ITEMS = 60


def log_of(users: int) -> EventSequences:
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 15, users)
    items = rng.integers(0, ITEMS, lengths.sum()).astype(np.int32)
    return EventSequences(items=items, offsets=offsets_of(lengths), users=pa.nulls(users), n_items=ITEMS)


def create(folder: Path, *, shards: int, dropout: float = 0.0, epochs: int = 2) -> Job:
    from ecom_pipeline.distributed.next_item import create_job
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import TrainingSettings

    settings = NetworkSettings(cell="gru", width=8, length=6, dropout=dropout, state_dropout=dropout)
    return create_job(
        folder,
        SequenceNetwork(ITEMS, settings, seed=1),
        log_of(200),
        training=TrainingSettings(positions=64, negatives=24),
        epochs=epochs,
        seed=5,
        shards=shards,
    )


def test_two_workers_end_with_the_weights_of_one(tmp_path: Path) -> None:
    from ecom_pipeline.distributed.group import ALONE
    from ecom_pipeline.distributed.keeping import Keeper
    from ecom_pipeline.distributed.next_item import work

    one, two = create(tmp_path / "one", shards=2), create(tmp_path / "two", shards=2)
    work(one, ALONE, Keeper(one, writes=True, every_s=1e9, resume=None))
    HostRunner(hosts_here(2), storage=tmp_path).run(two.folder)
    expected, found = one.result().arrays, two.result().arrays
    start = one.start()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
        assert name == "trace" or np.abs(value - start[name]).max() > 1e-3
    np.testing.assert_allclose(one.result().notes["losses"], two.result().notes["losses"], rtol=1e-5)


def test_a_killed_worker_is_replaced_and_the_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    unbroken, broken = (create(tmp_path / name, shards=2, dropout=0.3, epochs=6) for name in ("a", "b"))
    HostRunner(hosts_here(2), storage=tmp_path).run(unbroken.folder)
    runner = HostRunner(hosts_here(2), storage=tmp_path, checkpoint_s=0.0)
    killed = []

    def kill() -> None:
        while not broken.checkpoints():
            time.sleep(0.01)
        os.kill(runner.processes[1].pid, signal.SIGKILL)
        killed.append(broken.checkpoints()[-1])

    killer = threading.Thread(target=kill)
    killer.start()
    runner.run(broken.folder)
    killer.join()
    assert killed and killed[0] < broken.checkpoints()[-1]
    for name, value in unbroken.result().arrays.items():
        np.testing.assert_array_equal(broken.result().arrays[name], value, err_msg=name)
    assert broken.result().notes["losses"] == unbroken.result().notes["losses"]
