"""Checking the SQL expressions of profiles: they may compute with the columns of one row, and nothing else.

An expression is parsed by DuckDB itself; every node of the tree must be of a kind, and every function of a name, that
is listed here. What is not listed is refused: subqueries, table functions, windows, settings, files, randomness.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

ALLOWED_CLASSES = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "TYPE"}
)
ALLOWED_OPERATORS = frozenset(
    {
        "ARRAY_EXTRACT",
        "ARRAY_SLICE",
        "COMPARE_IN",
        "COMPARE_NOT_IN",
        "OPERATOR_COALESCE",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_IS_NULL",
        "OPERATOR_NOT",
        "OPERATOR_NULLIF",
        "OPERATOR_TRY",
        "STRUCT_EXTRACT",
    }
)
_ALLOWED_FUNCTIONS = """
    + - * / // % || ~~ !~~ ~~* !~~* ~~~ ^@ <=> & |
    abs ceil ceiling coalesce concat concat_ws contains date_add date_diff date_part date_sub date_trunc datediff
    datepart datesub datetrunc day dayofmonth ends_with epoch_ms exp extract floor format from_hex greatest hash hour
    if ifnull isfinite isinf isnan json_extract json_extract_string json_valid last_day lcase least left len length
    like_escape ilike_escape not_like_escape list_extract list_value array_extract ln log log10 log2 lower lpad ltrim
    make_date make_timestamp map mapvalue md5 minute mod month nullif parse_filename position power pow prefix printf
    quarter regexp_extract regexp_full_match regexp_matches regexp_replace repeat replace reverse right round rpad rtrim
    second sha256 sign split split_part sqrt starts_with str_split string_split strftime strip_accents strlen strpos
    strptime struct_extract struct_pack substr substring suffix to_timestamp translate trim try_strptime try_cast trunc
    ucase upper url_decode weekday week year to_days to_hours to_minutes to_seconds to_months to_years row
    map_extract map_extract_value element_at array_slice list_slice list_contains list_position epoch timezone
"""
ALLOWED_FUNCTIONS = frozenset(_ALLOWED_FUNCTIONS.split())
"""Pure scalar functions. `repeat`, `lpad` and `rpad` are bounded by MAX_LENGTH_CONSTANT below."""

# DuckDB 1 writes functions that have a syntax of their own, such as trim(both from a), as main.trim
_OWN_SCHEMAS = frozenset({None, "", "main"})
MAX_EXPRESSION_LENGTH = 10_000
_LENGTH_FUNCTIONS = frozenset({"repeat", "lpad", "rpad"})
MAX_LENGTH_CONSTANT = 1_000
_BARE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpressionError(ValueError):
    """An SQL expression that a profile may not use; the message says why and what may be."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: its text, and the columns that it names, each as its dotted parts."""

    sql: str
    columns: tuple[tuple[str, ...], ...]
    is_column: bool

    @property
    def wrapped(self) -> str:
        """The text, safe to put inside other SQL: a comment at its end cannot swallow what follows."""
        return f"(\n{self.sql}\n)"


@cache
def checked_expression(sql: str) -> Expression:
    """Parse and check one expression.

    Raises:
        ExpressionError: if it is not one scalar expression over the columns of a row.
    """
    if len(sql) > MAX_EXPRESSION_LENGTH:
        raise ExpressionError(f"{len(sql):,} characters are too long; at most {MAX_EXPRESSION_LENGTH:,} are allowed")
    if "\x00" in sql:
        raise ExpressionError("the expression holds a NUL character")
    if not sql.strip():
        raise ExpressionError("the expression is empty; to leave a column out, leave out its line")
    if _BARE_NAME.fullmatch(sql.strip()) and sql.strip().lower() not in {"true", "false", "null"}:
        # a column, though SQL may have another meaning for the word: order, at, current_date
        return Expression(sql=f'"{sql.strip()}"', columns=((sql.strip(),),), is_column=True)
    select = _parsed_select(sql)
    if len(select["select_list"]) != 1:
        raise ExpressionError(f"{sql!r} must be one expression, found {len(select['select_list'])}")
    plain: dict[str, Any] = {
        "where_clause": None,
        "having": None,
        "qualify": None,
        "sample": None,
        "group_expressions": [],
    }
    if (
        any(select.get(part) != value for part, value in plain.items())
        or select["modifiers"]
        or select["from_table"]["type"] != "EMPTY"
    ):
        raise ExpressionError(f"{sql!r} must be an expression, not a query: leave out FROM, WHERE and the like")
    root = select["select_list"][0]
    columns: dict[tuple[str, ...], None] = {}
    _check(root, columns, sql)
    return Expression(sql=sql, columns=tuple(columns), is_column=root["class"] == "COLUMN_REF")


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """One for all expressions: to open a database takes longer than to parse."""
    return duckdb.connect(config={"threads": 1})


