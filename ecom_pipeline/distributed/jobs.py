"""A training as a folder that all workers reach: what to do, weights to start from, shards, checkpoints, the result.

    job.json  start.npz  shard-0000.npz …  checkpoint-00000120.npz  result.npz

No pickle, so that a folder runs no code. Files appear whole: they are written beside their place and then renamed.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

Kind = Literal["next_item", "sales"]
NOTES = "notes"
KEPT = 2
"""Checkpoints that stay: a newer one may be lost with the disk's cache."""


class JobError(RuntimeError):
    """A job cannot be run, or was not ended; the message says why and what to do."""


class Runner(Protocol):
    """What has workers run a job to its end."""

    @property
    def size(self) -> int:
        """Number of workers."""

    @property
    def storage(self) -> Path:
        """A folder that this machine and all workers reach under this path; jobs are written below it."""

    def run(self, job: Path) -> None:
        """Run the job in a folder until its result is there.

        Raises:
            JobError: if the workers failed again and again.
            ArithmeticError: if the training diverged.
        """


@dataclass(frozen=True)
class Stored:
    """Arrays by name, and plain values."""

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


@contextmanager
def new_folder(storage: Path) -> Iterator[Path]:
    """A path for a job below the storage; what is there is removed when the block ends."""
    storage.mkdir(parents=True, exist_ok=True)
    folder = storage / f"training-{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Job:
    """The folder of a job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(
        cls, folder: Path, kind: Kind, description: Mapping[str, Any], *, shards: int, start: Mapping[str, np.ndarray]
    ) -> "Job":
        """A new job; its shards are to be written before it is run."""
        folder.mkdir(parents=True)
        job = cls(folder)
        job._write("start.npz", start, {})
        (folder / "job.json").write_text(json.dumps({"kind": kind, "shards": shards, **description}), encoding="utf-8")
        return job

    def description(self) -> dict[str, Any]:
        """`kind`, `shards`, and what that kind of training needs.

        Raises:
            JobError: if the folder holds no job.
        """
        try:
            described: dict[str, Any] = json.loads((self.folder / "job.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise JobError(
                f"{self.folder}: no training job ({error}); every worker must reach it under this path"
            ) from error
        return described

    def start(self) -> dict[str, np.ndarray]:
        """The weights to start from."""
        return self._read("start.npz").arrays

    def write_shard(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write one shard."""
        self._write(f"shard-{number:04d}.npz", arrays, {})

    def shard(self, number: int) -> dict[str, np.ndarray]:
        """Read one shard."""
        return self._read(f"shard-{number:04d}.npz").arrays

    def write_checkpoint(self, step: int, stored: Stored) -> None:
        """Keep the state after so many steps, and remove older ones."""
        self._write(f"checkpoint-{step:08d}.npz", stored.arrays, stored.notes)
        for old in self.checkpoints()[:-KEPT]:
            (self.folder / f"checkpoint-{old:08d}.npz").unlink()

    def checkpoints(self) -> list[int]:
        """Steps at which a checkpoint is there, in order."""
        found = (re.fullmatch(r"checkpoint-(\d+)\.npz", file.name) for file in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def checkpoint(self, step: int) -> Stored:
        """The state after so many steps."""
        return self._read(f"checkpoint-{step:08d}.npz")

    def write_result(self, stored: Stored) -> None:
        """The end of the job."""
        self._write("result.npz", stored.arrays, stored.notes)

    @property
    def is_done(self) -> bool:
        """Whether the result is there."""
        return (self.folder / "result.npz").exists()

    def result(self) -> Stored:
        """The trained weights, and the record of the training."""
        return self._read("result.npz")

    def _write(self, name: str, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        building = self.folder / f".{name}.building"
        with building.open("wb") as stream:
            np.savez(stream, **{NOTES: np.array(json.dumps(notes))}, **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        building.replace(self.folder / name)

    def _read(self, name: str) -> Stored:
        try:
            with np.load(self.folder / name, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files if key != NOTES}
                notes = json.loads(str(stored[NOTES]))
        except (OSError, ValueError, KeyError) as error:
            raise JobError(f"{self.folder / name}: cannot be read ({error})") from error
        return Stored(arrays, notes)
