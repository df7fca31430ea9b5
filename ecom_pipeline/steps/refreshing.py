"""Refreshing a table: only what a change touches is made anew, or everything.

What belongs here: finding out what changed since a table was last made, and making that part of it. What changed is
told by the rows that the table is made from, as they are: those of one day and some users have a stamp, and a table
keeps the stamps that it was made with. Nobody has to keep a record of changes, so none can be forgotten: new,
corrected, late, judged anew, erased, or changed by hand, a row changes its stamp. See docs/decisions.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from ecom_pipeline.contracts import Table, table
from ecom_pipeline.sources.ledger import fingerprint_of
from ecom_pipeline.warehouse import Warehouse, sql_text
from ecom_pipeline.warehouse.sql_files import parameters_of

MOST_USERS = 0.5
"""Above this share of users, making everybody anew is cheaper."""
BUCKET = "CAST(hash(user_id) % 64 AS INTEGER)"
"""Which of the stamps of a day a user's rows count for: a late row touches few users of its day."""
EVER = date(1000, 1, 1)
"""`:since` of a table by day that is made as a whole; PySpark writes years before with fewer digits than Java reads."""


@dataclass(frozen=True, slots=True)
class ByUser:
    """How a table is made user by user: what one user's rows are depends on that user's rows of `source` alone.

    Whatever else they depend on is a parameter of the table's SQL.
    """

    source: str
    """Table that is read; each row has a `user_id` and an `event_date`."""
    users_before: str
    """Query of the users whose rows were made from rows of `changed_days`; others may be among them."""
    stamps: str
    """Query of `day`, `bucket`, `stamp` of the rows of `source` up to `:as_of`: equal stamps, equal rows."""
    made_from: tuple[str, ...] = ()
    """Tables of PARTS whose stamps are read."""


@dataclass(frozen=True, slots=True)
class ByDay:
    """How a table is made from a day on: `:since` of its SQL, its rows being of days (`date`).

    A row of a day is made from sessions that begin on it or up to `days_ahead` (a parameter) later. What users did
    before a day, and the sessions that ended before it, stay as they are when only later days change.
    """

    stamps: str
    """As of ByUser; `reach` is the earliest day of sessions that may end on the day."""
    days_ahead: str
    made_from: tuple[str, ...]


