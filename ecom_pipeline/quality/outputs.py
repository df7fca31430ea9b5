"""What must hold of a night's outputs beyond their contracts: no knowledge of the future, sums, completeness."""

from datetime import date, timedelta

from ecom_pipeline.contracts import Table
from ecom_pipeline.quality.queries import kept, wrong_rows
from ecom_pipeline.quality.results import TableValidation
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

RUN_AGAIN = "Run the step that makes the table again for this night."

# Means are rounded to four decimals where they are made; sums over many series may differ by what that leaves.
_SUMS = """
WITH products AS (
  SELECT forecasts.measure, forecasts.target_date, items.category, forecasts.mean
  FROM sales_forecasts AS forecasts
  LEFT JOIN feat_items AS items ON items.item_id = forecasts.series_id
  WHERE forecasts.as_of = :as_of AND forecasts.level = 'product'
),
sums AS (
  SELECT 'total' AS level, 'total' AS series_id, measure, target_date, sum(mean) AS of_products, count(*) AS n
  FROM products GROUP BY measure, target_date
  UNION ALL
  SELECT 'category' AS level, category AS series_id, measure, target_date, sum(mean) AS of_products, count(*) AS n
  FROM products WHERE category IS NOT NULL GROUP BY category, measure, target_date
)
SELECT forecasts.level, forecasts.series_id, forecasts.measure, forecasts.target_date, forecasts.mean,
       coalesce(sums.of_products, 0) AS of_products
FROM sales_forecasts AS forecasts
LEFT JOIN sums ON sums.level = forecasts.level AND sums.series_id = forecasts.series_id
  AND sums.measure = forecasts.measure AND sums.target_date = forecasts.target_date
WHERE forecasts.as_of = :as_of AND forecasts.level <> 'product'
  AND NOT abs(forecasts.mean - coalesce(sums.of_products, 0)) <= 0.01 + 0.0001 * coalesce(sums.n, 0)
ORDER BY forecasts.level, forecasts.series_id, forecasts.measure, forecasts.target_date
"""

_INCOMPLETE = """
WITH made AS (
  SELECT level, series_id, measure, count(DISTINCT horizon) AS days, min(horizon) AS first_day, max(horizon) AS last_day
  FROM sales_forecasts WHERE as_of = :as_of GROUP BY level, series_id, measure
)
SELECT level, series_id, measure, days, first_day, last_day FROM made
WHERE days <> :horizon OR first_day <> 1 OR last_day <> :horizon
ORDER BY level, series_id, measure
"""

_MISSING_SERIES = """
SELECT DISTINCT future.level, future.series_id
FROM feat_sales_future AS future
WHERE NOT EXISTS (
  SELECT 1 FROM sales_forecasts AS made
  WHERE made.as_of = :as_of AND made.level = future.level AND made.series_id = future.series_id
    AND made.measure = 'quantity'
)
ORDER BY future.level, future.series_id
"""

IMPLAUSIBLE_FACTOR = 10
"""No mean for a day is so many times the highest day that the series ever had: such a network has gone astray."""

_IMPLAUSIBLE = """
WITH highest AS (
  SELECT level, series_id, max(quantity) AS quantity, max(revenue) AS revenue
  FROM feat_sales_daily WHERE date <= :as_of GROUP BY level, series_id
),
beside AS (
  SELECT made.level, made.series_id, made.measure, made.target_date, made.mean,
         CASE WHEN made.measure = 'quantity' THEN highest.quantity ELSE highest.revenue END AS highest_day
  FROM sales_forecasts AS made
  JOIN highest ON highest.level = made.level AND highest.series_id = made.series_id
  WHERE made.as_of = :as_of
)
SELECT level, series_id, measure, target_date, mean, highest_day FROM beside
WHERE highest_day > 0 AND mean > :factor * highest_day
ORDER BY level, series_id, measure, target_date
"""

_ACTIVE = """
SELECT user_id FROM feat_user_events
WHERE event NOT IN ('return', 'remove')
GROUP BY user_id
HAVING max(event_date) > :active_since
"""

_RANKS = """
SELECT user_id, count(*) AS recommendations, max(rank) AS last_rank, count(DISTINCT item_id) AS items
FROM recommendations WHERE as_of = :as_of
GROUP BY user_id
HAVING count(*) <> max(rank) OR min(rank) <> 1 OR count(DISTINCT item_id) <> count(*) OR count(*) > :most
ORDER BY user_id
"""


