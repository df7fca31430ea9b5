"""Nothing lost between landing and core, and not too much of it bad."""

from datetime import date, datetime, timedelta

import pytest

from ecom_pipeline.quality import check_bad_row_share, check_conservation
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

NIGHT = date(2024, 3, 1)
SETTINGS = Settings(profile="sample", max_bad_row_share=0.1)


def add_file(
    warehouse: Warehouse,
    file_id: int,
    *,
    core: int,
    bad: int = 0,
    copies: int = 0,
    rows_in: int | None = None,
    run_id: str = "run-1",
    in_core: bool = True,
    status: str = "loaded",
) -> None:
    warehouse.run(
        "INSERT INTO ingest_files (file_id, feed, path, rows_in, rows_core, rows_quarantined, rows_duplicate, in_core, "
        "status, run_id, loaded_at, error) VALUES (:file_id, 'orders', :path, :rows_in, :core, :bad, :copies, "
        ":in_core, :status, :run_id, CAST(:now AS TIMESTAMP), :error)",
        {
            "file_id": file_id,
            "path": f"orders/{file_id}.csv",
            "rows_in": core + bad + copies if rows_in is None else rows_in,
            "core": core,
            "bad": bad,
            "copies": copies,
            "in_core": in_core,
            "status": status,
            "run_id": run_id,
            "now": datetime.now(),
            "error": "line 3: not CSV" if status == "refused" else None,
        },
    )
    for table_name, rows in (("core_order_lines", core), ("quarantine_orders", bad), ("duplicates_orders", copies)):
        warehouse.run(
            f"INSERT INTO {table_name} (file_id, line) SELECT :file_id, i FROM range({rows}) AS r(i)",
            {"file_id": file_id},
        )


def failed(warehouse: Warehouse) -> list[str]:
    return [failure.expectation for failure in check_conservation(warehouse, as_of=NIGHT, run_id="run-1").failures]


def test_a_ledger_that_agrees_with_the_tables_passes(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=5, bad=2, copies=1)
    add_file(warehouse, 2, core=0)
    # what core_events derives from order lines is not counted twice
    warehouse.run("INSERT INTO core_events (feed, file_id, line) SELECT 'orders', file_id, line FROM core_order_lines")
    validation = check_conservation(warehouse, as_of=NIGHT, run_id="run-1")
    assert not validation.failures
    assert warehouse.scalar("SELECT count(*) FROM validation_results WHERE suite = 'ledger' AND success") == 3


@pytest.mark.parametrize("table_name", ["core_order_lines", "quarantine_orders", "duplicates_orders"])
def test_a_row_that_is_lost_anywhere_blocks_and_names_the_file(warehouse: Warehouse, table_name: str) -> None:
    add_file(warehouse, 1, core=5, bad=2, copies=1)
    add_file(warehouse, 2, core=5, bad=2, copies=1)
    warehouse.run(f"DELETE FROM {table_name} WHERE file_id = 2 AND line = 0")
    validation = check_conservation(warehouse, as_of=NIGHT, run_id="run-1")
    assert validation.blocks
    [failure] = validation.failures
    assert failure.examples == ({"file": "orders/2.csv", "file_id": 2, "rows_in": 8, "rows_found": 7},)
    assert "orders/2.csv" in failure.sentence


def test_a_row_that_came_twice_or_from_no_file_blocks(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=5)
    warehouse.run("INSERT INTO core_order_lines (file_id, line) VALUES (1, 0)")
    assert failed(warehouse) == ["rows_are_conserved"]
    warehouse.run("DELETE FROM core_order_lines")
    warehouse.run("DELETE FROM ingest_files")
    assert failed(warehouse) == []
    warehouse.run("INSERT INTO core_order_lines (file_id, line) VALUES (9, 0)")
    assert failed(warehouse) == ["rows_are_conserved"]


def test_rows_of_a_lookup_are_accounted_for_by_the_ledger(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=5)
    warehouse.run("DELETE FROM core_order_lines")
    warehouse.run("UPDATE ingest_files SET feed = 'lookup_departments', rows_core = 3, rows_duplicate = 2")
    assert failed(warehouse) == []
    warehouse.run("UPDATE ingest_files SET rows_core = 2")
    assert failed(warehouse) == ["rows_are_conserved"]


