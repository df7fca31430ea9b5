"""Each kind of rule both ways, and what validation promises beyond the rules."""

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from ecom_pipeline.contracts import ALL_TABLES, Between, Column, Holds, NotNull, OneOf, Rule, Table, Unique, table
from ecom_pipeline.quality import CheckResult, TableValidation, gx, key_slices, raw_contract, validate
from ecom_pipeline.warehouse import Warehouse

NIGHT = date(2024, 3, 1)


def contract(*rules: Rule, by_night: bool = False) -> Table:
    return Table(
        name="visits",
        layer="core",
        meaning="Visits of a test.",
        columns=(
            Column("as_of", "DATE", "Night."),
            Column("visit", "INTEGER", "Number."),
            Column("kind", "VARCHAR", "Kind."),
            Column("score", "DOUBLE", "Score."),
        ),
        rules=rules,
        by_night=by_night,
    )


def fill(warehouse: Warehouse, *rows: tuple[Any, ...]) -> None:
    warehouse.run("CREATE OR REPLACE TABLE visits (as_of DATE, visit INTEGER, kind VARCHAR, score DOUBLE)")
    for row in rows:
        warehouse.connection.execute("INSERT INTO visits VALUES (?, ?, ?, ?)", row)


def run(warehouse: Warehouse, declared: Table) -> TableValidation:
    return validate(warehouse, declared, as_of=NIGHT, run_id="run-1")


def of_rule(validation: TableValidation, rule: str) -> CheckResult:
    [found] = [result for result in validation.results if result.rule == rule]
    return found


GOOD = ((NIGHT, 1, "web", 0.5), (NIGHT, 2, "shop", 1.0), (NIGHT, 3, None, None))


@pytest.mark.parametrize(
    ("rule", "bad_row", "example"),
    [
        (NotNull("visit"), (NIGHT, None, "web", 0.5), {"visit": None}),
        (Unique(("visit",)), (NIGHT, 2, "web", 0.5), {"visit": 2, "copies": 2}),
        (Unique(("visit", "kind")), (NIGHT, 3, None, 0.5), {"visit": 3, "kind": None, "copies": 2}),
        (OneOf("kind", ("web", "shop", "it's")), (NIGHT, 4, "fax", 0.5), {"kind": "fax"}),
        (Between("score", minimum=0), (NIGHT, 4, "web", -0.1), {"score": -0.1}),
        (Between("score", maximum=1), (NIGHT, 4, "web", 1.1), {"score": 1.1}),
        (Between("visit", minimum=1, maximum=9), (NIGHT, 10, "web", 1.0), {"visit": 10}),
        (Holds("web scores are low", "kind <> 'web' OR score < 0.9"), (NIGHT, 4, "web", 0.95), {"kind": "web"}),
        (Holds("no %s or :name", "kind NOT LIKE '%s:name%'"), (NIGHT, 4, "a%s:name", 0.5), {"kind": "a%s:name"}),
    ],
    ids=lambda value: value.words if hasattr(value, "words") else "",
)
def test_a_rule_holds_for_good_rows_and_names_the_bad_ones(
    warehouse: Warehouse, rule: Rule, bad_row: tuple[Any, ...], example: dict[str, Any]
) -> None:
    declared = contract(rule)
    fill(warehouse, *GOOD)
    good = of_rule(run(warehouse, declared), rule.words)
    assert good.success
    assert (good.rows_checked, good.rows_unexpected, good.examples) == (3, 0, ())

    fill(warehouse, *GOOD, bad_row)
    bad = of_rule(run(warehouse, declared), rule.words)
    assert not bad.success
    assert bad.rows_checked == 4
    assert bad.rows_unexpected == (2 if isinstance(rule, Unique) else 1)
    assert example.items() <= dict(bad.examples[0]).items()
    assert rule.words in bad.sentence
    assert f"{bad.rows_unexpected} of 4 rows" in bad.sentence


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_found_in_every_table(warehouse: Warehouse, value: float) -> None:
    fill(warehouse, *GOOD, (NIGHT, 4, "web", value))
    found = of_rule(run(warehouse, contract()), "numbers are finite")
    assert not found.success
    stored = warehouse.scalar("SELECT examples FROM validation_results WHERE rule = 'numbers are finite'")
    assert json.loads(stored) == [{"score": str(value)}]


