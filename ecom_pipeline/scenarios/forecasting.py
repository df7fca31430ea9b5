"""Forecasts under a scenario: the champion of the night, the same history, another plan of the days ahead.

The scenario's plan stands in a temporary table that hides `feat_sales_future` from this connection alone; the
warehouse stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from ecom_pipeline.contracts.ddl import identifier
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.registry import ModelName, Registry
from ecom_pipeline.scenarios.plan import Change, Scenario, ScenarioError
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.forecast_frames import PROMOTIONS
from ecom_pipeline.warehouse import Warehouse

MODEL: ModelName = "sales_forecaster"
SERVING = "model"

_PRODUCTS_PLAN = """
CREATE OR REPLACE TEMPORARY TABLE scenario_products AS
SELECT f.series_id AS item_id, i.category, i.category_path, i.price, f.date, f.on_promotion, f.promotion_depth AS depth,
       false AS changed
FROM {plan} AS f LEFT JOIN feat_items AS i ON f.series_id = i.item_id
WHERE f.level = 'product'
"""
_WHERE = """
date BETWEEN :first_day AND :last_day
AND (:item IS NULL OR item_id = :item)
AND (:category IS NULL OR category = :category OR category_path = :category
     OR starts_with(category_path, :category || ' > '))
"""
_APPLY = """
UPDATE scenario_products SET
  changed = changed OR on_promotion IS DISTINCT FROM (:depth > 0) OR (on_promotion AND abs(depth - :depth) > 1e-9),
  on_promotion = :depth > 0,
  depth = :depth
WHERE {where}
"""
_HIDING = """
CREATE OR REPLACE TEMPORARY TABLE feat_sales_future AS
WITH groups AS (
  SELECT level, series_id, date, count(*) AS products, avg(CAST(on_promotion AS DOUBLE)) AS share,
         avg(CASE WHEN on_promotion THEN depth END) AS depth, max(CAST(changed AS INTEGER)) AS changed
  FROM (
    SELECT 'category' AS level, category AS series_id, * FROM scenario_products WHERE category IS NOT NULL
    UNION ALL
    SELECT 'total', 'total', * FROM scenario_products
  )
  GROUP BY level, series_id, date
)
SELECT f.* REPLACE (
  CASE WHEN p.changed THEN p.on_promotion WHEN g.changed = 1 THEN g.share > 0 ELSE f.on_promotion END AS on_promotion,
  CASE WHEN p.changed THEN CAST(p.on_promotion AS DOUBLE) WHEN g.changed = 1 THEN round(g.share, 6)
       ELSE f.promotion_share END AS promotion_share,
  CASE WHEN p.changed THEN coalesce(p.depth, 0) WHEN g.changed = 1 THEN coalesce(round(g.depth, 6), 0)
       ELSE f.promotion_depth END AS promotion_depth
)
FROM {plan} AS f
LEFT JOIN scenario_products AS p ON f.level = 'product' AND f.series_id = p.item_id AND f.date = p.date
LEFT JOIN groups AS g ON f.level = g.level AND f.series_id = g.series_id AND f.date = g.date
"""
_RESULT = """
SELECT
  :scenario AS scenario, p.as_of, p.level, p.series_id, p.measure, p.target_date, p.horizon,
  (a.on_promotion, a.promotion_share, a.promotion_depth) IS DISTINCT FROM
    (b.on_promotion, b.promotion_share, b.promotion_depth) AS changed,
  p.mean AS plan_mean, p.p10 AS plan_p10, p.p90 AS plan_p90, s.mean, s.p10, s.p90,
  s.mean - p.mean AS difference,
  least(s.p10 - p.p10, s.p90 - p.p90, s.mean - p.mean) AS difference_low,
  greatest(s.p10 - p.p10, s.p90 - p.p90, s.mean - p.mean) AS difference_high,
  p.model_version
