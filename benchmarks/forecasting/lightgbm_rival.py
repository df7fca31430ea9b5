"""LightGBM, direct: one model over all series and steps ahead, refitted at each cutoff.

Runs in an environment of its own:

benchmarks/.envs/forecasting/bin/python -m benchmarks.forecasting.lightgbm_rival --task bakery_daily --threads 1
"""

import argparse
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.forecasting.data import TASKS, Task, load

ORIGINS = 60
ROUNDS = 300
LEVELS = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def grids(task: Task, frame: pd.DataFrame) -> tuple[pd.Index, pd.DatetimeIndex, np.ndarray, dict[str, np.ndarray]]:
    """Series, dates, y (N, T) with gaps filled by the task's rule (NaN before a series begins), covariates (N, T)."""
    dates = pd.DatetimeIndex(pd.date_range(frame["ds"].min(), frame["ds"].max(), freq=task.freq))
    wide = frame.pivot(index="unique_id", columns="ds", values="y").reindex(columns=dates)
    begun = wide.notna().cummax(axis=1)
    filled = wide.ffill(axis=1) if task.fill == "forward" else wide.fillna(0.0)
    columns = {
        name: frame.pivot(index="unique_id", columns="ds", values=name).reindex(columns=dates).ffill(axis=1).to_numpy()
        for name in task.known_future
    }
    return wide.index, dates, filled.where(begun).to_numpy(), columns


def features(
    y: np.ndarray, known: dict[str, np.ndarray], dates: pd.DatetimeIndex, static: np.ndarray, *, origin: int, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    """(N * H, F) features of all targets after an origin (number of dates known), and the scale (N * H,)."""
    cycle = {"D": 7}.get(str(task.freq), 6 if task.name.startswith("online") else 1)
    horizon = min(task.horizon, len(dates) - origin)
    count = len(y)
    past = y[:, :origin]
    scale = np.nanmean(past[:, -8 * max(cycle, 1) :], axis=1)
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
    blocks = []
    for step in range(1, horizon + 1):
        back = -(-step // cycle) * cycle
        places = [origin - back + step - 1 - k * cycle for k in range(8)]
        lags = [past[:, place] if place >= 0 else np.full(count, np.nan) for place in places]
        same = np.stack(lags, axis=1) / scale[:, None]
        recent = past[:, -28:] / scale[:, None]
        target = dates[origin + step - 1]
        year = origin + step - 1 - round(365.25 / ((dates[-1] - dates[0]).days / (len(dates) - 1)))
        columns = [
            *same.T,
            np.nanmedian(same, axis=1),
            np.nanmean(recent, axis=1),
            np.nanmean(recent[:, -7:], axis=1),
            np.nanstd(recent, axis=1),
            past[:, -1] / scale,
            y[:, year] / scale if year >= 0 else np.full(count, np.nan),
            np.full(count, step),
            np.full(count, target.day_of_week),
            np.full(count, target.day),
            np.full(count, target.day_of_year),
            np.log(scale),
            *(v[:, origin + step - 1] for v in known.values()),
            *(v[:, origin + step - 2] for v in known.values()),
            *static.T,
        ]
        blocks.append(np.stack(columns, axis=1))
    return np.stack(blocks, axis=1).reshape(count * horizon, -1), np.repeat(scale, horizon)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    frame = load(task)
    ids, dates, y, known = grids(task, frame)
    raw = frame.pivot(index="unique_id", columns="ds", values="y").reindex(columns=dates).to_numpy()
    static = np.stack(
        [pd.factorize(frame.groupby("unique_id")[s].first().reindex(ids), sort=True)[0] for s in task.static]
        or [np.arange(len(ids))],
        axis=1,
    ).astype(float)
    parts, began, processor = [], time.monotonic(), time.process_time()
    seconds = dict.fromkeys(("features", "mean", *LEVELS), 0.0)
    for cutoff in task.cutoffs if arguments.split == "test" else task.validation:
        origin = int(dates.searchsorted(pd.Timestamp(cutoff), side="right"))
        last = origin - task.horizon
        low = max(min(28, last // 2), last - 7 * ORIGINS)
        since = time.process_time()
        rows, targets = [], []
        for past_origin in np.unique(np.linspace(max(low, 4), last, ORIGINS).round().astype(int)):
            x, scale = features(y, known, dates, static, origin=int(past_origin), task=task)
            target = raw[:, past_origin : past_origin + task.horizon].reshape(-1) / scale
            seen = np.isfinite(target)
            rows.append(x[seen])
            targets.append(target[seen])
        x_train, y_train = np.concatenate(rows), np.concatenate(targets)
        x_test, scale = features(y, known, dates, static, origin=origin, task=task)
        seconds["features"] += time.process_time() - since
        result = {}
        plans = {"mean": {"objective": "tweedie", "tweedie_variance_power": 1.1}}
        plans |= {name: {"objective": "quantile", "alpha": level} for name, level in LEVELS.items()}
        for name, plan in plans.items():
            since = time.process_time()
            model = lgb.LGBMRegressor(
                n_estimators=ROUNDS, learning_rate=0.05, num_leaves=63, min_child_samples=50, subsample=0.8,
                subsample_freq=1, colsample_bytree=0.8, n_jobs=arguments.threads, verbose=-1, seed=0, **plan,
            )  # fmt: skip
            model.fit(x_train, y_train)
            result[name] = np.maximum(np.asarray(model.predict(x_test)), 0) * scale
            seconds[name] += time.process_time() - since
        horizon = len(scale) // len(ids)
        ahead = dates[origin : origin + horizon]
        forecast = pd.DataFrame(
            {
                "unique_id": np.repeat(ids.to_numpy(), horizon),
                "ds": np.tile(ahead.to_numpy(), len(ids)),
                "cutoff": pd.Timestamp(cutoff),
                "horizon": np.tile(np.arange(1, horizon + 1), len(ids)),
                **result,
            }
        )
        parts.append(forecast.merge(frame[["unique_id", "ds", "y"]], on=["unique_id", "ds"]))
    print(f"seconds={time.monotonic() - began:.1f} cpu_seconds={time.process_time() - processor:.1f}")
    print("of these by part: " + " ".join(f"{name}={value:.1f}" for name, value in seconds.items()))
    arguments.out.mkdir(parents=True, exist_ok=True)
    scored = pd.concat(parts, ignore_index=True).assign(point=lambda r: r["p50"])
    for name in ("p05", "p25", "p75", "p95"):
        scored[name] = np.nan
    scored.to_parquet(arguments.out / f"lightgbm-{task.name}-{arguments.split}.parquet")


if __name__ == "__main__":
    main()
