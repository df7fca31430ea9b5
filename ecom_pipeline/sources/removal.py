"""Taking rows out of a file in landing: the rest of it stays as it is, and the file is replaced in one step."""

import gzip
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ecom_pipeline.sources.files import LandingFile, compression_of, open_unpacked
from ecom_pipeline.sources.mending import with_line_feeds

ERASING = ".erasing-"


class RemovalError(RuntimeError):
    """Rows cannot be found in their file; the message says which."""


def remove_rows(file: LandingFile, rows: Mapping[int, str], *, starts: Collection[int]) -> None:
    """Rewrite `file` without some of its rows.

    Args:
        file: A file in landing, or what a link within landing leads to.
        rows: Line (from 1) on which each row to take out begins -> a text that is in it; for Parquet the row's number.
        starts: Where all rows of the file begin, so that rows over several lines go as a whole.

    Raises:
        RemovalError: if a row does not hold its text; the file stays as it is.
    """
    if not rows:
        return
    target = file.absolute.resolve()
    incoming = target.with_name(f"{ERASING}{os.getpid()}-{target.name}")
    try:
        if file.source.files.format == "parquet":
            _write_parquet(target, incoming, rows)
        else:
            compression = compression_of(file)
            with open_unpacked(file, compression) as stream:
                data = stream.read()
            incoming.write_bytes(_packed(_without(file, data, rows, starts=starts), compression))
        _put_in_place(incoming, target)
    finally:
        incoming.unlink(missing_ok=True)


def remove_lines_with(path: Path, words: re.Pattern[bytes]) -> int:
    """Rewrite a plain text file without the lines in which `words` are found; how many there were."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not words.search(line)]
    if len(kept) < len(lines):
        incoming = path.with_name(f"{ERASING}{os.getpid()}-{path.name}")
        incoming.write_bytes(b"".join(kept))
        _put_in_place(incoming, path)
    return len(lines) - len(kept)


def _put_in_place(incoming: Path, target: Path) -> None:
    incoming.chmod(target.stat().st_mode & 0o777)
    descriptor = os.open(incoming, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    incoming.replace(target)


def _without(file: LandingFile, data: bytes, rows: Mapping[int, str], *, starts: Collection[int]) -> bytes:
    """The text without the rows. How lines were counted depends on how the file was read; each way is tried."""
    if file.source.files.csv.encoding == "utf-16":
        plain = data.decode("utf-16").encode()
        return _without_lines(list(_lines(plain)), rows, starts=starts, file=file).decode().encode("utf-16")
    ways = [list(_lines(data))]
    if b"\r" in data:
        ways += [list(_lines(with_line_feeds(file, data, everywhere=everywhere))) for everywhere in (False, True)]
    for number, lines in enumerate(ways, start=1):
        try:
            return _without_lines(lines, rows, starts=starts, file=file)
        except RemovalError:
            if number == len(ways):
                raise
    raise AssertionError


def _without_lines(lines: list[bytes], rows: Mapping[int, str], *, starts: Collection[int], file: LandingFile) -> bytes:
    ordered = sorted({*starts, *rows})
    following = dict(zip(ordered, [*ordered[1:], len(lines) + 1], strict=True))
    doomed: set[int] = set()
    for first, text in rows.items():
        numbers = range(first, following[first])
        if not _holds(b"".join(lines[number - 1] for number in numbers if number <= len(lines)), text):
            raise RemovalError(
                f"{file.path}: line {first}: the row to be taken out is not there any more; was the file changed since "
                "it was loaded? Run a night and try again"
            )
        doomed.update(numbers)
    return b"".join(line for number, line in enumerate(lines, start=1) if number not in doomed)


def _holds(row: bytes, text: str) -> bool:
    forms = {text, text.replace('"', '""'), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    lower = row.lower()
    return any(form.encode().lower() in lower for form in forms) or text.encode("latin-1", "ignore").lower() in lower


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines with their ends: line feeds, or carriage returns where there is no line feed."""
    end = b"\n" if b"\n" in data else b"\r"
    position = 0
    while position < len(data):
        following = data.find(end, position)
        following = len(data) if following < 0 else following + 1
        yield data[position:following]
        position = following


def _packed(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, mtime=0)
    if compression == "zstd":
        import pyarrow as pa

        return bytes(pa.compress(data, codec="zstd", asbytes=True))
    return data


def _write_parquet(source: Path, target: Path, doomed: Collection[int]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(source, partitioning=None)
    kept = pa.array([number not in doomed for number in range(1, table.num_rows + 1)], pa.bool_())
    pq.write_table(table.filter(kept), target)
