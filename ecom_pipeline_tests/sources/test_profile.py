"""Profiles are checked: errors name the line and say what would be right, and nothing in a profile can do harm."""

from pathlib import Path

import pytest

from ecom_pipeline.documents import DocumentError
from ecom_pipeline.sources import read_profile
from ecom_pipeline.sources.expressions import ExpressionError, checked_expression
from ecom_pipeline_tests.sources.shop import ORDERS, profile_of


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("Europe/Berlin", "Europe/Bonn", "Bonn", "not an IANA time zone"),
        ("country: DE", "country: Germany", "Germany", "pattern"),
        ("order_id: order", "order_number: order", "order_number", "has no column 'order_number'; it has order_id"),
        ("item_id: item, ", "", "  orders:", "item_id must be given"),
        ("unit_price: price", "unit_price: (select 1)", "select 1", "uses a subquery"),
        ("unit_price: price", "unit_price: getenv('HOME')", "getenv", "calls getenv(), which a profile may not"),
        ("unit_price: price", "unit_price: 'price +'", "price +", "not a valid SQL expression"),
        ("key: exact", "key: exakt", "exakt", "'exact'"),
        ("must_hold: unit_price < 1000", "must_hold: raw_price < 1000", "orders:", "no column 'raw_price' here"),
        ("%Y-%m-%d %H:%M:%S", "YYYY-MM-DD", "YYYY", "neither a strptime format"),
        ("    key: exact", "    kye: exact", "kye", "no such key"),
        ("    key: exact", "    files: ../*.csv", "../", "below landing"),
        ("    key: exact", "    folder: /etc", "/etc", "below landing"),
        ("    key: exact", "    csv: {header: false}", "orders:", "files without a header need the names"),
        ("    key: exact", "    joins: {headers: order}", None, "no lookup ['headers']"),
        ("name: test_shop", "name: Test Shop", "Test Shop", "lower-case letters"),
    ],
)
def test_an_error_names_the_line_and_what_would_be_right(old: str, new: str, at: str | None, says: str) -> None:
    text = ORDERS.replace(old, new)
    assert text != ORDERS
    with pytest.raises(DocumentError) as error:
        profile_of(text)
    assert says in str(error.value)
    if at is not None:
        assert f"test.yaml:{line_of(text, at)}:" in str(error.value)


def test_a_profile_needs_orders_or_browse() -> None:
    with pytest.raises(DocumentError, match="at least one of orders and browse"):
        profile_of("name: a\nshop: {time_zone: UTC}\nfeeds:\n  products:\n    columns: {item_id: sku}\n")


def test_an_unknown_profile_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"bundled are .*online_retail"):
        read_profile("onlineretail", base=tmp_path)


def test_a_profile_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(ORDERS)
    assert read_profile("mine.yaml", base=tmp_path).name == "test_shop"


@pytest.mark.parametrize(
    "sql",
    [
        "upper(trim(a))",
        "CASE WHEN a LIKE 'C%' THEN 'x' ELSE coalesce(b, 'y') END",
        "CAST(a AS DOUBLE) / nullif(CAST(b AS DOUBLE), 0)",
        "a NOT IN ('x', 'y') AND b IS NOT NULL",
        "a::DATE + INTERVAL 3 DAY",
        "regexp_extract(a, '([0-9]+)', 1)",
        "json_extract_string(a, '$.b')",
        "split_part(a, '>', 1)[1:3]",
        '"odd ""name"""',
        "a -- a comment",
        "lpad(a, 5, '0')",
    ],
)
def test_computing_with_the_columns_of_a_row_is_allowed(sql: str) -> None:
    assert checked_expression(sql).columns


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "*",
        "(SELECT 1)",
        "EXISTS (SELECT 1)",
        "a IN (SELECT b FROM c)",
        "a; DROP TABLE core_order_lines",
        "1) FROM core_order_lines; SELECT (2",
        "1) UNION SELECT (2",
        "a /*",
        "read_text('/etc/passwd')",
        "getenv('HOME')",
        "current_setting('home_directory')",
        "getvariable('x')",
        "nextval('s')",
        "random()",
        "now()",
        "query('SELECT 1')",
        "elsewhere.upper(a)",
        "system.main.upper(a)",
        "sum(a)",
        "row_number() OVER ()",
        "unnest([1, 2])",
        "list_transform([1], lambda x: x)",
        "repeat('x', 1000000000)",
        "lpad('x', CAST(a AS INTEGER), 'x')",
        "COLUMNS('a')",
        "$1",
        "#1",
        "a\x00",
        "x" * 20_000,
    ],
)
def test_everything_else_is_refused(sql: str) -> None:
    with pytest.raises(ExpressionError):
        checked_expression(sql)


@pytest.mark.parametrize("word", ["current_date", "order", "at", "user", "select"])
def test_a_bare_word_is_always_a_column(word: str) -> None:
    expression = checked_expression(word)
    assert (expression.columns, expression.sql) == (((word,),), f'"{word}"')
