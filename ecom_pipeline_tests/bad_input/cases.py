"""What a case of bad input is, how a file around it is written, and the shop that reads it.

Every case is one file in landing. `@` in its text stands for the number of the case, so that no two share an order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "columns", "encoding", "line ends", "quotes", "row shape", "numbers", "times", "ids", "packed", "not a table",
    "parquet", "json lines", "injection", "size",
]  # fmt: skip

COLUMNS = ("order", "customer", "item", "qty", "price", "at")
HEADER = ",".join(COLUMNS) + "\n"
TIME = "2024-01-05 10:00:00"
FIRST = f"@1,ann,apple,2,1.50,{TIME}\n"
LAST = f"@3,bob,bread,1,3.00,{TIME}\n"
UNREADABLE = "unreadable"
READER = """
    - folder: {folder}
      {more}
      columns: {{order_id: order, user_id: customer, item_id: item, quantity: qty, unit_price: price}}
      time: {{value: at, formats: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]}}
      key: exact
      rules:
        - {{name: cheap, must_hold: unit_price < 1000, reason: dearer than anything in this shop}}
"""
PROFILE = (
    "name: bad_input\nshop: {time_zone: Europe/Berlin, country: DE, currency: EUR}\nfeeds:\n  orders:"
    + READER.format(folder="csv", more="format: csv")
    + READER.format(folder="latin1", more="csv: {encoding: latin-1}")
    + READER.format(folder="parquet", more="format: parquet")
    + READER.format(folder="jsonl", more="format: jsonl")
)
SIGN = "sales_have_a_positive_quantity__returns_and_cancellations_a_neg"


@dataclass(frozen=True)
class Case:
    """One file, and what must become of it.

    `good`: orders (without the number of the case) that reach core, with their lines. `bad`: lines in quarantine, each
    with its rule. `refused`: words of the error, for a file that is refused whole; it then has no good and no bad rows.
    `values`: order -> (column of core_order_lines, value) that must be there exactly.
    """

    kind: Kind
    name: str
    contents: bytes
    good: tuple[tuple[str, int], ...] = ()
    bad: tuple[tuple[int, str], ...] = ()
    refused: str | None = None
    folder: str = "csv"
    suffix: str = ".csv"
    values: dict[str, tuple[str, object]] = field(default_factory=dict)
    pack: Callable[[bytes], bytes] = bytes
    """What is done to the contents once `@` is replaced."""

    def written(self, prefix: str) -> bytes:
        """The file, with `prefix` for `@`."""
        is_text = self.pack is not bytes or self.suffix in (".csv", ".jsonl")
        return self.pack(self.contents.replace(b"@", prefix.encode()) if is_text else self.contents)


def row(**changed: str) -> str:
    """A row with order @2 in which some columns are changed, written as CSV."""
    values = dict(zip(COLUMNS, ("@2", "cid", "corn", "1", "2.00", TIME), strict=True)) | changed
    return ",".join(quoted(value) for value in values.values()) + "\n"


def quoted(value: str) -> str:
    """The value as a CSV field."""
    return '"' + value.replace('"', '""') + '"' if any(mark in value for mark in ',"\r\n') else value


def one_bad_row(kind: Kind, name: str, text: str | bytes, rule: str) -> Case:
    """A good row, the bad one, a good row."""
    middle = text if isinstance(text, bytes) else text.encode()
    contents = (HEADER + FIRST).encode() + middle + LAST.encode()
    return Case(kind, name, contents, good=(("1", 2), ("3", 4)), bad=((3, rule),))


def one_good_row(kind: Kind, name: str, text: str, column: str, value: object) -> Case:
    """A good row, one that looks odd and is right, a good row."""
    contents = (HEADER + FIRST + text + LAST).encode()
    return Case(kind, name, contents, good=(("1", 2), ("2", 3), ("3", 4)), values={"2": (column, value)})


def refused(kind: Kind, name: str, contents: bytes, words: str, *, folder: str = "csv", suffix: str = ".csv") -> Case:
    """A file that is refused whole."""
    return Case(kind, name, contents, refused=words, folder=folder, suffix=suffix)


def both_good(
    kind: Kind,
    name: str,
    contents: bytes,
    *,
    folder: str = "csv",
    suffix: str = ".csv",
    pack: Callable[[bytes], bytes] = bytes,
) -> Case:
    """An odd file with the rows FIRST and LAST, both of which are right."""
    return Case(kind, name, contents, good=(("1", 2), ("3", 3)), folder=folder, suffix=suffix, pack=pack)
