"""When a worker keeps the state of its training, and from which state it goes on."""

import time
from collections.abc import Callable

from ecom_pipeline.distributed.jobs import Job, Stored

MULTIPLE = 10
"""Checkpoints are of whole tens of steps, the unit in which losses are recorded."""


class Keeper:
    """Keeps checkpoints of a job, if it is the first worker's.

    Args:
        job: the job.
        writes: whether this worker is the one that writes.
        every_s: seconds between two checkpoints; 0 for one after every ten steps.
        resume: the step of the checkpoint to go on from; None to begin. All workers are told the same.
    """

    def __init__(self, job: Job, *, writes: bool, every_s: float, resume: int | None) -> None:
        self._job, self._writes, self._every_s, self._resume = job, writes, every_s, resume
        self._kept_at = time.monotonic()

    def last(self) -> Stored | None:
        """The state to go on from."""
        return None if self._resume is None else self._job.checkpoint(self._resume)

    def keep(self, step: int, state: Callable[[], Stored]) -> None:
        """Write a checkpoint after `step` steps, if it is time for one."""
        if self._writes and step % MULTIPLE == 0 and time.monotonic() - self._kept_at >= self._every_s:
            self._job.write_checkpoint(step, state())
            self._kept_at = time.monotonic()

    def end(self, result: Callable[[], Stored]) -> None:
        """Write the result."""
        if self._writes:
            self._job.write_result(result())
