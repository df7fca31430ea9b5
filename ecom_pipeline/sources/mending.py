"""Copies of text files in which one bad row cannot spoil the others: NUL bytes, mixed line ends, quotes never closed.

The file in landing stays as it is; what is read is a copy with the same lines. In it every line ends in a line feed,
and what cannot be right (a NUL byte, a quote that opens and never closes) is a byte that UTF-8 does not have, so that
the reader rejects that row, and that row alone.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecom_pipeline.sources.files import UTF8_BOM, Fingerprint, LandingFile, open_unpacked

CHUNK_BYTES = 4 << 20
NEVER_IN_UTF8 = b"\xff"
MOST_PASSES = 50
"""A file in which so many passes still find open quotes does not follow its dialect."""
OPEN_QUOTE = "a quote opens in this row and is not closed in it"
NUL_BYTE = "the row holds a NUL byte, or bytes that are not utf-8"


@dataclass(frozen=True, slots=True)
class Mended:
    """A copy: the file to read in place of the one in landing, and the lines in which quotes were taken out."""

    file: LandingFile
    open_quotes: dict[int, str]
    """Offset of the line in the copy -> the line as it came."""
    everywhere: bool
    """Whether line ends between quotes were made line feeds too."""
    passes: int = 0


def is_irregular(seen: Fingerprint, file: LandingFile) -> bool:
    """Whether the file must be read from a copy: it has NUL bytes, or line ends of more than one kind."""
    fileset = file.source.files
    if fileset.format == "parquet" or fileset.csv.encoding == "utf-16":
        return False
    return seen.has_nul or seen.has_mixed_line_ends


def mended_copy(file: LandingFile, compression: str, folder: Path, *, everywhere: bool) -> Mended:
    """Write an unpacked copy of `file` below `folder` in which every line ends in a line feed.

    Line ends between quotes stay as they are unless `everywhere`: where quotes do not close, nobody knows what is
    between them.
    """
    target = folder / f"{len(list(folder.iterdir()))}.txt"
    lines = _line_ends_of(file, everywhere=everywhere)
    with open_unpacked(file, compression) as source, target.open("wb") as copy:
        is_first = True
        while chunk := source.read(CHUNK_BYTES):
            if is_first:
                chunk = chunk.removeprefix(UTF8_BOM)
            copy.write(lines.mend(chunk).replace(b"\x00", NEVER_IN_UTF8))
            is_first = False
        copy.write(lines.rest().replace(b"\x00", NEVER_IN_UTF8))
    return Mended(file=_at(file, target), open_quotes={}, everywhere=everywhere)


def with_line_feeds(file: LandingFile, data: bytes, *, everywhere: bool) -> bytes:
    """The unpacked text of `file` as `mended_copy` writes its line ends."""
    lines = _line_ends_of(file, everywhere=everywhere)
    return lines.mend(data.removeprefix(UTF8_BOM)) + lines.rest()


def _line_ends_of(file: LandingFile, *, everywhere: bool) -> "_LineEnds":
    fileset = file.source.files
    quote = fileset.csv.quote if fileset.format == "csv" and not everywhere else None
    escape = fileset.csv.escape if fileset.format == "csv" else None
    return _LineEnds(
        quote=quote.encode() if quote else None,
        escape=escape.encode() if escape and escape != quote else None,
        delimiter=fileset.csv.delimiter.encode(),
    )


def without_quotes(mended: Mended, offsets: Collection[int], *, quote: str) -> Mended:
    """The same copy with the quotes of the lines at `offsets` taken out, so that each is a bad row by itself."""
    text = dict(mended.open_quotes)
    with mended.file.absolute.open("r+b") as copy:
        for offset in offsets:
            copy.seek(offset)
            line = copy.readline()
            text.setdefault(offset, line.rstrip(b"\n").decode("utf-8", errors="replace"))
            copy.seek(offset)
            copy.write(line.replace(quote.encode(), NEVER_IN_UTF8))
    return replace(mended, file=_at(mended.file, mended.file.absolute), open_quotes=text, passes=mended.passes + 1)


def _at(file: LandingFile, path: Path) -> LandingFile:
    return replace(file, absolute=path, bytes=path.stat().st_size)


class _LineEnds:
    """Rewrites the line ends of a stream, chunk by chunk; those between quotes stay."""

    def __init__(self, *, quote: bytes | None, escape: bytes | None, delimiter: bytes) -> None:
        self._quote, self._delimiter = quote, delimiter
        special = [b"\r\n", b"\r", b"\n"]
        if quote is not None:
            special = [*([escape + quote] if escape else []), quote, *special]
        self._tokens = re.compile(b"|".join(re.escape(token) for token in special))
        self._in_quotes = False
        self._just_closed = -1
        self._held = b""
        self._before = b"\n"

    def mend(self, chunk: bytes) -> bytes:
        """The chunk, less the last few bytes, which wait for what follows."""
        data = self._held + chunk
        keep = max(len(self._delimiter), 2)
        self._held = data[-keep:]
        return self._mended(data[:-keep])

    def rest(self) -> bytes:
        """What was held back."""
        data, self._held = self._held, b""
        return self._mended(data)

    def _mended(self, data: bytes) -> bytes:
        if data.endswith(b"\r") and self._held.startswith(b"\n"):
            data, self._held = data[:-1], b"\r" + self._held
        self._just_closed = self._just_closed if self._just_closed == 0 else -1
        result = self._tokens.sub(lambda found: self._token(found, data), data)
        self._just_closed = 0 if self._just_closed == len(data) and data else -1
        self._before = (self._before + data)[-len(self._delimiter) :]
        return result

    def _token(self, found: Any, data: bytes) -> bytes:
        token: bytes = found[0]
        if token in (b"\r\n", b"\r", b"\n"):
            return token if self._in_quotes else b"\n"
        if token != self._quote:
            return token
        if self._in_quotes:
            self._in_quotes, self._just_closed = False, found.end()
        elif found.start() == self._just_closed or self._begins_field(data, found.start()):
            self._in_quotes = True
        return token

    def _begins_field(self, data: bytes, position: int) -> bool:
        before = (self._before + data[max(0, position - len(self._delimiter)) : position])[-len(self._delimiter) :]
        return before.endswith((self._delimiter, b"\n", b"\r"))