def _parsed_select(sql: str) -> dict[str, Any]:
    with _parser().cursor() as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [f"SELECT (\n{sql}\n)"]).fetchall()
    parsed = json.loads(row[0][0])
    if parsed["error"]:
        raise ExpressionError(
            f"{sql!r} is not a valid SQL expression: {parsed['error_message'].splitlines()[0]}. "
            'A column whose name is an SQL keyword or has blanks is written in double quotes, such as "at"'
        )
    if len(parsed["statements"]) != 1 or parsed["statements"][0]["node"]["type"] != "SELECT_NODE":
        raise ExpressionError(f"{sql!r} must be one expression, not several statements")
    node: dict[str, Any] = parsed["statements"][0]["node"]
    return node


def _check(node: Any, columns: dict[tuple[str, ...], None], sql: str) -> None:
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, list):
            pending.extend(current)
            continue
        if not isinstance(current, dict):
            continue
        kind = current.get("class")
        if kind is not None:
            _check_class(current, kind, sql)
            if kind == "COLUMN_REF":
                columns[tuple(current["column_names"])] = None
                continue
            if kind == "CONSTANT":
                continue
        pending.extend(reversed([value for value in current.values() if isinstance(value, dict | list)]))


def _check_class(node: dict[str, Any], kind: str, sql: str) -> None:
    if kind not in ALLOWED_CLASSES:
        raise ExpressionError(f"{sql!r} uses {_kind_in_words(kind)}, which a profile may not; use columns of the row")
    if kind == "OPERATOR" and node["type"] not in ALLOWED_OPERATORS:
        raise ExpressionError(f"{sql!r} uses the operator {node['type']}, which a profile may not")
    if kind == "FUNCTION":
        name = str(node["function_name"]).lower()
        qualified = node.get("schema") not in _OWN_SCHEMAS or node.get("catalog")
        if name not in ALLOWED_FUNCTIONS or qualified or node.get("filter"):
            raise ExpressionError(
                f"{sql!r} calls {name}(), which a profile may not; it may use pure functions of a row such as trim, "
                "upper, replace, regexp_extract, split_part, round, strptime"
            )
        if name in _LENGTH_FUNCTIONS:
            _check_length_argument(node, name, sql)


def _check_length_argument(node: dict[str, Any], name: str, sql: str) -> None:
    arguments = [argument.get("expression", argument) for argument in node.get("arguments", node.get("children", []))]
    length = arguments[1] if len(arguments) > 1 else {}
    # DuckDB 2 writes a constant as "literal", DuckDB 1 as "value"
    constant = length.get("literal", length.get("value", {})) if length.get("class") == "CONSTANT" else {}
    text = str(constant.get("text", constant.get("value", "")))
    if not text.isdecimal() or int(text) > MAX_LENGTH_CONSTANT:
        raise ExpressionError(f"{sql!r}: the length in {name}() must be a number up to {MAX_LENGTH_CONSTANT:,}")


def _kind_in_words(kind: str) -> str:
    return {
        "SUBQUERY": "a subquery",
        "WINDOW": "a window function",
        "STAR": "*",
        "PARAMETER": "a parameter",
        "LAMBDA": "a lambda",
        "POSITIONAL_REFERENCE": "a positional reference",
    }.get(kind, kind.lower().replace("_", " "))
