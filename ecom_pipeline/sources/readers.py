"""Reading batches of files with DuckDB: which columns a file has, and the SQL that reads them as they came."""

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecom_pipeline.sources.files import (
    MAX_HEADER_BYTES,
    FileRefusedError,
    LandingFile,
    compression_of,
    cut_short,
    open_unpacked,
    refuse_bomb,
)
from ecom_pipeline.sources.profile import RESERVED_RAW_COLUMNS, CsvDialect

TEXT_COLUMN = "_text"
"""Raw column of JSON Lines: the line as it came."""
FILE_COLUMN = "_file"
"""Which file of a batch a row is of, from 0."""
FILE_INDEX = "file_index"
"""What DuckDB calls that; a column of this name in a file hides it."""
ROW_COLUMN = "_row"
MAX_LINE_BYTES = 16 << 20
USUAL_HEADER_BYTES = 16 << 10
_PYTHON_ENCODING = {"utf-8": "utf-8-sig", "latin-1": "latin-1", "utf-16": "utf-16"}
# JSON text may not hold this character unescaped, so that it never splits a good line.
_NEVER_IN_JSON = "\x1f"


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a file, in order, the line of its first row, and how many records come before it.

    Files with one layout are read together.
    """

    columns: tuple[str, ...]
    first_line: int = 1
    skip: int = 0
    types: tuple[str, ...] = ()
    """Types of a Parquet file's columns: several files are read with the types of the first."""


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def layout_of(file: LandingFile, compression: str) -> Layout:
    """Columns of one file, checked against what the profile needs.

    Raises:
        FileRefusedError: naming the file, the line, the column and the mend.
    """
    fileset = file.source.files
    if fileset.format == "jsonl":
        return Layout((TEXT_COLUMN,))
    if fileset.format == "parquet":
        names, types = _parquet_columns(file)
        return Layout(_checked_columns(file, names, line=None), types=types)
    if not fileset.csv.header:
        return Layout(tuple(fileset.raw_columns or ()), fileset.csv.skip_lines + 1, fileset.csv.skip_lines)
    found, lines = _header(file, fileset.csv, compression)
    skipped = fileset.csv.skip_lines
    columns = _checked_columns(file, found, line=skipped + 1)
    return Layout(columns, first_line=skipped + lines + 1, skip=skipped + 1)