def test_an_error_blocks_and_a_warning_does_not(warehouse: Warehouse) -> None:
    fill(warehouse, (NIGHT, 1, None, 0.5))
    assert run(warehouse, contract(NotNull("kind", severity="error"))).blocks
    warned = run(warehouse, contract(NotNull("kind", severity="warn")))
    assert not warned.blocks
    assert [failure.rule for failure in warned.failures] == ["kind is never null"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE visits DROP COLUMN score", "score is missing"),
        ("ALTER TABLE visits ADD COLUMN extra INTEGER", "extra is not in the contract"),
        ("ALTER TABLE visits ALTER visit TYPE VARCHAR", "visit is VARCHAR instead of INTEGER"),
        (
            "CREATE OR REPLACE TABLE visits (visit INTEGER, as_of DATE, kind VARCHAR, score DOUBLE)",
            "the columns are in another order",
        ),
    ],
)
def test_a_table_with_other_columns_than_its_contract_blocks(warehouse: Warehouse, change: str, words: str) -> None:
    fill(warehouse, *GOOD)
    warehouse.run(change)
    validation = run(warehouse, contract(NotNull("score", severity="warn"), NotNull("as_of")))
    assert validation.blocks
    schema = of_rule(validation, gx.SCHEMA_RULE)
    assert not schema.success
    assert words in schema.sentence
    assert of_rule(validation, "as_of is never null").success, "rules whose columns are there are still checked"


def test_a_rule_about_a_missing_column_fails_instead_of_vanishing(warehouse: Warehouse) -> None:
    fill(warehouse, *GOOD)
    warehouse.run("ALTER TABLE visits DROP COLUMN score")
    lost = of_rule(run(warehouse, contract(Between("score", minimum=0))), "score is at least 0")
    assert not lost.success
    assert "the table lacks score" in lost.sentence


def test_a_predicate_that_cannot_be_evaluated_fails_with_its_reason(warehouse: Warehouse) -> None:
    fill(warehouse, *GOOD)
    validation = run(warehouse, contract(Holds("nonsense", "no_such_function(kind)")))
    found = of_rule(validation, "nonsense")
    assert not found.success
    assert "no_such_function" in found.sentence


def test_an_empty_table_passes(warehouse: Warehouse) -> None:
    fill(warehouse)
    validation = run(warehouse, contract(NotNull("visit"), Unique(("visit",)), OneOf("kind", ("web",))))
    assert not validation.failures
    assert {result.rows_checked for result in validation.results} == {0, None}


def test_of_a_table_kept_by_night_only_that_night_is_checked(warehouse: Warehouse) -> None:
    fill(warehouse, (date(2024, 2, 29), None, None, None), (NIGHT, 1, "web", 0.5))
    found = of_rule(run(warehouse, contract(NotNull("visit"), by_night=True)), "visit is never null")
    assert (found.success, found.rows_checked) == (True, 1)


def test_results_are_kept_and_replaced_by_the_next_run_of_the_same_night(warehouse: Warehouse) -> None:
    declared = contract(NotNull("visit"))
    fill(warehouse, (NIGHT, None, "web", 0.5))
    validate(warehouse, declared, as_of=NIGHT, run_id="first")
    fill(warehouse, *GOOD)
    validation = validate(warehouse, declared, as_of=NIGHT, run_id="second")
    validate(warehouse, declared, as_of=date(2024, 3, 2), run_id="third")
    stored = warehouse.rows(
        "SELECT rule, success, run_id, suite FROM validation_results WHERE as_of = :night ORDER BY rule",
        {"night": NIGHT},
    )
    assert stored == sorted((result.rule, True, "second", "contract") for result in validation.results)


