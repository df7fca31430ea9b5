"""The rival that started it: two LSTM layers of 50 units and a dense layer, mean squared error, min-max scaling.

Taken literally from the usual article, as one global model that forecasts the whole horizon at once from the last 30
values (or half the history), Adam, batches of 32, 10 epochs over at most 20,000 windows, trained once, before the first
cutoff (`--refit each`: anew at each). No covariates, no quantiles.

python -m benchmarks.forecasting.article_lstm --task bakery_daily
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting.data import TASKS, Task, load
from benchmarks.forecasting.tasks import scored
from ecom_pipeline.forecasting import metrics, scales_at

LARGEST = 20_000


@dataclass(frozen=True)
class Fitted:
    """The network and what series are scaled by, (N, 1) each; it reads the last `context` values."""

    network: Any
    low: np.ndarray
    high: np.ndarray
    context: int

    def predict(self, past: np.ndarray) -> np.ndarray:
        """(N, H) forecasts from past (N, T)."""
        spread = self.high - self.low
        recent = (past[:, -self.context :] - self.low) / np.maximum(spread, 1e-9)
        out = self.network.predict(recent[:, :, None], verbose=0, batch_size=512)
        return np.maximum(out * spread + self.low, 0)


def fit(past: np.ndarray, *, horizon: int, seed: int) -> Fitted:
    """Learn from past (N, T), gaps filled."""
    import keras

    keras.utils.set_random_seed(seed)
    low, high = past.min(axis=1, keepdims=True), past.max(axis=1, keepdims=True)
    scaled = (past - low) / np.maximum(high - low, 1e-9)
    length = past.shape[1]
    context = min(30, (length - horizon) // 2)
    rng = np.random.default_rng(seed)
    origins = np.arange(context, length - horizon + 1)
    pairs = np.stack(np.meshgrid(np.arange(len(past)), origins, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[:LARGEST]]
    x = np.stack([scaled[i, o - context : o] for i, o in pairs])[:, :, None]
    target = np.stack([scaled[i, o : o + horizon] for i, o in pairs])
    model = keras.Sequential(
        [keras.layers.LSTM(50, return_sequences=True), keras.layers.LSTM(50), keras.layers.Dense(horizon)]
    )
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, target, batch_size=32, epochs=10, verbose=0)
    return Fitted(network=model, low=low, high=high, context=context)


def run(task: Task, *, seed: int, refit: str) -> pd.DataFrame:
    frame = load(task)
    dates = pd.DatetimeIndex(pd.date_range(frame["ds"].min(), frame["ds"].max(), freq=task.freq))
    wide = frame.pivot(index="unique_id", columns="ds", values="y").reindex(columns=dates)
    filled = (wide.ffill(axis=1) if task.fill == "forward" else wide).fillna(0.0).to_numpy()
    parts: list[pd.DataFrame] = []
    fitted: Fitted | None = None
    for cutoff in task.cutoffs:
        origin = int(dates.searchsorted(pd.Timestamp(cutoff), side="right"))
        if fitted is None or refit == "each":
            fitted = fit(filled[:, :origin], horizon=task.horizon, seed=seed)
        out = fitted.predict(filled[:, :origin])
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
    parser.add_argument("--refit", choices=["first", "each"], default="first")
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    began, processor = time.monotonic(), time.process_time()
    rows = scored(run(task, seed=arguments.seed, refit=arguments.refit), task)
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
