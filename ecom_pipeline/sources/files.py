"""Finding files in landing and looking at their bytes: what is there, what changed, what a header says.

Nothing here touches the warehouse.
"""

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ecom_pipeline.sources.profile import FEEDS, FileSet, SourceProfile, lookup_feed

CHUNK_BYTES = 4 << 20
MAX_HEADER_BYTES = 1 << 20
UNFINISHED_SUFFIXES = (".part", ".partial", ".tmp", ".crdownload", ".filepart", "~")
"""Names that tools give to files they are still writing."""
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
UTF8_BOM = b"\xef\xbb\xbf"
HARMLESS_BYTES = 64 << 20
MOST_TIMES_ITS_SIZE = 200
"""Packed files that grow more are refused once they are past HARMLESS_BYTES; exports shrink 5 to 30 times."""


class FileRefusedError(ValueError):
    """A file that cannot be loaded as a whole; the message says file, line, column and mend."""


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of file that the profile knows: a reader of a feed, or a lookup."""

    feed: str
    """Feed whose ledger entry and raw table the files belong to; for a lookup `lookup_<name>`."""
    index: int
    """Position among the readers of the feed."""
    files: FileSet
    folder: str
    needed_columns: tuple[str, ...]

    @property
    def raw_table(self) -> str:
        """Table of the rows as they came."""
        return f"raw_{self.feed}"

    def matches(self, path: str) -> bool:
        """Whether a path below landing is a file of this kind."""
        prefix = f"{self.folder}/"
        return path.startswith(prefix) and any(
            fnmatch.fnmatchcase(path.removeprefix(prefix), pattern) for pattern in self.files.files
        )


@dataclass(frozen=True, slots=True)
class LandingFile:
    """One file found in landing."""

    source: Source
    path: str
    """Below landing, with forward slashes."""
    absolute: Path
    bytes: int
    modified_at: datetime
    """UTC, without a zone."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What one pass over the bytes of a file told."""

    sha256: str
    newlines: int
    """Line feeds in the unpacked text; -1 for formats that have no lines."""
    carriage_returns: int
    pairs: int
    """Carriage returns with a line feed behind them."""
    ends_with_newline: bool
    has_nul: bool

    @property
    def has_mixed_line_ends(self) -> bool:
        """Whether there are line ends of more than one kind, counting those between quotes."""
        if not self.newlines or not self.carriage_returns:
            return False
        return not self.pairs == self.newlines == self.carriage_returns


def sources_of(profile: SourceProfile) -> tuple[Source, ...]:
    """All kinds of files of a profile; the first that matches a path reads it."""
    lookups = tuple(
        Source(lookup_feed(name), 0, lookup, lookup.folder, lookup.needed_columns)
        for name, lookup in profile.lookups.items()
    )
    readers = tuple(
        Source(feed, index, reader, reader.folder or feed, reader.needed_columns)
        for feed in FEEDS
        for index, reader in enumerate(profile.readers(feed))
    )
    return lookups + readers


def find_files(landing: Path, sources: tuple[Source, ...]) -> tuple[LandingFile, ...]:
    """Files in landing that a source reads, by feed and path. A file that two feeds read is found twice.

    Hidden files and files whose names say that they are still being written are passed over. Links are followed only
    inside landing.
    """
    root = landing.resolve()
    found: dict[tuple[str, str], LandingFile] = {}
    for folder in sorted({source.folder for source in sources}):
        for path in _walk(root / folder):
            relative = as_text(path.relative_to(root))
            for source in sources:
                if (source.feed, relative) not in found and source.folder == folder and source.matches(relative):
                    found[(source.feed, relative)] = _file_at(path, source, relative)
    return tuple(found[key] for key in sorted(found))


def as_it_is_now(file: LandingFile) -> LandingFile:
    """The same file with its present size and time."""
    return _file_at(file.absolute, file.source, file.path)


def _file_at(path: Path, source: Source, relative: str) -> LandingFile:
    status = path.stat()
    modified_at = datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1e6, tz=UTC).replace(tzinfo=None)
    return LandingFile(source=source, path=relative, absolute=path, bytes=status.st_size, modified_at=modified_at)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.lower().endswith(UNFINISHED_SUFFIXES):
                path = Path(root) / name
                if path.is_file():
                    yield path


