"""From a profile to SQL: raw rows of one reader become typed rows, each with the first rule that it breaks, if any.

The SQL made here is DuckDB's, as the expressions of profiles are. What follows from the typed columns alone is in the
portable files of sql/core/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecom_pipeline.contracts import Between, Column, Holds, NotNull, OneOf, Table, table
from ecom_pipeline.sources.expressions import checked_expression
from ecom_pipeline.sources.profile import CORE_TABLE_OF, Feed, FileSet, Reader, Shop, feed_columns, lookup_feed
from ecom_pipeline.sources.readers import TEXT_COLUMN, literal, quoted
from ecom_pipeline.sources.times import times_of
from ecom_pipeline.warehouse import sql_text

MAX_ID_LENGTH = 256
BLANKS = "chr(32) || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) || chr(65279)"
"""What surrounds a text and is no part of it, as SQL: blanks, tabs, line ends, no-break spaces, marks of byte order."""
_IDS = frozenset({"order_id", "user_id", "item_id", "session_id", "promotion_id"})
_TIME_COLUMNS: dict[Feed, tuple[str, str]] = {
    "orders": ("ordered_at", "order_date"),
    "browse": ("event_ts", "event_date"),
}
LARGEST_NUMBER = "1e12"
"""No quantity and no price of a shop is larger; NaN and the infinities are not smaller either."""
_NOUNS = {"DOUBLE": "a number below 1e12", "DATE": "a date", "BOOLEAN": "true or false", "INTEGER": "a whole number"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in the order of trial: `broken` is SQL that is true for rows that break it."""

    name: str
    broken: str
    reason: str


