"""Loading batches of files: their rows into raw tables, bad rows into quarantine, each file with its ledger entry.

Which files are loaded together, and what becomes of those that cannot be, is landing.py's business.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

import duckdb
import pyarrow as pa

from ecom_pipeline.contracts import Table
from ecom_pipeline.contracts import table as table_contract
from ecom_pipeline.sources import ledger
from ecom_pipeline.sources.expressions import checked_expression
from ecom_pipeline.sources.files import Fingerprint, LandingFile, Source
from ecom_pipeline.sources.line_numbers import RowLines, lines_of_rows
from ecom_pipeline.sources.mending import NUL_BYTE, OPEN_QUOTE, Mended
from ecom_pipeline.sources.profile import Lookup, Reader
from ecom_pipeline.sources.readers import (
    FILE_COLUMN,
    ROW_COLUMN,
    TEXT_COLUMN,
    Layout,
    literal,
    quoted,
    read_statement,
)
from ecom_pipeline.sources.staging import json_path, tried
from ecom_pipeline.warehouse import Warehouse

REJECTS = "landing_rejects"
ForgottenAmong = Callable[[Iterable[str]], frozenset[str]]
"""Those of some user ids that were forgotten."""
UNREADABLE = "unreadable"
_NO_FAULT_OF_FILES = (
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.InterruptException,
)
_DISK_TROUBLE = ("No space left", "Disk quota", "Input/output error", "Read-only file system")
OPEN_QUOTE_ERRORS = ("UNQUOTED VALUE", "LINE SIZE OVER MAXIMUM")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that was looked at and is to be loaded."""

    file: LandingFile
    file_id: int
    known: ledger.Entry | None
    compression: str
    layout: Layout
    seen: Fingerprint
    """Of what is read; its hash is that of the file in landing."""
    mended: Mended | None = None

    @property
    def reads(self) -> LandingFile:
        """The file to read: that in landing, or a mended copy of it."""
        return self.mended.file if self.mended is not None else self.file


class ChangedWhileReadError(Exception):
    """A file was written to while it was read."""


class OpenQuotesError(Exception):
    """Quotes that open and do not close have swallowed the rows behind them; `offsets` are those of their lines."""

    def __init__(self, offsets: list[int], first_record: int) -> None:
        super().__init__(offsets)
        self.offsets = offsets
        self.first_record = first_record


class PeopleToForgetError(Exception):
    """Files hold rows of people who were forgotten: by file, the line of each such row with the id, and all lines."""

    def __init__(self, found: "list[tuple[Candidate, dict[int, str], list[int]]]") -> None:
        super().__init__(f"{len(found)} files")
        self.found = found


