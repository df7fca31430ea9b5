"""Source profiles: the schema of the YAML files that say how a shop's exports are read, and finding them.

What a key means is told to users in docs/source-profiles.md.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ecom_pipeline.contracts import table
from ecom_pipeline.documents import DocumentError, read_document
from ecom_pipeline.sources.expressions import Expression, ExpressionError, checked_expression

Feed = Literal["orders", "browse", "products", "promotions"]
FEEDS: tuple[Feed, ...] = ("orders", "browse", "products", "promotions")
Format = Literal["csv", "jsonl", "parquet"]
Encoding = Literal["utf-8", "latin-1", "utf-16"]
Event = Literal["view", "search", "favourite", "cart", "remove", "purchase", "return"]

CORE_TABLE_OF: dict[Feed, str] = {
    "orders": "core_order_lines",
    "browse": "core_events",
    "products": "core_products",
    "promotions": "core_promotions",
}
# Written by the pipeline itself: provenance, and what `time` gives.
_MADE_COLUMNS = {"file_id", "line", "ordered_at", "order_date", "event_ts", "event_date", "feed"}
REQUIRED_COLUMNS: dict[Feed, tuple[str, ...]] = {
    "orders": ("order_id", "item_id", "quantity"),
    "browse": ("event",),
    "products": ("item_id",),
    "promotions": ("kind", "starts_on", "ends_on"),
}
TIMED_FEEDS: frozenset[Feed] = frozenset({"orders", "browse"})
SPECIAL_TIME_FORMATS = ("iso", "epoch_s", "epoch_ms")
RESERVED_RAW_COLUMNS = frozenset({"_file_id", "_line"})
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def lookup_feed(name: str) -> str:
    """What stands for a lookup where others have a feed: in the ledger and in the name of its raw table."""
    return f"lookup_{name}"


def feed_columns(feed: Feed) -> tuple[str, ...]:
    """Columns that a reader of the feed may give."""
    return tuple(name for name in table(CORE_TABLE_OF[feed]).column_names if name not in _MADE_COLUMNS)


def _column_of(feed: Feed) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in feed_columns(feed):
            raise ValueError(f"the feed {feed} has no column {name!r}; it has {', '.join(feed_columns(feed))}")
        return name

    return check


def _expression(text: Any) -> str:
    if isinstance(text, bool | int | float):
        text = str(text).lower()  # `is_product: true` is YAML for the SQL constant
    if not isinstance(text, str):
        raise ValueError("expected an SQL expression, written as text")
    try:
        checked_expression(text)
    except ExpressionError as error:
        raise ValueError(str(error)) from None
    return text


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} must be lower-case letters, digits and _, beginning with a letter")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not an IANA time zone; write one such as Europe/Berlin or UTC") from None
    return text


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or "\x00" in text or not path.parts:
        raise ValueError(f"{text!r} must lie below landing: a relative path without '..'")
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


def _time_format(text: str) -> str:
    if text in SPECIAL_TIME_FORMATS:
        return text
    if "%" not in text:
        raise ValueError(f"{text!r} is neither a strptime format such as '%Y-%m-%d' nor one of {SPECIAL_TIME_FORMATS}")
    try:
        datetime(2000, 1, 2, 3, 4, 5).strftime(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a strptime format: {error}") from None
    return text


Sql = Annotated[str, BeforeValidator(_expression)]
Identifier = Annotated[str, AfterValidator(_name)]
TimeZone = Annotated[str, AfterValidator(_zone)]
LandingPath = Annotated[str, AfterValidator(_relative)]
Character = Annotated[str, Field(min_length=1, max_length=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shop(_Checked):
    """Where the shop is."""

    time_zone: TimeZone = Field(description="IANA name; days are days of this zone.")
    country: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
        description="ISO 3166 alpha-2, or with a subdivision such as GB-ENG, for holidays.",
    )
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217.")


class CsvDialect(_Checked):
    """How a CSV file is written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=4)] = ","
    quote: Character | None = '"'
    escape: Character | None = '"'
    header: bool = True
    skip_lines: int = Field(0, ge=0, le=1000, description="Lines before the header (or the first row).")
    encoding: Encoding = "utf-8"
    null_values: tuple[str, ...] = ("",)


