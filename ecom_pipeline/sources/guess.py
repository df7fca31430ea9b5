"""A first profile from one file of a shop's export: what its columns are, by their names and by what is in them.

A guess is a start for a person to correct; every doubt becomes a sentence in `notes`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ecom_pipeline.documents import DocumentError, parse_document
from ecom_pipeline.sources.guess_columns import (
    NAME_HINTS,
    Facts,
    column_facts,
    event_mapping,
    role_by_contents,
    role_by_name,
    time_reading,
)
from ecom_pipeline.sources.profile import REQUIRED_COLUMNS, TIMED_FEEDS, Feed, Format, SourceProfile, feed_columns
from ecom_pipeline.sources.readers import glob_escaped, literal, quoted

SAMPLE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Guess:
    """What was understood of a file."""

    file: Path
    feed: Feed
    format: Format
    csv: dict[str, Any]
    raw_columns: tuple[str, ...]
    has_header: bool
    columns: dict[str, str]
    """Column of the feed -> SQL expression."""
    time: dict[str, Any] | None
    events: dict[str, str] | None
    examples: dict[str, str]
    """Raw column -> a value of it."""
    notes: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """What was understood, for the terminal."""
        shown = [f"{self.file.name}: {self.feed}, {self.format}" + (f" {self.csv}" if self.csv else "")]
        shown += [f"  {name:<12} <- {sql}" for name, sql in self.columns.items()]
        if self.time is not None:
            shown.append(f"  {'time':<12} <- {self.time['value']} as {self.time['formats']}")
        if self.events:
            shown.append("  events       " + ", ".join(f"{raw} -> {ours}" for raw, ours in self.events.items()))
        used = " ".join([*self.columns.values(), self.time["value"] if self.time else ""])
        unused = [name for name in self.raw_columns if name not in used]
        if unused:
            shown.append("  not used     " + ", ".join(f"{name} ({self.examples.get(name, '')})" for name in unused))
        return shown + [f"  ! {note}" for note in self.notes]


def guess_profile(file: Path) -> Guess:
    """Guess how a file is to be read.

    Raises:
        DocumentError: if no feed can be made out of it, saying what was found and what is missing.
    """
    if not file.is_file():
        raise DocumentError(f"{file}: no such file")
    with duckdb.connect() as connection:
        kind, csv, names, has_header = _load_sample(connection, file)
        facts = [column_facts(connection, name) for name in names]
        if not facts or facts[0].rows == 0:
            raise DocumentError(f"{file}: the file has no rows to guess from")
        notes: list[str] = []
        if not has_header:
            notes.append("the file has no header: columns are told by what is in them; rename them and check each")
        roles = _roles(connection, facts, has_header=has_header)
        feed = _feed_of(file, roles)
        columns, events = _columns_of(connection, feed, roles, notes)
        time = _time_of(feed, roles, notes)
    missing = [name for name in REQUIRED_COLUMNS[feed] if name not in columns]
    if missing or (feed in TIMED_FEEDS and time is None):
        wanted = ", ".join([*missing, *(["a time"] if feed in TIMED_FEEDS and time is None else [])])
        raise DocumentError(
            f"{file}: looks like {feed}, but no column was recognised as {wanted}; found are {', '.join(names)}. "
            "Write the profile by hand (docs/source-profiles.md)"
        )
    if feed in TIMED_FEEDS:
        notes.append("set shop.time_zone to the shop's own, and shop.country and shop.currency if you like")
    return Guess(
        file=file,
        feed=feed,
        format=kind,
        csv=csv,
        raw_columns=tuple(names),
        has_header=has_header,
        columns=columns,
        time=time,
        events=events,
        examples={fact.name: fact.example for fact in facts},
        notes=tuple(notes),
    )


def render_profile(guess: Guess, *, name: str) -> str:
    """The guess as YAML. A guess of orders or browse is a whole profile; others are a feed to paste into one.

    Raises:
        DocumentError: if `name` is not a name for a profile.
    """
    reader: dict[str, Any] = {"files": _pattern(guess.file)}
    if guess.format != "csv":
        reader["format"] = guess.format
    if guess.csv:
        reader["csv"] = guess.csv
    if not guess.has_header:
        reader["raw_columns"] = list(guess.raw_columns)
    reader["columns"] = guess.columns
    if guess.events:
        reader["events"] = guess.events
    if guess.time is not None:
        reader["time"] = guess.time
    if guess.feed != "browse":
        reader["key"] = "exact"
    document: dict[str, Any] = {"feeds": {guess.feed: reader}}
    if guess.feed in TIMED_FEEDS:
        shop = {"time_zone": "UTC"}
        described = f"Guessed from {guess.file.name}."
        document = {"name": name, "description": described, "shop": shop} | document
    notes = "".join(f"# CHECK: {note}\n" for note in guess.notes)
    text = notes + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    if guess.feed in TIMED_FEEDS:
        parse_document(text, SourceProfile, name="the guessed profile")
    return text


def _pattern(file: Path) -> str:
    """A pattern for this file and its siblings: what is a number in its name may be another one in theirs."""
    pattern = re.sub(r"\d+", "*", re.sub(r"[\[\]?*]", "*", file.name))
    return re.sub(r"\*([-_.]?\*)+", "*", pattern)


def _load_sample(connection: duckdb.DuckDBPyConnection, file: Path) -> tuple[Format, dict[str, Any], list[str], bool]:
    """Fill the table `sample` with text columns; how the file is written, its columns, whether it names them."""
    path = literal(glob_escaped(str(file)))
    with file.open("rb") as stream:
        head = stream.read(4)
    try:
        if head == b"PAR1":
            connection.execute(f"CREATE VIEW found AS SELECT * FROM read_parquet({path})")
            return _sampled(connection, "parquet")
        if _looks_like_json(connection, path):
            connection.execute(
                f"CREATE VIEW found AS SELECT * FROM read_json({path}, format = 'newline_delimited', "
                f"maximum_depth = 1, ignore_errors = true, sample_size = {SAMPLE_ROWS})"
            )
            return _sampled(connection, "jsonl")
        return _load_csv_sample(connection, path, head)
    except duckdb.Error as error:
        raise DocumentError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from error


def _looks_like_json(connection: duckdb.DuckDBPyConnection, path: str) -> bool:
    first = connection.execute(
        f"SELECT line FROM read_csv({path}, auto_detect = false, header = false, delim = '\x1f', quote = '', "
        "escape = '', columns = {'line': 'VARCHAR'}, ignore_errors = true) WHERE trim(line) <> '' LIMIT 1"
    ).fetchall()
    return bool(first) and first[0][0].lstrip("\ufeff").startswith("{")


def _sampled(connection: duckdb.DuckDBPyConnection, kind: Format) -> tuple[Format, dict[str, Any], list[str], bool]:
    names = [row[0] for row in connection.execute("DESCRIBE found").fetchall()]
    text = "json_extract_string(to_json({}), '$')" if kind == "jsonl" else "CAST({} AS VARCHAR)"
    columns = ", ".join(f"{text.format(quoted(name))} AS {quoted(name)}" for name in names)
    connection.execute(f"CREATE TABLE sample AS SELECT {columns} FROM found LIMIT {SAMPLE_ROWS}").fetchall()
    return kind, {}, names, True


def _load_csv_sample(
    connection: duckdb.DuckDBPyConnection, path: str, head: bytes
) -> tuple[Format, dict[str, Any], list[str], bool]:
    encodings = ("utf-16",) if head[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8", "latin-1")
    for encoding in encodings:
        try:
            ((delimiter, quote, escape, skip, header, columns),) = connection.execute(
                "SELECT Delimiter, Quote, Escape, SkipRows, HasHeader, Columns "
                f"FROM sniff_csv({path}, sample_size = {SAMPLE_ROWS}, encoding = '{encoding}')"
            ).fetchall()
            break
        except duckdb.Error:
            if encoding == encodings[-1]:
                raise
    unset = {"", "\x00", "(empty)"}
    quote = None if quote in unset else quote
    escape = quote if escape in unset else escape
    names = (
        [str(column["name"]).strip() for column in columns]
        if header
        else [f"column_{i}" for i in range(1, len(columns) + 1)]
    )
    typed = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    connection.execute(
        f"CREATE TABLE sample AS SELECT * FROM read_csv({path}, auto_detect = false, header = {bool(header)}, "
        f"skip = {int(skip)}, delim = {literal(delimiter)}, quote = {literal(quote or '')}, "
        f"escape = {literal(escape or '')}, encoding = '{encoding}', columns = {{{typed}}}, ignore_errors = true) "
        f"LIMIT {SAMPLE_ROWS}"
    ).fetchall()
    dialect: dict[str, Any] = {}
    if delimiter != ",":
        dialect["delimiter"] = delimiter
    if quote not in ('"', None):
        dialect |= {"quote": quote, "escape": escape}
    if not header:
        dialect["header"] = False
    if skip:
        dialect["skip_lines"] = int(skip)
    if encoding != "utf-8":
        dialect["encoding"] = encoding
    return "csv", dialect, names, bool(header)


def _roles(connection: duckdb.DuckDBPyConnection, facts: list[Facts], *, has_header: bool) -> dict[str, Facts]:
    """Which column plays which part; names first, then contents."""
    roles: dict[str, Facts] = {}
    if has_header:
        scored = [
            (score, -position, role, fact)
            for position, fact in enumerate(facts)
            for role in NAME_HINTS
            if (score := role_by_name(fact, role)) > 0
        ]
        taken: set[str] = set()
        for _, _, role, fact in sorted(scored, key=lambda entry: (-entry[0], -entry[1], entry[2])):
            if role not in roles and fact.name not in taken:
                roles[role] = fact
                taken.add(fact.name)
    return role_by_contents(connection, facts, roles, named=has_header)


def _feed_of(file: Path, roles: dict[str, Facts]) -> Feed:
    if "starts_on" in roles and "ends_on" in roles and ("item_id" in roles or "category" in roles):
        return "promotions"
    if "time" in roles and "event" in roles and "quantity" not in roles:
        return "browse"
    if "time" in roles and ("order_id" in roles or "quantity" in roles):
        return "orders"
    if "time" in roles and "item_id" in roles:
        return "browse"
    if "item_id" in roles:
        return "products"
    raise DocumentError(
        f"{file}: no column looks like a product, so that this is no feed that ecom_pipeline reads; "
        "if it is, write its profile by hand (docs/source-profiles.md)"
    )


def _columns_of(
    connection: duckdb.DuckDBPyConnection, feed: Feed, roles: dict[str, Facts], notes: list[str]
) -> tuple[dict[str, str], dict[str, str] | None]:
    parts = {"price": "unit_price", "name": "item_name"} if feed == "orders" else {"category": "category_path"}
    if feed == "promotions":
        parts = {}
    columns: dict[str, str] = {}
    events: dict[str, str] | None = None
    for role, fact in roles.items():
        name = parts.get(role, role)
        if name in feed_columns(feed):
            columns[name] = fact.expression
    if feed == "browse":
        if "event" in roles:
            events = event_mapping(connection, roles["event"], notes)
        else:
            columns["event"] = "'view'"
            notes.append("no column names the event: every row is taken as a view")
    if feed == "orders" and "order_id" not in roles and "user_id" in roles and "time" in roles:
        columns["order_id"] = f"concat_ws(' ', {roles['user_id'].expression}, {roles['time'].expression})"
        notes.append("no column names the order: what one user buys at one time is taken as one order")
    if feed == "orders" and "quantity" not in columns:
        columns["quantity"] = "1"
        notes.append("no column gives the quantity: every row is taken as one unit")
    if feed == "promotions" and "kind" not in columns:
        columns["kind"] = "'discount'"
        notes.append("no column gives the kind of promotion: every row is taken as a discount")
    if feed == "promotions":
        columns |= {name: roles[name].expression for name in ("starts_on", "ends_on", "announced_on") if name in roles}
    if feed != "products" and "user_id" not in columns:
        notes.append("no column was recognised as the user: every row is a guest's")
    ordered = {name: columns[name] for name in feed_columns(feed) if name in columns}
    return ordered, events


def _time_of(feed: Feed, roles: dict[str, Facts], notes: list[str]) -> dict[str, Any] | None:
    if feed not in TIMED_FEEDS or "time" not in roles:
        return None
    return time_reading(roles["time"], notes)