class CannotReadError(Exception):
    """The files of a batch cannot be read together; one of them is to blame, or several."""


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A row that cannot be parsed: its number among the records (from 1), offset in what was read, text, and why."""

    record: int
    offset: int
    text: str
    why: str
    swallows: bool
    """Whether it reaches over several lines because of a quote."""


def load_together(
    warehouse: Warehouse, batch: Sequence[Candidate], *, run_id: str, forgotten_among: ForgottenAmong | None = None
) -> tuple[int, int]:
    """Load files of one source and layout, all or none; rows in, and how many of them are unreadable.

    Raises:
        ChangedWhileReadError: if a file was written to meanwhile.
        OpenQuotesError: if a quote that does not close has swallowed rows.
        CannotReadError: if the files cannot be read.
        PeopleToForgetError: if rows are of people of whom `forgotten_among` says that they were forgotten.
        duckdb.Error: if the warehouse, its disk or memory fails.
    """
    try:
        return _load_together(warehouse, batch, run_id=run_id, forgotten_among=forgotten_among)
    finally:  # before another try at the same files too: DuckDB would add to the rejects of this one
        _drop_temporary(warehouse)


def _load_together(
    warehouse: Warehouse, batch: Sequence[Candidate], *, run_id: str, forgotten_among: ForgottenAmong | None
) -> tuple[int, int]:
    connection = warehouse.connection
    source, layout = batch[0].file.source, batch[0].layout
    sql, paths = read_statement([candidate.reads for candidate in batch], layout, rejects=REJECTS)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS {sql}", [paths]).fetchall()
    except (*_NO_FAULT_OF_FILES, duckdb.IOException) as error:
        if not isinstance(error, duckdb.IOException) or any(words in str(error) for words in _DISK_TROUBLE):
            raise
        raise CannotReadError(str(error)) from error
    except duckdb.Error as error:  # damaged files have errors of every class
        raise CannotReadError(str(error)) from error
    of_feed = _is_of_feed(source)
    index = FILE_COLUMN if len(batch) > 1 else "0"
    counts = {
        index: (first, rows, wanted)
        for index, first, rows, wanted in connection.execute(
            f"SELECT {index}, min(rowid), count(*), count(*) FILTER ({of_feed}) FROM incoming GROUP BY 1"
        ).fetchall()
    }
    rejected = _rejected_rows(warehouse, batch)
    _refuse_open_quotes(batch, rejected)
    _refuse_changed(batch)
    offsets: list[int] = []
    irregular: dict[int, pa.Table] = {}
    loaded: list[ledger.Loaded] = []
    unreadable: list[tuple[int, int, str, str]] = []
    to_forget = _rows_to_forget(warehouse, source, forgotten_among) if forgotten_among is not None else {}
    forget: list[tuple[Candidate, dict[int, str], list[int]]] = []
    for position, candidate in enumerate(batch):
        first, rows, wanted = counts.get(position, (0, 0, 0))
        bad = rejected.get(str(candidate.reads.absolute), [])
        offsets.append(layout.first_line - first)
        lines = _lines_if_irregular(candidate, rows=rows, rejected=[row.record for row in bad])
        if lines is not None and not lines.confirmed and (len(batch) > 1 or not bad):
            # DuckDB 1.5 can pass over a bad row without a word when it reads several files at once
            raise CannotReadError(f"the {rows:,} rows that could be read are not all the rows of the file")
        if lines is not None:
            irregular[position] = _numbered(first, lines)
        numbers = [row.record for row in bad] if lines is None else [int(line) for line in lines.of_rejected]
        of_people = {row: user for row, user in to_forget.items() if first <= row < first + rows}
        if of_people:
            starts = range(layout.first_line, layout.first_line + rows) if lines is None else lines.of_rows
            forget.append(
                (
                    candidate,
                    {int(starts[row - first]): user for row, user in of_people.items()},
                    [*map(int, starts), *numbers],
                )
            )
        unreadable += [
            (candidate.file_id, line, *_in_words(candidate, row)) for line, row in zip(numbers, bad, strict=True)
        ]
        loaded.append(
            ledger.Loaded(
                file=candidate.file,
                file_id=candidate.file_id,
                sha256=candidate.seen.sha256,
                rows_in=wanted + len(bad),
                rows_unreadable=len(bad),
            )
        )
    if forget:
        raise PeopleToForgetError(forget)
    file_ids = [candidate.file_id for candidate in batch]
    # not around the reading too: DuckDB reads tables of a transaction of its own, such as `incoming`, with one thread
    with warehouse.transaction():
        add_raw_columns(warehouse, source.raw_table, layout.columns)
        _remove_raw_rows(warehouse, source, [candidate.file_id for candidate in batch if candidate.known is not None])
        _quarantine_unreadable(warehouse, source, unreadable, run_id=run_id)
        ledger.put(warehouse, loaded, run_id=run_id)
        _insert_raw(warehouse, source, layout, file_ids=file_ids, offsets=offsets, irregular=irregular)
    return sum(file.rows_in for file in loaded), sum(file.rows_unreadable for file in loaded)


def _rows_to_forget(warehouse: Warehouse, source: Source, forgotten_among: ForgottenAmong) -> dict[int, str]:
    """Rows of `incoming` (their rowid) that tell of people who were forgotten, with the id.

    Ids that come out of a lookup are not found here: there the lookup's own rows go, and with them the way to the id.
    """
    expressions = _user_expressions(source)
    if not expressions:
        return {}
    raw = "(SELECT rowid AS _row_id, * FROM incoming)"
    if source.files.format == "jsonl":
        fields = ", ".join(
            f"json_extract_string({TEXT_COLUMN}, {literal(json_path(name))}) AS {quoted(name)}"
            for name in source.needed_columns
        )
        valid = f"SELECT rowid AS _row_id, {TEXT_COLUMN} FROM incoming WHERE json_valid({TEXT_COLUMN})"
        raw = f"(SELECT _row_id, {fields} FROM ({valid}))"
    listed = ", ".join(tried(expression, text=True) for expression in expressions)
    people = f"SELECT _row_id, unnest([{listed}]) AS user_id FROM {raw} AS raw"
    ids = warehouse.connection.execute(f"SELECT DISTINCT user_id FROM ({people}) WHERE user_id IS NOT NULL").fetchall()
    found = sorted(forgotten_among(user_id for (user_id,) in ids))
    if not found:
        return {}
    rows = warehouse.connection.execute(
        f"SELECT _row_id, min(user_id) FROM ({people}) WHERE list_contains(?, user_id) GROUP BY _row_id", [found]
    ).fetchall()
    return dict(rows)


def _user_expressions(source: Source) -> list[str]:
    files = source.files
    if isinstance(files, Lookup):
        return [files.key, *files.columns.values()]
    user = files.columns.get("user_id") if isinstance(files, Reader) else None
    if user is None or not isinstance(files, Reader):
        return []
    joined = any(parts[0] in files.joins for parts in checked_expression(user).columns)
    return [] if joined else [user]


def _numbered(first: int, lines: RowLines) -> pa.Table:
    """The lines of a file's rows, by the number of the row among all rows of the batch."""
    numbers = range(first, first + len(lines.of_rows))
    return pa.table({"row_number": pa.array(numbers, pa.int64()), "line": pa.array(lines.of_rows, pa.int64())})


