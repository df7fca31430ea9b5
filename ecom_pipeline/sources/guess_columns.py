"""What a column of a sample may be: by its name, by its values, and by how it goes with the others."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from ecom_pipeline.sources.readers import literal, quoted

# Words of a column's name that speak for a part, the strongest first.
NAME_HINTS: dict[str, tuple[str, ...]] = {
    "order_id": ("orderid", "invoiceno", "invoice", "order", "basket", "receipt", "transactionid", "bestellnummer"),
    "user_id": ("userid", "customerid", "visitorid", "customer", "user", "visitor", "household", "member", "client"),
    "item_id": (
        "itemid",
        "productid",
        "stockcode",
        "sku",
        "asin",
        "articleid",
        "product",
        "item",
        "article",
        "brandid",
    ),
    "session_id": ("sessionid", "session", "visitid"),
    "event": ("event", "eventtype", "behavior", "behaviour", "action", "type"),
    "quantity": ("quantity", "qty", "units", "count", "menge"),
    "price": ("unitprice", "price", "itemprice", "preis"),
    "time": (
        "timestamp",
        "datetime",
        "eventtime",
        "invoicedate",
        "orderdate",
        "time",
        "date",
        "createdat",
        "at",
        "datum",
    ),
    "name": ("description", "productname", "itemname", "title", "name"),
    "category": ("categorypath", "category", "categorycode", "categoryid", "department"),
    "brand": ("brand", "manufacturer", "vendor"),
    "channel": ("channel", "country", "device", "store", "platform", "storeid"),
    "status": (),
    "starts_on": ("startson", "startdate", "start", "from", "validfrom"),
    "announced_on": ("announcedon", "announced", "plannedon", "createdon"),
    "ends_on": ("endson", "enddate", "end", "to", "validto", "until"),
    "kind": ("kind", "promotype", "promotiontype"),
    "stock": ("stock", "inventory"),
}
_NUMERIC_ROLES = frozenset({"quantity", "price", "stock"})
_TIME_ROLES = frozenset({"time", "starts_on", "ends_on", "announced_on"})
_EVENT_WORDS: dict[str, str] = {
    "view": "view click pv pageview page_view detail product_view impression browse",
    "cart": "cart addtocart add_to_cart add basket addtobasket",
    "remove": "remove removefromcart remove_from_cart delete",
    "favourite": "favourite favorite fav wish wishlist like collect save",
    "purchase": "purchase buy transaction order bought checkout sale payment",
    "search": "search query find",
    "return": "return refund",
}
# Codes of Alibaba's published logs
_CODES: dict[tuple[str, ...], dict[str, str]] = {
    ("0", "1", "2", "3"): {"0": "view", "1": "purchase", "2": "favourite", "3": "cart"},
    ("1", "2", "3", "4"): {"1": "view", "2": "favourite", "3": "cart", "4": "purchase"},
}
_FORMATS = (
    *(f"%Y-%m-%d{clock}" for clock in (" %H:%M:%S", " %H:%M", "")),
    *(f"%Y/%m/%d{clock}" for clock in (" %H:%M:%S", " %H:%M", "")),
    *(f"%d.%m.%Y{clock}" for clock in (" %H:%M:%S", " %H:%M", "")),
    *(f"%d/%m/%Y{clock}" for clock in (" %H:%M:%S", " %H:%M", "")),
    *(f"%m/%d/%Y{clock}" for clock in (" %H:%M:%S", " %H:%M", "")),
    "%Y%m%d",
    "%Y%m%d%H%M%S",
)
_DECIMAL_COMMA = r"-?(\d+|\d{1,3}(\.\d{3})*)(,\d+)?"
ENOUGH = 0.95
"""Share of the values that must be of a kind for a column to be of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one column of the sample."""

    name: str
    rows: int
    filled: float
    distinct: int
    number: float
    decimal_comma: float
    whole: float
    median: float | None
    spaces: float
    formats: tuple[str, ...]
    """Time formats that read it: strptime formats, iso, epoch_s, epoch_ms, or `no_year`."""
    example: str

    @property
    def sql(self) -> str:
        """The column in an SQL expression."""
        return self.name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name) else quoted(self.name)

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, if with a decimal comma."""
        return max(self.number, self.decimal_comma) >= ENOUGH

    @property
    def expression(self) -> str:
        """SQL of the column's value."""
        if self.number < ENOUGH <= self.decimal_comma:
            return f"replace(replace({self.sql}, '.', ''), ',', '.')"
        return self.sql

    @property
    def plain_name(self) -> str:
        """The name in lower case without what separates words."""
        return re.sub(r"[^a-z0-9]", "", self.name.lower())


