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

    @property
    def words(self) -> str:
        """What is expected, as a clause without an end."""
        return f"{self.column} is never null"


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows agree in all of `columns`."""

    columns: tuple[str, ...]
    severity: Severity = "error"

    @property
    def words(self) -> str:
        """What is expected, as a clause without an end."""
        if len(self.columns) == 1:
            return f"{self.columns[0]} is unique"
        return f"{', '.join(self.columns)} together are unique"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Non-null values of `column` are among `values`."""

    column: str
    values: tuple[str, ...]
    severity: Severity = "error"

    @property
    def words(self) -> str:
        """What is expected, as a clause without an end."""
        return f"{self.column} is one of {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Between:
    """Non-null values of `column` lie in [minimum, maximum]; None leaves a side open."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"the rule Between({self.column!r}) has neither a minimum nor a maximum")

    @property
    def words(self) -> str:
        """What is expected, as a clause without an end."""
        if self.maximum is None:
            return f"{self.column} is at least {self.minimum:g}"
        if self.minimum is None:
            return f"{self.column} is at most {self.maximum:g}"
        return f"{self.column} is between {self.minimum:g} and {self.maximum:g}"


@dataclass(frozen=True, slots=True)
class Holds:
    """The SQL `predicate` is true (or null) for every row; `name` says in words what it demands."""

    name: str
    predicate: str
    severity: Severity = "error"

    @property
    def words(self) -> str:
        """What is expected, as a clause without an end."""
        return self.name


Rule = NotNull | Unique | OneOf | Between | Holds


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `meaning` is the comment that analysts read in DuckDB, with the unit where there is one."""

    name: str
    type: ColumnType
    meaning: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table: where it belongs, what a row of it is, and what must hold of it.

    `by_night` tables have an `as_of` column and keep past nights: a night replaces its own rows. The others
    hold one state, rebuilt or extended by each night: `by_day` names the column of the day where a night writes the
    rows of some days anew, and `along` the one that grows along a user's history where it writes rows of some users
    anew, from one of its values on.
    """

    name: str
    layer: Layer
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    by_night: bool = False
    by_day: str | None = None
    along: str | None = None
    published_as: str | None = None

    def __post_init__(self) -> None:
        names = self.column_names
        if not IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"table name {self.name!r} is not a plain lower-case identifier")
        if self.layer != "raw":  # raw columns are spelled as the shop's export spells them
            odd = [name for name in names if not IDENTIFIER.fullmatch(name)]
            if odd:
                raise ValueError(f"table {self.name}: column names {odd} are not plain lower-case identifiers")
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a column is declared twice")
        missing = [name for name in self.key if name not in names]
        if missing:
            raise ValueError(f"table {self.name}: key columns {missing} are not declared")
        if self.by_night and "as_of" not in names:
            raise ValueError(f"table {self.name}: by_night needs a column as_of")
        if self.by_day is not None and self.by_day not in self.key:
            raise ValueError(f"table {self.name}: by_day {self.by_day!r} is not in the key")
        if self.along is not None and not {self.along, "user_id"} <= set(names):
            raise ValueError(f"table {self.name}: along {self.along!r} needs that column, and user_id")
        if self.published_as is not None and not IDENTIFIER.fullmatch(self.published_as):
            raise ValueError(f"table {self.name}: {self.published_as!r} is not a plain lower-case identifier")
        for rule in self.rules:
            unknown = [name for name in _columns_named_by(rule) if name not in names]
            if unknown:
                raise ValueError(f"table {self.name}: the rule {rule.words!r} names undeclared columns {unknown}")
        words = [rule.words for rule in self.all_rules]
        repeated = sorted({word for word in words if words.count(word) > 1})
        if repeated:
            raise ValueError(f"table {self.name}: a rule is given twice, or follows from the columns: {repeated}")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def day_column(self) -> str | None:
        """The column of the days, or nights, whose rows are written together; None: they are not written by day."""
        return "as_of" if self.by_night else self.by_day

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The declared rules and those that follow from the columns: not null, a unique key, finite numbers."""
        implied: list[Rule] = [NotNull(column.name) for column in self.columns if not column.nullable]
        if self.key:
            implied.append(Unique(self.key))
        numbers = [column.name for column in self.columns if column.type == "DOUBLE"]
        if numbers:
            finite = " AND ".join(f"({name} > -1e300 AND {name} < 1e300)" for name in numbers)
            implied.append(Holds("numbers are finite", finite))
        return (*implied, *self.rules)


def _columns_named_by(rule: Rule) -> tuple[str, ...]:
    """Columns that the rule is declared on; those inside the SQL of a predicate are left to its validation."""
    if isinstance(rule, Unique):
        return rule.columns
    if isinstance(rule, Holds):
        return ()
    return (rule.column,)