@dataclass(frozen=True, slots=True)
class Staging:
    """How rows of one reader are typed and judged."""

    feed: Feed
    index: int
    reader: Reader
    shop: Shop

    @property
    def core(self) -> Table:
        """The core table that the rows go to."""
        return table(CORE_TABLE_OF[self.feed])

    @property
    def has_key(self) -> bool:
        """Whether rows can be duplicates of each other."""
        return self.reader.key is not None

    def select(self, raw_columns: Sequence[str], *, rows: str, key_columns: bool = False) -> str:
        """SELECT of the core table's columns, `row_key`, and `broken`: the first rule that the row breaks, or null.

        Args:
            raw_columns: Columns of the raw table, without `_file_id` and `_line`.
            rows: SQL condition that picks raw rows.
            key_columns: Whether to add the columns `_key_0`, … that make duplicates equal.
        """
        cases = " ".join(f"WHEN {rule.broken} THEN {literal(rule.name)}" for rule in self.judging_rules())
        width = self.key_width(raw_columns) if key_columns else 0
        keys = [f"_key_{position}" for position in range(width)]
        typed_keys = f", typed_keys AS (SELECT {', '.join(['file_id', 'line', *keys])} FROM typed_{self.feed})"
        columns = [f"defaulted.{name}" for name in (*self.core.column_names, "row_key")]
        return (
            f"WITH typed_{self.feed} AS (\n{self.typed(raw_columns, rows=rows, with_keys=key_columns)}\n)"
            f"{typed_keys if keys else ''}\n"
            f"SELECT {', '.join([*columns, *keys])}, COALESCE(problem, CASE {cases} END) AS broken\n"
            f"FROM (\n{sql_text('core', self.core.name)}\n) AS defaulted"
            f"{' JOIN typed_keys USING (file_id, line)' if keys else ''}"
        )

    def key_width(self, raw_columns: Sequence[str]) -> int:
        """How many columns `_key_0`, … there are."""
        return len(self._key_parts(raw_columns))

    def reasons(self) -> dict[str, str]:
        """What each rule says of a row that breaks it."""
        return {rule.name: rule.reason for rule in (*self.typing_rules(), *self.judging_rules())}

    def typing_rules(self) -> list[Rule]:
        """What must hold for a row to have the types of its feed."""
        rules: list[Rule] = []
        if self.reader.format == "jsonl":
            rules.append(Rule("not_json", "NOT _is_object", "the line is not a JSON object"))
        for column in self._feed_columns():
            if column.name not in self.reader.columns:
                continue
            given = f"_given_{column.name}"
            if column.name == "event":
                if self.reader.event_names is not None:
                    names = ", ".join(self.reader.event_names)
                    rules.append(
                        Rule(
                            "unknown_event",
                            f"{given} IS NOT NULL AND event IS NULL",
                            f"event is none of those that the profile knows: {names}",
                        )
                    )
            elif column.type != "VARCHAR":
                rules.append(
                    Rule(
                        f"bad_{column.name}",
                        f"{given} IS NOT NULL AND {column.name} IS NULL",
                        f"{column.name} is not {_NOUNS[column.type]}",
                    )
                )
            elif column.name in _IDS:
                rules.append(
                    Rule(
                        f"long_{column.name}",
                        f"length({column.name}) > {MAX_ID_LENGTH}",
                        f"{column.name} has more than {MAX_ID_LENGTH} characters",
                    )
                )
        if self.reader.time is not None:
            stamp, _ = _TIME_COLUMNS[self.feed]
            rules.append(Rule("missing_time", "_given_time IS NULL", "the time is missing"))
            rules.append(
                Rule(
                    "bad_time",
                    f"{stamp} IS NULL",
                    "the time cannot be read as " + " or ".join(self.reader.time.formats),
                )
            )
            rules += self._plausible_times(stamp)
        return rules

    def _plausible_times(self, stamp: str) -> list[Rule]:
        time = self.reader.time
        if time is None:
            return []
        early = Rule(
            "time_too_early",
            f"{stamp} < TIMESTAMP '{time.earliest.isoformat()}'",
            f"the time is before {time.earliest} (time.earliest in the profile), or has its parts in another order",
        )
        if time.days_ahead is None:
            return [early, Rule("time_in_future", f"{stamp} >= TIMESTAMP '2200-01-01'", "the time is after 2200")]
        loaded = "(SELECT max(loaded_at) FROM ingest_files)"
        late = Rule(
            "time_in_future",
            f"{stamp} > {loaded} + INTERVAL {time.days_ahead} DAY",
            f"the time is more than {time.days_ahead} days after the file was loaded (time.days_ahead in the profile)",
        )
        return [early, late]

    def judging_rules(self) -> list[Rule]:
        """What must hold of a typed row: required values, the profile's rules, then the contract's."""
        rules = []
        made = set(_TIME_COLUMNS.get(self.feed, ())) | {"file_id", "line", "feed"}
        for rule in self.core.all_rules:
            if isinstance(rule, NotNull) and rule.severity == "error" and rule.column not in made:
                rules.append(Rule(f"missing_{rule.column}", f"{rule.column} IS NULL", f"{rule.column} is missing"))
        if self.feed == "browse":
            rules.append(
                Rule(
                    "missing_item_id",
                    "item_id IS NULL AND event <> 'search'",
                    "item_id is missing (only a search needs none)",
                )
            )
        for own in self.reader.rules:
            rules.append(Rule(own.name, f"NOT {checked_expression(own.must_hold).wrapped}", own.reason))
        for rule in self.core.all_rules:
            if rule.severity != "error":
                continue
            if isinstance(rule, OneOf) and rule.column not in made:
                # DuckDB makes a join of a long NOT IN, which takes as long as typing the rows
                others = " AND ".join(f"{rule.column} <> {literal(value)}" for value in rule.values)
                rules.append(
                    Rule(
                        f"invalid_{rule.column}",
                        others,
                        f"{rule.column} is none of {', '.join(rule.values)}",
                    )
                )
            elif isinstance(rule, Between):
                low = "-infinity" if rule.minimum is None else rule.minimum
                high = "infinity" if rule.maximum is None else rule.maximum
                rules.append(
                    Rule(
                        f"out_of_range_{rule.column}",
                        f"{rule.column} NOT BETWEEN CAST('{low}' AS DOUBLE) AND CAST('{high}' AS DOUBLE)",
                        f"{rule.column} is not between {low} and {high}",
                    )
                )
            elif isinstance(rule, Holds):
                words = "".join(letter if letter.isalnum() else "_" for letter in rule.name.lower())
                rules.append(Rule(words[:63], f"NOT ({rule.predicate})", f"does not hold: {rule.name}"))
        return rules

    def _feed_columns(self) -> tuple[Column, ...]:
        names = set(feed_columns(self.feed))
        return tuple(column for column in self.core.columns if column.name in names)

    def _key_parts(self, raw_columns: Sequence[str]) -> list[str]:
        """What makes duplicates equal: raw columns for `exact`, else typed columns and computed key entries."""
        key = self.reader.key
        if key is None:
            return []
        if key == "exact":
            exact = [TEXT_COLUMN] if self.reader.format == "jsonl" else [c for c in raw_columns if c != TEXT_COLUMN]
            return [f"raw.{quoted(name)}" for name in exact]
        computed = self.reader.key_expressions
        return [f"_key_given_{computed.index(entry)}" if entry in computed else entry.strip().lower() for entry in key]

    def typed(self, raw_columns: Sequence[str], *, rows: str, with_keys: bool) -> str:
        """Raw rows as typed rows with `problem` (the typing rule broken, or null), `row_key` and, if asked, the key.

        Levels, so that each expression is computed once: what the profile gives, that trimmed, the time, the types.
        """
        exact = self.reader.key == "exact"
        parts = self._key_parts(raw_columns)
        texts: dict[str, str] = {}
        given: list[str] = []
        for column in self._feed_columns():
            expression = self.reader.columns.get(column.name)
            if expression is not None and column.type == "VARCHAR":
                texts[f"_given_{column.name}"] = expression
            elif expression is not None:
                given.append(f"{tried(expression, text=False)} AS _given_{column.name}")
        if self.reader.time is not None:
            texts["_given_time"] = self.reader.time.value
        texts |= {f"_key_given_{position}": entry for position, entry in enumerate(self.reader.key_expressions)}
        given += [f"CAST({tried(entry, text=False)} AS VARCHAR) AS _text{name}" for name, entry in texts.items()]
        if self.reader.format == "jsonl":
            given.append("_is_object")
        if exact:
            # Candidates share the hash of the columns that every file has; the whole rows are compared among them.
            hashed = parts if self.reader.format == "jsonl" else [quoted(name) for name in self.reader.needed_columns]
            given.append(f"hash({self.index}, {', '.join(hashed)}) AS row_key")
            if with_keys:
                given += [f"{part} AS _key_{position}" for position, part in enumerate(parts)]
        keys: list[str] = []
        if not exact:
            keys.append(f"hash({self.index}, {', '.join(parts)})" if parts else "CAST(NULL AS UBIGINT)")
            keys[0] += " AS row_key"
            if with_keys:
                keys += [f"{part} AS _key_{position}" for position, part in enumerate(parts)]
        trimmed = [f"{_trimmed(f'_text{name}')} AS {name}" for name in texts]
        times = times_of(self.reader, self.shop, _TIME_COLUMNS[self.feed]) if self.reader.time is not None else None
        raw = raw_rows(self.reader, self.feed, self.reader.needed_columns, rows=rows, joins=self.reader.joins)
        typed = [self._typed_column(column) for column in self._feed_columns()]
        problems = " ".join(f"WHEN {rule.broken} THEN {literal(rule.name)}" for rule in self.typing_rules())
        problem = f"CASE {problems} END" if problems else "CAST(NULL AS VARCHAR)"
        return (
            f"SELECT {', '.join(['*', f'{problem} AS problem', *keys])} FROM (\n"
            f"SELECT {', '.join(['*', *typed, *(times.typed if times else ())])} FROM (\n"
            f"SELECT {', '.join(['*', *(times.read if times else ())])} FROM (\n"
            f"SELECT {', '.join(['*', *trimmed])} FROM (\n"
            f"SELECT raw._file_id AS file_id, raw._line AS line, {', '.join(given)}\n"
            f"FROM {raw}\n) AS given_rows) AS trimmed_rows) AS timed_rows) AS typed_rows"
        )

    def _typed_column(self, column: Column) -> str:
        if column.name not in self.reader.columns:
            default = literal(self.shop.currency) if column.name == "currency" and self.shop.currency else "NULL"
            return f"CAST({default} AS {column.type}) AS {column.name}"
        given = f"_given_{column.name}"
        if column.name == "event" and self.reader.event_names is not None:
            cases = " ".join(
                f"WHEN {literal(raw)} THEN {literal(ours)}" for raw, ours in self.reader.event_names.items()
            )
            return f"CASE {given} {cases} END AS event"
        if column.type == "VARCHAR":
            return f"{given} AS {column.name}"
        cast = f"TRY_CAST({given} AS {column.type})"
        if column.type == "DOUBLE":
            # DuckDB reads 1_000 as a thousand and +-1 as -1
            odd = f"contains(CAST({given} AS VARCHAR), '_') OR starts_with(CAST({given} AS VARCHAR), '+-')"
            cast = f"CASE WHEN abs({cast}) < {LARGEST_NUMBER} AND NOT ({odd}) THEN {cast} END"
        return f"{cast} AS {column.name}"