def column_facts(connection: duckdb.DuckDBPyConnection, name: str) -> Facts:
    """Look at one column of the table `sample`."""
    text = f"NULLIF(trim({quoted(name)}), '')"
    tried = {form: f"avg(CAST(try_strptime(v, {literal(form)}) IS NOT NULL AS INTEGER))" for form in _FORMATS}
    iso = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*"
    tried["iso"] = f"avg(CAST(regexp_matches(v, {literal(iso)}) AND TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL AS INTEGER))"
    epoch = "TRY_CAST(v AS DOUBLE) BETWEEN {} AND {} AND regexp_full_match(v, '\\d+(\\.\\d+)?')"
    tried["epoch_s"] = f"avg(CAST({epoch.format('8e8', '4e9')} AS INTEGER))"
    tried["epoch_ms"] = f"avg(CAST({epoch.format('8e11', '4e12')} AS INTEGER))"
    tried["no_year"] = "avg(CAST(try_strptime('2000-' || v, '%Y-%m-%d') IS NOT NULL AS INTEGER))"
    ((rows, filled, distinct, number, comma, whole, median, spaces, example, *shares),) = connection.execute(
        f"""
        SELECT count(*), avg(CAST(v IS NOT NULL AS INTEGER)), count(DISTINCT v),
          avg(CASE WHEN v IS NOT NULL THEN CAST(TRY_CAST(v AS DOUBLE) IS NOT NULL AS INTEGER) END),
          avg(CASE WHEN v IS NOT NULL THEN CAST(regexp_full_match(v, {literal(_DECIMAL_COMMA)}) AS INTEGER) END),
          avg(CASE WHEN v IS NOT NULL THEN CAST(regexp_full_match(v, '-?\\d+(\\.0+)?') AS INTEGER) END),
          median(abs(TRY_CAST(replace(v, ',', '.') AS DOUBLE))),
          avg(CAST(contains(v, ' ') AS INTEGER)), min(v), {", ".join(tried.values())}
        FROM (SELECT {text} AS v FROM sample)
        """
    ).fetchall()
    readable = [form for form, share in zip(tried, shares, strict=True) if (share or 0) >= ENOUGH]
    return Facts(
        name=name,
        rows=rows,
        filled=filled or 0,
        distinct=distinct,
        number=number or 0,
        decimal_comma=comma or 0,
        whole=whole or 0,
        median=median,
        spaces=spaces or 0,
        formats=tuple(readable),
        example=str(example)[:40] if example is not None else "",
    )


def role_by_name(fact: Facts, role: str) -> int:
    """How strongly the name speaks for a part; 0 if not, or if the values speak against it."""
    if role in _NUMERIC_ROLES and not fact.is_number:
        return 0
    if role in _TIME_ROLES and not fact.formats:
        return 0
    if role == "event" and fact.distinct > 50:
        return 0
    for position, hint in enumerate(NAME_HINTS[role]):
        if fact.plain_name == hint:
            return 200 - position
        if len(hint) > 3 and (fact.plain_name.endswith(hint) or fact.plain_name.startswith(hint)):
            return 100 - position
    return 0


