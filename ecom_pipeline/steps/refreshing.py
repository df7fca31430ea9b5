"""Refreshing a table: only what a change touches is made anew, or everything.

What belongs here: finding out what changed since a table was last made, and making that part of it. What changed is
told by the rows that the table is made from, as they are: those of one day and some users have a stamp, and a table
keeps the stamps that it was made with. Nobody has to keep a record of changes, so none can be forgotten: new,
corrected, late, judged anew, erased, or changed by hand, a row changes its stamp. See docs/decisions.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import duckdb

from ecom_pipeline.contracts import Table
from ecom_pipeline.steps.parts import PARTS, ByDay, ByUser
from ecom_pipeline.warehouse import Warehouse, sql_text
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.row_changes import note_rows
from ecom_pipeline.warehouse.sql_files import parameters_of

MOST_ROWS = 0.5
"""Where more than this share of the rows of a table gives way, making everything anew is cheaper."""
EVER = date(1000, 1, 1)
"""`:since` of a table by day that is made as a whole; PySpark writes years before with fewer digits than Java reads."""


def refresh(warehouse: Warehouse, declared: Table, parameters: Mapping[str, Any], *, as_of: date) -> int:
    """Bring a table to the night `as_of` by its SQL file, and note it in `feature_nights`; returns the rows in it.

    The rows are those of a full rebuild. `feature_nights` says what was made anew, and where it was everything, why.
    Everything happens in one transaction.
    """
    parts = PARTS.get(declared.name)
    since = EVER
    if isinstance(parts, ByDay) and parts.days_kept is not None:
        since = as_of - timedelta(days=parameters[parts.days_kept] - 1)
    used = parameters_of(sql_text(declared.layer, declared.name))
    whole = {name: value for name, value in {**parameters, "since": since}.items() if name in used}
    with warehouse.transaction():
        if parts is None or not warehouse.makes_parts:
            made, made_with = _make_everything(warehouse, declared, whole), None
        elif (why := _unfit(warehouse, parts, as_of=as_of)) is not None:
            made, made_with = f"{_make_everything(warehouse, declared, whole)}: {why}", None
        else:
            made_with = _fingerprint(warehouse, declared, parts, {**parameters, **whole})
            made = _make_part(warehouse, declared, parts, parameters, whole, as_of=as_of, made_with=made_with)
        for name in ("stamps_now", "changed_days", "touched_users", "starts"):  # a rollback does it too
            warehouse.run(f"DROP TABLE IF EXISTS temp.{name}")
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
    whole: Mapping[str, Any],
    *,
    as_of: date,
    made_with: str,
) -> str:
    """Make anew what changed, keep the stamps that it is made with; what it was, in words."""
    if (why := _why_everything(warehouse, declared, parts, made_with, as_of=as_of)) is not None:
        made = f"{_make_everything(warehouse, declared, whole)}: {why}"
    else:
        _make(warehouse, "changed_days", _CHANGED_DAYS, {"name": declared.name})
        if isinstance(parts, ByUser):
            made = _make_users(warehouse, declared, parts, whole, as_of=as_of)
        else:
            made = _make_days(warehouse, declared, parts, parameters, whole, as_of=as_of)
    warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
    warehouse.run(
        "INSERT INTO feature_days (table_name, day, bucket, stamp, reach) "
        "SELECT :name, day, bucket, stamp, reach FROM stamps_now",
        {"name": declared.name},
    )
    return made


def _make_everything(warehouse: Warehouse, declared: Table, whole: Mapping[str, Any]) -> str:
    warehouse.rebuild(declared, whole)
    warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
    return "everything"


def _make_users(warehouse: Warehouse, declared: Table, parts: ByUser, whole: Mapping[str, Any], *, as_of: date) -> str:
    """Make anew the rows of touched users from the first changed day on; what it was, in words."""
    days = {"as_of": as_of, "first_day": warehouse.scalar("SELECT min(day) FROM changed_days")}
    if days["first_day"] is None:
        return "nothing, as no row changed"
    touched = f"SELECT user_id, min(day) AS day FROM ({parts.touched}) AS rows_of_days GROUP BY user_id"
    _make(warehouse, "touched_users", touched, days)
    _make(warehouse, "starts", parts.starts, days)
    users, changed, earliest = warehouse.rows(
        "SELECT count(*), (SELECT count(DISTINCT day) FROM changed_days), min(made_from) FROM starts"
    )[0]
    if not users:
        return "nothing, as rows of no user changed"
    name, along = declared.name, declared.along
    rows = int(warehouse.scalar(f"SELECT count(*) FROM {name}"))
    gone = int(
        warehouse.scalar(
            f"DELETE FROM {name} USING temp.starts AS s "
            f"WHERE {name}.user_id = s.user_id AND {name}.{along} >= s.made_from AND {name}.{along} >= :earliest",
            {"earliest": earliest},  # of most rows nothing else need be read
        )
    )
    if gone > MOST_ROWS * rows:
        return f"{_make_everything(warehouse, declared, whole)}: {gone:,} of {rows:,} rows are touched by changes"
    note_rows(warehouse, declared, "SELECT user_id, made_from AS since FROM temp.starts")
    columns = ", ".join(
        f"made.{column} + s.{column} AS {column}" if column in parts.numbers else f"made.{column}"
        for column in declared.column_names
    )
    with _narrowed(warehouse, declared, parts):
        come = warehouse.insert(
            declared,
            whole,
            sql=f"SELECT {columns} FROM (\n{sql_text(declared.layer, name)}\n) AS made "
            f"JOIN temp.starts AS s ON made.user_id = s.user_id WHERE made.{along} >= s.made_from",
        )
    return f"{come:,} rows of {users:,} users in place of {gone:,}, as rows of {changed:,} days changed"


def _make_days(
    warehouse: Warehouse,
    declared: Table,
    parts: ByDay,
    parameters: Mapping[str, Any],
    whole: Mapping[str, Any],
    *,
    as_of: date,
) -> str:
    """Make anew the rows from the first day on that a change can reach; what it was, in words."""
    last_night = warehouse.scalar("SELECT as_of FROM feature_nights WHERE table_name = :name", {"name": declared.name})
    # what is ahead of a day is over, or not yet, as of the night
    since = min(last_night, as_of) + timedelta(days=1)
    first = warehouse.scalar("SELECT min(day) FROM changed_days")
    if first is not None:
        reach = warehouse.scalar(_REACH, {"name": declared.name, "first": first})
        since = min(since, first, reach or first)
    if parts.days_ahead is not None:
        since -= timedelta(days=parameters[parts.days_ahead])
    since = max(since, whole["since"])
    warehouse.run(f"DELETE FROM {declared.name} WHERE {parts.made_anew}", {"since": since})
    if parts.days_kept is not None:
        warehouse.run(f"DELETE FROM {declared.name} WHERE date < :first", {"first": whole["since"]})
    warehouse.insert(declared, {**whole, "since": since})
    if declared.along is not None:
        note_rows(warehouse, declared, "SELECT NULL AS user_id, CAST(:since AS DATE) AS since", {"since": since})
    return f"days from {since} on"


_CHANGED_DAYS = """
SELECT coalesce(was.day, now.day) AS day, coalesce(was.bucket, now.bucket) AS bucket
FROM (SELECT day, bucket, stamp FROM feature_days WHERE table_name = :name) AS was
FULL JOIN stamps_now AS now ON was.day = now.day AND was.bucket = now.bucket
WHERE was.stamp IS DISTINCT FROM now.stamp
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
_OTHER_STAMPS = """
SELECT count(*)
FROM (SELECT day, bucket, stamp FROM feature_days WHERE table_name = :one) AS one
FULL JOIN (SELECT day, bucket, stamp FROM feature_days WHERE table_name = :other) AS other
ON one.day = other.day AND one.bucket = other.bucket
WHERE one.stamp IS DISTINCT FROM other.stamp
"""
_DAYS_IN_DISORDER = """
SELECT count(*)
FROM (
  SELECT first_at, lag(last_at) OVER (PARTITION BY bucket ORDER BY day) AS last_at_before FROM stamps_now
) AS days
WHERE first_at <= last_at_before
"""


