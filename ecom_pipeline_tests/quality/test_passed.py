"""Rows that held all rules are not asked again while they stay as they are; any others are."""

import random
from typing import Any

import pytest

from ecom_pipeline.contracts import ALL_TABLES, Between, Column, OneOf, Table
from ecom_pipeline.quality import TableValidation, gx, raw_contract, validate
from ecom_pipeline.quality.passed import file_column
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.quality.test_validation import NIGHT, of_rule

CLICKS = Table(
    name="clicks",
    layer="core",
    meaning="Clicks of a test.",
    columns=(
        Column("kind", "VARCHAR", "Kind."),
        Column("price", "DOUBLE", "Price."),
        Column("note", "VARCHAR", "No rule speaks of it."),
        Column("file_id", "INTEGER", "File.", nullable=False),
        Column("line", "BIGINT", "Line.", nullable=False),
    ),
    key=("file_id", "line"),
    rules=(OneOf("kind", ("view", "cart")), Between("price", minimum=0, severity="warn")),
)
KIND = "kind is one of view, cart"


@pytest.fixture
def clicks(warehouse: Warehouse) -> Warehouse:
    warehouse.create_contract_tables()
    warehouse.run("DELETE FROM passed_files")
    warehouse.run(
        "CREATE OR REPLACE TABLE clicks (kind VARCHAR, price DOUBLE, note VARCHAR, file_id INTEGER, line BIGINT)"
    )
    warehouse.run("INSERT INTO clicks SELECT 'view', 1, 'a', file, line FROM range(4) t(file), range(10) u(line)")
    return warehouse


@pytest.fixture
def asked(clicks: Warehouse, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each check has asked, check after check."""
    rows: list[int] = []
    run_suite = gx.run_suite

    def counting(*arguments: Any, where: str | None = None, **options: Any) -> list[gx.Outcome]:
        rows.append(clicks.scalar(f"SELECT count(*) FROM clicks WHERE {where or 'TRUE'}"))
        return run_suite(*arguments, where=where, **options)

    monkeypatch.setattr(gx, "run_suite", counting)
    return rows


def checked(warehouse: Warehouse, declared: Table = CLICKS) -> TableValidation:
    return validate(warehouse, declared, as_of=NIGHT, run_id="run-1")


def test_only_files_with_new_or_changed_rows_are_asked(clicks: Warehouse, asked: list[int]) -> None:
    assert of_rule(checked(clicks), KIND).observed == "all of 40 rows"
    assert of_rule(checked(clicks), KIND).observed == "all of 40 rows"
    clicks.run("INSERT INTO clicks VALUES ('view', 1, 'b', 7, 0)")
    assert of_rule(checked(clicks), KIND).observed == "all of 41 rows"
    clicks.run("UPDATE clicks SET note = 'by hand' WHERE file_id = 1")
    checked(clicks)
    clicks.run("UPDATE clicks SET kind = 'fax' WHERE file_id = 2 AND line = 3")
    found = checked(clicks)
    assert asked == [40, 0, 1, 0, 10]
    assert found.blocks
    assert of_rule(found, KIND).observed == "1 of 41 rows break it"
    assert of_rule(found, KIND).examples == ({"file_id": 2, "line": 3, "kind": "fax"},)
    assert checked(clicks).blocks, "what broke a rule is asked until it holds"
    clicks.run("UPDATE clicks SET kind = 'cart' WHERE kind = 'fax'")
    assert not checked(clicks).failures


def test_other_rules_ask_every_row(clicks: Warehouse, asked: list[int]) -> None:
    checked(clicks)
    stricter = Table(
        name=CLICKS.name,
        layer="core",
        meaning=CLICKS.meaning,
        columns=CLICKS.columns,
        key=CLICKS.key,
        rules=(OneOf("kind", ("cart",)),),
    )
    found = checked(clicks, stricter)
    assert of_rule(found, "kind is one of cart").rows_unexpected == 40
    checked(clicks)
    assert asked == [40, 40, 40]


def test_rows_without_a_file_and_keys_that_occur_twice_are_found(clicks: Warehouse) -> None:
    checked(clicks)
    clicks.run("UPDATE clicks SET file_id = NULL WHERE file_id = 3 AND line = 0")
    clicks.run("INSERT INTO clicks SELECT * FROM clicks WHERE file_id = 1 AND line = 1")
    found = checked(clicks)
    assert of_rule(found, "file_id is never null").rows_unexpected == 1
    assert of_rule(found, "file_id, line together are unique").rows_unexpected == 2


@pytest.mark.parametrize("seed", range(2))
def test_after_any_changes_results_are_those_of_asking_every_row(
    clicks: Warehouse, asked: list[int], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    changes = (
        "UPDATE clicks SET kind = 'fax' WHERE file_id = {file} AND line = {line}",
        "UPDATE clicks SET price = -1 WHERE file_id = {file} AND line = {line}",
        "DELETE FROM clicks WHERE file_id = {file}",
        "UPDATE clicks SET file_id = {line} WHERE file_id = {file}",
        "UPDATE clicks SET line = line + 1 WHERE file_id = {file} AND line = {line}",
        "UPDATE clicks SET line = 10 - line WHERE file_id = {file}",
        "INSERT INTO clicks SELECT 'cart', 3, 'c', {file}, 100 + {line}",
    )
    mended = ("UPDATE clicks SET kind = 'view' WHERE kind = 'fax'", "UPDATE clicks SET price = 2 WHERE price < 0")
    checked(clicks)
    in_part = 0
    for _ in range(10):
        for change in mended if chance.random() < 0.5 else ():
            clicks.run(change)
        for change in chance.sample(changes, 2):
            clicks.run(change.format(file=chance.randrange(5), line=chance.randrange(10)))
        found = checked(clicks)
        in_part += asked[-1] < clicks.scalar("SELECT count(*) FROM clicks")
        kept = clicks.rows("SELECT * FROM passed_files")
        clicks.run("DELETE FROM passed_files")
        assert found.results == checked(clicks).results
        clicks.run("DELETE FROM passed_files")
        for row in kept:
            clicks.connection.execute("INSERT INTO passed_files VALUES (?, ?, ?)", row)
    assert in_part >= 4, "little was compared"


def test_raw_and_core_tables_are_checked_file_by_file() -> None:
    core = [declared for declared in ALL_TABLES.values() if declared.layer == "core"]
    assert {file_column(declared) for declared in core} == {"file_id"}
    assert file_column(raw_contract("orders", ("no",))) == "_file_id"
    assert {file_column(declared) for declared in ALL_TABLES.values() if declared.layer not in ("raw", "core")} == {
        None
    }
