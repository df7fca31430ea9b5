"""Runs a job on a list of hosts: starts a worker on each, and all of them again if one fails.

    python -m ecom_pipeline.distributed FOLDER --hosts a:7000 b:7000
    python -m ecom_pipeline.distributed FOLDER --here 2

Every host must reach the folder, and have this package in the same Python, under the same paths.
"""

import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ecom_pipeline.distributed.jobs import Job, JobError
from ecom_pipeline.distributed.worker import DIVERGED

LOOPBACK = "127.0.0.1"
HERE = frozenset({LOOPBACK, "localhost"})
ATTEMPTS = 3
"""Times that workers are started without a new checkpoint in between."""
STOP_SECONDS = 10.0
POLL_SECONDS = 0.1


class HostRunner:
    """Workers on hosts, one each; a host may be named again with another port, for another core or device of it.

    Args:
        hosts: host:port of each worker; on 127.0.0.1 and localhost a process of this machine.
        storage: a folder that all of them reach under this path.
        remote_shell: what starts a command on another host; the host and the command follow.
        checkpoint_s: seconds between two checkpoints.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        storage: Path,
        remote_shell: Sequence[str] = ("ssh", "-o", "BatchMode=yes"),
        checkpoint_s: float = 60.0,
    ) -> None:
        malformed = [host for host in hosts if not host.rpartition(":")[2].isdecimal() or not host.rpartition(":")[0]]
        if malformed or not hosts:
            raise ValueError(f"hosts must be host:port each, and at least one; not {malformed or list(hosts)}")
        self.hosts, self._storage = tuple(hosts), storage
        self._remote_shell, self._checkpoint_s = tuple(remote_shell), checkpoint_s
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self.hosts)

    @property
    def storage(self) -> Path:
        """Where jobs are written."""
        return self._storage

    def run(self, job: Path) -> None:
        """Run the job in a folder until its result is there; where a worker fails, from the last checkpoint.

        Raises:
            JobError: if workers failed so often without a new checkpoint.
            ArithmeticError: if the training diverged.
        """
        ran = Job(job)
        failed, before = 0, None
        while not ran.is_done:
            kept = ran.checkpoints()
            resume = kept[-1] if kept else None
            failed = failed if resume == before else 0
            before = resume
            statuses = self._attempt(job, resume)
            if DIVERGED in statuses:
                raise ArithmeticError(self._last_words(job, statuses.index(DIVERGED)))
            if ran.is_done:
                return
            failed += 1
            if failed == ATTEMPTS:
                worst = next((rank for rank, status in enumerate(statuses) if status), 0)
                raise JobError(
                    f"{job}: workers failed {ATTEMPTS} times in a row; that on {self.hosts[worst]} said: "
                    f"{self._last_words(job, worst)}"
                )

    def _attempt(self, job: Path, resume: int | None) -> list[int]:
        """Start all workers and wait for them; the exit statuses, of those that had to be ended 0."""
        with ExitStack() as stack:
            self.processes = [self._start(stack, job, rank, resume) for rank in range(self.size)]
            try:
                while True:
                    statuses = [process.poll() for process in self.processes]
                    if any(statuses) or None not in statuses:
                        return [status or 0 for status in statuses]
                    time.sleep(POLL_SECONDS)
            finally:
                self._end()

    def _start(self, stack: ExitStack, job: Path, rank: int, resume: int | None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "ecom_pipeline.distributed.worker", "--job", str(job), "--rank", str(rank)]
        command += ["--hosts", *self.hosts, "--checkpoint-seconds", str(self._checkpoint_s), "--end-with-input"]
        command += [] if resume is None else ["--resume", str(resume)]
        host = self.hosts[rank].rpartition(":")[0]
        if host not in HERE:
            command = [*self._remote_shell, host, shlex.join(command)]
        log = stack.enter_context(_log(job, rank).open("wb"))
        return subprocess.Popen(  # noqa: S603  # our own worker
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )

    def _end(self) -> None:
        """End whatever still runs: workers end when their standard input does, also on other hosts."""
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()
        until = time.monotonic() + STOP_SECONDS
        for process in self.processes:
            try:
                process.wait(timeout=max(until - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _last_words(self, job: Path, rank: int) -> str:
        return " ".join(_log(job, rank).read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


def _log(job: Path, rank: int) -> Path:
    return job / f"worker-{rank}.log"


def runner_here(workers: int | None) -> HostRunner | None:
    """So many workers on this machine, to try it; None for None."""
    if workers is None:
        return None
    return HostRunner(hosts_here(workers), storage=Path(tempfile.gettempdir()))


def hosts_here(count: int) -> list[str]:
    """Addresses for so many workers on this machine, with ports that are free now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [f"{LOOPBACK}:{probe.getsockname()[1]}" for probe in probes]
