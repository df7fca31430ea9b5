"""Transactions, replacing of nights, the queue for the file, and what happens to files that cannot be used."""

import multiprocessing
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from ecom_pipeline.contracts import ALL_TABLES, table
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse, WarehouseError, duckdb_engine, open_warehouse

NIGHT, NEXT_NIGHT = date(2024, 3, 1), date(2024, 3, 2)
SIMILAR = table("similar_items")
SETTINGS = Settings(profile="sample")


def similar(night: date, items: int) -> str:
    return (
        f"SELECT DATE '{night}' AS as_of, 'a' AS item_id, CAST(i AS INTEGER) AS rank, 'b' AS similar_item_id, "
        f"CAST(1 AS DOUBLE) AS score, 'v1' AS model_version FROM range({items}) AS r(i)"
    )


def nights(warehouse: Warehouse) -> dict[date, int]:
    return dict(warehouse.rows("SELECT as_of, count(*) FROM similar_items GROUP BY as_of"))


def test_an_error_undoes_everything_since_the_transaction_began(warehouse: Warehouse) -> None:
    warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 3))
    with pytest.raises(ZeroDivisionError), warehouse.transaction():
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 5))
        warehouse.rebuild(table("runs"), sql="SELECT * FROM runs")
        warehouse.run("DROP TABLE feat_items")
        raise ZeroDivisionError
    assert nights(warehouse) == {NIGHT: 3}
    assert warehouse.has_table("feat_items")
    assert not warehouse.in_transaction


def test_a_failed_statement_undoes_the_transaction_and_leaves_the_warehouse_usable(warehouse: Warehouse) -> None:
    with pytest.raises(duckdb.Error), warehouse.transaction():
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 5))
        warehouse.run("SELECT no_such_column FROM similar_items")
    assert nights(warehouse) == {}
    warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 2))
    assert nights(warehouse) == {NIGHT: 2}


def test_an_error_in_a_nested_transaction_cannot_be_passed_over(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="all of it is undone"), warehouse.transaction():
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 5))
        with pytest.raises(ZeroDivisionError), warehouse.transaction():
            raise ZeroDivisionError
    assert nights(warehouse) == {}


def test_replacing_a_night_leaves_the_others_and_is_repeatable(warehouse: Warehouse) -> None:
    for items in (4, 3, 3):
        assert warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, items)) == items
    warehouse.replace_night(SIMILAR, NEXT_NIGHT, sql=similar(NEXT_NIGHT, 2))
    assert nights(warehouse) == {NIGHT: 3, NEXT_NIGHT: 2}


def test_rows_of_another_night_are_refused_and_nothing_is_replaced(warehouse: Warehouse) -> None:
    warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 3))
    with pytest.raises(WarehouseError, match=r"similar_items: 2 of 2 rows for the night 2024-03-01 have another as_of"):
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NEXT_NIGHT, 2))
    assert nights(warehouse) == {NIGHT: 3}


def test_arrow_rows_with_other_columns_than_the_contract_are_refused(warehouse: Warehouse) -> None:
    rows = warehouse.arrow(similar(NIGHT, 2))
    assert warehouse.replace_night_from_arrow(SIMILAR, NIGHT, rows.select(rows.column_names[::-1])) == 2
    with pytest.raises(WarehouseError, match=r"similar_items: .* lack the columns \['score'\]; unknown: \['points'\]"):
        warehouse.append_from_arrow(SIMILAR, rows.rename_columns([*rows.column_names[:4], "points", "model_version"]))
    assert nights(warehouse) == {NIGHT: 2}
    assert warehouse.rebuild_from_arrow(SIMILAR, rows.slice(0, 1)) == 1
    assert nights(warehouse) == {NIGHT: 1}


def test_parameters_that_the_sql_needs_must_be_given_and_others_do_no_harm(warehouse: Warehouse) -> None:
    assert warehouse.scalar("SELECT CAST(:a AS INTEGER)", {"a": 1, "unused": 2}) == 1
    assert warehouse.arrow("SELECT CAST(:a AS BIGINT) AS a", {"a": 1}).to_pylist() == [{"a": 1}]
    with pytest.raises(KeyError, match="needs the parameters \\['as_of'\\]"):
        warehouse.run("SELECT :as_of")


def test_a_result_as_codes_says_what_it_says_as_text(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_engine, "ROWS_A_BATCH", 2_048)
    query = "SELECT 'u' || (i // 1000) AS user_id, i AS position FROM range(:n) AS numbers(i) ORDER BY i"
    coded = warehouse.arrow_encoded(query, {"n": 10_000})
    (chunk,) = coded.column("user_id").chunks
    assert chunk.type == pa.dictionary(pa.int32(), pa.string())
    assert chunk.dictionary.to_pylist() == [f"u{number}" for number in range(10)]
    assert coded.to_pylist() == warehouse.arrow(query, {"n": 10_000}).to_pylist()
    empty = warehouse.arrow_encoded(query, {"n": 0})
    assert (empty.num_rows, empty.schema) == (0, coded.schema)


