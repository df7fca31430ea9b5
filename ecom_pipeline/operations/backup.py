"""Backups of a shop home, and putting one back.

A backup is a folder: a copy of the home as no run changes it (the warehouse's queue is waited for), with a list of its
files and their SHA-256. Databases are copied by their own means, so that a UI that is open does not spoil them.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ecom_pipeline import __version__
from ecom_pipeline.settings import Home
from ecom_pipeline.warehouse.queue import queued

LIST_FILE = "backup.json"
HOME_FOLDER = "home"
_LEFT_OUT = (".lock", ".tmp", "-journal", "-wal", "-shm")
_FOLDERS_LEFT_OUT = {"spill", "__pycache__", "running"}


class BackupError(RuntimeError):
    """A backup cannot be made or put back; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was copied."""

    target: Path
    files: int
    bytes: int
    seconds: float


def back_up(home: Home, target: Path, *, on_wait: Callable[[float], None] | None = None) -> BackupReport:
    """Copy the home to the new folder `target` while no run has the warehouse; a run in progress is waited for.

    The folder appears whole or not at all.

    Raises:
        BackupError: if `target` exists, or lies in the home.
    """
    target = target.resolve()
    if target.exists():
        raise BackupError(f"{target}: is there already; name a new folder, such as one with the date")
    if target.is_relative_to(home.root):
        raise BackupError(f"{target}: lies in the home that is to be backed up; name a folder elsewhere")
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.incoming")
    try:
        with queued(home.warehouse_file, on_wait=on_wait):
            listed = _copy_home(home, incoming / HOME_FOLDER)
        about = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "code_version": __version__,
            "home": str(home.root),
            "files": listed,
        }
        (incoming / LIST_FILE).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        incoming.replace(target)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    size = sum((target / HOME_FOLDER / name).stat().st_size for name in listed)
    return BackupReport(target, len(listed), size, round(time.monotonic() - started, 1))


def restore(backup: Path, home: Home) -> int:
    """Put a backup into the place of a home that is not there; returns the files restored.

    Raises:
        BackupError: if it is no whole backup, or something is in the home's place.
    """
    try:
        listed: dict[str, str] = json.loads((backup / LIST_FILE).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        raise BackupError(f"{backup}: is not a backup ({LIST_FILE} cannot be read: {error})") from error
    if home.root.exists() and any(home.root.iterdir()):
        raise BackupError(f"{home.root}: is not empty; move it away first, so that nothing is lost")
    damaged = [name for name, digest in listed.items() if _sha256(backup / HOME_FOLDER / name) != digest]
    if damaged:
        raise BackupError(
            f"{backup}: {len(damaged)} files are missing or damaged, {damaged[0]} among them; take another"
        )
    incoming = home.root.with_name(f".{home.root.name}.{uuid.uuid4().hex[:12]}.incoming")
    try:
        shutil.copytree(backup / HOME_FOLDER, incoming)
        if home.root.exists():
            home.root.rmdir()
        incoming.replace(home.root)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return len(listed)


def _copy_home(home: Home, target: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    for folder, folders, names in os.walk(home.root):
        folders[:] = sorted(name for name in folders if name not in _FOLDERS_LEFT_OUT)
        place = target / Path(folder).relative_to(home.root)
        place.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            source = Path(folder) / name
            if source.is_symlink() or not source.is_file() or _is_left_out(source, home):
                continue
            try:
                _copy(source, place / name)
            except FileNotFoundError:  # gone since it was listed: a log, or a file taken out of landing
                continue
            listed[(place / name).relative_to(target).as_posix()] = _sha256(place / name) or ""
    return listed


def _is_left_out(file: Path, home: Home) -> bool:
    # the warehouse's own write-ahead log belongs to it; those of SQLite are merged by its backup
    if file.name == f"{home.warehouse_file.name}.wal":
        return False
    return file.name.endswith(_LEFT_OUT)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as stream:
        is_sqlite = stream.read(16).startswith(b"SQLite format 3")
    if not is_sqlite:
        shutil.copy2(source, target)
        return
    original = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)
    copy = sqlite3.connect(target)
    try:
        original.backup(copy)
    finally:
        copy.close()
        original.close()


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