def as_text(path: Path) -> str:
    """The path with forward slashes; bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(path.as_posix()).decode("utf-8", errors="backslashreplace")


def refuse_outside(file: LandingFile, landing: Path) -> None:
    """Refuse a link that leads out of landing, and a file whose name is no text.

    Raises:
        FileRefusedError: saying what to do.
    """
    if as_text(file.absolute) != file.absolute.as_posix():
        raise FileRefusedError(f"{file.path}: the name of the file or of its folder is not UTF-8; rename it")
    target = file.absolute.resolve()
    if not target.is_relative_to(landing.resolve()):
        raise FileRefusedError(f"{file.path}: a link that leads out of landing; copy the file itself to landing")


def compression_of(file: LandingFile) -> str:
    """gzip, zstd or none, by suffix and checked against the first bytes.

    Raises:
        FileRefusedError: if suffix and contents disagree.
    """
    with file.absolute.open("rb") as stream:
        head = stream.read(4)
    suffix = file.absolute.suffix.lower()
    named = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}.get(suffix, "none")
    found = "gzip" if head.startswith(GZIP_MAGIC) else "zstd" if head.startswith(ZSTD_MAGIC) else "none"
    if named != found and head:
        is_now = "is not compressed" if found == "none" else f"is compressed with {found}"
        raise FileRefusedError(
            f"{file.path}: the contents do not fit the name (the file {is_now}); "
            "compressed files end in .gz or .zst, others do not"
        )
    return named


def open_unpacked(file: LandingFile, compression: str) -> Any:
    """The unpacked bytes as a stream."""
    import pyarrow as pa

    if compression == "none":
        return file.absolute.open("rb")
    return pa.input_stream(str(file.absolute), compression=compression)


def cut_short(file: LandingFile, error: Exception) -> FileRefusedError:
    """The error for a packed file that ends too early."""
    return FileRefusedError(
        f"{file.path}: cannot be unpacked to its end ({error}); the file is cut short or damaged, send it again"
    )


def fingerprint(file: LandingFile, compression: str) -> Fingerprint:
    """Hash the file and count its lines in one pass (two for packed files).

    Raises:
        FileRefusedError: if it cannot be unpacked to its end.
    """
    counts_lines = file.source.files.format != "parquet"
    if not counts_lines or compression != "none":
        with file.absolute.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not counts_lines:
        return Fingerprint(digest, -1, 0, 0, True, False)
    running = hashlib.sha256()
    newlines = returns = pairs = unpacked = 0
    has_nul = False
    last = b"\n"
    try:
        with open_unpacked(file, compression) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                if compression == "none":
                    running.update(chunk)
                # a search for what is not there takes a tenth of the time of counting it
                newlines += int(np.count_nonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")))
                if b"\r" in chunk or last == b"\r":
                    returns += chunk.count(b"\r")
                    pairs += chunk.count(b"\r\n") + (last == b"\r" and chunk.startswith(b"\n"))
                unpacked += len(chunk)
                refuse_bomb(file, unpacked)
                has_nul = has_nul or b"\x00" in chunk
                last = chunk[-1:]
    except (OSError, EOFError) as error:
        raise cut_short(file, error) from error
    if compression == "none":
        digest = running.hexdigest()
    return Fingerprint(digest, newlines, returns, pairs, last in b"\r\n", has_nul)


def refuse_bomb(file: LandingFile, unpacked: int) -> None:
    """Refuse a file that grows beyond reason when it is unpacked.

    Raises:
        FileRefusedError: if the `unpacked` bytes are too many for its size.
    """
    if unpacked > HARMLESS_BYTES and unpacked > MOST_TIMES_ITS_SIZE * file.bytes:
        raise FileRefusedError(
            f"{file.path}: unpacks to more than {MOST_TIMES_ITS_SIZE} times its size, as no export does; if it is one, "
            "send it unpacked or in several files"
        )