def json_path(name: str) -> str:
    """The JSON path of a top-level key."""
    return '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def tried(sql: str, *, text: bool) -> str:
    """An expression of a profile whose errors become null; as text it is trimmed, and empty text is null."""
    expression = checked_expression(sql)
    safe = expression.wrapped if expression.is_column else f"TRY({expression.wrapped})"
    return f"NULLIF(trim(CAST({safe} AS VARCHAR), {BLANKS}), '')" if text else f"{safe}"


def _trimmed(column: str) -> str:
    """A text column trimmed; empty text is null.

    trim() takes long with a set of characters, so that only texts that do not begin and end in a visible character of
    ASCII go through it.
    """
    is_trimmed = f"{column} >= '!' AND {column} < chr(127) AND {column}[-1] BETWEEN '!' AND '~'"
    return f"CASE WHEN {is_trimmed} THEN {column} ELSE NULLIF(trim({column}, {BLANKS}), '') END"


def raw_rows(
    files: FileSet,
    feed: str,
    needed_columns: Sequence[str],
    *,
    rows: str,
    joins: Mapping[str, str] | None = None,
    until: str | None = None,
) -> str:
    """FROM item called `raw`: raw rows that satisfy `rows`, JSON taken apart, with a struct column for each lookup.

    Lookups are joined in their order, so that the key of one may come from another; `until` leaves out that lookup
    and those after it.
    """
    if files.format == "jsonl":
        paths = ", ".join(literal(json_path(name)) for name in needed_columns)
        fields = [f"_fields[{position}] AS {quoted(name)}" for position, name in enumerate(needed_columns, start=1)]
        item = (
            f"(SELECT {', '.join(['_file_id', '_line', TEXT_COLUMN, '_is_object', *fields])} FROM (\n"
            f"SELECT *, json_extract_string(_json, [{paths}]) AS _fields, "
            "COALESCE(json_type(_json) = 'OBJECT', FALSE) AS _is_object FROM (\n"
            f"SELECT *, CASE WHEN json_valid({TEXT_COLUMN}) THEN {TEXT_COLUMN} END AS _json "
            f"FROM raw_{feed} AS raw WHERE {rows}))) AS raw"
        )
    else:
        item = f"(SELECT * FROM raw_{feed} AS raw WHERE {rows}) AS raw"
    for name, key in (joins or {}).items():
        if name == until:
            break
        item = (
            f"(SELECT raw.*, looked_up._lookup_fields AS {quoted(name)} FROM {item} LEFT JOIN {lookup_feed(name)} "
            f"AS looked_up ON looked_up._lookup_key = {tried(key, text=True)}) AS raw"
        )
    return item


def raw_text(files: FileSet, raw_columns: Sequence[str]) -> str:
    """SQL of a row of `raw` as text, for quarantine."""
    if files.format == "jsonl":
        return f"raw.{TEXT_COLUMN}"
    pairs = ", ".join(f"{literal(name)}, raw.{quoted(name)}" for name in raw_columns if name != TEXT_COLUMN)
    return f"CAST(json_object({pairs}) AS VARCHAR)"
