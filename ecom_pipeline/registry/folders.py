"""Version folders on disk: each is there whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

INCOMING = ".incoming-"


def put_in_place(folder: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a new folder, make it durable, and move it to `folder` in one step.

    What a process that died left behind is cleared away first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in folder.parent.glob(f"{INCOMING}*"):
        shutil.rmtree(left_behind)
    incoming = Path(mkdtemp(prefix=INCOMING, dir=folder.parent))
    try:
        write(incoming)
        for path in sorted(incoming.rglob("*")):
            if path.is_file():
                _sync(path)
        _sync(incoming)
        if folder.exists():  # placed by a process that died before it could be registered
            shutil.rmtree(folder)
        incoming.replace(folder)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    _sync(folder.parent)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
