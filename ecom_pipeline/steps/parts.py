"""Which part of a table a change touches: for each table that can be made in part, what its rows depend on.

What belongs here: declarations. How they are used is in refreshing.py; a table that has none is made as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ecom_pipeline.contracts import table

BUCKET = "CAST(hash(user_id) % 64 AS INTEGER)"
"""Which of the stamps of a day a user's rows count for: a late row touches few users of its day."""


@dataclass(frozen=True, slots=True)
class ByUser:
    """How a table is made user by user, from a place in a user's history on.

    A user's rows of the table up to a place of `along` depend on the user's rows of `source` up to it alone.
    Whatever else they depend on is a parameter of the table's SQL.
    """

    source: str
    """Table that is read; each row has a `user_id`."""
    along: str
    """Column of the table and of `source` that grows along a user's history."""
    touched: str
    """Query of `user_id`, `day`: users who have, or had, rows of `changed_days`."""
    starts: str
    """Query of `user_id`, `made_from` and `read_from`: for each of `touched_users`, whose rows before `day` are as they
    were, the place from which the table's rows give way, and that from which `source` is read, which may lie before
    it; and how much is added to each of `numbers`, which the SQL counts from 1 where it begins to read."""
    stamps: str
    """Query of `day`, `bucket`, `stamp`, `reach`, `first_at`, `last_at` of the rows of `source` up to `:as_of`: equal
    stamps, equal rows; times of the day's first and last row, where not known from a table that it is made from."""
    numbers: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    """Tables of PARTS whose stamps are read."""


@dataclass(frozen=True, slots=True)
class ByDay:
    """How a table is made from a day on: `:since` of its SQL, its rows being of days (`date`).

    A row of a day is made from events of it, or from sessions that begin on it or up to `days_ahead` (a parameter)
    later. What users did before a day, and the sessions that ended before it, stay as they are when only later days
    change.
    """

    stamps: str
    """As of ByUser; `reach` is the earliest day of sessions that may end on the day."""
    made_from: tuple[str, ...]
    days_ahead: str | None = None
    days_kept: str | None = None
    """Parameter: the days up to the night that the table holds; None: all."""


# The category of a product counts from the first day on which somebody did something with it. The day of a session's
# last event is one of the shop's time zone, ended_at is UTC.
_OF_SESSIONS = """
SELECT
  day, 0 AS bucket, string_agg(stamp, ' and ' ORDER BY stamp) AS stamp, min(reach) AS reach,
  CAST(NULL AS TIMESTAMP) AS first_at, CAST(NULL AS TIMESTAMP) AS last_at
FROM (
  SELECT day, CAST(sum(hash(bucket, stamp)) AS VARCHAR) AS stamp, CAST(NULL AS DATE) AS reach
  FROM feature_days WHERE table_name = 'feat_user_events' GROUP BY day
  UNION ALL
  SELECT first_seen, CAST(sum(hash(item_id, category)) AS VARCHAR), NULL
  FROM feat_items WHERE first_seen IS NOT NULL GROUP BY first_seen
  UNION ALL
  SELECT CAST(ended_at AS DATE) + 1, NULL, min(session_date) FROM feat_sessions GROUP BY ALL
) AS of_days
GROUP BY day
"""

PARTS: Mapping[str, ByUser | ByDay] = {
    "feat_user_events": ByUser(
        source="core_events",
        along="event_date",
        touched=f"""
            SELECT user_id, day FROM core_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket
            WHERE event_date <= :as_of AND user_id IS NOT NULL
            UNION ALL
            SELECT user_id, day FROM feat_user_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket""",
        # what comes first is told by what came before it, so that the user's last day before is read as well
        starts="""
            SELECT
              user_id, day AS made_from, coalesce(max(event_date), day) AS read_from,
              coalesce(max_by(position, event_date), 0) AS position,
              coalesce(max_by(session_number, event_date), 0) AS session_number
            FROM (
              SELECT
                t.user_id, t.day, e.event_date, min(e.position) - 1 AS position,
                min(e.session_number) - 1 AS session_number
              FROM touched_users AS t
              LEFT JOIN feat_user_events AS e ON t.user_id = e.user_id AND e.event_date < t.day
              GROUP BY t.user_id, t.day, e.event_date
            ) AS days_before
            GROUP BY user_id, day""",
        numbers=("position", "session_number"),
        stamps=f"""
            SELECT
              event_date AS day, {BUCKET} AS bucket,
              concat(count(*), ' ', sum(hash({", ".join(table("core_events").column_names)}))) AS stamp,
              CAST(NULL AS DATE) AS reach, min(event_ts) AS first_at, max(event_ts) AS last_at
            FROM core_events WHERE event_date <= :as_of GROUP BY ALL""",
    ),
    # the stamps of user events are of all rows, whether the user is known or not
    "feat_item_clicks": ByDay(
        stamps="""
            SELECT
              day, 0 AS bucket, CAST(sum(hash(bucket, stamp)) AS VARCHAR) AS stamp, CAST(NULL AS DATE) AS reach,
              CAST(NULL AS TIMESTAMP) AS first_at, CAST(NULL AS TIMESTAMP) AS last_at
            FROM feature_days WHERE table_name = 'feat_user_events' GROUP BY day""",
        made_from=("feat_user_events",),
    ),
    "feat_sessions": ByUser(
        source="feat_user_events",
        along="session_number",
        touched=f"""
            SELECT user_id, day FROM feat_user_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket
            UNION ALL
            SELECT user_id, day FROM feat_sessions JOIN changed_days
            ON {BUCKET} = bucket AND day >= session_date AND day <= CAST(ended_at AS DATE) + 1""",
        # the last session before the day may go on
        starts="""
            SELECT
              t.user_id, coalesce(max(e.session_number), 1) AS made_from,
              coalesce(max(e.session_number), 1) AS read_from
            FROM touched_users AS t
            LEFT JOIN feat_user_events AS e ON t.user_id = e.user_id AND e.event_date < t.day
            GROUP BY t.user_id""",
        stamps="""
            SELECT
              day, bucket, stamp, CAST(NULL AS DATE) AS reach, CAST(NULL AS TIMESTAMP) AS first_at,
              CAST(NULL AS TIMESTAMP) AS last_at
            FROM feature_days WHERE table_name = 'feat_user_events'""",
        made_from=("feat_user_events",),
    ),
    "funnel_daily": ByDay(
        stamps=_OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_ahead="conversion_window_days"
    ),
    "session_paths": ByDay(
        stamps=_OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_kept="trajectory_days"
    ),
    "transitions_daily": ByDay(
        stamps=_OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_kept="trajectory_days"
    ),
}
