"""Which GPU a worker takes, where its machine has some; told by what TensorFlow is asked for, as tests have none."""

import pytest

from ecom_pipeline.distributed.jobs import JobError

HOSTS = ["a:7000", "a:7001", "b:7000", "a:7002"]


def taken(monkeypatch: pytest.MonkeyPatch, rank: int, *, gpus: int) -> list[str]:
    import tensorflow as tf

    from ecom_pipeline.distributed import group

    seen: list[str] = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:{k}" for k in range(gpus)])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda device, kind: seen.append(device))
    group._take_own_gpu(HOSTS, rank)
    return seen


def test_each_worker_of_a_machine_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [taken(monkeypatch, rank, gpus=3) for rank in range(4)] == [["GPU:0"], ["GPU:1"], ["GPU:0"], ["GPU:2"]]


def test_without_a_gpu_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, 0, gpus=0) == []


def test_more_workers_than_gpus_are_refused_with_the_machine_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match="a has 2 GPUs for 3 workers"):
        taken(monkeypatch, 1, gpus=2)
    assert taken(monkeypatch, 2, gpus=2) == ["GPU:0"]
