"""Tables as Parquet at the storage root, a folder that the driver and every worker reach by the same path.

A table's entry in its manifest says which files hold it now, and the stamp of the rows that they hold. New files are
written beside the old ones and the manifest is replaced in one atomic step, so that whatever interrupts a writing, the
entry still speaks of whole files; what it no longer names is cleared by the next writing.
"""

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"


class StorageError(RuntimeError):
    """The storage root cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What holds a table now: by partition ('' where there are none) the stamp of its rows and its path."""

    partitions: Mapping[str, tuple[str, str]]

    @property
    def paths(self) -> list[str]:
        """Files or folders to read, in a fixed order."""
        return [path for _, (_, path) in sorted(self.partitions.items())]


class Storage:
    """The folder of all tables.

    Raises:
        StorageError: if its path is not absolute, or it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise StorageError(f"spark_storage: {root} is no absolute path; workers would look for it elsewhere")
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"spark_storage: {root} cannot be made ({error.strerror})") from error
        self.root = root

    def entry(self, name: str) -> Entry:
        """What holds the table now; without partitions if nothing does."""
        file = self.root / name / MANIFEST
        try:
            listed: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
            partitions = {key: (stamp, str(self.root / name / path)) for key, (stamp, path) in listed.items()}
        except FileNotFoundError:
            return Entry({})
        except (ValueError, AttributeError) as error:
            raise StorageError(f"{file}: cannot be read ({error}); remove the folder {file.parent}") from error
        return Entry(partitions)

    def new_path(self, name: str) -> Path:
        """A path below the table's folder that nothing has yet."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def put(self, name: str, entry: Entry) -> None:
        """Make `entry` what holds the table, then remove what it does not name."""
        folder = self.root / name
        listed = {key: (stamp, Path(path).name) for key, (stamp, path) in entry.partitions.items()}
        building = folder / f".{MANIFEST}.{uuid.uuid4().hex}"
        with building.open("w", encoding="utf-8") as stream:
            json.dump(listed, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        building.replace(folder / MANIFEST)
        kept = {path for _, path in listed.values()}
        for found in folder.iterdir():
            if found.name == MANIFEST or found.name in kept:
                continue
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()

    def clear(self) -> None:
        """Remove all tables; a folder without a manifest is none and stays."""
        for manifest in self.root.glob(f"*/{MANIFEST}"):
            shutil.rmtree(manifest.parent)
