"""Training jobs by the workers of a cluster, in Spark's barrier mode: all tasks start together or not at all.

Each task finds a port, learns the others' addresses from Spark, and runs a training worker as a process of its own.
Where one fails, Spark starts all of them again, and they go on from the last checkpoint.
"""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_pipeline.distributed.jobs import Job, JobError
from ecom_pipeline.distributed.worker import DIVERGED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class BarrierRunner:
    """Workers of a Spark cluster, one a core.

    Args:
        session: gives the session when a job is run.
        workers: how many; the cluster must have as many cores free.
        storage: a folder that the driver and all of them reach under this path.
        checkpoint_s: seconds between two checkpoints.
    """

    def __init__(
        self, session: "Callable[[], SparkSession]", *, workers: int, storage: Path, checkpoint_s: float = 60.0
    ) -> None:
        self._session, self._workers = session, workers
        self._storage, self._checkpoint_s = storage, checkpoint_s

    @property
    def size(self) -> int:
        """Number of workers."""
        return self._workers

    @property
    def storage(self) -> Path:
        """Where jobs are written."""
        return self._storage

    def run(self, job: Path) -> None:
        """Run the job in a folder until its result is there.

        Raises:
            JobError: if Spark gave it up.
            ArithmeticError: if the training diverged.
        """
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        context = self._session().sparkContext
        places = context.parallelize(range(self._workers), self._workers).barrier()
        try:
            said = places.mapPartitions(_worker(str(job), self._checkpoint_s)).collect()
        except (Py4JJavaError, PySparkException) as error:
            raise JobError(f"{job}: the cluster could not end it: {error}") from error
        diverged = [words for words in said if words]
        if diverged:
            raise ArithmeticError(diverged[0])


def _worker(job: str, checkpoint_s: float) -> Callable[[Iterator[int]], Iterator[str]]:
    def work(places: Iterator[int]) -> Iterator[str]:
        from pyspark import BarrierTaskContext

        task = BarrierTaskContext.get()
        rank = task.partitionId()
        host = task.getTaskInfos()[rank].address.rpartition(":")[0]
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
        # all go on from what the first of them sees
        kept = Job(Path(job)).checkpoints()
        told = task.allGather(f"{host}:{port} {kept[-1] if kept else ''}")
        hosts = [one.partition(" ")[0] for one in told]
        resume = told[0].partition(" ")[2]
        command = [sys.executable, "-m", "ecom_pipeline.distributed.worker", "--job", job, "--rank", str(rank)]
        command += ["--hosts", *hosts, "--checkpoint-seconds", str(checkpoint_s), "--end-with-input"]
        command += ["--resume", resume] if resume else []
        log = Path(job) / f"worker-{rank}.log"
        with (
            log.open("wb") as stream,
            subprocess.Popen(  # noqa: S603  # our own worker; it ends when this task does
                command, stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT
            ) as process,
        ):
            status = process.wait()
        words = " ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
        if status not in (0, DIVERGED):
            raise JobError(f"the worker on {host} ended with status {status}: {words}")
        yield words if status == DIVERGED else ""

    return work