def _unfit(warehouse: Warehouse, parts: ByUser | ByDay, *, as_of: date) -> str | None:
    """Why nothing can be said of the rows that the table is made from, in words; None: it can.

    Leaves their stamps in `stamps_now`.
    """
    for name in parts.made_from:
        found = warehouse.rows("SELECT made_with, rows FROM feature_nights WHERE table_name = :name", {"name": name})
        if not found or found[0][0] is None:
            return f"of {name} it is not known what it was made from"
        if found[0][1] != warehouse.scalar(f"SELECT count(*) FROM {name}"):
            return f"rows of {name} were added or taken out since it was made"
        if name != parts.made_from[0] and warehouse.scalar(_OTHER_STAMPS, {"one": parts.made_from[0], "other": name}):
            return f"{' and '.join(parts.made_from)} were made from other rows"
    _make(warehouse, "stamps_now", parts.stamps, {"as_of": as_of})
    # for a table that is made from others, this was asked when they were made
    if not parts.made_from and warehouse.scalar(_DAYS_IN_DISORDER):
        return "a day has events that are not after those of the day before it"
    return None


def _why_everything(
    warehouse: Warehouse, declared: Table, parts: ByUser | ByDay, made_with: str, *, as_of: date
) -> str | None:
    """Why the table as it is cannot be built upon, in words; None: it can."""
    found = warehouse.rows(
        "SELECT made_with, rows, as_of FROM feature_nights WHERE table_name = :name", {"name": declared.name}
    )
    if not found:
        return "the table was never made"
    last_made_with, rows, last_night = found[0]
    if last_made_with != made_with:
        return "settings, SQL, columns or engine are others than last time"
    if rows != warehouse.scalar(f"SELECT count(*) FROM {declared.name}"):
        return "rows were added or taken out since it was made"
    if isinstance(parts, ByDay) and parts.days_kept is not None and as_of < last_night:
        return "days of an earlier night were given up"
    return None


