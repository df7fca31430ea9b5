"""The SQL files, one table a file, and how their named parameters are bound.

The files are portable: DuckDB and Spark run them as they are. A parameter is written `:name`, as Spark does.
"""

import re
from collections.abc import Set as AbstractSet
from importlib.resources import files

# Strings, quoted names and comments are passed over whole, so that a colon inside them is never a parameter; so is
# the `::` of a cast. The only group is the name of a parameter.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | :: | (?<![\w:]):([a-z_][a-z0-9_]*)""",
    re.DOTALL | re.VERBOSE,
)


def sql_text(layer: str, name: str) -> str:
    """The text of `sql/<layer>/<name>.sql`.

    Raises:
        FileNotFoundError: naming the file that should be there.
    """
    return files("ecom_pipeline").joinpath("sql", layer, f"{name}.sql").read_text(encoding="utf-8")


def parameters_of(sql: str) -> frozenset[str]:
    """Names of the parameters in `sql`; what looks like one in a string, a quoted name or a comment is none."""
    return frozenset(match[1] for match in _TOKEN.finditer(sql) if match[1])


def bound_for_duckdb(sql: str) -> str:
    """`sql` with each parameter `:name` written as DuckDB's `$name`, and nothing else changed."""
    return _TOKEN.sub(lambda match: f"${match[1]}" if match[1] else match[0], sql)


_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_COMMENT_OR_STRING = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)


def tables_named_in(sql: str, tables: AbstractSet[str]) -> frozenset[str]:
    """Those of `tables` that `sql` names outside comments and strings."""
    return frozenset(set(_WORD.findall(_COMMENT_OR_STRING.sub("", sql))) & tables)


_NAMED = re.compile(r"\s*([a-z_][a-z0-9_]*)\s+AS\s*\(")
_BRACKET_OR_TEXT = re.compile(r"""[()]|'(?:[^']|'')*'|"(?:[^"]|"")*\"""")


def subqueries_of(sql: str) -> tuple[dict[str, str], str]:
    """The subqueries that `sql` names by WITH, in their order, and the query over them; comments are left out.

    Raises:
        ValueError: if a subquery does not end, or something else than a subquery stands among them.
    """
    text = _COMMENT_OR_STRING.sub(lambda match: match[0] if match[0].startswith("'") else " ", sql).strip()
    found: dict[str, str] = {}
    place = len("WITH") if text.startswith("WITH") else None
    while place is not None:
        begins = _NAMED.match(text, place)
        if begins is None:
            raise ValueError(f"no subquery: {text[place : place + 80].strip()}…")
        ends = _closing(text, begins.end())
        found[begins[1]] = text[begins.end() : ends].strip()
        text = text[ends + 1 :].lstrip()
        place = 1 if text.startswith(",") else None
    return found, text


def _closing(text: str, place: int) -> int:
    """Where the bracket is closed that was opened before `place`."""
    depth = 1
    for match in _BRACKET_OR_TEXT.finditer(text, place):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise ValueError(f"a subquery does not end: {text[place : place + 80].strip()}…")