def test_times_are_utc(warehouse: Warehouse) -> None:
    assert warehouse.scalar("SELECT current_setting('TimeZone')") == "UTC"


def test_the_contract_tables_are_there_with_their_comments(warehouse: Warehouse) -> None:
    found = dict(warehouse.rows("SELECT table_name, comment FROM duckdb_tables()"))
    assert found == {declared.name: declared.meaning for declared in ALL_TABLES.values()}


def test_a_table_of_an_older_version_gets_the_columns_of_the_contract_and_keeps_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    with open_warehouse(file, SETTINGS) as warehouse:
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 3))
        warehouse.run("ALTER TABLE similar_items DROP COLUMN score")
        warehouse.run("ALTER TABLE similar_items ADD COLUMN gone VARCHAR")
        warehouse.run("ALTER TABLE similar_items ALTER rank TYPE BIGINT")
    with open_warehouse(file, SETTINGS) as warehouse:
        columns = warehouse.rows("SELECT column_name, column_type FROM (DESCRIBE similar_items)")
        assert columns == [(column.name, column.type) for column in SIMILAR.columns]
        assert warehouse.rows("SELECT DISTINCT item_id, score FROM similar_items") == [("a", None)]
        assert nights(warehouse) == {NIGHT: 3}
        assert warehouse.scalar("SELECT comment FROM duckdb_tables() WHERE table_name = 'similar_items'")


def test_values_of_an_older_version_that_do_not_fit_are_an_error_and_stay(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    with open_warehouse(file, SETTINGS) as warehouse:
        warehouse.run("DROP TABLE runs")
        warehouse.run("CREATE TABLE runs AS SELECT 'not a date' AS as_of")
    with pytest.raises(WarehouseError, match="table runs: made by an older version"), open_warehouse(file, SETTINGS):
        pass
    connection = duckdb.connect(str(file), read_only=True)
    assert connection.execute("SELECT as_of FROM runs").fetchall() == [("not a date",)]
    connection.close()


@pytest.mark.parametrize("contents", [b"no database", b"\0" * 20_000], ids=["text", "zeros"])
def test_a_file_that_is_no_warehouse_is_an_error_that_says_what_to_do(tmp_path: Path, contents: bytes) -> None:
    file = tmp_path / "warehouse.duckdb"
    file.write_bytes(contents)
    with (
        pytest.raises(WarehouseError, match=r"warehouse\.duckdb: cannot be opened .* move it away"),
        open_warehouse(file, SETTINGS),
    ):
        pass
    assert file.read_bytes() == contents


def test_names_with_quotes_and_spaces_are_only_names(tmp_path: Path) -> None:
    file = tmp_path / "it's a 'shop'" / "ware house.duckdb"
    with open_warehouse(file, SETTINGS) as warehouse:
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 1))
    assert file.exists()


def hold(file: Path, opened: Event, release: Event) -> None:
    with open_warehouse(file, SETTINGS) as warehouse:
        warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 3))
        opened.set()
        release.wait(30)


def test_a_second_process_queues_says_so_and_then_sees_what_the_first_wrote(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    context = multiprocessing.get_context("spawn")
    opened, release = context.Event(), context.Event()
    first = context.Process(target=hold, args=(file, opened, release))
    first.start()
    try:
        assert opened.wait(60)
        waits: list[float] = []

        def on_wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                release.set()

        with open_warehouse(file, SETTINGS, on_wait=on_wait) as warehouse:
            assert nights(warehouse) == {NIGHT: 3}
        assert len(waits) >= 2
        assert waits == sorted(waits)
    finally:
        release.set()
        first.join(30)
    assert first.exitcode == 0


def test_a_killed_process_leaves_the_warehouse_free_with_what_it_committed(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    context = multiprocessing.get_context("spawn")
    opened, never = context.Event(), context.Event()
    doomed = context.Process(target=hold, args=(file, opened, never))
    doomed.start()
    assert opened.wait(60)
    doomed.kill()
    doomed.join(30)
    with open_warehouse(file, SETTINGS) as warehouse:
        assert nights(warehouse) == {NIGHT: 3}


def test_the_memory_and_threads_of_the_settings_are_those_of_the_connection(tmp_path: Path) -> None:
    settings = Settings(profile="sample", threads=1, memory_limit="512MB")
    with open_warehouse(tmp_path / "w.duckdb", settings) as warehouse:
        assert warehouse.scalar("SELECT current_setting('threads')") == 1
        assert warehouse.scalar("SELECT current_setting('memory_limit')").startswith("488.2")


def test_an_empty_arrow_table_empties_the_night(warehouse: Warehouse) -> None:
    warehouse.replace_night(SIMILAR, NIGHT, sql=similar(NIGHT, 3))
    empty: pa.Table = warehouse.arrow(similar(NIGHT, 0))
    assert warehouse.replace_night_from_arrow(SIMILAR, NIGHT, empty) == 0
    assert nights(warehouse) == {}
