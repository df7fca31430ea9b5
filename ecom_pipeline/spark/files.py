"""Files at a storage root: in a folder that is mounted everywhere, or in any other file system that Spark reaches.

HDFS, S3 and the like are spoken to by Spark's own clients in the driver's JVM, with the session's configuration: what
the workers read can be a storage root, and there is no second client with addresses and credentials of its own. DuckDB
reads and writes files of this machine, so that what it writes there is sent when it is whole, and what it reads is
fetched before.
"""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class StorageError(RuntimeError):
    """The storage root cannot be used; the message says why and what to do."""


class Files(Protocol):
    """What a storage root needs of a file system. Paths are those that Spark is given.

    Raises:
        StorageError: by each of them, if the system refuses.
    """

    def names(self, folder: str) -> list[str]:
        """What lies in the folder, sorted; nothing if it is not there."""

    def read(self, path: str) -> str:
        """The text of a file."""

    def write(self, path: str, text: str) -> None:
        """A new file, which is there as a whole or not at all."""

    def remove(self, path: str) -> None:
        """A file, or a folder and what is in it; it need not be there."""

    def writing(self, path: str) -> AbstractContextManager[Path]:
        """Where to write a new file on this machine; it is at `path` when the block has succeeded."""

    def reading(self, path: str) -> AbstractContextManager[Path]:
        """Where a file or folder is on this machine, until the block ends."""


def mounted_path(root: str) -> Path | None:
    """The path of a root that is a folder of every machine; None if it is the URL of another file system."""
    url = urlsplit(root)
    return Path(url.path) if url.scheme in ("", "file") else None


class MountedFiles:
    """Files of a folder that every machine reaches by the same path."""

    def names(self, folder: str) -> list[str]:
        """As `Files.names`."""
        there = Path(folder)
        return sorted(found.name for found in there.iterdir()) if there.is_dir() else []

    def read(self, path: str) -> str:
        """As `Files.read`."""
        return Path(path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """As `Files.write`."""
        with self.writing(path) as building:
            building.write_text(text, encoding="utf-8")

    def remove(self, path: str) -> None:
        """As `Files.remove`."""
        there = Path(path)
        if there.is_dir():
            shutil.rmtree(there)
        else:
            there.unlink(missing_ok=True)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """As `Files.writing`; a file becomes visible under its name at the end."""
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"spark_storage: {target.parent} cannot be made ({error.strerror})") from error
        building = target.with_name(f".{uuid.uuid4().hex}")
        yield building
        building.replace(target)

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """As `Files.reading`; nothing is copied."""
        yield Path(path)


class RemoteFiles:
    """Files of any file system that has a Hadoop client, such as hdfs://, webhdfs:// or, with its jar, s3a://.

    What DuckDB reads or writes passes through a folder for temporary files of this machine (`TMPDIR`).

    Args:
        session: Gives the Spark session whose configuration is used, when a file is first needed.
    """

    def __init__(self, session: "Callable[[], SparkSession]") -> None:
        self._session = session

    def names(self, folder: str) -> list[str]:
        """As `Files.names`."""
        with _told(folder):
            try:
                found = self._system(folder).listStatus(self._path(folder))
            except Exception as error:
                if _is_not_there(error):
                    return []
                raise
            return sorted(status.getPath().getName() for status in found)

    def read(self, path: str) -> str:
        """As `Files.read`."""
        with _told(path):
            stream = self._system(path).open(self._path(path))
            try:
                text: str = self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
            finally:
                stream.close()
            return text

    def write(self, path: str, text: str) -> None:
        """As `Files.write`: under another name, and renamed."""
        with self.writing(path) as building:
            building.write_text(text, encoding="utf-8")

    def remove(self, path: str) -> None:
        """As `Files.remove`."""
        with _told(path):
            self._system(path).delete(self._path(path), True)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """As `Files.writing`."""
        with tempfile.TemporaryDirectory(prefix="ecom-storage-") as scratch:
            here = Path(scratch) / "file"
            yield here
            folder, _, _ = path.rpartition("/")
            building = f"{folder}/.{uuid.uuid4().hex}"
            with _told(path):
                system = self._system(path)
                system.copyFromLocalFile(True, True, self._path(here.as_uri()), self._path(building))
                if not system.rename(self._path(building), self._path(path)):
                    raise StorageError(f"spark_storage: {building} could not be renamed to {path}")

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """As `Files.reading`."""
        with tempfile.TemporaryDirectory(prefix="ecom-storage-") as scratch:
            here = Path(scratch) / "read"
            with _told(path):
                self._system(path).copyToLocalFile(False, self._path(path), self._path(here.as_uri()), True)
            yield here

    @property
    def _jvm(self) -> Any:
        return self._session()._jvm  # pyspark has no public way to Hadoop's clients

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def _system(self, path: str) -> Any:
        configuration = self._session().sparkContext._jsc.hadoopConfiguration()
        return self._path(path).getFileSystem(configuration)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What Java says, as an error of ours."""
    from py4j.protocol import Py4JJavaError

    try:
        yield
    except Py4JJavaError as error:
        raise StorageError(
            f"spark_storage: {path}: {error.java_exception.toString()}. What its client needs belongs in spark_options "
            "(for s3a:// spark.jars.packages with org.apache.hadoop:hadoop-aws), keys in the environment."
        ) from error


def _is_not_there(error: Exception) -> bool:
    java = getattr(error, "java_exception", None)
    return java is not None and java.getClass().getName() == "java.io.FileNotFoundException"
