"""Where in the files of a home an id stands, and taking it out of files that are not ours to rebuild.

Dagster and MLflow keep their history in SQLite files, and logs as text: there the id is overwritten by ERASED.
"""

import json
import re
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from ecom_pipeline.contracts import literal

ERASED = "[erased]"
MOST_COMMON_DIGITS = 4
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SQLITE = b"SQLite format 3"
_CHUNK = 1 << 14


def forms_of(user_id: str) -> tuple[bytes, ...]:
    """The bytes in which the id may be written: UTF-8, as JSON escapes it, UTF-16."""
    forms = (
        user_id.encode(),
        json.dumps(user_id)[1:-1].encode(),
        json.dumps(json.dumps(user_id)[1:-1])[1:-1].encode(),
        user_id.encode("utf-16-le"),
        user_id.encode("latin-1", errors="ignore"),
    )
    return tuple(dict.fromkeys(form for form in forms if form))


def word_of(user_id: str) -> re.Pattern[bytes]:
    """Finds the id as a word of its own, in any of its forms: 17 is not found in 1754."""
    listed = b"|".join(re.escape(form) for form in sorted(forms_of(user_id), key=len, reverse=True))
    return re.compile(rb"(?<![0-9A-Za-z_-])(?:" + listed + rb")(?![0-9A-Za-z_-])")


def is_common_number(user_id: str) -> bool:
    """Whether the id is a number such as times, prices and quantities are: as a word in a text it says nothing of the
    person, and to overwrite it there would spoil other people's rows, and what Dagster keeps."""
    return user_id.isdecimal() and len(user_id) <= MOST_COMMON_DIGITS


def files_with(root: Path, user_id: str) -> list[Path]:
    """Files below `root` in which the id stands: in their bytes, in what they pack as far as it can be unpacked, in the
    values of DuckDB and SQLite tables (whose bytes hold short ids by chance)."""
    word = word_of(user_id)
    return [path for path in _files(root) if _stands_in(path, word, user_id)]


def erase_from_history(root: Path, user_id: str) -> dict[str, int]:
    """Overwrite the id in SQLite files and text files below `root`; file -> places."""
    word = word_of(user_id)
    found: dict[str, int] = {}
    for path in _files(root):
        with path.open("rb") as stream:
            is_sqlite = stream.read(16).startswith(_SQLITE)
        places = _erase_from_sqlite(path, word) if is_sqlite else _erase_from_text(path, word)
        if places:
            found[str(path)] = places
    return found


def _files(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())


def _stands_in(path: Path, word: re.Pattern[bytes], user_id: str) -> bool:
    data = path.read_bytes()
    if data.startswith(_SQLITE):
        return _in_sqlite(path, word)
    if word.search(data):
        return True
    packed = next((kind for magic, kind in _PACKED.items() if data.startswith(magic)), None)
    if packed is not None:
        return bool(word.search(_ungzipped(data) if packed == "gzip" else _unpacked(path, packed)))
    if data[8:12] == b"DUCK":
        return _in_duckdb(path, user_id)
    if data.startswith(b"PAR1"):
        return _in_parquet(path, user_id)
    return False


def _unpacked(path: Path, kind: str) -> bytes:
    """What the file packs, up to where it is damaged."""
    import pyarrow as pa

    parts: list[bytes] = []
    try:
        with pa.input_stream(str(path), compression=kind) as stream:
            while part := stream.read(_CHUNK):
                parts.append(part)
    except OSError:
        pass  # what comes after cannot be unpacked by anybody else either
    return b"".join(parts)


def _ungzipped(data: bytes) -> bytes:
    """What all members of a gzip file pack, up to where it is damaged: of a file cut short all that is there."""
    parts: list[bytes] = []
    try:
        while data:
            member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            for start in range(0, len(data), _CHUNK):
                parts.append(member.decompress(data[start : start + _CHUNK]))
            data = member.unused_data
    except zlib.error:
        pass  # what comes after cannot be unpacked by anybody else either
    return b"".join(parts)


