"""What goes wrong in real exports, put in on purpose and written down: which file, which line, what is to become of it.

What belongs here: the kinds of dirt, and how a row is spoiled. Dirty rows are added beside the clean ones, so that what
the shop really did stays the same, whatever the share of dirt.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Outcome = Literal["quarantine", "duplicate", "core"]


@dataclass(frozen=True)
class Kind:
    """A kind of dirt: the column that it spoils, what it writes there, and what the pipeline must make of the row.

    `text` None copies the row as it is; "" empties the column; `{}` stands for what was there.
    """

    name: str
    outcome: Outcome
    column: str | None = None
    text: str = "{}"


KINDS: dict[str, tuple[Kind, ...]] = {
    "orders": (
        Kind("duplicate", "duplicate"),
        Kind("impossible_date", "quarantine", "ordered_at", "2026-02-30 12:00:00"),
        Kind("unreadable_date", "quarantine", "ordered_at", "n/a"),
        Kind("negative_price", "quarantine", "unit_price", "-{}"),
        Kind("missing_item", "quarantine", "sku", ""),
        Kind("missing_order", "quarantine", "order", ""),
        Kind("quantity_in_words", "quarantine", "quantity", "two"),
        Kind("zero_quantity", "quarantine", "quantity", "0"),
    ),
    "browse": (
        Kind("duplicate", "duplicate"),
        Kind("impossible_date", "quarantine", "at_utc", "2026-13-01 08:00:00"),
        Kind("missing_time", "quarantine", "at_utc", ""),
        Kind("missing_item", "quarantine", "sku", ""),
        Kind("unknown_event", "quarantine", "event", "hover"),
    ),
    "products": (
        Kind("negative_price", "quarantine", "price", "-{}"),
        Kind("missing_item", "quarantine", "sku", ""),
    ),
    "promotions": (Kind("ends_before_it_starts", "quarantine", "ends", "2020-01-01"),),
}


@dataclass(frozen=True)
class Spoiled:
    """A feed's rows of one day with the dirt among them: where it lies, (dirty,), and of which kind."""

    rows: pa.Table
    position: np.ndarray
    kinds: list[str]
    outcomes: list[str]


def spoil(random: np.random.Generator, *, feed: str, rows: pa.Table, share: float) -> Spoiled:
    """Add bad rows (copies of good ones, with one column spoiled) and respell some good ones."""
    kinds = KINDS[feed]
    count = int(random.binomial(len(rows), share)) if len(rows) else 0
    source = np.sort(random.integers(0, max(len(rows), 1), count))
    kind = random.integers(0, len(kinds), count)
    # Searches have no item to miss, and a shipping charge is no product.
    source, kind = _fitting(feed, rows, source, kind)
    dirty = rows.take(pa.array(source))
    for code, entry in enumerate(kinds):
        if entry.column is None:
            continue
        column = dirty.column(entry.column)
        spoiled = pc.binary_replace_slice(column, 0, 0, entry.text.removesuffix("{}")) if "{}" in entry.text else None
        written = spoiled if spoiled is not None else pa.scalar(entry.text or None, pa.string())
        dirty = dirty.set_column(
            dirty.column_names.index(entry.column), entry.column, pc.if_else(pa.array(kind == code), written, column)
        )
    names = [kinds[code].name for code in kind]
    outcomes: list[str] = [kinds[code].outcome for code in kind]
    clean, respelled = _respell(random, feed, rows, share)
    order = np.argsort(np.concatenate([2 * np.arange(len(clean)), 2 * source + 1]), kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Spoiled(
        rows=pa.concat_tables([clean, dirty]).take(pa.array(order)),
        position=np.concatenate([place[len(clean) :], place[respelled]]),
        kinds=names + ["lower_case_item"] * len(respelled),
        outcomes=outcomes + ["core"] * len(respelled),
    )


def _fitting(feed: str, rows: pa.Table, source: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if feed != "browse":
        return source, kind
    has_item = pc.is_valid(rows.column("sku")).to_numpy()
    needs_item = np.array([entry.name == "missing_item" for entry in KINDS[feed]])
    fits = has_item[source] | ~needs_item[kind]
    return source[fits], kind[fits]


def _respell(random: np.random.Generator, feed: str, rows: pa.Table, share: float) -> tuple[pa.Table, np.ndarray]:
    """Some order lines with the item in lower case: the same product, and the pipeline must know it."""
    if feed != "orders":
        return rows, np.zeros(0, dtype=np.int64)
    chosen = random.random(len(rows)) < share / 2
    column = rows.column("sku")
    respelled = pc.if_else(pa.array(chosen), pc.utf8_lower(column), column)
    return rows.set_column(rows.column_names.index("sku"), "sku", respelled), np.flatnonzero(chosen)
