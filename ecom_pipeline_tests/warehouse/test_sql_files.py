"""Parameters are bound where they are parameters and nowhere else."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecom_pipeline.warehouse import sql_text
from ecom_pipeline.warehouse.sql_files import bound_for_duckdb, parameters_of, subqueries_of


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT :as_of", {"as_of"}),
        ("SELECT * FROM t WHERE day <= :as_of AND day > :first_day", {"as_of", "first_day"}),
        ("SELECT(:a)+:b,:c", {"a", "b", "c"}),
        ("SELECT '12:30:00', ':name', 'it''s :name'", set()),
        ('SELECT ":name" FROM t AS "a:b"', set()),
        ("SELECT 1 -- not :name, it's a comment\n + :x", {"x"}),
        ("SELECT 1 /* :name\n it's */ + :x", {"x"}),
        ("SELECT '--' || :x", {"x"}),
        ("SELECT '/*' || :x || '*/'", {"x"}),
        ("SELECT a::date, b :: int", set()),
        ("SELECT TIMESTAMP '2024-01-01 10:20:30' + :n", {"n"}),
        ("SELECT {'a': 1}", set()),
    ],
)
def test_parameters_are_found_outside_strings_names_comments_and_casts(sql: str, names: set[str]) -> None:
    assert parameters_of(sql) == names
    bound = bound_for_duckdb(sql)
    assert bound.count("$") == sum(sql.count(f":{name}") for name in names)
    assert bound.replace("$", ":") == sql, "nothing else changes"


TEXT = st.text(alphabet=st.sampled_from("abc:'\"-*/ \n$?%_x1é"), max_size=30)


@given(first=TEXT, second=TEXT, comment=TEXT, name=st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True))
def test_what_stands_in_a_string_or_a_comment_never_changes_and_parameters_keep_their_values(
    first: str, second: str, comment: str, name: str
) -> None:
    def string(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    remark = comment.replace("*/", "").replace("/*", "").replace("*", "").replace("\n", " ")
    sql = f"SELECT {string(first)}, :{name} /* {remark} */, {string(second)} -- {remark}\n, :{name}"
    assert parameters_of(sql) == {name}
    row = duckdb.execute(bound_for_duckdb(sql), {name: "the value"}).fetchall()
    assert row == [(first, "the value", second, "the value")]


def test_a_missing_sql_file_is_named(tmp_path: object) -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such_table\.sql"):
        sql_text("core", "no_such_table")


@pytest.mark.parametrize(
    ("sql", "subqueries", "rest"),
    [
        ("SELECT 1", {}, "SELECT 1"),
        ("-- why\nWITH a AS (SELECT 1) SELECT * FROM a", {"a": "SELECT 1"}, "SELECT * FROM a"),
        (
            "WITH a AS (\n  SELECT (1 + (2)) AS x -- :)\n),\n-- then\nb AS (SELECT ')' AS y, \"(\" FROM a)\nSELECT (3)",
            {"a": "SELECT (1 + (2)) AS x", "b": "SELECT ')' AS y, \"(\" FROM a"},
            "SELECT (3)",
        ),
        ("WITH a AS (SELECT 'it''s (' /* ( */) SELECT '--' FROM a", {"a": "SELECT 'it''s ('"}, "SELECT '--' FROM a"),
    ],
)
def test_a_query_is_taken_apart_into_its_named_subqueries(sql: str, subqueries: dict[str, str], rest: str) -> None:
    assert subqueries_of(sql) == (subqueries, rest)


@pytest.mark.parametrize(
    "sql", ["WITH a AS (SELECT (1) SELECT 2", "WITH a AS (SELECT 1), SELECT 2", "WITH RECURSIVE a"]
)
def test_a_query_that_cannot_be_taken_apart_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="subquery"):
        subqueries_of(sql)