def test_a_file_that_never_reached_core_blocks(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=0, rows_in=4, in_core=False)
    assert failed(warehouse) == ["files_reach_core"]


def test_a_refused_file_warns_with_its_error(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=0, status="refused")
    validation = check_conservation(warehouse, as_of=NIGHT, run_id="run-1")
    assert not validation.blocks
    assert validation.failures[0].examples[0]["error"] == "line 3: not CSV"


def bad_rows_block(warehouse: Warehouse, run_id: str = "run-1") -> bool:
    return check_bad_row_share(warehouse, settings=SETTINGS, as_of=NIGHT, run_id=run_id).blocks


def test_bad_rows_up_to_the_setting_pass_and_above_it_block(warehouse: Warehouse) -> None:
    assert not bad_rows_block(warehouse), "no new file at all"
    add_file(warehouse, 1, core=90, bad=10)
    assert not bad_rows_block(warehouse)
    add_file(warehouse, 2, core=9, bad=2)
    validation = check_bad_row_share(warehouse, settings=SETTINGS, as_of=NIGHT, run_id="run-1")
    assert validation.blocks
    assert "12 of 111 rows of 2 new files (10.8%)" in validation.sentence
    assert [example["file"] for example in validation.failures[0].examples] == ["orders/1.csv", "orders/2.csv"]


def published(warehouse: Warehouse, *, night: date, at: str) -> None:
    warehouse.run(
        "INSERT INTO runs (run_id, as_of, step, status, started_at, seconds, code_version) "
        "VALUES (:run, :night, 'analytics', 'succeeded', CAST(:at AS TIMESTAMP), 1, '0')",
        {"run": f"run of {night}", "night": night, "at": at},
    )


def test_a_night_stopped_for_bad_rows_stays_stopped_when_it_is_run_again(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=100)
    published(warehouse, night=NIGHT - timedelta(days=1), at="2024-01-02")
    warehouse.run("UPDATE ingest_files SET loaded_at = TIMESTAMP '2024-01-01', run_id = 'old'")
    add_file(warehouse, 2, core=5, bad=5, run_id="run-2")
    warehouse.run("UPDATE ingest_files SET loaded_at = TIMESTAMP '2999-01-01' WHERE file_id = 2")
    assert bad_rows_block(warehouse, "run-2")
    assert bad_rows_block(warehouse, "run-3"), "running again does not make the rows good"
    warehouse.run("UPDATE ingest_files SET rows_quarantined = 0, rows_core = 10 WHERE file_id = 2")
    assert not bad_rows_block(warehouse, "run-4"), "mending the file does"


def test_files_that_an_earlier_night_has_published_do_not_count(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=5, bad=5)
    warehouse.run("UPDATE ingest_files SET loaded_at = TIMESTAMP '2024-01-01', run_id = 'old'")
    published(warehouse, night=NIGHT, at="2024-01-02")
    assert bad_rows_block(warehouse, "run-2"), "this very night has published them: asked again, it answers the same"
    published(warehouse, night=NIGHT - timedelta(days=1), at="2024-01-02")
    assert not bad_rows_block(warehouse, "run-3")


def test_a_bad_file_that_came_after_the_night_is_not_lost_in_the_crowd_of_the_good(warehouse: Warehouse) -> None:
    add_file(warehouse, 1, core=100_000)
    warehouse.run("UPDATE ingest_files SET loaded_at = TIMESTAMP '2024-01-01', run_id = 'old'")
    published(warehouse, night=NIGHT, at="2024-01-02")
    before = check_bad_row_share(warehouse, settings=SETTINGS, as_of=NIGHT, run_id="run-2")
    assert not before.blocks
    assert before.results[0].observed == "0 of 100,000 rows of 1 new files (0.0%)"
    add_file(warehouse, 2, core=0, bad=10, run_id="run-3")
    after = check_bad_row_share(warehouse, settings=SETTINGS, as_of=NIGHT, run_id="run-3")
    assert after.blocks
    assert "10 of 10 rows of 1 new files" in after.sentence
