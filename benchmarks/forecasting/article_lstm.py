"""The rival that started it: two LSTM layers of 50 units and a dense layer, mean squared error, min-max scaling.

Taken literally from the usual article, as one global model that forecasts the whole horizon at once from the last 30
values (or half the history), Adam, batches of 32, 10 epochs over at most 20,000 windows. No covariates, no quantiles.

python -m benchmarks.forecasting.article_lstm --task bakery_daily
"""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.forecasting.data import TASKS, Task, load
from benchmarks.forecasting.tasks import scored
from ecom_pipeline.forecasting import metrics, scales_at

LARGEST = 20_000


def forecast_cutoff(y: np.ndarray, *, origin: int, horizon: int, seed: int) -> np.ndarray:
    """(N, H) forecasts from y (N, T), gaps filled with zeros."""
    import keras

    keras.utils.set_random_seed(seed)
    past = y[:, :origin]
    low, high = past.min(axis=1, keepdims=True), past.max(axis=1, keepdims=True)
    scaled = (past - low) / np.maximum(high - low, 1e-9)
    context = min(30, (origin - horizon) // 2)
    rng = np.random.default_rng(seed)
    origins = np.arange(context, origin - horizon + 1)
    pairs = np.stack(np.meshgrid(np.arange(len(y)), origins, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[:LARGEST]]
    x = np.stack([scaled[i, o - context : o] for i, o in pairs])[:, :, None]
    target = np.stack([scaled[i, o : o + horizon] for i, o in pairs])
    model = keras.Sequential(
        [keras.layers.LSTM(50, return_sequences=True), keras.layers.LSTM(50), keras.layers.Dense(horizon)]
    )
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, target, batch_size=32, epochs=10, verbose=0)
    out = model.predict(scaled[:, -context:, None], verbose=0, batch_size=512)
    return np.maximum(out * (high - low) + low, 0)


def run(task: Task, seed: int) -> pd.DataFrame:
    frame = load(task)
    dates = pd.DatetimeIndex(pd.date_range(frame["ds"].min(), frame["ds"].max(), freq=task.freq))
    wide = frame.pivot(index="unique_id", columns="ds", values="y").reindex(columns=dates)
    filled = (wide.ffill(axis=1) if task.fill == "forward" else wide).fillna(0.0).to_numpy()
    parts = []
    for cutoff in task.cutoffs:
        origin = int(dates.searchsorted(pd.Timestamp(cutoff), side="right"))
        out = forecast_cutoff(filled, origin=origin, horizon=task.horizon, seed=seed)
        ahead = dates[origin : origin + task.horizon]
        rows = pd.DataFrame(out[:, : len(ahead)], index=wide.index, columns=ahead).stack().reset_index()
        rows.columns = pd.Index(["unique_id", "ds", "mean"])
        rows["horizon"] = rows["ds"].map({d: k + 1 for k, d in enumerate(ahead)})
        rows["cutoff"] = pd.Timestamp(cutoff)
        begun = frame[(frame["ds"] <= cutoff) & frame["y"].notna()]["unique_id"].unique()
        rows = rows[rows["unique_id"].isin(begun)]
        parts.append(rows.merge(frame[["unique_id", "ds", "y"]], on=["unique_id", "ds"]))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    began, processor = time.monotonic(), time.process_time()
    rows = scored(run(task, arguments.seed), task)
    seconds, cpu = time.monotonic() - began, time.process_time() - processor
    y, mean = rows["y"].to_numpy(), rows["mean"].to_numpy()
    scales = scales_at(load(task), task.cutoffs, fill=task.fill)
    print(
        f"{task.name}: wape={metrics.wape(y, mean):.4f} rmsse={metrics.rmsse(rows, scales):.4f} "
        f"mape={metrics.mape(y, mean):.2f} bias={metrics.bias(y, mean):+.3f} "
        f"seconds={seconds:.0f} cpu_seconds={cpu:.0f}"
    )


if __name__ == "__main__":
    main()