def _in_sqlite(path: Path, word: re.Pattern[bytes]) -> bool:
    connection = sqlite3.connect(path, timeout=60)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return any(
            word.search(value.encode() if isinstance(value, str) else value)
            for (name,) in names
            for row in connection.execute(f"SELECT * FROM {_quoted(name)}")
            for value in row
            if isinstance(value, str | bytes)
        )
    except sqlite3.DatabaseError:  # damaged: its bytes are all there is to look at
        return bool(word.search(path.read_bytes()))
    finally:
        connection.close()


def _in_duckdb(path: Path, user_id: str) -> bool:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {literal(str(path))} AS looked (READ_ONLY)")
        return bool(columns_with(connection, "looked", user_id))


def _in_parquet(path: Path, user_id: str) -> bool:
    import pyarrow.parquet as pq

    with duckdb.connect() as connection:
        connection.register("rows_read", pq.read_table(path, partitioning=None))
        name = re.escape(user_id)
        names = [row[0] for row in connection.execute("DESCRIBE rows_read").fetchall()]
        return any(
            connection.execute(
                f"SELECT count(*) FROM rows_read WHERE regexp_matches(CAST({_quoted(column)} AS VARCHAR), ?)",
                [rf"(^|[^0-9A-Za-z_-]){name}($|[^0-9A-Za-z_-])"],
            ).fetchall()[0][0]
            for column in names
        )


def columns_with(connection: duckdb.DuckDBPyConnection, database: str, user_id: str) -> list[tuple[str, str]]:
    """Columns (table, column) of a database in whose values the id stands, as a word of its own."""
    columns = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'main' "
        "AND (data_type = 'VARCHAR' OR data_type LIKE '%VARCHAR%') ORDER BY ALL",
        [database],
    ).fetchall()
    return [
        (name, column)
        for name, column in columns
        if connection.execute(
            f"SELECT count(*) FROM {database}.{_quoted(name)} WHERE {has_word(column)}", word_parameters(user_id)
        ).fetchall()[0][0]
    ]


def has_word(column: str) -> str:
    """SQL condition with two parameters (`word_parameters`): the id stands in the column as a word of its own."""
    text = f"CAST({_quoted(column)} AS VARCHAR)"
    return f"contains({text}, ?) AND regexp_matches({text}, ?)"


def word_parameters(user_id: str) -> list[str]:
    """The parameters of `has_word`."""
    return [user_id, rf"(^|[^0-9A-Za-z_-]){re.escape(user_id)}($|[^0-9A-Za-z_-])"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _erase_from_text(path: Path, word: re.Pattern[bytes]) -> int:
    data = path.read_bytes()
    erased, places = word.subn(ERASED.encode(), data)
    if places:
        incoming = path.with_name(f".{path.name}.erasing")
        incoming.write_bytes(erased)
        incoming.chmod(path.stat().st_mode & 0o777)
        incoming.replace(path)
    return places


def _erase_from_sqlite(path: Path, word: re.Pattern[bytes]) -> int:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        places = sum(_erase_from_table(connection, name, word) for (name,) in names.fetchall())
        # what was deleted or overwritten before stands in free pages and in the write-ahead log
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return places


def _erase_from_table(connection: sqlite3.Connection, name: str, word: re.Pattern[bytes]) -> int:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()]
    places = 0
    for column in columns:
        target = f"{_quoted(name)} SET {_quoted(column)}"
        cursor = connection.execute(
            f"SELECT rowid, {_quoted(column)} FROM {_quoted(name)} WHERE typeof({_quoted(column)}) IN ('text', 'blob')"
        )
        changed = []
        for row_id, value in cursor:
            data = value.encode() if isinstance(value, str) else value
            erased, count = word.subn(ERASED.encode(), data)
            if count:
                changed.append((erased.decode() if isinstance(value, str) else erased, row_id))
                places += count
        connection.executemany(f"UPDATE {target} = ? WHERE rowid = ?", changed)
    return places
