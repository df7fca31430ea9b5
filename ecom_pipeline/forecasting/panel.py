"""From long frames to dense arrays: one row a series, one column a date of the grid.

Belongs here: reading, checking and aligning the frames. Does not: scaling, features, models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.calendar import resolve_offset, time_grid
from ecom_pipeline.forecasting.types import ForecastingError


@dataclass
class Panel:
    """N series on a grid of T observed dates and H dates ahead.

    y: (N, T) float64, NaN where not recorded. known: name -> (N, T + H) float32; past: name -> (N, T) float32; NaN
    where missing. static: name -> (N,) object, None where missing.
    """

    ids: pd.Index
    grid: pd.DatetimeIndex
    offset: pd.offsets.BaseOffset
    observed: int
    y: np.ndarray
    known: dict[str, np.ndarray]
    past: dict[str, np.ndarray]
    static: dict[str, np.ndarray]

    @property
    def horizon(self) -> int:
        """Number of dates ahead."""
        return len(self.grid) - self.observed

    def sample(self, count: int) -> "Panel":
        """At most `count` series, evenly spaced in the order of the ids."""
        if len(self.ids) <= count:
            return self
        some = np.linspace(0, len(self.ids) - 1, count).astype(int)
        return Panel(
            ids=self.ids[some],
            grid=self.grid,
            offset=self.offset,
            observed=self.observed,
            y=self.y[some],
            known={name: v[some] for name, v in self.known.items()},
            past={name: v[some] for name, v in self.past.items()},
            static={name: v[some] for name, v in self.static.items()},
        )

    @property
    def start(self) -> np.ndarray:
        """First recorded position of each series, (N,) int; `observed` where nothing is recorded."""
        recorded = ~np.isnan(self.y)
        return np.where(recorded.any(axis=1), recorded.argmax(axis=1), self.observed)


def _require(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ForecastingError(f"{name}: missing column(s) {missing}; it has {list(frame.columns)}.")


def _numbers(frame: pd.DataFrame, column: str, name: str) -> np.ndarray:
    try:
        values = pd.to_numeric(frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise ForecastingError(
            f"{name}, column {column}: {error}; pass numbers, or nulls where not recorded."
        ) from error
    return np.where(np.isfinite(values), values, np.nan)


def read_panel(
    *,
    history: pd.DataFrame,
    future: pd.DataFrame | None,
    freq: object,
    horizon: int,
    known_future: Sequence[str] = (),
    past_only: Sequence[str] = (),
    static: Sequence[str] = (),
) -> Panel:
    """Align a history (unique_id, ds, y, covariates) and the future's known columns on one grid.

    Dates of `future` must lie within `horizon` steps after the last date of the history. Series that only `future`
    names join with an empty record. Raises ForecastingError on missing columns, duplicate keys, dates off the grid.
    """
    _require(history, ["unique_id", "ds", "y", *known_future, *past_only, *static], "history")
    if history.empty:
        raise ForecastingError("history has no rows; the forecaster needs at least one dated row.")
    if history["ds"].isna().any() or history["unique_id"].isna().any():
        raise ForecastingError("history: unique_id and ds must not be null.")
    frames = [history["unique_id"]]
    if future is not None:
        _require(future, ["unique_id", "ds", *known_future], "future")
        frames.append(future["unique_id"])
    joined = pd.concat([pd.Series(f.drop_duplicates().astype(object)) for f in frames]).drop_duplicates()
    ids = pd.Index(sorted(joined, key=str), dtype=object)
    day_codes, days = pd.factorize(pd.to_datetime(history["ds"]))
    day_codes = day_codes.astype(np.int32)
    days = pd.DatetimeIndex(days)
    offset = resolve_offset(freq, days)
    grid = time_grid(offset=offset, start=days.min(), end=days.max(), horizon=horizon)
    observed = len(grid) - horizon
    rows = _codes(history["unique_id"], ids)
    cols = grid.get_indexer(days).astype(np.int32)[day_codes]
    del day_codes
    if (cols < 0).any():
        raise ForecastingError(
            f"history: {history['ds'].iloc[int(np.argmax(cols < 0))]} is not on the grid of {freq!r}."
        )
    flat = rows * np.int64(observed) + cols
    present = np.zeros(len(ids) * observed, dtype=bool)
    present[flat] = True
    if int(np.count_nonzero(present)) != len(flat):
        twice = history[pd.Series(flat).duplicated().to_numpy()].iloc[0]
        raise ForecastingError(f"history: more than one row for unique_id={twice['unique_id']!r}, ds={twice['ds']}.")
    del flat, present
    y = np.full((len(ids), observed), np.nan)
    y[rows, cols] = _numbers(history, "y", "history")

    frows = fcols = np.zeros(0, dtype=np.int64)
    if future is not None and len(future):
        frows = _codes(future["unique_id"], ids)
        fcols = grid.get_indexer(pd.DatetimeIndex(pd.to_datetime(future["ds"])))
        bad = fcols < observed
        if bad.any():
            raise ForecastingError(
                f"future: {future['ds'].iloc[int(np.argmax(bad))]} is not one of the {horizon} dates after "
                f"{grid[observed - 1]}."
            )
    known: dict[str, np.ndarray] = {}
    for column in known_future:
        _check_numeric(history, column)
        values = np.full((len(ids), len(grid)), np.nan, dtype=np.float32)
        values[rows, cols] = _numbers(history, column, "history")
        if future is not None:
            values[frows, fcols] = _numbers(future, column, "future")
        known[column] = values
    past: dict[str, np.ndarray] = {}
    for column in past_only:
        values = np.full((len(ids), observed), np.nan, dtype=np.float32)
        values[rows, cols] = _numbers(history, column, "history")
        past[column] = values
    return Panel(
        ids=ids,
        grid=grid,
        offset=offset,
        observed=observed,
        y=y,
        known=known,
        past=past,
        static={column: _static(history, future, column, ids) for column in static},
    )


def _codes(values: pd.Series, ids: pd.Index) -> np.ndarray:
    codes, uniques = pd.factorize(values)
    return ids.get_indexer(pd.Index(uniques, dtype=object)).astype(np.int32)[codes]


def _check_numeric(history: pd.DataFrame, column: str) -> None:
    if isinstance(history[column].dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(history[column]):
        raise ForecastingError(
            f"history, column {column}: a known-future column must be a number or a flag, not {history[column].dtype}; "
            "turn its categories into one flag each."
        )


def _static(history: pd.DataFrame, future: pd.DataFrame | None, column: str, ids: pd.Index) -> np.ndarray:
    parts = [history[["unique_id", column]]]
    if future is not None and column in future.columns:
        parts.append(future[["unique_id", column]])
    values = np.full(len(ids), None, dtype=object)
    for part in reversed(parts):
        last = part.dropna().drop_duplicates("unique_id", keep="last")
        values[ids.get_indexer(pd.Index(last["unique_id"], dtype=object))] = last[column].astype(object).to_numpy()
    return values
