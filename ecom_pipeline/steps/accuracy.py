"""Forecasts of past nights beside what came."""

from datetime import date, timedelta

from ecom_pipeline import contracts
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.warehouse import Warehouse

LATE_DAYS = 56
"""Days back that a night scores again, since late rows and returns still change what came."""

_NOT_SCORED_YET = """
SELECT min(made.as_of)
FROM (SELECT DISTINCT as_of FROM sales_forecasts) AS made
LEFT JOIN (SELECT DISTINCT as_of FROM sales_forecast_accuracy) AS scored ON made.as_of = scored.as_of
WHERE scored.as_of IS NULL AND made.as_of < :as_of
"""


def forecast_accuracy(warehouse: Warehouse, *, as_of: date) -> int:
    """Score what past nights said of the days up to `as_of`; returns the rows written.

    Days older than LATE_DAYS are scored again only for forecasts that were not scored before; what nights after
    `as_of` have scored stays.

    Raises:
        FeatureError: if the features stand for another night.
    """
    require_night(warehouse, "feat_sales_daily", as_of=as_of)
    table = contracts.table("sales_forecast_accuracy")
    since = as_of - timedelta(days=LATE_DAYS)
    missing = warehouse.scalar(_NOT_SCORED_YET, {"as_of": as_of})
    if missing is not None:
        since = min(since, missing)
    days = {"since": since, "as_of": as_of}
    with warehouse.transaction():
        warehouse.run(
            f"DELETE FROM {table.name} WHERE as_of < :as_of AND target_date > :since AND target_date <= :as_of", days
        )
        return warehouse.insert(table, days)