def _insert_raw(
    warehouse: Warehouse,
    source: Source,
    layout: Layout,
    *,
    file_ids: Sequence[int],
    offsets: Sequence[int],
    irregular: Mapping[int, pa.Table],
) -> None:
    """Put the rows of `incoming` into the raw table.

    Args:
        warehouse: Where both are.
        source: What the files are.
        layout: Their columns.
        file_ids: Of the files of the batch, in their order.
        offsets: What is added to the number of a row among all rows of the batch to get its line, file by file.
        irregular: Index of a file -> the lines of its rows, where they cannot be counted.
    """
    connection = warehouse.connection
    columns = ", ".join(quoted(name) for name in layout.columns)
    values = ", ".join(f"incoming.{quoted(name)}" for name in layout.columns)
    file = f"incoming.{FILE_COLUMN}" if len(file_ids) > 1 else "0"
    # looked up in a list, as a join takes longer
    file_id, offset = (
        f"list_extract([{', '.join(map(str, of_files))}]::BIGINT[], CAST({file} AS BIGINT) + 1)"
        for of_files in (file_ids, offsets)
    )
    line = f"incoming.{ROW_COLUMN} + 1" if source.files.format == "parquet" else f"incoming.rowid + {offset}"
    insert = f"INSERT INTO {source.raw_table} (_file_id, _line, {columns}) "
    of_feed = _is_of_feed(source)
    if not irregular:
        connection.execute(f"{insert} SELECT {file_id}, {line}, {values} FROM incoming WHERE {of_feed}").fetchall()
        return
    is_irregular = f"{file} IN ({', '.join(map(str, irregular))})"
    connection.register("batch_lines", pa.concat_tables(list(irregular.values())))
    try:
        connection.execute(
            f"{insert} SELECT {file_id}, {line}, {values} FROM incoming WHERE {of_feed} AND NOT {is_irregular} "
            f"UNION ALL SELECT {file_id}, batch_lines.line, {values} FROM incoming "
            f"JOIN batch_lines ON batch_lines.row_number = incoming.rowid WHERE {of_feed} AND {is_irregular}"
        ).fetchall()
    finally:
        connection.unregister("batch_lines")


def _rejected_rows(warehouse: Warehouse, batch: Sequence[Candidate]) -> dict[str, list[_Rejected]]:
    """By file, in order: the rows that cannot be parsed."""
    if batch[0].file.source.files.format == "parquet":
        return {}
    rows = warehouse.connection.execute(
        "SELECT scans.file_path, errors.line, min(errors.line_byte_position) - 1, any_value(errors.csv_line), "
        "min(errors.error_message), "
        f"bool_or(errors.error_type IN {OPEN_QUOTE_ERRORS} AND contains(rtrim(errors.csv_line, chr(10)), chr(10))) "
        f"FROM {REJECTS}_errors AS errors JOIN {REJECTS}_scans AS scans USING (scan_id, file_id) "
        "GROUP BY ALL ORDER BY scans.file_path, errors.line"
    ).fetchall()
    by_file: dict[str, list[_Rejected]] = {}
    for path, record, offset, text, why, swallows in rows:
        by_file.setdefault(path, []).append(_Rejected(record, offset or 0, text or "", why, bool(swallows)))
    return by_file


def _refuse_open_quotes(batch: Sequence[Candidate], rejected: dict[str, list[_Rejected]]) -> None:
    """Raise if a quote that does not close has swallowed rows: they must be read, not counted as one bad row."""
    swallowing = [row for rows in rejected.values() for row in rows if row.swallows]
    if swallowing:
        raise OpenQuotesError([row.offset for row in swallowing], swallowing[0].record)