FROM sales_forecasts AS p
JOIN scenario_forecasts AS s
  ON s.level = p.level AND s.series_id = p.series_id AND s.measure = p.measure AND s.target_date = p.target_date
JOIN {plan} AS b ON b.level = p.level AND b.series_id = p.series_id AND b.date = p.target_date
JOIN temp.feat_sales_future AS a ON a.level = p.level AND a.series_id = p.series_id AND a.date = p.target_date
WHERE p.as_of = :as_of
ORDER BY p.level, p.series_id, p.measure, p.target_date
"""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """Rows of `sales_scenarios`, the night they are of, and how many product days the scenario changes."""

    scenario: str
    as_of: date
    rows: pa.Table
    changed_product_days: int


def forecast_scenario(
    warehouse: Warehouse,
    scenario: Scenario,
    *,
    home: Home,
    settings: Settings,
    as_of: date | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> ScenarioResult:
    """Forecast the night `as_of` (default: the one whose features stand) under a scenario.

    Raises:
        ScenarioError: if the scenario names what is not there, or the model could not tell a difference.
    """
    progress = on_progress or _silent
    night = _night(warehouse, as_of)
    version = Registry(home, settings).champion(MODEL, night)
    published = warehouse.rows(
        "SELECT DISTINCT model_version FROM sales_forecasts WHERE as_of = :as_of AND NOT fallback", {"as_of": night}
    )
    if version is None or published != [(version.name,)]:
        raise ScenarioError(
            f"The night of {night} was forecast by the seasonal profile, which knows no prices and promotions, or by "
            "another version than the champion of today. Run the night again, then the scenario."
        )
    try:
        changed = _plan(warehouse, scenario, night, horizon=settings.horizon_days)
        progress("forecast", 0.1)
        forecasts = _forecast(warehouse, home=home, settings=settings, night=night, progress=progress)
        warehouse.connection.register("scenario_forecasts", forecasts)
        try:
            rows = warehouse.arrow(
                _RESULT.format(plan=_plan_table(warehouse)), {"scenario": scenario.name, "as_of": night}
            )
        finally:
            warehouse.connection.unregister("scenario_forecasts")
    finally:
        for table in ("feat_sales_future", "scenario_products"):
            warehouse.run(f"DROP TABLE IF EXISTS temp.{table}")
    progress("done", 1.0)
    return ScenarioResult(scenario=scenario.name, as_of=night, rows=rows, changed_product_days=changed)


def _night(warehouse: Warehouse, as_of: date | None) -> date:
    nights = dict(warehouse.rows("SELECT table_name, as_of FROM feature_nights"))
    night = nights.get("feat_sales_daily")
    if not isinstance(night, date) or nights.get("feat_sales_future") != night:
        raise ScenarioError("The features are of no single night. Run a night first: ecom-pipeline nightly")
    if as_of is not None and as_of != night:
        raise ScenarioError(f"The warehouse stands for the night of {night}, not {as_of}. Run that night first.")
    return night


def _plan(warehouse: Warehouse, scenario: Scenario, night: date, *, horizon: int) -> int:
    """Make the scenario's plan and hide the real one behind it; returns the product days that it changes."""
    warehouse.run(_PRODUCTS_PLAN.format(plan=_plan_table(warehouse)))
    last = night + timedelta(days=horizon)
    for change in scenario.changes:
        if change.last_day <= night or change.first_day > last:
            raise ScenarioError(
                f"The change from {change.first_day} to {change.last_day} lies outside the forecast, which goes from "
                f"{night + timedelta(days=1)} to {last}."
            )
        warehouse.run(_APPLY.format(where=_WHERE), {**_bound(change), "depth": _depth(warehouse, change)})
    warehouse.run(_HIDING.format(plan=_plan_table(warehouse)))
    changed = int(warehouse.scalar("SELECT count(*) FROM scenario_products WHERE changed"))
    if changed == 0:
        raise ScenarioError(f"The scenario {scenario.name!r} changes nothing: the plan has it so already.")
    return changed