def test_validation_sees_what_the_open_transaction_wrote_and_rolls_back_with_it(warehouse: Warehouse) -> None:
    fill(warehouse, *GOOD)
    with pytest.raises(RuntimeError, match="stop"), warehouse.transaction():
        warehouse.run("UPDATE visits SET visit = NULL")
        assert run(warehouse, contract(NotNull("visit"))).blocks
        raise RuntimeError("stop")
    assert warehouse.scalar("SELECT count(*) FROM validation_results") == 0
    assert not run(warehouse, contract(NotNull("visit"))).blocks


def test_every_rule_of_every_contract_can_be_evaluated(warehouse: Warehouse) -> None:
    for declared in ALL_TABLES.values():
        validation = run(warehouse, declared)
        assert not validation.failures
        assert len(validation.results) == len(declared.all_rules) + 1


def test_keys_are_counted_exactly_when_the_table_takes_many_passes(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_slices, "ROWS_PER_PASS", 100)
    warehouse.run(
        "CREATE OR REPLACE TABLE visits AS SELECT DATE '2024-03-01' AS as_of, CAST(i % 990 AS INTEGER) AS visit, "
        "'web' AS kind, 0.5::DOUBLE AS score FROM range(1000) AS r(i)"
    )
    found = of_rule(run(warehouse, contract(Unique(("visit", "kind")))), "visit, kind together are unique")
    assert found.rows_unexpected == 20
    assert found.examples
    assert all(example["copies"] == 2 and example["visit"] < 10 for example in found.examples)


def test_raw_tables_are_held_to_their_provenance_and_the_columns_that_the_profile_reads(warehouse: Warehouse) -> None:
    declared = raw_contract("orders", ("InvoiceNo", "Unit Price"))
    warehouse.run('CREATE TABLE raw_orders (_file_id INTEGER, _line BIGINT, "InvoiceNo" VARCHAR, other DOUBLE)')
    warehouse.run("INSERT INTO raw_orders VALUES (1, 2, '536365', 1.5), (1, 2, '536366', 1.5)")
    validation = run(warehouse, declared)
    assert [failure.rule for failure in validation.failures] == [gx.SCHEMA_RULE, "_file_id, _line together are unique"]
    assert "Unit Price is missing" in validation.failures[0].sentence
    assert validation.failures[0].observed == "Unit Price is missing"


def test_long_values_are_cut_in_the_examples(warehouse: Warehouse) -> None:
    fill(warehouse, (NIGHT, 1, "x" * 10_000, 0.5))
    found = of_rule(run(warehouse, contract(OneOf("kind", ("web",)))), "kind is one of web")
    assert len(found.examples[0]["kind"]) < 300


def test_a_published_contract_fails_on_a_crossing_quantile(warehouse: Warehouse) -> None:
    quantiles = ", ".join(f"{value} AS {name}" for name, value in zip(
        ("p05", "p10", "p25", "p50", "p75", "p90", "p95"), (1, 2, 3, 9, 5, 6, 7), strict=True))  # fmt: skip
    warehouse.replace_night(
        table("sales_forecasts"),
        NIGHT,
        sql=f"SELECT :as_of AS as_of, 'total' AS level, 'total' AS series_id, 'quantity' AS measure, "
        f"DATE '2024-03-02' AS target_date, 1 AS horizon, 4 AS mean, {quantiles}, 4 AS baseline, 'lstm' AS model, "
        "'1' AS model_version, FALSE AS fallback",
    )
    validation = validate(warehouse, table("sales_forecasts"), as_of=NIGHT, run_id="run-1")
    assert [failure.rule for failure in validation.failures] == ["quantiles do not cross"]
    assert validation.failures[0].examples[0]["p50"] == 9


def test_importing_quality_loads_neither_great_expectations_nor_sqlalchemy() -> None:
    heavy = "'great_expectations', 'sqlalchemy', 'tensorflow', 'duckdb_engine'"
    code = (
        f"import sys, ecom_pipeline.quality, ecom_pipeline.warehouse; print([m for m in ({heavy}) if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