def _refuse_changed(batch: Sequence[Candidate]) -> None:
    """Raise if a file was written to since it was looked at."""
    for candidate in batch:
        status = candidate.file.absolute.stat()
        if status.st_size != candidate.file.bytes or status.st_mtime_ns // 1000 != _microseconds(candidate.file):
            raise ChangedWhileReadError


def _in_words(candidate: Candidate, row: _Rejected) -> tuple[str, str]:
    """Text of the row as it came, and what is wrong with it."""
    if candidate.mended is None:
        return row.text, row.why
    original = candidate.mended.open_quotes.get(row.offset)
    if original is not None:
        return original, OPEN_QUOTE
    return row.text, NUL_BYTE if row.why.startswith("Invalid unicode") else row.why


def _lines_if_irregular(candidate: Candidate, *, rows: int, rejected: list[int]) -> RowLines | None:
    """Physical lines of the rows, where counting rows does not give them: line breaks in quotes, bad or blank lines."""
    source, seen = candidate.file.source, candidate.seen
    if source.files.format == "parquet":
        return None
    breaks = seen.newlines or seen.carriage_returns
    lines_in_file = breaks + (0 if seen.ends_with_newline else 1)
    if not rejected and lines_in_file == rows + candidate.layout.first_line - 1:
        return None
    return lines_of_rows(
        candidate.reads,
        candidate.compression,
        candidate.layout,
        rows=rows,
        rejected=rejected,
        line_break=b"\n" if seen.newlines else b"\r",
    )


def _quarantine_unreadable(
    warehouse: Warehouse, source: Source, rows: list[tuple[int, int, str, str]], *, run_id: str
) -> None:
    """Rows are file number, line, text and what is wrong."""
    if not rows:
        return
    file_ids, lines, texts, reasons = zip(*rows, strict=True)
    table = pa.table(
        {
            "file_id": pa.array(file_ids, pa.int32()),
            "line": pa.array(lines, pa.int64()),
            "rule": [UNREADABLE] * len(rows),
            "reason": reasons,
            "raw": texts,
            "run_id": [run_id] * len(rows),
        }
    )
    warehouse.append_from_arrow(_quarantine_contract(source), table)


def _quarantine_contract(source: Source) -> Table:
    return table_contract("quarantine_lookups" if isinstance(source.files, Lookup) else f"quarantine_{source.feed}")


def _is_of_feed(source: Source) -> str:
    """SQL condition of the rows of `incoming` that are rows of the feed: blank lines of JSON Lines files are none."""
    if source.files.format == "jsonl":
        return f"{TEXT_COLUMN} IS NOT NULL"
    if source.files.only is None:
        return "TRUE"
    return f"COALESCE(TRY({checked_expression(source.files.only).wrapped}), FALSE)"


def _remove_raw_rows(warehouse: Warehouse, source: Source, file_ids: list[int]) -> None:
    if not file_ids:
        return
    listed = ", ".join(map(str, file_ids))
    warehouse.run(f"DELETE FROM {source.raw_table} WHERE _file_id IN ({listed})")
    warehouse.run(
        f"DELETE FROM {_quarantine_contract(source).name} WHERE file_id IN ({listed}) AND rule = '{UNREADABLE}'"
    )


def create_raw_table(warehouse: Warehouse, source: Source) -> None:
    """Make the raw table of a source, with the columns that the profile needs, if it is not there yet."""
    warehouse.connection.execute(
        f"CREATE TABLE IF NOT EXISTS {source.raw_table} (_file_id INTEGER, _line BIGINT)"
    ).fetchall()
    needed = (TEXT_COLUMN,) if source.files.format == "jsonl" else source.needed_columns
    add_raw_columns(warehouse, source.raw_table, needed)


def add_raw_columns(warehouse: Warehouse, name: str, columns: Sequence[str]) -> None:
    """Give a raw table the columns of a file that it does not have yet."""
    for column in columns:
        warehouse.connection.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {quoted(column)} VARCHAR").fetchall()


def _drop_temporary(warehouse: Warehouse) -> None:
    """Drop what reading a batch leaves behind."""
    for name in ("incoming", f"{REJECTS}_errors", f"{REJECTS}_scans"):
        warehouse.connection.execute(f"DROP TABLE IF EXISTS temp.{name}").fetchall()


def _microseconds(file: LandingFile) -> int:
    return round(file.modified_at.replace(tzinfo=UTC).timestamp() * 1e6)
