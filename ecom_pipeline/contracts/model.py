"""What a contract is made of: tables, columns and rules. No declarations of actual tables belong here."""

import re
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP"]
"""The types that DuckDB and Spark spell and mean alike. TIMESTAMP is UTC without a zone."""

Layer = Literal["operations", "raw", "core", "features", "marts"]
Severity = Literal["error", "warn"]
"""`error` stops everything downstream before it is published; `warn` is shown and the night goes on."""

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class NotNull:
    """No row has a null in `column`."""

    column: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows agree in all of `columns`."""

    columns: tuple[str, ...]
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Non-null values of `column` are among `values`."""

    column: str
    values: tuple[str, ...]
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Between:
    """Non-null values of `column` lie in [minimum, maximum]; None leaves a side open."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Holds:
    """The SQL `predicate` is true (or null) for every row; `name` says in words what it demands."""

    name: str
    predicate: str
    severity: Severity = "error"


Rule = NotNull | Unique | OneOf | Between | Holds


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `meaning` is the comment that analysts read in DuckDB, with the unit where there is one."""

    name: str
    type: ColumnType
    meaning: str
    nullable: bool = True

    def __post_init__(self) -> None:
        if not IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"column name {self.name!r} is not a plain lower-case identifier")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: where it belongs, what a row of it is, and what must hold of it.

    `by_night` tables have an `as_of` column and keep past nights: a night replaces its own rows. The others
    hold one state, rebuilt or extended by each night.
    """

    name: str
    layer: Layer
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    by_night: bool = False
    published_as: str | None = None

    def __post_init__(self) -> None:
        names = self.column_names
        if not IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"table name {self.name!r} is not a plain lower-case identifier")
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a column is declared twice")
        missing = [name for name in self.key if name not in names]
        if missing:
            raise ValueError(f"table {self.name}: key columns {missing} are not declared")
        if self.by_night and "as_of" not in names:
            raise ValueError(f"table {self.name}: by_night needs a column as_of")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The declared rules and those that follow from the columns: not-null and the key's uniqueness."""
        implied: list[Rule] = [NotNull(column.name) for column in self.columns if not column.nullable]
        if self.key:
            implied.append(Unique(self.key))
        return (*implied, *self.rules)
