"""Forecasts of past nights beside what came.

A night scores the days that are over since the last one, those on which sales have changed since they were scored, and
forecasts that were made anew.
"""

from collections.abc import Collection
from datetime import date, timedelta

import duckdb

from ecom_pipeline import contracts
from ecom_pipeline.contracts import literal
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.warehouse import Warehouse, sql_text
from ecom_pipeline.warehouse.fingerprint import fingerprint_of
from ecom_pipeline.warehouse.row_changes import note_days, note_everything, note_reading, unread

LATE_DAYS = 56
"""Days back that a night scores again where late rows and returns have changed what came."""
TABLE = "sales_forecast_accuracy"

_NOT_SCORED_YET = f"""
SELECT min(made.as_of)
FROM (SELECT DISTINCT as_of FROM sales_forecasts) AS made
LEFT JOIN (SELECT DISTINCT as_of FROM {TABLE}) AS scored ON made.as_of = scored.as_of
WHERE scored.as_of IS NULL AND made.as_of < :as_of
"""
_SALES_NOW = """
CREATE OR REPLACE TEMP TABLE sales_now AS
SELECT date AS day, concat(count(*), ' ', sum(hash(level, series_id, quantity, revenue))) AS stamp
FROM feat_sales_daily WHERE date > :since AND date <= :as_of GROUP BY date
"""
_CHANGED_DAYS = f"""
SELECT coalesce(now.day, was.day) FROM sales_now AS now
FULL JOIN (
  SELECT day, stamp FROM feature_days WHERE table_name = '{TABLE}' AND day > :since AND day <= :as_of
) AS was ON was.day = now.day
WHERE was.stamp IS DISTINCT FROM now.stamp
"""


def forecast_accuracy(warehouse: Warehouse, *, as_of: date) -> int:
    """Score what past nights said of the days up to `as_of`; returns the rows written.

    Days older than LATE_DAYS are scored again only for forecasts that were not scored before, or were made anew; what
    nights after `as_of` have scored stays.

    Raises:
        FeatureError: if the features stand for another night.
    """
    require_night(warehouse, "feat_sales_daily", as_of=as_of)
    forecasts = contracts.table("sales_forecasts")
    since = as_of - timedelta(days=LATE_DAYS)
    # stamps are hashes of DuckDB, which another version of it may compute in another way
    scored_with = fingerprint_of(duckdb.__version__, contracts.table(TABLE), sql_text("marts", TABLE))
    with warehouse.transaction():
        warehouse.run(_SALES_NOW, {"since": since, "as_of": as_of})
        forecasts_unread = unread(warehouse, forecasts, "accuracy", read_with=scored_with)
        if forecasts_unread is None or not warehouse.makes_parts:
            rows = _score_everything(warehouse, since=since, as_of=as_of)
            # days that later nights have scored, in another way perhaps, are scored again by the next of them
            warehouse.run(f"DELETE FROM feature_days WHERE table_name = '{TABLE}'")
        else:
            days = {day for (day,) in warehouse.rows(_CHANGED_DAYS, {"since": since, "as_of": as_of})}
            nights = {night for night in forecasts_unread.days if night < as_of}
            rows = _score(warehouse, days=days, nights=nights, as_of=as_of)
        warehouse.run(f"DELETE FROM feature_days WHERE table_name = '{TABLE}' AND day <= :as_of", {"as_of": as_of})
        warehouse.run(
            f"INSERT INTO feature_days (table_name, day, bucket, stamp) SELECT '{TABLE}', day, 0, stamp FROM sales_now"
        )
        warehouse.run("DROP TABLE temp.sales_now")
        note_reading(warehouse, forecasts, "accuracy", read_with=scored_with, after=forecasts_unread)
        # of these, days after `as_of` may have been scored by a later night before this one was run again
        later = warehouse.rows(
            "SELECT as_of FROM sales_forecasts WHERE as_of >= :as_of "
            f"UNION SELECT as_of FROM {TABLE} WHERE target_date > :as_of",
            {"as_of": as_of},
        )
        told = {night for (night,) in later}
        note_days(warehouse, forecasts, told if forecasts_unread is None else told & forecasts_unread.days)
        return rows


def _score_everything(warehouse: Warehouse, *, since: date, as_of: date) -> int:
    table = contracts.table(TABLE)
    missing = warehouse.scalar(_NOT_SCORED_YET, {"as_of": as_of})
    if missing is not None:
        since = min(since, missing)
    days = {"since": since, "as_of": as_of}
    warehouse.run(f"DELETE FROM {TABLE} WHERE as_of < :as_of AND target_date > :since AND target_date <= :as_of", days)
    note_everything(warehouse, table)
    return warehouse.insert(table, days)


def _score(warehouse: Warehouse, *, days: Collection[date], nights: Collection[date], as_of: date) -> int:
    """Score all forecasts of `days`, and all days of the forecasts of `nights`."""
    if not days and not nights:
        return 0
    table = contracts.table(TABLE)
    wanted = f"as_of < {literal(as_of.isoformat())} AND ({_among('target_date', days)} OR {_among('as_of', nights)})"
    wanted += f" AND target_date <= {literal(as_of.isoformat())}"
    of_nights = f"SELECT DISTINCT target_date FROM {TABLE} WHERE {wanted}"
    touched = {day for (day,) in warehouse.rows(of_nights)}
    warehouse.run(f"DELETE FROM {TABLE} WHERE {wanted}")
    since = min((*nights, *(day - timedelta(days=1) for day in days)))
    rows = warehouse.insert(
        table,
        {"since": since, "as_of": as_of},
        sql=f"SELECT * FROM (\n{sql_text('marts', TABLE)}\n) AS scored WHERE {wanted}",
    )
    note_days(warehouse, table, touched | {day for (day,) in warehouse.rows(of_nights)})
    return rows


def _among(column: str, days: Collection[date]) -> str:
    return f"{column} IN ({', '.join(literal(day.isoformat()) for day in sorted(days))})" if days else "FALSE"
