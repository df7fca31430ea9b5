"""Seconds and memory of fitting and of one night's prediction for many daily series; the data are synthetic.

    python -m benchmarks.forecasting.nightly_scale --series 30000 --days 1095
    python -m benchmarks.forecasting.nightly_scale --fit-series 3000     # learns from as many as the night does

The data, seeded, are made in this process and counted in its memory: 660 MiB for 30,000 series of three years.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings


def synthetic(*, series: int, days: int, seed: int = 0) -> pd.DataFrame:
    """Count-like daily sales with a weekly season and promotions: unique_id (categorical), ds, y, promo."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2022-01-01", periods=days)
    week = 1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7)
    level = rng.lognormal(1.0, 1.0, size=series)
    promo = rng.random((series, days), dtype=np.float32) < 0.05
    y = rng.poisson(level[:, None] * week[None] * (1 + promo)).astype(np.float32)
    codes = np.repeat(np.arange(series, dtype=np.int32), days)
    ids = pd.Categorical.from_codes(pd.Index(codes), categories=pd.Index([f"p{k:06d}" for k in range(series)]))
    return pd.DataFrame(
        {"unique_id": ids, "ds": np.tile(dates, series), "y": y.ravel(), "promo": promo.ravel().astype(np.float32)}
    )


def measured(name: str, call: Callable[[], object]) -> None:
    """Run it; print its seconds and the highest memory of the process meanwhile."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    began, processor = time.monotonic(), time.process_time()
    call()
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20
    print(
        f"{name:10s} seconds={time.monotonic() - began:.1f} cpu_seconds={time.process_time() - processor:.1f} "
        f"peak_memory_gib={peak:.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=1095)
    parser.add_argument("--fit-series", type=int, default=None, help="series to learn from (default: all)")
    parser.add_argument("--steps", type=int, default=None, help="training steps (default: the library's plan)")
    arguments = parser.parse_args()
    import tensorflow  # noqa: F401

    frame = synthetic(series=arguments.series, days=arguments.days + 28)
    cutoff = frame["ds"].max() - pd.Timedelta(days=28)
    past = frame["ds"] <= cutoff
    history, future = frame[past], frame[~past].drop(columns="y")
    del frame
    measured("data", lambda: None)
    plan = TrainingSettings()
    if arguments.steps is not None:
        plan = TrainingSettings(steps=arguments.steps, final_steps=arguments.steps)
    forecaster = SalesForecaster(known_future=("promo",), settings=plan)
    learnt = history
    if arguments.fit_series is not None:
        learnt = history[history["unique_id"].cat.codes < arguments.fit_series]
    measured("fit", lambda: forecaster.fit(learnt))
    measured("predict", lambda: forecaster.predict(history, future))


if __name__ == "__main__":
    main()
