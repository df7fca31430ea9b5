"""Which part of a table a change touches: for each table that can be made in part, what its rows depend on.

What belongs here: declarations. How they are used is in refreshing.py; a table that has none is made as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ecom_pipeline.contracts import table

BUCKET = "CAST(hash(user_id) & 63 AS INTEGER)"
"""Which of the stamps of a day a user's rows count for: a late row touches few users of its day."""


@dataclass(frozen=True, slots=True)
class ByUser:
    """How a table is made user by user, from a place in a user's history on.

    A user's rows of the table up to a place of `along`, a column of both (see the table's contract), depend on the
    user's rows of `source` up to it alone.
    Whatever else they depend on is a parameter of the table's SQL.
    """

    source: str
    """Table that is read; each row has a `user_id`."""
    touched: str
    """Query of `user_id`, `day`: users who have, or had, rows of `changed_days`, of which `:first_day` is the first."""
    starts: str
    """Query of `user_id`, `made_from` and `read_from`: for each of `touched_users`, whose rows before `day` are as they
    were, the place from which the table's rows give way, and that from which `source` is read, which may lie before
    it; and how much is added to each of `numbers`, which the SQL counts from 1 where it begins to read. Users of whom
    no row gives way or comes may be left out."""
    stamps: str
    """Query of `day`, `bucket`, `stamp`, `reach` of the rows of `source` up to `:as_of`: equal stamps, equal rows; of a
    table that is made from none of PARTS also `first_at` and `last_at`, the times of the day's first and last row."""
    numbers: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    """Tables of PARTS whose stamps are read."""


@dataclass(frozen=True, slots=True)
class ByDay:
    """How a table is made from a day on: `:since` of its SQL, its rows being of days or longer periods.

    A row is made from events of its days, or from sessions that begin on them or up to `days_ahead` (a parameter)
    later. What users did before a day, and the sessions that ended before it, stay as they are when only later days
    change.
    """

    stamps: str
    """As of ByUser; `reach` is the earliest day of sessions that may end on the day."""
    made_from: tuple[str, ...]
    days_ahead: str | None = None
    days_kept: str | None = None
    """Parameter: the days up to the night that the table holds; None: all."""
    made_anew: str = "date >= :since"
    """Condition of the rows that the SQL makes for `:since`."""


_OF_DAYS = """
SELECT day, 0 AS bucket, string_agg(stamp, ' and ' ORDER BY stamp) AS stamp, min(reach) AS reach
FROM ({}) AS of_days
GROUP BY day
"""
_USER_EVENTS = """
  SELECT day, CAST(sum(hash(bucket, stamp)) AS VARCHAR) AS stamp, CAST(NULL AS DATE) AS reach
  FROM feature_days WHERE table_name = 'feat_user_events' GROUP BY day
"""
# The category of a product counts from the first day on which somebody did something with it.
_CATEGORIES = """
  SELECT first_seen, CAST(sum(hash(item_id, category)) AS VARCHAR), NULL
  FROM feat_items WHERE first_seen IS NOT NULL GROUP BY first_seen
"""
# The day of a session's last event is one of the shop's time zone, ended_at is UTC.
_REACHES = """
  SELECT CAST(ended_at AS DATE) + 1, NULL, min(session_date) FROM feat_sessions GROUP BY ALL
"""
OF_USER_EVENTS = _OF_DAYS.format(_USER_EVENTS)
OF_CATEGORIES = _OF_DAYS.format(f"{_USER_EVENTS} UNION ALL {_CATEGORIES}")
OF_SESSIONS = _OF_DAYS.format(f"{_USER_EVENTS} UNION ALL {_CATEGORIES} UNION ALL {_REACHES}")

PARTS: Mapping[str, ByUser | ByDay] = {
    "feat_user_events": ByUser(
        source="core_events",
        touched=f"""
            SELECT user_id, day FROM core_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket
            WHERE event_date <= :as_of AND user_id IS NOT NULL
            UNION ALL
            SELECT user_id, day FROM feat_user_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket""",
        # what comes first is told by what came before it, so that the user's last day before is read as well
        starts="""
            WITH last_days AS (
              SELECT t.user_id, t.day, max(e.event_date) AS last_day
              FROM touched_users AS t
              LEFT JOIN feat_user_events AS e ON t.user_id = e.user_id AND e.event_date < t.day
              GROUP BY t.user_id, t.day
            )
            SELECT
              d.user_id, d.day AS made_from, coalesce(d.last_day, d.day) AS read_from,
              coalesce(min(e.position) - 1, 0) AS position, coalesce(min(e.session_number) - 1, 0) AS session_number
            FROM last_days AS d
            LEFT JOIN feat_user_events AS e ON d.user_id = e.user_id AND d.last_day = e.event_date
            GROUP BY d.user_id, d.day, d.last_day""",
        numbers=("position", "session_number"),
        stamps=f"""
            SELECT
              event_date AS day, {BUCKET} AS bucket,
              concat(count(*), ' ', sum(hash({", ".join(table("core_events").column_names)}))) AS stamp,
              CAST(NULL AS DATE) AS reach, min(event_ts) AS first_at, max(event_ts) AS last_at
            FROM core_events WHERE event_date <= :as_of GROUP BY ALL""",
    ),
    # the stamps of user events are of all rows, whether the user is known or not
    "feat_item_clicks": ByDay(stamps=OF_USER_EVENTS, made_from=("feat_user_events",)),
    "feat_sessions": ByUser(
        source="feat_user_events",
        touched=f"""
            SELECT user_id, day FROM feat_user_events JOIN changed_days ON event_date = day AND {BUCKET} = bucket
            UNION ALL
            SELECT user_id, day FROM feat_sessions JOIN changed_days
            ON {BUCKET} = bucket AND day >= session_date AND day <= CAST(ended_at AS DATE) + 1
            WHERE ended_at >= :first_day - INTERVAL 1 DAY""",
        # sessions that have, or had, events of the day or later
        starts="""
            SELECT user_id, min(session_number) AS made_from, min(session_number) AS read_from
            FROM (
              SELECT t.user_id, e.session_number
              FROM touched_users AS t
              JOIN feat_user_events AS e ON t.user_id = e.user_id AND e.event_date >= t.day
              WHERE e.event_date >= :first_day
              UNION ALL
              SELECT t.user_id, s.session_number
              FROM touched_users AS t
              JOIN feat_sessions AS s ON t.user_id = s.user_id AND CAST(s.ended_at AS DATE) + 1 >= t.day
              WHERE s.ended_at >= :first_day - INTERVAL 1 DAY
            ) AS sessions
            GROUP BY user_id""",
        stamps="""
            SELECT day, bucket, stamp, CAST(NULL AS DATE) AS reach
            FROM feature_days WHERE table_name = 'feat_user_events'""",
        made_from=("feat_user_events",),
    ),
    "funnel_daily": ByDay(
        stamps=OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_ahead="conversion_window_days"
    ),
    "session_paths": ByDay(
        stamps=OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_kept="trajectory_days"
    ),
    "transitions_daily": ByDay(
        stamps=OF_SESSIONS, made_from=("feat_user_events", "feat_sessions"), days_kept="trajectory_days"
    ),
    "conversions_daily": ByDay(stamps=OF_CATEGORIES, made_from=("feat_user_events",), days_kept="trajectory_days"),
    "cohort_retention": ByDay(
        stamps=OF_USER_EVENTS,
        made_from=("feat_user_events",),
        made_anew="period_start >= CAST(date_trunc(grain, CAST(:since AS DATE)) AS DATE)",
    ),
}