def _plan_table(warehouse: Warehouse) -> str:
    """The plan itself by its full name; any shorter one means the table that hides it."""
    return f"{identifier(str(warehouse.scalar('SELECT current_database()')))}.main.feat_sales_future"


def _bound(change: Change) -> dict[str, object]:
    return {
        "first_day": change.first_day,
        "last_day": change.last_day,
        "item": change.item,
        "category": change.category,
    }


def _depth(warehouse: Warehouse, change: Change) -> float:
    """The discount that the change comes to, as a share of the list price; 0 is no promotion."""
    found = warehouse.rows(
        f"SELECT count(*), max(price) FROM scenario_products WHERE {_WHERE}",  # the price is of one item, if asked for
        _bound(change),
    )
    ((rows, price),) = found
    named = change.item or change.category
    if rows == 0:
        raise ScenarioError(
            f"{named!r} has no forecast from {change.first_day} to {change.last_day}: there is no such product or "
            "category, or it has not sold for long."
        )
    if change.discount is not None:
        return change.discount
    if price is None or change.price is None:
        raise ScenarioError(f"The list price of {named} is not known, so a price cannot be compared; give a discount.")
    if change.price > price:
        raise ScenarioError(
            f"{named}: {change.price:g} is above its list price {price:g}. The model learned from promotions, which "
            "are below it; it cannot tell what a rise does."
        )
    return 1 - change.price / price


def _forecast(
    warehouse: Warehouse, *, home: Home, settings: Settings, night: date, progress: Callable[[str, float], None]
) -> pa.Table:
    from ecom_pipeline.steps.forecast_baseline import profile_forecasts
    from ecom_pipeline.steps.forecast_frames import series_of_night
    from ecom_pipeline.steps.forecast_making import make_forecasts
    from ecom_pipeline.steps.forecast_outlook import Outlook
    from ecom_pipeline.steps.forecast_training import FittedForecaster, training_settings

    registry = Registry(home, settings)
    champion = registry.champion(MODEL, night)
    if champion is None:
        raise ScenarioError(f"No forecaster is champion on the night of {night}.")
    known, wanted = champion.manifest.settings, training_settings(settings)
    if any(known.get(name) != wanted[name] for name in ("format", "horizon_days")):
        raise ScenarioError(
            f"The forecaster {champion.name} was made by another version of ecom_pipeline, or for another horizon. "
            "Run the night again, which trains one that can be read, then the scenario."
        )
    forecaster = FittedForecaster.load(registry.folder(champion) / SERVING)
    if not set(PROMOTIONS) & set(forecaster.covariates.known_future):
        raise ScenarioError(
            f"The forecaster {champion.name} saw no promotion in this shop's history, so it cannot tell what one does. "
            "A scenario needs a promotions feed with past promotions."
        )
    series = series_of_night(warehouse, as_of=night)
    outlook = Outlook.tonight(warehouse, as_of=night)
    baseline = profile_forecasts(warehouse, series, outlook=outlook, horizon=settings.horizon_days)
    made = make_forecasts(
        warehouse,
        forecaster,
        series,
        baseline=baseline,
        outlook=outlook,
        horizon=settings.horizon_days,
        on_share=lambda share: progress("forecast", 0.1 + 0.85 * share),
    )
    place, day = np.nonzero(made.forecasts.asked)
    return pa.table(
        {
            **{
                name: pa.array(series[name], pa.string()).take(pa.array(place))
                for name in ("level", "series_id", "measure")
            },
            "target_date": pa.array(np.datetime64(night) + 1 + day),
            "mean": pa.array(made.forecasts.mean[place, day]),
            **{name: pa.array(made.forecasts.quantiles[place, day, QUANTILES.index(name)]) for name in ("p10", "p90")},
        }
    )


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