def _fingerprint(warehouse: Warehouse, declared: Table, parts: ByUser | ByDay, parameters: Mapping[str, Any]) -> str:
    """What the table is made with beside the rows that it reads; the night only says which rows those are."""
    used = parameters_of(sql_text(declared.layer, declared.name)) - {"as_of", "since"}
    if isinstance(parts, ByDay) and parts.days_kept is not None:
        used |= {parts.days_kept}
    # stamps are hashes of DuckDB, which another version of it may compute in another way
    return fingerprint_of(
        duckdb.__version__,
        declared.columns,
        parts,
        sql_text(declared.layer, declared.name),
        sorted((name, parameters[name]) for name in used),
        *(
            warehouse.rows("SELECT made_with FROM feature_nights WHERE table_name = :name", {"name": name})
            for name in parts.made_from
        ),
    )


@contextmanager
def _narrowed(warehouse: Warehouse, declared: Table, parts: ByUser) -> Iterator[None]:
    """Have the source stand for its rows of touched users that are to be read, for as long as the block lasts."""
    database = warehouse.scalar("SELECT current_database()")
    warehouse.run(
        f"CREATE TEMP VIEW {parts.source} AS SELECT source.* FROM {database}.main.{parts.source} AS source "
        f"JOIN temp.starts AS s ON source.user_id = s.user_id WHERE source.{declared.along} >= s.read_from"
    )
    yield
    warehouse.run(f"DROP VIEW temp.{parts.source}")


def _make(warehouse: Warehouse, name: str, select: str, parameters: Mapping[str, Any]) -> None:
    warehouse.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}", parameters)


def _note(warehouse: Warehouse, declared: Table, *, as_of: date, rows: int, made: str, made_with: str | None) -> None:
    warehouse.run("DELETE FROM feature_nights WHERE table_name = :name", {"name": declared.name})
    warehouse.run(
        "INSERT INTO feature_nights (table_name, as_of, rows, made, made_with) "
        "VALUES (:name, :as_of, :rows, :made, :made_with)",
        {"name": declared.name, "as_of": as_of, "rows": rows, "made": made, "made_with": made_with},
    )
