"""Workers are started where the list of hosts says, and failures end in words. Needs no TensorFlow."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ecom_pipeline.distributed.hosts import HostRunner, hosts_here
from ecom_pipeline.distributed.jobs import Job, JobError, Stored


def broken_job(folder: Path) -> Job:
    job = Job.create(folder, "sales", {}, shards=1, start={"x": np.zeros(1)})
    (folder / "job.json").write_text("{", encoding="utf-8")
    return job


def test_workers_that_fail_again_and_again_end_the_run_with_what_they_said(tmp_path: Path) -> None:
    job = broken_job(tmp_path / "job")
    with pytest.raises(JobError, match=r"failed 3 times in a row.*no training job.*must reach it under this path"):
        HostRunner(hosts_here(1), storage=tmp_path).run(job.folder)


def test_workers_of_other_hosts_are_started_by_the_remote_shell(tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    shell = tmp_path / "shell.py"
    shell.write_text(f"import sys; open({str(told)!r}, 'a').write('\\n'.join(sys.argv[1:]) + '\\n'); sys.exit(1)")
    runner = HostRunner(
        ["far.example:7000"], storage=tmp_path, remote_shell=(sys.executable, str(shell)), checkpoint_s=5.0
    )
    job = broken_job(tmp_path / "a job")
    with pytest.raises(JobError):
        runner.run(job.folder)
    host, command = told.read_text().splitlines()[:2]
    assert host == "far.example"
    assert command == (
        f"{sys.executable} -m ecom_pipeline.distributed.worker --job '{job.folder}' --rank 0 --hosts far.example:7000 "
        "--checkpoint-seconds 5.0 --end-with-input"
    )


@pytest.mark.parametrize("hosts", [[], ["a"], ["a:"], [":7000"], ["a:7000", "b:x"]])
def test_hosts_without_a_port_are_refused(tmp_path: Path, hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="host:port"):
        HostRunner(hosts, storage=tmp_path)


def test_older_checkpoints_go_and_what_was_interrupted_is_none(tmp_path: Path) -> None:
    job = Job.create(tmp_path / "job", "sales", {}, shards=1, start={})
    for step in (10, 20, 30):
        job.write_checkpoint(step, Stored({"x": np.full(2, step)}, {"step": step}))
    (job.folder / ".checkpoint-00000040.npz.building").write_bytes(b"half")
    assert job.checkpoints() == [20, 30]
    assert job.checkpoint(30).notes == {"step": 30}
    assert not job.is_done
    (job.folder / "checkpoint-00000050.npz").write_bytes(b"half")
    with pytest.raises(JobError, match=r"checkpoint-00000050\.npz: cannot be read"):
        job.checkpoint(50)
