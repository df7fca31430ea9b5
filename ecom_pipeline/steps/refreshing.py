"""Refreshing a table kept by user: only the users whom a change touches are made anew, or everybody.

What belongs here: finding out what changed since a table was last made, and making that part of it. What changed is
told by the rows that the table is made from, as they are: each day has a stamp of them, and a table keeps the stamps
that it was made with. Nobody has to keep a record of changes, so none can be forgotten: new, corrected, late, judged
anew, erased, or changed by hand, a row changes the stamp of its day. See docs/decisions.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ecom_pipeline.contracts import Table, table
from ecom_pipeline.sources.ledger import fingerprint_of
from ecom_pipeline.warehouse import Warehouse, sql_text

MOST_USERS = 0.5
"""Above this share of users, making everybody anew is cheaper."""


@dataclass(frozen=True, slots=True)
class ByUser:
    """How a table is made user by user: what one user's rows are depends on that user's rows of `source` alone.

    Whatever else they depend on is a parameter of the table's SQL.
    """

    source: str
    """Table that is read; each row has a `user_id` and an `event_date`. Either core rows, which count up to the night,
    or a table of BY_USER, which has the stamps that it was made with."""
    users_before: str
    """Query of the users whose rows were made from rows of the days in `changed_days`; others may be among them."""

    @property
    def reads_core(self) -> bool:
        """Whether the source is no table that is itself made here."""
        return self.source not in BY_USER


BY_USER: Mapping[str, ByUser] = {
    "feat_user_events": ByUser(
        source="core_events",
        users_before="SELECT user_id FROM feat_user_events WHERE event_date IN (SELECT day FROM changed_days)",
    ),
    "feat_sessions": ByUser(
        source="feat_user_events",
        # the day of the last event is one of the shop's time zone, ended_at is UTC
        users_before="SELECT s.user_id FROM feat_sessions AS s JOIN changed_days AS d "
        "ON d.day >= s.session_date AND d.day <= CAST(s.ended_at AS DATE) + 1",
    ),
}


def refresh(warehouse: Warehouse, declared: Table, parameters: Mapping[str, Any], *, as_of: date) -> int:
    """Bring a table to the night `as_of` by its SQL file, and note it in `feature_nights`; returns the rows in it.

    The rows are those of a full rebuild. `feature_nights` says what was made anew, and where it was everything, why.
    Everything happens in one transaction.
    """
    with warehouse.transaction():
        if declared.name in BY_USER and warehouse.makes_parts:
            return _refresh_by_user(warehouse, declared, BY_USER[declared.name], parameters, as_of=as_of)
        rows = warehouse.rebuild(declared, parameters)
        warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
        _note(warehouse, declared, as_of=as_of, rows=rows, made="everything", made_with=None)
        return rows


def made_of(warehouse: Warehouse, table_name: str) -> str | None:
    """What was made anew when a table was last brought to a night, in words; None: it was never made."""
    found = warehouse.rows("SELECT made FROM feature_nights WHERE table_name = :name", {"name": table_name})
    return found[0][0] if found else None


def _refresh_by_user(
    warehouse: Warehouse, declared: Table, parts: ByUser, parameters: Mapping[str, Any], *, as_of: date
) -> int:
    made_with = _fingerprint(warehouse, declared, parts, parameters)
    if parts.reads_core:
        columns = ", ".join(table(parts.source).column_names)
        stamps = _STAMPS.format(columns=columns, source=parts.source)
    else:
        stamps = _STAMPS_OF.format(source=parts.source)
    _make(warehouse, "stamps_now", stamps, {"as_of": as_of})
    why = _why_everything(warehouse, declared, made_with)
    if why is None:
        _make(warehouse, "changed_days", _CHANGED_DAYS, {"name": declared.name})
        touched_users = _TOUCHED_USERS.format(source=parts.source, users_before=parts.users_before)
        _make(warehouse, "touched_users", touched_users, {"as_of": as_of})
        touched = int(warehouse.scalar("SELECT count(*) FROM touched_users"))
        users = int(warehouse.scalar(f"SELECT count(DISTINCT user_id) FROM {declared.name}"))
        if touched > MOST_USERS * users:
            why = f"{touched:,} of {users:,} users have changed days"
    if why is None:
        if touched:
            warehouse.run(f"DELETE FROM {declared.name} WHERE user_id IN (SELECT user_id FROM touched_users)")
            with _narrowed(warehouse, parts.source):
                warehouse.insert(declared, parameters)
        rows = int(warehouse.scalar(f"SELECT count(*) FROM {declared.name}"))
        days = warehouse.scalar("SELECT count(*) FROM changed_days")
        made = f"{touched:,} of {users:,} users, who have rows on {days:,} changed days"
    else:
        rows = warehouse.rebuild(declared, parameters)
        made = f"everything: {why}"
    warehouse.run("DELETE FROM feature_days WHERE table_name = :name", {"name": declared.name})
    warehouse.run(
        "INSERT INTO feature_days (table_name, day, stamp) SELECT :name, day, stamp FROM stamps_now",
        {"name": declared.name},
    )
    for name in ("stamps_now", "changed_days", "touched_users"):  # where something failed, the rollback takes them
        warehouse.run(f"DROP TABLE IF EXISTS temp.{name}")
    _note(warehouse, declared, as_of=as_of, rows=rows, made=made, made_with=made_with)
    return rows


# Equal stamps, equal rows in any order.
_STAMPS = """
SELECT event_date AS day, concat(count(*), ' ', sum(hash({columns}))) AS stamp
FROM {source} WHERE event_date <= :as_of AND user_id IS NOT NULL GROUP BY event_date
"""
_STAMPS_OF = "SELECT day, stamp FROM feature_days WHERE table_name = '{source}'"
_CHANGED_DAYS = """
SELECT coalesce(was.day, now.day) AS day
FROM (SELECT day, stamp FROM feature_days WHERE table_name = :name) AS was
FULL JOIN stamps_now AS now ON was.day = now.day
WHERE was.stamp IS DISTINCT FROM now.stamp
"""
_TOUCHED_USERS = """
SELECT user_id FROM {source}
WHERE event_date <= :as_of AND user_id IS NOT NULL AND event_date IN (SELECT day FROM changed_days)
UNION
{users_before}
"""


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


def _fingerprint(warehouse: Warehouse, declared: Table, parts: ByUser, parameters: Mapping[str, Any]) -> str:
    """What the table is made with beside the rows that it reads; the night only says which rows those are."""
    made_before = "SELECT made_with FROM feature_nights WHERE table_name = :name"
    # stamps are hashes of DuckDB, which another version of it may compute in another way
    return fingerprint_of(
        duckdb.__version__,
        declared.columns,
        table(parts.source).columns if parts.reads_core else warehouse.rows(made_before, {"name": parts.source}),
        sql_text(declared.layer, declared.name),
        sorted((name, value) for name, value in parameters.items() if name != "as_of"),
    )


def _counts(warehouse: Warehouse, declared: Table) -> tuple[int, int]:
    touched = warehouse.scalar("SELECT count(*) FROM touched_users")
    users = warehouse.scalar(f"SELECT count(DISTINCT user_id) FROM {declared.name}")
    return int(touched), int(users)


@contextmanager
def _narrowed(warehouse: Warehouse, source: str) -> Iterator[None]:
    """Have `source` stand for its rows of the touched users, for as long as the block lasts."""
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