def role_by_contents(
    connection: duckdb.DuckDBPyConnection, facts: list[Facts], roles: dict[str, Facts], *, named: bool
) -> dict[str, Facts]:
    """Fill what names left open: the time always; the rest only where there are no names."""
    free = [fact for fact in facts if fact not in roles.values() and fact.filled > 0]
    if "time" not in roles:
        # numbers that could be dates are taken for them last
        dated = sorted((fact for fact in free if fact.formats), key=lambda fact: fact.number >= ENOUGH)
        if dated:
            roles["time"] = dated[0]
            free.remove(dated[0])
    if named:
        return roles

    def take(role: str, candidates: list[Facts]) -> None:
        if role not in roles and candidates:
            roles[role] = candidates[0]
            free.remove(candidates[0])

    decimals = [fact for fact in free if fact.is_number and fact.whole < ENOUGH]
    take("price", sorted(decimals, key=lambda fact: fact.distinct))
    take("name", sorted((f for f in free if f.spaces > 0.5 and not f.is_number), key=lambda f: -f.distinct))
    few = [fact for fact in free if 1 < fact.distinct <= 12 and fact.filled > ENOUGH]
    if "price" not in roles:
        take("event", sorted(few, key=lambda fact: fact.distinct))
    small = [f for f in free if f.is_number and f.median is not None and f.median < 100 and f.filled > ENOUGH]
    take("quantity", sorted(small, key=lambda fact: fact.median or 0))
    ids = [fact for fact in free if fact.spaces < 0.5 and fact.distinct > 12]
    if "event" not in roles and "time" in roles:
        # an order has one time; of the other ids the one with gaps is the customer, who may be a guest
        take("order_id", sorted(ids, key=lambda fact: _times_within(connection, fact, roles["time"]))[:1])
        ids = [fact for fact in ids if fact in free]
        take("user_id", sorted((fact for fact in ids if fact.filled < 1 or fact.is_number), key=lambda f: f.filled))
    else:
        take("user_id", sorted(ids, key=lambda fact: -_run_length(connection, fact)))
    take("item_id", [fact for fact in ids if fact in free])
    take("channel", [fact for fact in free if 1 < fact.distinct <= 300 and fact.number < ENOUGH])
    return roles


def _times_within(connection: duckdb.DuckDBPyConnection, fact: Facts, time: Facts) -> float:
    ((times,),) = connection.execute(
        f"SELECT avg(n) FROM (SELECT count(DISTINCT {quoted(time.name)}) AS n FROM sample "
        f"WHERE {quoted(fact.name)} IS NOT NULL GROUP BY {quoted(fact.name)} HAVING count(*) > 1)"
    ).fetchall()
    return float(times) if times is not None else float("inf")


def _run_length(connection: duckdb.DuckDBPyConnection, fact: Facts) -> float:
    """Mean rows in a row with the same value: logs are often written user by user."""
    ((runs,),) = connection.execute(
        "SELECT sum(CAST(v IS DISTINCT FROM former AS INTEGER)) FROM "
        f"(SELECT {quoted(fact.name)} AS v, lag({quoted(fact.name)}) OVER (ORDER BY rowid) AS former FROM sample)"
    ).fetchall()
    return fact.rows / max(int(runs or 1), 1)


def event_mapping(connection: duckdb.DuckDBPyConnection, fact: Facts, notes: list[str]) -> dict[str, str]:
    """Raw event name -> event; what is not understood is left out, to be quarantined, and noted."""
    values = [
        row[0]
        for row in connection.execute(
            f"SELECT trim({quoted(fact.name)}) AS v FROM sample WHERE v <> '' GROUP BY v ORDER BY count(*) DESC, v"
        ).fetchall()
    ]
    known: dict[str, str] = {}
    for value in values:
        plain = re.sub(r"[^a-z_]", "", value.lower())
        for event, words in _EVENT_WORDS.items():
            if plain in words.split():
                known[value] = event
    if known:
        unknown = [value for value in values if value not in known]
        if unknown:
            notes.append(f"events not understood, rows with them are quarantined: {', '.join(unknown)}")
        return known
    codes = next((mapping for keys, mapping in _CODES.items() if set(values) <= set(keys)), None)
    if codes is not None:
        notes.append("the events are codes; they are read as Alibaba's logs write them, check each")
        return {value: codes[value] for value in sorted(values)}
    notes.append(f"the events are codes; the most frequent ({values[0]}) is taken as a view, name the others")
    return {values[0]: "view"}


def time_reading(fact: Facts, notes: list[str]) -> dict[str, Any]:
    """The `time` of a reader."""
    if not set(fact.formats) - {"no_year"}:
        year = datetime.now(tz=UTC).year
        notes.append(f"the dates have no year: {year} is assumed, put the right one in time.value")
        return {"value": f"'{year}-' || {fact.sql}", "formats": ["%Y-%m-%d"]}
    formats = [form for form in fact.formats if form != "no_year"]
    if {"%d/%m/%Y", "%m/%d/%Y"} <= {form[:8] for form in formats}:
        notes.append("day and month cannot be told apart: the day is taken to come first, see time.formats")
    for special in ("epoch_ms", "epoch_s"):
        if special in formats:
            return {"value": fact.sql, "formats": special}
    written = next((form for form in formats if form != "iso"), "iso")
    return {"value": fact.sql, "formats": "iso" if written == "iso" else [written]}
