"""The queue for the warehouse: an advisory lock beside the file.

The kernel frees the lock when a process dies, however it dies, so a crash leaves nothing to clean up.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.2


@contextmanager
def queued(file: Path, *, on_wait: Callable[[float], None] | None = None) -> Iterator[None]:
    """Wait until no other process has the warehouse `file`, and keep the others from it meanwhile.

    `on_wait(seconds)` is called while waiting, so that the caller can say so.
    """
    with _lock_file(file).open("w") as lock:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if on_wait is not None:
                    on_wait(time.monotonic() - started)
                time.sleep(POLL_SECONDS)
        yield


@contextmanager
def held_back(file: Path) -> Iterator[bool]:
    """Whether the warehouse `file` is free now; if so, no other process can take it while inside."""
    with _lock_file(file).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _lock_file(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.with_name(f"{file.name}.lock")
