"""Sales and forecasts of many series as arrays: a row a series, a column a day.

Belongs here: reading days of all series of a night, and what a forecast of them is. Tens of thousands of series are
millions of rows; as long frames with their names they cost most of a night's forecasting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ecom_pipeline.steps.forecast_frames import MEASURES
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

_DAYS = """
SELECT chosen.number, CAST(date_diff('day', CAST(:first AS DATE), daily.date) - 1 AS INTEGER) AS day{columns}
FROM {source} AS daily
JOIN chosen_series AS chosen ON chosen.level = daily.level AND chosen.series_id = daily.series_id
WHERE daily.date > :first AND daily.date <= :last
"""

_CHANGES = """
WITH changes AS (
  SELECT chosen.number, daily.date,
         quantity - lag(quantity) OVER (PARTITION BY chosen.number ORDER BY daily.date) AS quantity_change,
         revenue - lag(revenue) OVER (PARTITION BY chosen.number ORDER BY daily.date) AS revenue_change
  FROM feat_sales_daily AS daily
  JOIN chosen_series AS chosen ON chosen.level = daily.level AND chosen.series_id = daily.series_id
  WHERE daily.date <= :last
)
SELECT number{averages} FROM changes GROUP BY number
"""


@dataclass(frozen=True)
class Days:
    """What the features say of D days of n series.

    listed, closed (n, D): whether there is a row of the day, and whether the shop was known to be closed then, listed
    or not. y (n, D): sales, NaN where not recorded or not listed, and where the days are a plan.
    """

    listed: np.ndarray
    closed: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class DayForecasts:
    """Forecasts of n series for H days: mean (n, H), quantiles (n, H, 7), asked (n, H): which of them are wanted."""

    mean: np.ndarray
    quantiles: np.ndarray
    asked: np.ndarray


def days_before(warehouse: Warehouse, series: pd.DataFrame, *, outlook: Outlook, days: int) -> Days:
    """The last `days` days up to the night, of `series` in their order."""
    return _read_days(warehouse, series, outlook=outlook, first=-days, last=0, source="feat_sales_daily")


def days_ahead(warehouse: Warehouse, series: pd.DataFrame, *, outlook: Outlook, horizon: int) -> Days:
    """The days after the night, of `series` in their order."""
    return _read_days(warehouse, series, outlook=outlook, first=0, last=horizon, source=outlook.table_ahead)


def _read_days(
    warehouse: Warehouse, series: pd.DataFrame, *, outlook: Outlook, first: int, last: int, source: str
) -> Days:
    """The days after the `first` up to the `last`, counted from the night."""
    items, names = _items(series)
    measures = MEASURES if source == "feat_sales_daily" else ()
    sql = _DAYS.format(source=source, columns="".join(f", daily.{measure}" for measure in measures))
    rows = _of_items(warehouse, names, sql, {"first": outlook.day(first), "last": outlook.day(last)})
    shape = (len(names), last - first)
    place = (rows["number"].to_numpy(), rows["day"].to_numpy())
    listed = np.zeros(shape, dtype=bool)
    listed[place] = True
    closed = outlook.is_closed([outlook.day(ahead) for ahead in range(first + 1, last + 1)])
    values = np.full((len(MEASURES), *shape), np.nan)
    for number, measure in enumerate(measures):
        values[(number, *place)] = rows[measure].to_numpy()
    return Days(
        listed=listed[items],
        closed=np.broadcast_to(closed, (len(series), last - first)),
        y=values[_measure(series), items],
    )


def changes_before(
    warehouse: Warehouse, series: pd.DataFrame, *, cutoffs: Sequence[date]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared and mean absolute change from day to day up to each cutoff, (n, cutoffs) each; NaN without any.

    The denominators of RMSSE and MASE.
    """
    items, names = _items(series)
    averages = "".join(
        f", avg(CASE WHEN date <= :cutoff_{k} THEN {measure}_change * {measure}_change END) AS {measure}_squared_{k}"
        f", avg(CASE WHEN date <= :cutoff_{k} THEN abs({measure}_change) END) AS {measure}_absolute_{k}"
        for k in range(len(cutoffs))
        for measure in MEASURES
    )
    rows = _of_items(
        warehouse,
        names,
        _CHANGES.format(averages=averages),
        {"last": max(cutoffs), **{f"cutoff_{k}": cutoff for k, cutoff in enumerate(cutoffs)}},
    )
    result = np.full((2, len(MEASURES), len(names), len(cutoffs)), np.nan)
    number = rows["number"].to_numpy()
    for kind, name in enumerate(("squared", "absolute")):
        for k in range(len(cutoffs)):
            for place, measure in enumerate(MEASURES):
                result[kind, place, number, k] = rows[f"{measure}_{name}_{k}"].to_numpy()
    squared, absolute = result[:, _measure(series), items]
    return squared, absolute


def _items(series: pd.DataFrame) -> tuple[np.ndarray, pd.Index]:
    """The item of each series, (n,), and the items: both measures of a series are of one."""
    names = pd.MultiIndex.from_frame(series[["level", "series_id"]])
    items, _ = names.factorize()
    return items, names.unique()


def _measure(series: pd.DataFrame) -> np.ndarray:
    """The place of each series' measure in MEASURES, (n,)."""
    return pd.Index(MEASURES).get_indexer(pd.Index(series["measure"]))


def _of_items(warehouse: Warehouse, names: pd.Index, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
    chosen = pa.table(
        {
            "level": pa.array(names.get_level_values(0), pa.string()),
            "series_id": pa.array(names.get_level_values(1), pa.string()),
            "number": pa.array(np.arange(len(names), dtype=np.int32)),
        }
    )
    warehouse.connection.register("chosen_series", chosen)
    try:
        return warehouse.arrow(sql, parameters)
    finally:
        warehouse.connection.unregister("chosen_series")