class Time(_Checked):
    """When a row happened."""

    value: Sql
    formats: Annotated[tuple[Annotated[str, AfterValidator(_time_format)], ...], BeforeValidator(_as_list)]
    zone: TimeZone | None = Field(None, description="Zone of the written times; default: the shop's.")
    earliest: date = Field(
        date(1990, 1, 1),
        gt=date(1900, 1, 1),  # which is what DuckDB reads from "infinity" and "epoch"
        description="Rows before this day are quarantined.",
    )
    days_ahead: int | None = Field(
        2,
        ge=0,
        le=3650,
        description="Rows more than so many days after they are loaded are quarantined; null: there is no such limit.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Time":
        special = [name for name in self.formats if name in SPECIAL_TIME_FORMATS]
        if not self.formats or (special and len(self.formats) > 1):
            raise ValueError(f"formats: give strptime formats, or exactly one of {SPECIAL_TIME_FORMATS}")
        return self


class QuarantineRule(_Checked):
    """What must hold of every row; rows that break it are quarantined."""

    name: Identifier
    must_hold: Sql
    reason: Annotated[str, Field(min_length=3, max_length=200)]


class FileSet(_Checked):
    """Files below one landing folder and how they are written."""

    folder: LandingPath | None = None
    files: Annotated[tuple[LandingPath, ...], BeforeValidator(_as_list)] = ("*",)
    format: Format = "csv"
    csv: CsvDialect = CsvDialect()
    raw_columns: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] | None = None
    only: Sql | None = Field(
        None, description="Rows of the file that are rows of this feed; the others are not loaded."
    )

    @model_validator(mode="after")
    def _names_given(self) -> "FileSet":
        if self.format == "csv" and not self.csv.header and not self.raw_columns:
            raise ValueError("raw_columns: files without a header need the names of their columns, in order")
        names = [name.casefold() for name in self.raw_columns or ()]
        if len(set(names)) < len(names):
            raise ValueError("raw_columns: a name is given twice (names that differ only in case count as the same)")
        if RESERVED_RAW_COLUMNS & set(names):
            raise ValueError(f"raw_columns: {sorted(RESERVED_RAW_COLUMNS)} are names of the pipeline itself")
        if self.only is not None and self.format == "jsonl":
            raise ValueError("only: is not for jsonl; quarantine what is not of this feed with a rule")
        return self


class Reader(FileSet):
    """How one kind of file fills one feed."""

    feed: ClassVar[Feed]
    columns: dict[str, Sql]
    time: Time | None = None
    key: Literal["exact"] | tuple[Sql, ...] | None = None
    rules: tuple[QuarantineRule, ...] = ()
    joins: dict[Identifier, Sql] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_its_feed(self) -> "Reader":
        missing = [name for name in REQUIRED_COLUMNS[self.feed] if name not in self.columns]
        if missing:
            raise ValueError(f"columns: {', '.join(missing)} must be given")
        if self.feed == "promotions" and not {"item_id", "category"} & self.columns.keys():
            raise ValueError("columns: item_id or category must be given")
        if (self.feed in TIMED_FEEDS) != (self.time is not None):
            raise ValueError(f"time: {'must be given' if self.feed in TIMED_FEEDS else 'is not for this feed'}")
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("rules: a name is given twice")
        visible = {*table(CORE_TABLE_OF[self.feed]).column_names} - {"file_id", "line", "feed"}
        for rule in self.rules:
            for parts in checked_expression(rule.must_hold).columns:
                if len(parts) > 1 or parts[0].lower() not in visible:
                    raise ValueError(
                        f"rules: {rule.name}: no column {'.'.join(parts)!r} here; a rule speaks of the feed's columns: "
                        f"{', '.join(sorted(visible))}"
                    )
        return self

    @property
    def event_names(self) -> Mapping[str, str] | None:
        """Raw event name -> event, where the profile maps them."""
        return getattr(self, "events", None)

    def expressions(self) -> Iterator[Expression]:
        """Every expression over the raw columns."""
        for sql in (*self.columns.values(), *self.joins.values(), *((self.time.value,) if self.time else ())):
            yield checked_expression(sql)
        for sql in (*self.key_expressions, *((self.only,) if self.only else ())):
            yield checked_expression(sql)

    @property
    def key_expressions(self) -> tuple[str, ...]:
        """Entries of `key` that are expressions over raw columns, not columns of the feed."""
        entries = self.key if isinstance(self.key, tuple) else ()
        return tuple(entry for entry in entries if entry.strip().lower() not in self.key_names)

    @property
    def key_names(self) -> frozenset[str]:
        """Names that `key` may use for columns of the feed."""
        return frozenset(self.columns) | {"ordered_at", "order_date", "event_ts", "event_date"}

    @cached_property
    def needed_columns(self) -> tuple[str, ...]:
        """Raw columns that a file must have, as the profile spells them."""
        named = {name.casefold(): name for name in self.raw_columns or ()}
        for expression in self.expressions():
            for parts in expression.columns:
                if parts[0] not in self.joins:
                    named.setdefault(parts[0].casefold(), parts[0])
        return tuple(named.values())


