"""Sales series of one night as the frames that the forecaster reads.

Belongs here: which series there are at a cutoff, and their history and known future as long frames. Measures are series
of their own, so that one network learns from all of them. Names are categorical in long frames: millions of rows then
hold numbers.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

Measure = Literal["quantity", "revenue"]
MEASURES: tuple[Measure, ...] = ("quantity", "revenue")

IS_CLOSED = "is_closed"
"""Never read from the features, which say what was learnt up to tonight, but from the outlook of the night."""
DISCOUNT = "discount"
"""The average discount over all products of a series, promoted or not: a category of which a tenth is on sale at half
price is not one at half price. Products have their own."""
PROMOTIONS = ("promotion_share", DISCOUNT)
KNOWN_FUTURE = (*PROMOTIONS, "is_holiday", IS_CLOSED)
PAST_ONLY = ("views", "carts")
STATIC = ("measure_code", "level_code", "category_code")

_SERIES_AHEAD = """
SELECT DISTINCT level, series_id FROM feat_sales_future
"""

_SERIES_AT_CUTOFF = """
SELECT level, series_id
FROM feat_sales_daily
GROUP BY level, series_id
HAVING count(CASE WHEN date > :cutoff AND date <= :last THEN 1 END) > 0
   AND count(CASE WHEN date <= :cutoff THEN 1 END) > 0
   AND (level <> 'product' OR count(CASE WHEN date > :active_since AND date <= :cutoff AND orders > 0 THEN 1 END) > 0)
"""

_SERIES_KNOWN = """
SELECT level, series_id
FROM feat_sales_daily
WHERE date <= :cutoff
GROUP BY level, series_id
HAVING level <> 'product' OR count(CASE WHEN date > :active_since AND orders > 0 THEN 1 END) > 0
"""

_NAMED = """
WITH wanted AS ({wanted}),
known AS (
  SELECT daily.level, daily.series_id, count(daily.revenue) AS revenue,
         sum(abs(coalesce(daily.revenue, daily.quantity, 0))) AS size
  FROM feat_sales_daily AS daily
  WHERE daily.date <= :cutoff
  GROUP BY daily.level, daily.series_id
)
SELECT wanted.level, wanted.series_id, coalesce(known.revenue, 0) > 0 AS has_revenue, coalesce(known.size, 0) AS size,
       CASE wanted.level WHEN 'category' THEN wanted.series_id WHEN 'product' THEN items.category END AS category
FROM wanted
LEFT JOIN known ON known.level = wanted.level AND known.series_id = wanted.series_id
LEFT JOIN feat_items AS items ON items.item_id = wanted.series_id
ORDER BY wanted.level, wanted.series_id
"""

_HISTORY = """
SELECT chosen.number, daily.date AS ds,
       {columns}
       CASE chosen.measure WHEN 'quantity' THEN daily.quantity ELSE daily.revenue END AS y
FROM feat_sales_daily AS daily
JOIN chosen_series AS chosen ON chosen.level = daily.level AND chosen.series_id = daily.series_id
WHERE daily.date > :first AND daily.date <= :cutoff
ORDER BY chosen.number, daily.date
"""

_KNOWN_AHEAD = """
SELECT chosen.number, {columns} ahead.date AS ds
FROM {source} AS ahead
JOIN chosen_series AS chosen ON chosen.level = ahead.level AND chosen.series_id = ahead.series_id
WHERE ahead.date > :cutoff AND ahead.date <= :last
ORDER BY chosen.number, ahead.date
"""


@dataclass(frozen=True)
class Covariates:
    """Columns that vary in this shop's history; a constant column would tell the network nothing."""

    known_future: tuple[str, ...]
    past_only: tuple[str, ...]

    @classmethod
    def of(cls, warehouse: Warehouse, *, outlook: Outlook) -> "Covariates":
        """Look at the history up to the night of `outlook`."""
        columns = [column for column in (*KNOWN_FUTURE, *PAST_ONLY) if column != IS_CLOSED]
        numbers = [_as_number("daily", column) for column in columns]
        spreads = ", ".join(f"coalesce(max({number}) - min({number}), 0)" for number in numbers)
        (row,) = warehouse.rows(
            f"SELECT {spreads} FROM feat_sales_daily AS daily WHERE date <= :cutoff", {"cutoff": outlook.cutoff}
        )
        varying = {column for column, spread in zip(columns, row, strict=True) if spread > 0}
        if any(day <= outlook.cutoff for day in outlook.closed):
            varying.add(IS_CLOSED)
        return cls(
            known_future=tuple(column for column in KNOWN_FUTURE if column in varying),
            past_only=tuple(column for column in PAST_ONLY if column in varying),
        )


