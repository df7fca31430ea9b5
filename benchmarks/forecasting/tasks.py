"""Accuracy, calibration and seconds on the benchmark tasks.

python -m benchmarks.forecasting.tasks --task bakery_daily --seeds 0 1 2
"""

import argparse
import json
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from benchmarks.forecasting.data import TASKS, Task, load
from ecom_pipeline.distributed.hosts import runner_here
from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings, backtest, backtest_profile, metrics, scales_at
from ecom_pipeline.forecasting.points import percentage_point
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.precision import Precision

WORDS = ("identity", "sqrt", "log", "poisson", "squared", *get_args(Precision))
"""Values of settings that are words."""

OUT = Path("benchmarks/out")
SHOWN = ("wape", "wape_median", "rmsse", "mape", "bias", "coverage_80", "wpl_p90", "seconds", "cpu_seconds")


def scored(rows: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The rows that the protocol scores."""
    rows = rows[rows["y"].notna()]
    return rows if task.steps is None else rows[rows["horizon"].isin(task.steps)]


def figures(rows: pd.DataFrame, scales: pd.DataFrame, task: Task) -> dict[str, float]:
    """All metrics of backtest rows; MAPE is that of the column `point`."""
    rows = scored(rows, task)
    result = metrics.summary(rows, scales)
    result["mape"] = metrics.mape(rows["y"].to_numpy(), rows["point"].to_numpy())
    return result


def settings_from(pairs: list[str], base: TrainingSettings) -> TrainingSettings:
    """Settings with `name=value` overrides."""
    names = {field.name for field in fields(TrainingSettings)}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in names:
            raise SystemExit(f"--set {pair}: no such setting; there are {sorted(names)}")
        changes[name] = value if value in WORDS else json.loads(value)
    return replace(base, **changes)


def forecaster_for(task: Task, **arguments: Any) -> SalesForecaster:
    """An unfitted forecaster with the frequency, horizon and columns of a task."""
    return SalesForecaster(
        freq=task.freq,
        horizon=task.horizon,
        known_future=task.known_future,
        past_only=task.past_only,
        static=task.static,
        **arguments,
    )


def run(
    task: Task,
    *,
    seed: int,
    split: str,
    cell: str,
    settings: TrainingSettings,
    refit: str,
    workers: Runner | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Backtest rows of ours; wall and processor seconds for fitting and predicting at all cutoffs, without imports."""
    import tensorflow  # noqa: F401

    sales = load(task)
    forecaster = forecaster_for(task, cell=cell, seed=seed, settings=settings, workers=workers)
    cutoffs = task.cutoffs if split == "test" else task.validation
    began, processor = time.monotonic(), time.process_time()
    rows = backtest(forecaster, sales, cutoffs, refit=refit, point="percentage")  # type: ignore[arg-type]
    return rows, {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - processor}


def average(task: Task, *, split: str, seeds: list[int]) -> pd.DataFrame:
    """Saved backtest rows of several seeds, their forecasts averaged: what `members` networks in one fit come to."""
    saved = [pd.read_parquet(OUT / f"ours-{task.name}-{split}-seed{seed}.parquet") for seed in seeds]
    rows = saved[0].copy()
    for column in ("mean", *QUANTILES):
        rows[column] = np.mean([s[column] for s in saved], axis=0)
    rows["point"] = percentage_point(rows[list(QUANTILES)].to_numpy())
    return rows


def show(name: str, values: dict[str, float]) -> None:
    print(f"{name:26s}" + " ".join(f"{k}={values[k]:.4g}" for k in SHOWN if k in values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--refit", default="each")
    parser.add_argument("--average", action="store_true", help="only score the average of the saved seeds' forecasts")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], help="training settings, name=value")
    parser.add_argument("--workers", type=int, default=None, help="train in so many processes together")
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    sales = load(task)
    cutoffs = task.cutoffs if arguments.split == "test" else task.validation
    scales = scales_at(sales, cutoffs, fill=task.fill)
    settings = settings_from(arguments.overrides, TrainingSettings())
    print(f"# {task.name} {arguments.split} cell={arguments.cell} refit={arguments.refit} {arguments.overrides}")
    profile = backtest_profile(sales, cutoffs, freq=task.freq, horizon=task.horizon, point="percentage")
    show("seasonal profile", figures(profile, scales, task))
    if arguments.average:
        rows = average(task, split=arguments.split, seeds=arguments.seeds)
        show(f"ours, average of {arguments.seeds}", figures(rows, scales, task))
        return
    results = []
    for seed in arguments.seeds:
        rows, seconds = run(
            task,
            seed=seed,
            split=arguments.split,
            cell=arguments.cell,
            settings=settings,
            refit=arguments.refit,
            workers=runner_here(arguments.workers),
        )
        values = {**figures(rows, scales, task), **seconds}
        results.append(values)
        OUT.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(OUT / f"ours-{task.name}-{arguments.split}-seed{seed}.parquet")
        show(f"ours, seed {seed}", values)
    if len(results) > 1:
        show("ours, mean", {k: float(np.mean([r[k] for r in results])) for k in results[0]})
        show("ours, standard deviation", {k: float(np.std([r[k] for r in results], ddof=1)) for k in results[0]})


if __name__ == "__main__":
    main()