def _parquet_columns(file: LandingFile) -> tuple[list[str], tuple[str, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(file.absolute)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:  # names that are no text are a ValueError
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise FileRefusedError(
            f"{file.path}: not a whole Parquet file ({why}); "
            "it is cut short, still being written or of another format; send it again"
        ) from error
    # columns that say one thing over and over take next to nothing: what counts is the values, a byte each at least
    chunks = [footer.row_group(group) for group in range(footer.num_row_groups)]
    refuse_bomb(file, max(footer.num_rows * len(schema.names), sum(chunk.total_byte_size for chunk in chunks)))
    return list(schema.names), tuple(str(kind) for kind in schema.types)


def _header(file: LandingFile, dialect: CsvDialect, compression: str) -> tuple[list[str], int]:
    for most_bytes in (USUAL_HEADER_BYTES, MAX_HEADER_BYTES):
        try:
            with open_unpacked(file, compression) as stream:
                head = stream.read(most_bytes)
        except OSError as error:
            raise cut_short(file, error) from error
        lines = head.decode(_PYTHON_ENCODING[dialect.encoding], errors="replace").splitlines(keepends=True)
        # the last line may be cut off; a quote that stays open reaches to the end as well
        is_whole = len(head) < most_bytes or most_bytes == MAX_HEADER_BYTES
        if is_whole or (len(lines) > dialect.skip_lines + 1 and not _reaches(lines[dialect.skip_lines :], dialect)):
            break
    return _names_in(file, dialect, lines[dialect.skip_lines :])


def _reaches(lines: Sequence[str], dialect: CsvDialect) -> bool:
    """Whether the first record goes on to the last line, where it may be cut off."""
    if not dialect.quote or len(dialect.delimiter) > 1:
        return False
    reader = _records(lines, dialect)
    try:
        next(reader)
    except csv.Error:
        return True
    return reader.line_num >= len(lines)


def _names_in(file: LandingFile, dialect: CsvDialect, lines: Sequence[str]) -> tuple[list[str], int]:
    """Names of the columns, and on how many lines they stand."""
    if not lines:
        raise FileRefusedError(
            f"{file.path}: line {dialect.skip_lines + 1}: the file has no header; "
            f"expected the columns {', '.join(file.source.needed_columns)}"
        )
    if len(dialect.delimiter) > 1:
        return [name.strip() for name in lines[0].rstrip("\r\n").split(dialect.delimiter)], 1
    reader = _records(lines, dialect)
    try:
        names = next(reader)
    except (csv.Error, StopIteration) as error:
        raise FileRefusedError(
            f"{file.path}: line {dialect.skip_lines + 1}: the header cannot be read ({error}); is a quote not closed?"
        ) from error
    if any("\ufffd" in name for name in names):
        raise FileRefusedError(
            f"{file.path}: line {dialect.skip_lines + 1}: the header is not {dialect.encoding}; set csv.encoding"
        )
    return [name.strip() for name in names], reader.line_num


def _records(lines: Sequence[str], dialect: CsvDialect) -> Any:
    return csv.reader(
        io.StringIO("".join(lines), newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )


def _checked_columns(file: LandingFile, found: Sequence[str], *, line: int | None) -> tuple[str, ...]:
    """The file's columns, each with a name of its own.

    Columns that the profile does not name are kept in the raw table. Names that differ only in case are the same.
    """
    where = f"{file.path}: " if line is None else f"{file.path}: line {line}: "
    needed = {name.casefold(): name for name in file.source.needed_columns}
    unique: dict[str, str] = {}
    for position, name in enumerate(found, start=1):
        plain = name.replace("\x00", "") or f"column_{position}"
        if plain.casefold() in RESERVED_RAW_COLUMNS | {TEXT_COLUMN, FILE_COLUMN, ROW_COLUMN}:
            raise FileRefusedError(f"{where}a column is called {plain!r}, a name of the pipeline itself; rename it")
        if plain.casefold() in unique:
            if plain.casefold() in needed:
                raise FileRefusedError(f"{where}the column {plain!r} is there twice; leave only one")
            number = 2
            while f"{plain}_{number}".casefold() in unique:
                number += 1
            plain = f"{plain}_{number}"
        unique[plain.casefold()] = plain
    missing = [name for key, name in needed.items() if key not in unique]
    if missing:
        raise FileRefusedError(
            f"{where}{_missing_in_words(missing, list(unique.values()))}; found are {_listed(list(unique.values()))}. "
            "Send the file with these columns, or tell the profile their new names"
        )
    return tuple(unique.values())


def _missing_in_words(missing: list[str], found: list[str]) -> str:
    words = []
    for name in missing:
        close = difflib.get_close_matches(name.casefold(), [other.casefold() for other in found], n=1)
        hint = next((f" (is it now {other!r}?)" for other in found if close and other.casefold() == close[0]), "")
        words.append(f"the column {name!r} is missing{hint}")
    return ", ".join(words)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def read_statement(files: Sequence[LandingFile], layout: Layout, *, rejects: str) -> tuple[str, list[str]]:
    """SELECT that reads a batch of files of one source and layout, and its one parameter, the list of paths.

    Its columns are those of the layout as text, `_file` where there are several files, and for Parquet `_row` (from 0).
    Rows keep the order of the files and of the lines in them. Rows that cannot be parsed go to the temporary tables
    `<rejects>_errors` and `<rejects>_scans`.
    """
    source = files[0].source
    paths = [glob_escaped(str(file.absolute)) for file in files]
    file = f"{FILE_INDEX} AS {FILE_COLUMN}, " if len(files) > 1 else ""
    if source.files.format == "parquet":
        columns = ", ".join(f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" for name in layout.columns)
        return (
            f"SELECT {columns}, {file}file_row_number AS {ROW_COLUMN} "
            "FROM read_parquet(?, file_row_number = true, hive_partitioning = false)"
        ), paths
    if source.files.format == "jsonl":
        dialect = CsvDialect(delimiter=_NEVER_IN_JSON, quote=None, escape=None, header=False)
    else:
        dialect = source.files.csv
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
    nulls = ", ".join(literal(text) for text in dialect.null_values) or "''"
    options = {
        "auto_detect": "false",
        "header": "false",
        "skip": str(layout.skip),
        "delim": literal(dialect.delimiter),
        "quote": literal(dialect.quote or ""),
        "escape": literal(dialect.escape or ""),
        "encoding": literal(dialect.encoding),
        "columns": "{" + columns + "}",
        "nullstr": f"[{nulls}]",
        "filename": "false",
        "max_line_size": str(MAX_LINE_BYTES),
        "store_rejects": "true",
        "rejects_table": literal(f"{rejects}_errors"),
        "rejects_scan": literal(f"{rejects}_scans"),
        "hive_partitioning": "false",
    }
    listed = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f"SELECT {file}* FROM read_csv(?, {listed})", paths


def glob_escaped(path: str) -> str:
    """`path` so that DuckDB, which reads every path as a pattern, finds this file alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def compression_and_layout(file: LandingFile) -> tuple[str, Layout]:
    """How one file is packed, and its layout."""
    compression = compression_of(file)
    return compression, layout_of(file, compression)