PARTS: Mapping[str, ByUser | ByDay] = {
    "feat_user_events": ByUser(
        source="core_events",
        users_before="SELECT user_id FROM feat_user_events JOIN changed_days "
        f"ON event_date = day AND {BUCKET} = bucket",
        stamps=f"""
            SELECT
              event_date AS day, {BUCKET} AS bucket,
              concat(count(*), ' ', sum(hash({", ".join(table("core_events").column_names)}))) AS stamp,
              CAST(NULL AS DATE) AS reach
            FROM core_events WHERE event_date <= :as_of AND user_id IS NOT NULL GROUP BY ALL""",
    ),
    "feat_sessions": ByUser(
        source="feat_user_events",
        # the day of the last event is one of the shop's time zone, ended_at is UTC
        users_before="SELECT user_id FROM feat_sessions JOIN changed_days "
        f"ON {BUCKET} = bucket AND day >= session_date AND day <= CAST(ended_at AS DATE) + 1",
        stamps="SELECT day, bucket, stamp, CAST(NULL AS DATE) AS reach FROM feature_days "
        "WHERE table_name = 'feat_user_events'",
        made_from=("feat_user_events",),
    ),
    "funnel_daily": ByDay(
        # the category of a product counts from the first day on which somebody did something with it
        stamps="""
            WITH products AS (SELECT item_id, min(event_date) AS day FROM feat_user_events GROUP BY item_id)
            SELECT day, 0 AS bucket, string_agg(stamp, ' and ' ORDER BY stamp) AS stamp, min(reach) AS reach
            FROM (
              SELECT day, CAST(sum(hash(bucket, stamp)) AS VARCHAR) AS stamp, CAST(NULL AS DATE) AS reach
              FROM feature_days WHERE table_name = 'feat_user_events' GROUP BY day
              UNION ALL
              SELECT p.day, CAST(sum(hash(p.item_id, i.category)) AS VARCHAR), NULL
              FROM products AS p LEFT JOIN feat_items AS i ON p.item_id = i.item_id GROUP BY p.day
              UNION ALL
              SELECT CAST(ended_at AS DATE) + 1, NULL, min(session_date) FROM feat_sessions GROUP BY ALL
            ) AS of_days
            GROUP BY day""",
        days_ahead="conversion_window_days",
        made_from=("feat_user_events", "feat_sessions"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be made anew: in words, the condition of its rows (None: nothing), and how the SQL is run for it."""

    made: str
    rows: str | None
    parameters: Mapping[str, Any]
    narrowed: str | None = None
    """Table of which the SQL sees the rows of `touched_users` alone."""


def refresh(warehouse: Warehouse, declared: Table, parameters: Mapping[str, Any], *, as_of: date) -> int:
    """Bring a table to the night `as_of` by its SQL file, and note it in `feature_nights`; returns the rows in it.

    The rows are those of a full rebuild. `feature_nights` says what was made anew, and where it was everything, why.
    Everything happens in one transaction.
    """
    used = parameters_of(sql_text(declared.layer, declared.name))
    parameters = {name: value for name, value in {"since": EVER, **parameters}.items() if name in used}
    parts = PARTS.get(declared.name)
    with warehouse.transaction():
        if parts is None or not warehouse.makes_parts:
            made, made_with = _make_everything(warehouse, declared, parameters), None
        elif (why := _unfit(warehouse, parts)) is not None:
            made, made_with = f"{_make_everything(warehouse, declared, parameters)}: {why}", None
        else:
            made_with = _fingerprint(warehouse, declared, parts, parameters)
            made = _make_part(warehouse, declared, parts, parameters, as_of=as_of, made_with=made_with)
        rows = int(warehouse.scalar(f"SELECT count(*) FROM {declared.name}"))
        _note(warehouse, declared, as_of=as_of, rows=rows, made=made, made_with=made_with)
        return rows


def made_of(warehouse: Warehouse, table_name: str) -> str | None:
    """What was made anew when a table was last brought to a night, in words; None: it was never made."""
    found = warehouse.rows("SELECT made FROM feature_nights WHERE table_name = :name", {"name": table_name})
    return found[0][0] if found else None


def _make_part(
    warehouse: Warehouse,
    declared: Table,
    parts: ByUser | ByDay,
    parameters: Mapping[str, Any],
    *,
    as_of: date,
    made_with: str,
) -> str:
    """Make anew what changed, keep the stamps that it is made with; what it was, in words."""
    _make(warehouse, "stamps_now", parts.stamps, {"as_of": as_of})
    part = _why_everything(warehouse, declared, made_with) or _part_of(
        warehouse, declared, parts, parameters, as_of=as_of
    )
    if isinstance(part, str):
        made = f"{_make_everything(warehouse, declared, parameters)}: {part}"
    else:
        made = part.made
        if part.rows is not None:
            warehouse.run(f"DELETE FROM {declared.name} WHERE {part.rows}")
            with _narrowed(warehouse, part.narrowed):
                warehouse.insert(declared, part.parameters)
    warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
    warehouse.run(
        "INSERT INTO feature_days (table_name, day, bucket, stamp, reach) "
        "SELECT :name, day, bucket, stamp, reach FROM stamps_now",
        {"name": declared.name},
    )
    for name in ("stamps_now", "changed_days", "touched_users"):  # where something failed, the rollback takes them
        warehouse.run(f"DROP TABLE IF EXISTS temp.{name}")
    return made


def _make_everything(warehouse: Warehouse, declared: Table, parameters: Mapping[str, Any]) -> str:
    warehouse.rebuild(declared, parameters)
    warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
    return "everything"


_CHANGED_DAYS = """
SELECT coalesce(was.day, now.day) AS day, coalesce(was.bucket, now.bucket) AS bucket
FROM (SELECT day, bucket, stamp FROM feature_days WHERE table_name = :name) AS was
FULL JOIN stamps_now AS now ON was.day = now.day AND was.bucket = now.bucket
WHERE was.stamp IS DISTINCT FROM now.stamp
"""
_TOUCHED_USERS = f"""
SELECT user_id FROM {{source}} JOIN changed_days ON event_date = day AND {BUCKET} = bucket
WHERE event_date <= :as_of AND user_id IS NOT NULL
UNION
{{users_before}}
"""
_REACH = """
SELECT min(reach)
FROM (
  SELECT day, reach FROM feature_days WHERE table_name = :name
  UNION ALL
  SELECT day, reach FROM stamps_now
) AS of_days
WHERE day >= :first
"""
_DAYS_IN_DISORDER = """
SELECT count(*)
FROM (
  SELECT min(event_ts) AS first_at, lag(max(event_ts)) OVER (ORDER BY event_date) AS last_at_before
  FROM feat_user_events GROUP BY event_date
) AS days
WHERE first_at < last_at_before
"""


def _unfit(warehouse: Warehouse, parts: ByUser | ByDay) -> str | None:
    """Why nothing can be said of the rows that the table is made from, in words; None: it can."""
    of_tables = []
    for name in parts.made_from:
        found = warehouse.rows("SELECT made_with, rows FROM feature_nights WHERE table_name = :name", {"name": name})
        if not found or found[0][0] is None:
            return f"of {name} it is not known what it was made from"
        if found[0][1] != warehouse.scalar(f"SELECT count(*) FROM {name}"):
            return f"rows of {name} were added or taken out since it was made"
        of_tables.append(
            warehouse.rows(
                "SELECT day, bucket, stamp FROM feature_days WHERE table_name = :name ORDER BY day, bucket",
                {"name": name},
            )
        )
    if any(stamps != of_tables[0] for stamps in of_tables[1:]):
        return f"{' and '.join(parts.made_from)} were made from other rows"
    if isinstance(parts, ByDay) and warehouse.scalar(_DAYS_IN_DISORDER):
        return "a day has events that are later than those of the day after it"
    return None


def _why_everything(warehouse: Warehouse, declared: Table, made_with: str) -> str | None:
    """Why the table as it is cannot be built upon, in words; None: it can."""
    found = warehouse.rows(
        "SELECT made_with, rows FROM feature_nights WHERE table_name = :name", {"name": declared.name}
    )
    if not found:
        return "the table was never made"
    last_made_with, rows = found[0]
    if last_made_with != made_with:
        return "settings, SQL, columns or engine are others than last time"
    if rows != warehouse.scalar(f"SELECT count(*) FROM {declared.name}"):
        return "rows were added or taken out since it was made"
    return None


def _part_of(
    warehouse: Warehouse, declared: Table, parts: ByUser | ByDay, parameters: Mapping[str, Any], *, as_of: date
) -> _Part | str:
    """What is to be made anew; or why everything is, in words."""
    _make(warehouse, "changed_days", _CHANGED_DAYS, {"name": declared.name})
    days, first = warehouse.rows("SELECT count(DISTINCT day), min(day) FROM changed_days")[0]
    if isinstance(parts, ByUser):
        touched_users = _TOUCHED_USERS.format(source=parts.source, users_before=parts.users_before)
        _make(warehouse, "touched_users", touched_users, {"as_of": as_of})
        touched = int(warehouse.scalar("SELECT count(*) FROM touched_users"))
        users = int(warehouse.scalar(f"SELECT count(DISTINCT user_id) FROM {declared.name}"))
        if touched > MOST_USERS * users:
            return f"{touched:,} of {users:,} users have changed rows"
        made = f"{touched:,} of {users:,} users, as rows of {days:,} days changed"
        rows = "user_id IN (SELECT user_id FROM temp.touched_users)" if touched else None
        return _Part(made, rows, parameters, narrowed=parts.source)
    last_night = warehouse.scalar("SELECT as_of FROM feature_nights WHERE table_name = :name", {"name": declared.name})
    # what is ahead of a day is over, or not yet, as of the night
    since = min(last_night, as_of) + timedelta(days=1)
    if first is not None:
        reach = warehouse.scalar(_REACH, {"name": declared.name, "first": first})
        since = min(since, first, reach or first)
    since -= timedelta(days=parameters[parts.days_ahead])
    return _Part(f"days from {since} on", f"date >= DATE '{since}'", {**parameters, "since": since})


def _fingerprint(warehouse: Warehouse, declared: Table, parts: ByUser | ByDay, parameters: Mapping[str, Any]) -> str:
    """What the table is made with beside the rows that it reads; the night only says which rows those are."""
    # stamps are hashes of DuckDB, which another version of it may compute in another way
    return fingerprint_of(
        duckdb.__version__,
        declared.columns,
        parts,
        sql_text(declared.layer, declared.name),
        sorted((name, value) for name, value in parameters.items() if name != "as_of"),
        *(
            warehouse.rows("SELECT made_with FROM feature_nights WHERE table_name = :name", {"name": name})
            for name in parts.made_from
        ),
    )


@contextmanager
def _narrowed(warehouse: Warehouse, source: str | None) -> Iterator[None]:
    """Have `source` stand for its rows of the touched users, for as long as the block lasts."""
    if source is None:
        yield
        return
    database = warehouse.scalar("SELECT current_database()")
    warehouse.run(
        f"CREATE TEMP VIEW {source} AS SELECT * FROM {database}.main.{source} "
        "WHERE user_id IN (SELECT user_id FROM temp.touched_users)"
    )
    yield
    warehouse.run(f"DROP VIEW temp.{source}")


def _make(warehouse: Warehouse, name: str, select: str, parameters: Mapping[str, Any]) -> None:
    warehouse.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}", parameters)


def _note(warehouse: Warehouse, declared: Table, *, as_of: date, rows: int, made: str, made_with: str | None) -> None:
    warehouse.run("DELETE FROM feature_nights WHERE table_name = :name", {"name": declared.name})
    warehouse.run(
        "INSERT INTO feature_nights (table_name, as_of, rows, made, made_with) "
        "VALUES (:name, :as_of, :rows, :made, :made_with)",
        {"name": declared.name, "as_of": as_of, "rows": rows, "made": made, "made_with": made_with},
    )
