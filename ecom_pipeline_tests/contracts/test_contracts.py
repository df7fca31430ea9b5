"""What a contract refuses, what follows from it, and what all declared tables have in common."""

import duckdb
import pytest

from ecom_pipeline.contracts import (
    ALL_TABLES,
    PUBLISHED_TABLES,
    Between,
    Column,
    Holds,
    NotNull,
    OneOf,
    Rule,
    Table,
    Unique,
    comment_statements,
    create_statement,
    identifier,
    literal,
    table,
    tables_of_layer,
)

COLUMNS = (Column("visit", "INTEGER", "Number.", nullable=False), Column("score", "DOUBLE", "Score, 0 to 1."))


def test_rules_follow_from_columns_and_key_before_those_that_are_declared() -> None:
    declared = Table(
        "visits", "core", "Visits.", COLUMNS, key=("visit",), rules=(Between("score", minimum=0, maximum=1),)
    )
    assert [rule.words for rule in declared.all_rules] == [
        "visit is never null",
        "visit is unique",
        "numbers are finite",
        "score is between 0 and 1",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Visits; DROP TABLE x"}, "table name 'Visits; DROP TABLE x' is not a plain lower-case identifier"),
        ({"columns": (Column("a b", "DATE", ""),)}, r"column names \['a b'\] are not plain lower-case identifiers"),
        ({"columns": (*COLUMNS, COLUMNS[0])}, "a column is declared twice"),
        ({"key": ("when",)}, r"key columns \['when'\] are not declared"),
        ({"by_night": True}, "by_night needs a column as_of"),
        ({"published_as": "my visits"}, "'my visits' is not a plain lower-case identifier"),
        ({"rules": (NotNull("when"),)}, r"the rule 'when is never null' names undeclared columns \['when'\]"),
        ({"rules": (Unique(("visit", "when")),)}, r"names undeclared columns \['when'\]"),
        ({"rules": (NotNull("visit"),)}, r"a rule is given twice, or follows from the columns: \['visit is never null"),
        ({"rules": (Holds("x", "TRUE"), Holds("x", "FALSE"))}, r"a rule is given twice.*\['x'\]"),
    ],
)
def test_a_contract_that_cannot_be_meant_is_refused(arguments: dict[str, object], message: str) -> None:
    complete = {"name": "visits", "layer": "core", "meaning": "Visits.", "columns": COLUMNS, **arguments}
    with pytest.raises(ValueError, match=message):
        Table(**complete)  # type: ignore[arg-type]


def test_a_range_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a minimum nor a maximum"):
        Between("score")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (NotNull("a"), "a is never null"),
        (Unique(("a", "b")), "a, b together are unique"),
        (OneOf("a", ("x", "y")), "a is one of x, y"),
        (Between("a", minimum=0), "a is at least 0"),
        (Between("a", maximum=1.5), "a is at most 1.5"),
        (Between("a", minimum=0, maximum=1), "a is between 0 and 1"),
        (Holds("a is b", "a = b"), "a is b"),
    ],
)
def test_rules_speak(rule: Rule, words: str) -> None:
    assert rule.words == words


def test_names_and_texts_with_quotes_survive_sql() -> None:
    connection = duckdb.connect()
    name, text = 'odd "name"; --', "it's 100 %\n-- :x"
    connection.execute(f"CREATE TABLE t ({identifier(name)} VARCHAR)")
    connection.execute(f"INSERT INTO t VALUES ({literal(text)})")
    assert connection.execute(f"SELECT {identifier(name)} FROM t").fetchall() == [(text,)]


@pytest.mark.parametrize("declared", ALL_TABLES.values(), ids=lambda declared: declared.name)
def test_ddl_and_comments_of_every_table_run_and_say_what_the_contract_says(declared: Table) -> None:
    connection = duckdb.connect()
    connection.execute(create_statement(declared))
    for statement in comment_statements(declared):
        connection.execute(statement)
    found = connection.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [declared.name],
    ).fetchall()
    assert found == [(column.name, column.type, column.meaning) for column in declared.columns]
    assert connection.execute("SELECT comment FROM duckdb_tables()").fetchall() == [(declared.meaning,)]


@pytest.mark.parametrize("declared", ALL_TABLES.values(), ids=lambda declared: declared.name)
def test_every_table_and_column_says_what_it_means(declared: Table) -> None:
    for meaning in (declared.meaning, *(column.meaning for column in declared.columns)):
        assert len(meaning) > 3
        assert meaning.endswith((".", "…")), meaning


def test_names_by_layer_follow_one_grammar() -> None:
    for layer, prefix in (("core", "core_"), ("features", "feat_")):
        assert all(declared.name.startswith(prefix) for declared in tables_of_layer(layer))  # type: ignore[arg-type]


def test_the_tables_that_every_night_publishes_are_there() -> None:
    promised = {
        "sales_daily": "level series_id date quantity revenue orders",
        "sales_forecasts": "as_of level series_id measure target_date horizon mean p05 p10 p25 p50 p75 p90 p95 model "
        "model_version",
        "sales_forecast_accuracy": "as_of level series_id measure target_date horizon actual mean p50 baseline "
        "abs_error baseline_abs_error in_80",
        "recommendations": "as_of user_id rank item_id score source reason reason_item_id is_repeat fallback "
        "model_version",
        "purchase_predictions": "as_of user_id item_id probability window_days model_version",
        "similar_items": "as_of item_id rank similar_item_id score",
        "model_metrics": "as_of model model_version is_champion dataset metric value baseline_value n",
        "user_events": "user_id position item_id event event_ts session_number",
        "sessions": "user_id session_number started_at",
        "validation_results": "as_of table_name rule severity success observed",
        "ingest_files": "path rows_in rows_core rows_quarantined rows_duplicate",
        "quarantine_summary": "feed rule rows",
        "runs": "run_id step seconds rows",
    }
    for name, columns in promised.items():
        assert set(columns.split()) <= set(PUBLISHED_TABLES[name].column_names), name


def test_an_unknown_table_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="no contract declares the table 'core_visits'"):
        table("core_visits")
