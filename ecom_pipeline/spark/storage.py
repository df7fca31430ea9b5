"""Tables as Parquet at the storage root, which the driver and every worker reach by the same path or URL.

A table's manifest says which files hold it now, and the stamp of the rows that they hold. New files are written beside
the old ones, and then a new manifest under the next number, which no file system need replace: whatever interrupts a
writing, the last manifest speaks of whole files. What it does not name is cleared by the next writing.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecom_pipeline.spark.files import Files, MountedFiles, RemoteFiles, StorageError, mounted_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MANIFEST = re.compile(r"manifest-(\d{8})\.json")
WRITTEN = re.compile(rf"{MANIFEST.pattern}|\.?[0-9a-f]{{32}}")
"""Names of what is written into a table's folder, half written things included."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What holds a table now: by partition ('' where there are none) the stamp of its rows and its path."""

    partitions: Mapping[str, tuple[str, str]]

    @property
    def paths(self) -> list[str]:
        """Files or folders to read, in a fixed order."""
        return [path for _, (_, path) in sorted(self.partitions.items())]


class Storage:
    """All tables below a root.

    Args:
        root: An absolute path or a URL.
        files: What reads and writes there.
    """

    def __init__(self, root: str, files: Files) -> None:
        self.root, self.files = root, files

    def entry(self, name: str) -> Entry:
        """What holds the table now; without partitions if nothing does.

        Raises:
            StorageError: if its manifest cannot be read.
        """
        folder = f"{self.root}/{name}"
        manifest = _last_manifest(self.files.names(folder))
        if manifest is None:
            return Entry({})
        try:
            listed: dict[str, list[str]] = json.loads(self.files.read(f"{folder}/{manifest}"))
            return Entry({key: (stamp, f"{folder}/{path}") for key, (stamp, path) in listed.items()})
        except (ValueError, AttributeError) as error:
            raise StorageError(f"{folder}/{manifest}: cannot be read ({error}); remove the folder {folder}") from error

    def new_path(self, name: str) -> str:
        """A path below the table's folder that nothing has yet."""
        return f"{self.root}/{name}/{uuid.uuid4().hex}"

    def put(self, name: str, entry: Entry) -> None:
        """Make `entry` what holds the table, then remove what it does not name."""
        folder = f"{self.root}/{name}"
        there = self.files.names(folder)
        listed = {key: (stamp, path.rpartition("/")[2]) for key, (stamp, path) in entry.partitions.items()}
        manifest = _manifest_after(_last_manifest(there))
        self.files.write(f"{folder}/{manifest}", json.dumps(listed, indent=1))
        for found in set(there) - {path for _, path in listed.values()}:
            self.files.remove(f"{folder}/{found}")

    def remove(self, name: str) -> None:
        """Remove a table and whatever else its folder has."""
        self.files.remove(f"{self.root}/{name}")

    def clear(self) -> None:
        """Remove all tables, half written ones included; a folder with anything else in it stays."""
        for name in self.files.names(self.root):
            found = self.files.names(f"{self.root}/{name}")
            if found and all(WRITTEN.fullmatch(each) for each in found):
                self.remove(name)


def storage_at(root: str, session: "Callable[[], SparkSession]") -> Storage:
    """The storage at a path or URL; the session is begun only where a URL needs it.

    Raises:
        StorageError: if a path is not absolute.
    """
    path = mounted_path(root)
    if path is None:
        return Storage(root.rstrip("/"), RemoteFiles(session))
    if not path.is_absolute():
        raise StorageError(f"spark_storage: {root} is no absolute path; workers would look for it elsewhere")
    return Storage(str(path), MountedFiles())


def _last_manifest(names: list[str]) -> str | None:
    return max((name for name in names if MANIFEST.fullmatch(name)), default=None)


def _manifest_after(manifest: str | None) -> str:
    found = MANIFEST.fullmatch(manifest or "")
    return f"manifest-{int(found.group(1)) + 1 if found else 1:08d}.json"
