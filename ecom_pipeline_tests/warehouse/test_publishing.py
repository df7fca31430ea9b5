"""The published file: complete, commented, put in place in one step, never half."""

import os
import stat
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import ecom_pipeline
from ecom_pipeline.contracts import PUBLISHED_TABLES, table
from ecom_pipeline.warehouse import Warehouse, WarehouseError, publish, publishing

SIMILAR = table("similar_items")
FIRST = date(2024, 3, 1)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "published" / "analytics.duckdb"


def write_nights(warehouse: Warehouse, nights: int, *, items: int = 3, start: int = 0) -> None:
    for number in range(start, nights):
        night = FIRST + timedelta(days=number)
        warehouse.replace_night(
            SIMILAR,
            night,
            sql=f"SELECT :as_of AS as_of, 'a' AS item_id, CAST({items} - i AS INTEGER) AS rank, "
            f"'b' AS similar_item_id, CAST(1 AS DOUBLE) AS score, 'v1' AS model_version FROM range({items}) AS r(i)",
        )


def read(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_published_table_is_there_with_the_contracts_columns_and_comments(
    warehouse: Warehouse, target: Path
) -> None:
    report = publish(warehouse, target=target, keep_nights=10)
    assert set(report.rows) == set(PUBLISHED_TABLES)
    tables = dict(read(target, "SELECT table_name, comment FROM duckdb_tables()"))
    assert tables == {name: declared.meaning for name, declared in PUBLISHED_TABLES.items()}
    columns = read(
        target,
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY table_name, column_index",
    )
    assert columns == [
        (name, column.name, column.type, column.meaning)
        for name, declared in sorted(PUBLISHED_TABLES.items())
        for column in declared.columns
    ]


def test_the_latest_nights_are_kept_and_rows_lie_in_the_order_of_the_key(warehouse: Warehouse, target: Path) -> None:
    write_nights(warehouse, 5)
    warehouse.run("INSERT INTO runs (run_id, step, as_of) VALUES ('old', 's', DATE '2024-03-01'), ('load', 's', NULL)")
    report = publish(warehouse, target=target, keep_nights=2)
    assert report.nights == (FIRST + timedelta(days=3), FIRST + timedelta(days=4))
    assert read(target, "SELECT as_of, rank FROM similar_items") == [
        (n, rank) for n in report.nights for rank in (1, 2, 3)
    ]
    assert read(target, "SELECT run_id FROM runs") == [("load",)], "rows of no night stay"
    assert warehouse.scalar("SELECT count(*) FROM similar_items") == 15, "the warehouse keeps its own"


def test_the_file_says_what_it_is(warehouse: Warehouse, target: Path) -> None:
    publish(warehouse, target=target, keep_nights=2)
    assert read(target, "SELECT as_of, first_night, nights FROM about") == [(None, None, 0)]
    write_nights(warehouse, 3)
    publish(warehouse, target=target, keep_nights=2, profile="sample", is_synthetic=True)
    columns = "as_of, first_night, nights, code_version, profile, is_synthetic"
    row = (date(2024, 3, 3), date(2024, 3, 2), 2, ecom_pipeline.__version__, "sample", True)
    assert read(target, f"SELECT {columns} FROM about") == [row]
    assert warehouse.rows(f"SELECT {columns} FROM about") == [row]


def test_publishing_twice_gives_the_same_rows(warehouse: Warehouse, target: Path) -> None:
    write_nights(warehouse, 3)
    publish(warehouse, target=target, keep_nights=5)
    first = read(target, "SELECT * FROM similar_items")
    publish(warehouse, target=target, keep_nights=5)
    assert read(target, "SELECT * FROM similar_items") == first


def test_older_clients_can_read_the_format(warehouse: Warehouse, target: Path) -> None:
    publish(warehouse, target=target, keep_nights=5)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{target}' AS published (READ_ONLY)")
        ((tags,),) = connection.execute(
            "SELECT tags FROM duckdb_databases() WHERE database_name = 'published'"
        ).fetchall()
    assert tags["storage_version"].startswith("v1.4.0")


def test_a_reader_keeps_the_file_that_it_opened_and_the_next_one_sees_the_new(
    warehouse: Warehouse, target: Path
) -> None:
    write_nights(warehouse, 1)
    publish(warehouse, target=target, keep_nights=5)
    with duckdb.connect(str(target), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM similar_items").fetchall() == [(3,)]
        write_nights(warehouse, 2)
        publish(warehouse, target=target, keep_nights=5)
        assert reader.execute("SELECT count(*) FROM similar_items").fetchall() == [(3,)]
    assert read(target, "SELECT count(*) FROM similar_items") == [(6,)]


def test_readers_in_a_loop_never_see_half_a_file(warehouse: Warehouse, target: Path) -> None:
    write_nights(warehouse, 1)
    publish(warehouse, target=target, keep_nights=50)
    done, seen, errors = threading.Event(), set[int](), list[Exception]()

    def read_in_a_loop() -> None:
        # Another name for the same file each time: within one process DuckDB shares what is open by name.
        for number in range(1_000_000):
            if done.is_set():
                return
            link = target.with_name(f"reader-{threading.get_ident()}-{number}.duckdb")
            try:
                os.link(target, link)
                ((rows,),) = read(link, "SELECT count(*) FROM similar_items")
                seen.add(rows)
            except Exception as error:
                errors.append(error)
            finally:
                link.unlink(missing_ok=True)

    readers = [threading.Thread(target=read_in_a_loop) for _ in range(2)]
    for reader in readers:
        reader.start()
    for nights in range(2, 6):
        write_nights(warehouse, nights, start=nights - 1)
        publish(warehouse, target=target, keep_nights=50)
    done.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert seen <= {3, 6, 9, 12, 15}
    assert len(seen) > 1


def test_whatever_goes_wrong_the_old_file_stays_and_nothing_is_left_behind(
    warehouse: Warehouse, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nights(warehouse, 1)
    publish(warehouse, target=target, keep_nights=5)
    before, listing = target.read_bytes(), sorted(target.parent.iterdir())
    ((stamp,),) = warehouse.rows("SELECT published_at FROM about")
    write_nights(warehouse, 2)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("_sync", "write_table"):
        with monkeypatch.context() as patch:
            patch.setattr(publishing, broken, fail)
            with pytest.raises(OSError, match="No space left"):
                publish(warehouse, target=target, keep_nights=5)
        assert target.read_bytes() == before
        assert sorted(target.parent.iterdir()) == listing
        assert warehouse.rows("SELECT published_at FROM about") == [(stamp,)]
        assert not warehouse.rows("SELECT 1 FROM duckdb_databases() WHERE database_name = 'publication'")
    publish(warehouse, target=target, keep_nights=5)
    assert read(target, "SELECT count(*) FROM similar_items") == [(6,)]


def test_what_a_killed_publishing_left_is_cleared(warehouse: Warehouse, target: Path) -> None:
    target.parent.mkdir()
    others = target.parent / "notes.building.txt"
    others.write_text("mine")
    for left in (".analytics.duckdb.0123456789ab.building", ".analytics.duckdb.0123456789ab.building.wal"):
        (target.parent / left).write_bytes(b"half")
    publish(warehouse, target=target, keep_nights=5)
    assert sorted(file.name for file in target.parent.iterdir()) == [
        ".analytics.duckdb.lock",
        "analytics.duckdb",
        "notes.building.txt",
    ]


def test_the_rights_of_the_file_stay_as_they_were_set(warehouse: Warehouse, target: Path) -> None:
    publish(warehouse, target=target, keep_nights=5)
    target.chmod(0o440)
    publish(warehouse, target=target, keep_nights=5)
    assert stat.S_IMODE(target.stat().st_mode) == 0o440


def test_publishing_inside_a_transaction_is_refused(warehouse: Warehouse, target: Path) -> None:
    with pytest.raises(WarehouseError, match="inside a transaction"), warehouse.transaction():
        publish(warehouse, target=target, keep_nights=5)
    assert not target.exists()


def test_a_folder_where_the_file_should_be_is_an_error_that_says_so(warehouse: Warehouse, target: Path) -> None:
    target.mkdir(parents=True)
    with pytest.raises(WarehouseError, match="is not a file"):
        publish(warehouse, target=target, keep_nights=5)


def test_a_path_with_quotes_is_only_a_path(warehouse: Warehouse, tmp_path: Path) -> None:
    target = tmp_path / "it's [a] *shop*" / "analytics.duckdb"
    publish(warehouse, target=target, keep_nights=5)
    assert target.is_file()
    assert len(list(target.parent.iterdir())) == 2