def series_of_night(warehouse: Warehouse, *, as_of: date) -> pd.DataFrame:
    """The series to forecast: unique_id, measure, level, series_id, category, size and the codes of STATIC."""
    return _series(warehouse, _SERIES_AHEAD, {"cutoff": as_of})


def series_known_at(warehouse: Warehouse, *, cutoff: date, active_days: int) -> pd.DataFrame:
    """The series to learn from on the night `cutoff`, by what was known then."""
    return _series(warehouse, _SERIES_KNOWN, {"cutoff": cutoff, "active_since": cutoff - timedelta(days=active_days)})


def series_at_cutoff(warehouse: Warehouse, *, cutoff: date, horizon: int, active_days: int) -> pd.DataFrame:
    """The series that would have been forecast on the night `cutoff`, as far as later rows show what came."""
    return _series(
        warehouse,
        _SERIES_AT_CUTOFF,
        {
            "cutoff": cutoff,
            "last": cutoff + timedelta(days=horizon),
            "active_since": cutoff - timedelta(days=active_days),
        },
    )


def _series(warehouse: Warehouse, wanted: str, parameters: dict[str, object]) -> pd.DataFrame:
    named = warehouse.arrow(_NAMED.format(wanted=wanted), parameters).to_pandas()
    has_revenue = named.pop("has_revenue").to_numpy(dtype=bool)
    series = pd.concat(
        [named.assign(measure="quantity"), named[has_revenue].assign(measure="revenue")], ignore_index=True
    )[["measure", "level", "series_id", "category", "size"]]
    series["unique_id"] = series["measure"] + "/" + series["level"] + "/" + series["series_id"]
    series["measure_code"] = series["measure"]
    series["level_code"] = series["level"]
    series["category_code"] = series["category"].fillna("")
    return series


def history_of(
    warehouse: Warehouse, series: pd.DataFrame, *, covariates: Covariates, outlook: Outlook, first: date = date.min
) -> pd.DataFrame:
    """Rows after `first` up to the night: unique_id, ds, y (null: not recorded), covariates, STATIC."""
    columns = (*covariates.known_future, *covariates.past_only)
    frame = _read(
        warehouse,
        series,
        _HISTORY.format(columns=_as_numbers("daily", columns)),
        {"cutoff": outlook.cutoff, "first": first},
    )
    return _with_closed_days(frame, covariates, outlook)


def known_ahead(
    warehouse: Warehouse, series: pd.DataFrame, *, covariates: Covariates, outlook: Outlook, horizon: int
) -> pd.DataFrame:
    """Days after the night: unique_id, ds, known-future columns, STATIC."""
    sql = _KNOWN_AHEAD.format(
        columns=_as_numbers("ahead", covariates.known_future),
        source=outlook.table_ahead,
    )
    frame = _read(warehouse, series, sql, {"cutoff": outlook.cutoff, "last": outlook.day(horizon)})
    return _with_closed_days(frame, covariates, outlook)


def _with_closed_days(frame: pd.DataFrame, covariates: Covariates, outlook: Outlook) -> pd.DataFrame:
    if IS_CLOSED in covariates.known_future:
        frame[IS_CLOSED] = frame["ds"].isin(pd.to_datetime(sorted(outlook.closed))).astype(np.float64)
    return frame


def _as_numbers(source: str, columns: tuple[str, ...]) -> str:
    return "".join(f"{_as_number(source, column)} AS {column}, " for column in columns if column != IS_CLOSED)


def _as_number(source: str, column: str) -> str:
    if column == DISCOUNT:
        return f"{source}.promotion_share * {source}.promotion_depth"
    return f"CAST({source}.{column} AS DOUBLE)"


def _read(warehouse: Warehouse, series: pd.DataFrame, sql: str, parameters: dict[str, object]) -> pd.DataFrame:
    # numbers sort and travel many times faster than names; they follow the order of the names
    named = series.sort_values("unique_id", ignore_index=True)
    chosen = named[["measure", "level", "series_id"]].assign(number=named.index)
    warehouse.connection.register("chosen_series", pa.Table.from_pandas(chosen, preserve_index=False))
    try:
        rows = warehouse.arrow(sql, parameters)
    finally:
        warehouse.connection.unregister("chosen_series")
    frame = rows.to_pandas()
    frame["ds"] = pd.to_datetime(frame["ds"])
    number = frame.pop("number").to_numpy()
    frame.insert(0, "unique_id", pd.Categorical.from_codes(number, categories=pd.Index(named["unique_id"])))
    for name in STATIC:
        codes, categories = pd.factorize(named[name], sort=True)
        frame[name] = pd.Categorical.from_codes(codes[number], categories=categories)
    return frame