class Lookup(FileSet):
    """Files that complete the rows of a feed, found by a key."""

    folder: LandingPath
    key: Sql
    columns: dict[Identifier, Sql]

    @cached_property
    def needed_columns(self) -> tuple[str, ...]:
        """Raw columns that a file must have, as the profile spells them."""
        named = {name.casefold(): name for name in self.raw_columns or ()}
        for sql in (self.key, *self.columns.values(), *((self.only,) if self.only else ())):
            for parts in checked_expression(sql).columns:
                named.setdefault(parts[0].casefold(), parts[0])
        return tuple(named.values())


class OrdersReader(Reader):
    """Reader of order lines."""

    feed: ClassVar[Feed] = "orders"
    columns: dict[Annotated[str, AfterValidator(_column_of("orders"))], Sql]


class BrowseReader(Reader):
    """Reader of behaviour events."""

    feed: ClassVar[Feed] = "browse"
    columns: dict[Annotated[str, AfterValidator(_column_of("browse"))], Sql]
    events: dict[str, Event] | None = None


class ProductsReader(Reader):
    """Reader of products."""

    feed: ClassVar[Feed] = "products"
    columns: dict[Annotated[str, AfterValidator(_column_of("products"))], Sql]


class PromotionsReader(Reader):
    """Reader of promotions."""

    feed: ClassVar[Feed] = "promotions"
    columns: dict[Annotated[str, AfterValidator(_column_of("promotions"))], Sql]


class Feeds(_Checked):
    """The readers of each feed; a feed that the shop does not have is left out."""

    orders: Annotated[tuple[OrdersReader, ...], BeforeValidator(_as_list)] = ()
    browse: Annotated[tuple[BrowseReader, ...], BeforeValidator(_as_list)] = ()
    products: Annotated[tuple[ProductsReader, ...], BeforeValidator(_as_list)] = ()
    promotions: Annotated[tuple[PromotionsReader, ...], BeforeValidator(_as_list)] = ()

    @model_validator(mode="after")
    def _enough(self) -> "Feeds":
        if not self.orders and not self.browse:
            raise ValueError("at least one of orders and browse is needed")
        return self


class SourceProfile(_Checked):
    """How one shop's exports are read."""

    name: Identifier
    description: str = ""
    shop: Shop
    lookups: dict[Identifier, Lookup] = Field(default_factory=dict)
    feeds: Feeds

    @model_validator(mode="after")
    def _joins_exist(self) -> "SourceProfile":
        for feed in FEEDS:
            for reader in self.readers(feed):
                _check_joins(feed, reader, self.lookups)
        return self

    def readers(self, feed: Feed) -> tuple[Reader, ...]:
        """The readers of one feed; empty if the shop does not have it."""
        readers: tuple[Reader, ...] = getattr(self.feeds, feed)
        return readers


def _check_joins(feed: Feed, reader: Reader, lookups: Mapping[str, Lookup]) -> None:
    unknown = reader.joins.keys() - lookups.keys()
    if unknown:
        raise ValueError(f"feeds.{feed}.joins: no lookup {sorted(unknown)}; declared are {sorted(lookups)}")
    for expression in reader.expressions():
        for parts in expression.columns:
            if parts[0] in reader.joins and (len(parts) != 2 or parts[1] not in lookups[parts[0]].columns):
                raise ValueError(
                    f"feeds.{feed}: {'.'.join(parts)} is not a column of that lookup; "
                    f"it has {', '.join(lookups[parts[0]].columns)}"
                )


def bundled_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with the package."""
    folder = files("ecom_pipeline").joinpath("sources", "profiles")
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def read_profile(name_or_path: str, *, base: Path) -> SourceProfile:
    """Read a bundled profile by name, or a YAML file by its path below `base`.

    Raises:
        DocumentError: naming the file, the line and what would be right.
    """
    if name_or_path in bundled_profiles():
        path = Path(str(files("ecom_pipeline").joinpath("sources", "profiles", f"{name_or_path}.yaml")))
        return read_document(path, SourceProfile)
    if not name_or_path.endswith((".yaml", ".yml")):
        raise DocumentError(
            f"no bundled profile is called {name_or_path!r}; bundled are {', '.join(bundled_profiles())}. "
            "A profile of your own is given as the path of its .yaml file"
        )
    return read_document(base / name_or_path, SourceProfile)
