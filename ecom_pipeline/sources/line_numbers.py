"""Physical line numbers of the rows of a text file whose rows and lines do not go one to one.

Only files with line breaks inside quotes, blank lines or rejected rows come here; for all others counting suffices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecom_pipeline.sources.files import LandingFile, open_unpacked
from ecom_pipeline.sources.readers import Layout

CHUNK_BYTES = 16 << 20
Lines = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowLines:
    """Line (from 1) on which each row begins, in the order of the rows."""

    of_rows: Lines
    of_rejected: Lines
    confirmed: bool
    """Whether the records counted here are as many as were read and rejected."""


def lines_of_rows(
    file: LandingFile, compression: str, layout: Layout, *, rows: int, rejected: list[int], line_break: bytes
) -> RowLines:
    """Lines of the accepted and of the rejected rows.

    Args:
        file: The file; its bytes are read once more.
        compression: How it is packed.
        layout: Its columns and the line of its first row.
        rows: How many rows were accepted.
        rejected: Numbers of the rejected records, from 1, those before the first row and blank ones counted too.
        line_break: The byte that ends a line: a line feed, or a carriage return in files that have no line feed.

    A file whose quotes do not follow its own dialect has no certain records; there the number of the record stands for
    its line.
    """
    fileset = file.source.files
    quote = fileset.csv.quote if fileset.format == "csv" else None
    with open_unpacked(file, compression) as stream:
        starts, blank = _records(
            stream,
            quote=quote.encode() if quote is not None else None,
            line_break=line_break,
            encoding=fileset.csv.encoding,
        )
    after_header = starts >= layout.first_line
    starts, blank = starts[after_header], blank[after_header]
    bad = np.asarray(rejected, dtype=np.int64) - layout.skip - 1
    if len(layout.columns) == 1:
        blank = np.zeros_like(blank)  # in a file of one column a blank line is a row without a value
    if bad.size == 0 or bad.max() < starts.size:
        accepted = ~blank
        accepted[bad] = False
        if int(accepted.sum()) == rows:
            return RowLines(of_rows=starts[accepted], of_rejected=starts[bad], confirmed=True)
    numbers = np.arange(rows + len(rejected), dtype=np.int64)
    free = numbers[~np.isin(numbers, bad)][:rows]
    return RowLines(of_rows=free + layout.first_line, of_rejected=bad + layout.first_line, confirmed=False)


def _records(stream: Any, *, quote: bytes | None, line_break: bytes, encoding: str) -> tuple[Lines, NDArray[np.bool_]]:
    """Line on which each record begins, and whether it is blank. A line break between quotes ends no record."""
    ends: list[Lines] = []  # number of the line that ends each record
    blanks: list[NDArray[np.bool_]] = []
    lines_before = quotes_before = 0
    offset = 0
    previous_break = -1  # offset of the last line break
    carried_return = False
    for chunk in _chunks(stream, encoding):
        data = np.frombuffer(chunk, dtype=np.uint8)
        breaks = np.flatnonzero(data == line_break[0])
        in_quotes = np.zeros(breaks.size, dtype=bool)
        if quote is not None:
            quotes = np.flatnonzero(data == quote[0])
            in_quotes = ((np.searchsorted(quotes, breaks) + quotes_before) % 2).astype(bool)
            quotes_before += quotes.size
        lengths = np.diff(breaks + offset, prepend=previous_break) - 1
        before = data[np.maximum(breaks - 1, 0)]
        if breaks.size and breaks[0] == 0:
            before[0] = ord("\r") if carried_return else 0
        blanks.append(((lengths == 0) | ((lengths == 1) & (before == ord("\r"))))[~in_quotes])
        ends.append((np.arange(1, breaks.size + 1, dtype=np.int64) + lines_before)[~in_quotes])
        lines_before += breaks.size
        if breaks.size:
            previous_break = int(breaks[-1]) + offset
        offset += data.size
        carried_return = bool(data[-1] == ord("\r"))
    last_end = max((int(part[-1]) for part in ends if part.size), default=0)
    if previous_break < offset - 1:  # the last line has no end
        lines_before += 1
    if last_end < lines_before:  # nor has the last record, if a quote stays open
        ends.append(np.array([lines_before], dtype=np.int64))
        blanks.append(np.array([False]))
    if not ends:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
    record_ends = np.concatenate(ends)
    starts = np.concatenate([np.ones(1, dtype=np.int64), record_ends[:-1] + 1])
    return starts, np.concatenate(blanks)


def _chunks(stream: Any, encoding: str) -> Any:
    if encoding != "utf-16":
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
        return
    import codecs

    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    while chunk := stream.read(CHUNK_BYTES):
        if text := decoder.decode(chunk):
            yield text.encode()
