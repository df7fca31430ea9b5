"""The SQL files, one table a file, and how their named parameters are bound.

The files are portable: DuckDB and Spark run them as they are. A parameter is written `:name`, as Spark does.
"""

import re
from importlib.resources import files

PARAMETER = re.compile(r"(?<![:\w']):([a-z_][a-z0-9_]*)")
COMMENT = re.compile(r"--[^\n]*")


def sql_text(layer: str, name: str) -> str:
    """The text of `sql/<layer>/<name>.sql`.

    Raises:
        FileNotFoundError: naming the file that should be there.
    """
    return files("ecom_pipeline").joinpath("sql", layer, f"{name}.sql").read_text(encoding="utf-8")


def parameters_of(sql: str) -> frozenset[str]:
    """Names of the parameters in `sql`, those in comments left out."""
    return frozenset(PARAMETER.findall(COMMENT.sub("", sql)))


def bound_for_duckdb(sql: str) -> str:
    """`sql` with `:name` written as DuckDB's `$name`."""
    return PARAMETER.sub(r"$\1", COMMENT.sub("", sql))
