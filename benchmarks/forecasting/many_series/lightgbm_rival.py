"""LightGBM, direct: the features of the other tasks, more of promotions and the year; learnt from a sample of rows."""

import sys
import time
from dataclasses import dataclass
from itertools import pairwise

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.forecasting.data import Task
from benchmarks.forecasting.lightgbm_rival import ROUNDS, features
from benchmarks.forecasting.many_series.contender import compete
from benchmarks.forecasting.many_series.shop import HORIZON

TASK = Task(
    name="many_series",
    freq="D",
    horizon=HORIZON,
    known_future=("promo",),
    past_only=(),
    static=(),
    cutoffs=(),
    validation=(),
)
ORIGINS = 104  # a week apart: two years, so that each has a day a year before
ROWS = 3_000_000
SERIES_AT_ONCE = 2000
PLANS: dict[str, dict[str, object]] = {
    "mean": {"objective": "tweedie", "tweedie_variance_power": 1.1},
    "p90": {"objective": "quantile", "alpha": 0.9},
}


@dataclass(frozen=True)
class Grid:
    """y and promo (N, T), NaN where there is no row; T ends with the horizon where a future is given."""

    y: np.ndarray
    promo: np.ndarray
    dates: pd.DatetimeIndex
    begins: np.ndarray

    @classmethod
    def of(cls, history: pd.DataFrame, future: pd.DataFrame | None = None) -> "Grid":
        """From the long frames, whose series are categories."""
        ids, first = history["unique_id"].cat.categories, history["ds"].min()
        last = history["ds"].max() if future is None else future["ds"].max()
        dates = pd.date_range(first, last, freq="D")
        y = np.full((len(ids), len(dates)), np.nan, dtype=np.float32)
        promo = y.copy()
        row, column = history["unique_id"].cat.codes.to_numpy(), (history["ds"] - first).dt.days.to_numpy()
        y[row, column] = history["y"].to_numpy()
        promo[row, column] = history["promo"].to_numpy()
        begins = np.isfinite(y).argmax(axis=1)
        if future is not None:
            row = ids.get_indexer(pd.Index(future["unique_id"], dtype=ids.dtype))
            promo[row, (future["ds"] - first).dt.days.to_numpy()] = future["promo"].to_numpy()
        return cls(y=y, promo=promo, dates=dates, begins=begins)

    def rows(self, series: np.ndarray, *, origin: int) -> tuple[np.ndarray, np.ndarray]:
        """(n * H, F) features of the targets of some series after an origin, and the scale (n * H,)."""
        y, promo = self.y[series], self.promo[series]
        x, scale = features(y, {"promo": promo}, self.dates, series[:, None].astype(float), origin=origin, task=TASK)
        more = (
            _promotions(y, promo, scale=scale[::HORIZON], origin=origin),
            _year(y, scale=scale[::HORIZON], origin=origin).repeat(HORIZON, axis=0),
        )
        return np.hstack([x, *more]).astype(np.float32), scale


def _promotions(y: np.ndarray, promo: np.ndarray, *, scale: np.ndarray, origin: int) -> np.ndarray:
    """(n * H, 9): whether the day of each of the eight lags had a promotion; the level of days without one."""
    level = _means(np.where(promo[:, origin - 28 : origin] > 0, np.nan, y[:, origin - 28 : origin])) / scale
    blocks = []
    for step in range(HORIZON):
        places = origin - 7 * (step // 7 + 1) + step - 7 * np.arange(8)
        lags = np.where(places >= 0, promo[:, np.maximum(places, 0)], np.nan)
        blocks.append(np.column_stack([lags, level]))
    return np.stack(blocks, axis=1).reshape(len(y) * HORIZON, -1)


def _year(y: np.ndarray, *, scale: np.ndarray, origin: int) -> np.ndarray:
    """(n, 4): the mean of a quarter and of a year; of the four weeks a year before the targets, and of those before."""
    then = origin - 364
    spans = ((origin - 91, origin), (origin - 364, origin), (then, then + 28), (then - 28, then))
    return np.stack([_means(y[:, max(first, 0) : max(last, 0)]) / scale for first, last in spans], axis=1)


def _means(values: np.ndarray) -> np.ndarray:
    """(n,) means of the records of each row, NaN where it has none."""
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


class Trees:
    """One model for the mean and one for the 90 % quantile, over all series and steps ahead."""

    def __init__(self) -> None:
        self.models: dict[str, lgb.LGBMRegressor] = {}

    def fit(self, history: pd.DataFrame) -> None:
        """From some series at each of the origins, all 28 steps of each."""
        seconds = {"start": time.process_time()}
        grid, rng = Grid.of(history), np.random.default_rng(0)
        last = len(grid.dates) - HORIZON
        origins = np.arange(last, max(last - 7 * ORIGINS, 56), -7)
        rows, targets = [], []
        for origin in origins:
            begun = np.flatnonzero(grid.begins <= origin - 28)
            count = min(len(begun), ROWS // (HORIZON * len(origins)))
            chosen = np.sort(rng.choice(begun, size=count, replace=False))
            x, scale = grid.rows(chosen, origin=int(origin))
            rows.append(x)
            targets.append(grid.y[chosen, origin : origin + HORIZON].reshape(-1) / scale)
        x_train, y_train = np.concatenate(rows), np.concatenate(targets)
        del grid, rows
        seconds["features"] = time.process_time()
        for name, plan in PLANS.items():
            self.models[name] = lgb.LGBMRegressor(
                n_estimators=ROUNDS, learning_rate=0.05, num_leaves=63, min_child_samples=50, subsample=0.8,
                subsample_freq=1, colsample_bytree=0.8, n_jobs=1, verbose=-1, seed=0, **plan,
            ).fit(x_train, y_train)  # fmt: skip
            seconds[name] = time.process_time()
        parts = " ".join(f"{part}={seconds[part] - seconds[before]:.0f}" for before, part in pairwise(seconds))
        print(f"of LightGBM's fit, CPU seconds: {parts}", file=sys.stderr, flush=True)

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """Columns unique_id, ds, mean, p90; nothing below zero."""
        grid = Grid.of(history, future)
        ids, origin = history["unique_id"].cat.categories, len(grid.dates) - HORIZON
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.models}
        for first in range(0, len(ids), SERIES_AT_ONCE):
            x, scale = grid.rows(np.arange(first, min(first + SERIES_AT_ONCE, len(ids))), origin=origin)
            for name, model in self.models.items():
                parts[name].append(np.maximum(np.asarray(model.predict(x)), 0) * scale)
        keys = {"unique_id": np.repeat(ids.to_numpy(), HORIZON), "ds": np.tile(grid.dates[origin:], len(ids))}
        return pd.DataFrame({**keys, **{name: np.concatenate(values) for name, values in parts.items()}})


if __name__ == "__main__":
    compete(Trees(), name="lightgbm")
