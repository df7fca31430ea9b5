"""A quarantined row where it stood: the lines of its file around it, when the file is text that is still in landing."""

import gzip
import itertools
from dataclasses import dataclass
from pathlib import Path

AROUND = 2
LONGEST_LINE = 2_000
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Context:
    """Lines of a file with their numbers, or why there are none."""

    lines: tuple[tuple[int, str], ...]
    why_not: str | None = None


def context_of(file: Path, line: int | None) -> Context:
    """The line and two on either side of it; the first line too, which is the header of a CSV file."""
    if line is None:
        return Context((), "the row has no line number: its file is no text")
    name = file.name.removesuffix(".gz")
    if not name.endswith(TEXT_SUFFIXES):
        return Context((), f"{file.name} is no text file")
    if not file.is_file():
        return Context((), f"{file} is not in landing any more")
    first, last = max(1, line - AROUND), line + AROUND
    opened = gzip.open if file.suffix == ".gz" else open
    found: list[tuple[int, str]] = []
    with opened(file, "rt", encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, text in enumerate(itertools.islice(lines, last), start=1):
            if number == 1 or number >= first:
                found.append((number, text.rstrip("\r\n")[:LONGEST_LINE]))
    return Context(tuple(found))
