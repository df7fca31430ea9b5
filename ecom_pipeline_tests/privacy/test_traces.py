"""Where an id is found: in what damaged files pack, in values of SQLite tables and not in their bytes."""

import gzip
import sqlite3
from pathlib import Path

import pytest

from ecom_pipeline.privacy.traces import erase_from_history, files_with

PERSON = "erika-4711"
ROWS = "".join(f"{n},{PERSON},apple,{n * 7919 % 104729}\n" for n in range(20_000)).encode()


@pytest.mark.parametrize("damage", ["none", "cut short", "a byte changed", "another member after it"])
def test_an_id_is_found_in_a_packed_file_that_is_damaged(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(ROWS))
    if damage == "cut short":
        del packed[len(packed) // 2 :]
    elif damage == "a byte changed":
        packed[-len(packed) // 3] ^= 0xFF
    elif damage == "another member after it":
        packed = bytearray(gzip.compress(b"nobody\n")) + packed
    assert PERSON.encode() not in packed
    (tmp_path / "orders.csv.gz").write_bytes(packed)
    assert files_with(tmp_path, PERSON) == [tmp_path / "orders.csv.gz"]
    assert files_with(tmp_path, "somebody-else") == []


def test_a_packed_file_without_the_id_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "orders.csv.gz").write_bytes(gzip.compress(ROWS.replace(PERSON.encode(), b"bob"))[:-9])
    assert files_with(tmp_path, PERSON) == []


@pytest.mark.parametrize("user", ["7", "C7", "42"])
def test_a_short_id_is_gone_from_sqlite_though_bytes_look_like_it(tmp_path: Path, user: str) -> None:
    file = tmp_path / "runs.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, tag TEXT)")
        connection.execute("CREATE INDEX by_tag ON events (tag, body)")
        rows = [(f"user {user} bought", "a"), (f"{user}x", user), ("[1, 2]", "b")]
        connection.executemany("INSERT INTO events (body, tag) VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO events (id, body) VALUES (?, 'b')", [(n,) for n in range(100, 20_000)])
    connection.close()
    assert files_with(tmp_path, user) == [file]
    assert erase_from_history(tmp_path, user) == {str(file): 2}
    assert files_with(tmp_path, user) == []
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT body, tag FROM events WHERE id < 100 ORDER BY id").fetchall()
    connection.close()
    assert found == [("user [erased] bought", "a"), (f"{user}x", "[erased]"), ("[1, 2]", "b")]


def test_a_damaged_sqlite_file_is_searched_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "old.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 2000 + b" " + PERSON.encode() + b" ")
    assert files_with(tmp_path, PERSON) == [tmp_path / "old.db"]