def check_model_cutoffs(warehouse: Warehouse, table: Table, *, as_of: date, run_id: str) -> TableValidation:
    """No row comes from a model version that saw data after the row's night, or that nobody knows.

    Of a table that is kept night by night the night `as_of` is checked, of others every row.
    """
    of_night = "WHERE as_of = :as_of" if table.by_night else ""
    made = f"SELECT as_of, model_version, count(*) AS n FROM {table.name} {of_night} GROUP BY as_of, model_version"
    parameters = {"as_of": as_of} if table.by_night else {}
    result = wrong_rows(
        warehouse,
        table.name,
        rule="no model version saw data after the night that it is used in",
        name="model_cutoff_is_not_after_the_night",
        sql=f"""
        SELECT made.as_of, made.model_version, known.data_cutoff, made.n AS rows_made
        FROM ({made}) AS made
        LEFT JOIN (
          SELECT model_version, max(data_cutoff) AS data_cutoff FROM model_versions GROUP BY model_version
        ) AS known ON known.model_version = made.model_version
        WHERE known.data_cutoff IS NULL OR known.data_cutoff > made.as_of
        ORDER BY made.as_of, made.model_version
        """,
        parameters=parameters,
        rows_checked=warehouse.scalar(f"SELECT count(*) FROM ({made}) AS made", parameters),
        to_do="The results would know the future. Train a version for this night (the training step), and run this "
        "step again.",
    )
    return kept(warehouse, table.name, "models", [result], as_of=as_of, run_id=run_id)


def check_forecasts(warehouse: Warehouse, *, settings: Settings, as_of: date, run_id: str) -> TableValidation:
    """Means add up and are plausible, every series has every day ahead, every series still sold is forecast."""
    series = warehouse.scalar(
        "SELECT count(*) FROM "
        "(SELECT DISTINCT level, series_id, measure FROM sales_forecasts WHERE as_of = :as_of) AS made",
        {"as_of": as_of},
    )
    sums = warehouse.scalar(
        "SELECT count(*) FROM sales_forecasts WHERE as_of = :as_of AND level <> 'product'", {"as_of": as_of}
    )
    made = warehouse.scalar("SELECT count(*) FROM sales_forecasts WHERE as_of = :as_of", {"as_of": as_of})
    wanted = warehouse.scalar(
        "SELECT count(*) FROM (SELECT DISTINCT level, series_id FROM feat_sales_future) AS wanted"
    )
    results = [
        wrong_rows(
            warehouse,
            "sales_forecasts",
            rule="means add up, products to categories and to the total",
            name="forecasts_add_up",
            sql=_SUMS,
            parameters={"as_of": as_of},
            rows_checked=sums,
            to_do=RUN_AGAIN,
        ),
        wrong_rows(
            warehouse,
            "sales_forecasts",
            rule=f"every series is forecast for each of the {settings.horizon_days} days ahead",
            name="forecasts_cover_the_horizon",
            sql=_INCOMPLETE,
            parameters={"as_of": as_of, "horizon": settings.horizon_days},
            rows_checked=series,
            to_do=RUN_AGAIN,
        ),
        wrong_rows(
            warehouse,
            "sales_forecasts",
            rule="every series that still sells is forecast",
            name="forecasts_cover_the_series",
            sql=_MISSING_SERIES,
            parameters={"as_of": as_of},
            rows_checked=wanted,
            to_do=RUN_AGAIN,
        ),
        wrong_rows(
            warehouse,
            "sales_forecasts",
            rule=f"no mean is more than {IMPLAUSIBLE_FACTOR} times the highest day that the series ever had",
            name="forecasts_are_plausible",
            sql=_IMPLAUSIBLE,
            parameters={"as_of": as_of, "factor": IMPLAUSIBLE_FACTOR},
            rows_checked=made,
            to_do="Take the model back (ecom-pipeline models rollback sales_forecaster, or reject) and run the night "
            "again.",
        ),
    ]
    return kept(warehouse, "sales_forecasts", "completeness", results, as_of=as_of, run_id=run_id)


def check_recommendations(warehouse: Warehouse, *, settings: Settings, as_of: date, run_id: str) -> TableValidation:
    """Every active user gets recommendations, ranked 1, 2, 3 … without a repetition, and not more than the setting."""
    parameters = {"as_of": as_of, "active_since": as_of - timedelta(days=settings.active_user_days)}
    active = warehouse.scalar(f"SELECT count(*) FROM ({_ACTIVE}) AS active", parameters)
    users = warehouse.scalar("SELECT count(DISTINCT user_id) FROM recommendations WHERE as_of = :as_of", parameters)
    results = [
        wrong_rows(
            warehouse,
            "recommendations",
            rule="every active user gets recommendations",
            name="recommendations_cover_active_users",
            sql=f"""
            SELECT active.user_id FROM ({_ACTIVE}) AS active
            WHERE NOT EXISTS (
              SELECT 1 FROM recommendations AS made WHERE made.as_of = :as_of AND made.user_id = active.user_id
            )
            ORDER BY active.user_id
            """,
            parameters=parameters,
            rows_checked=active,
            to_do=RUN_AGAIN,
        ),
        wrong_rows(
            warehouse,
            "recommendations",
            rule=f"a user's recommendations are up to {settings.recommendations_per_user} different products, ranked "
            "1, 2, 3 …",
            name="recommendations_are_ranked_lists",
            sql=_RANKS,
            parameters={"as_of": as_of, "most": settings.recommendations_per_user},
            rows_checked=users,
            to_do=RUN_AGAIN,
        ),
    ]
    return kept(warehouse, "recommendations", "completeness", results, as_of=as_of, run_id=run_id)
