"""Seconds and memory of one night's prediction for many daily series; the data are synthetic.

python -m benchmarks.forecasting.nightly_scale --series 30000 --days 1095
"""

import argparse
import resource
import time
from collections.abc import Callable

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
    began, processor = time.monotonic(), time.process_time()
    call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:10s} seconds={time.monotonic() - began:.1f} cpu_seconds={time.process_time() - processor:.1f} "
        f"peak_memory_gib={peak:.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=1095)
    parser.add_argument("--steps", type=int, default=20, help="training steps before the prediction that is timed")
    arguments = parser.parse_args()
    import tensorflow  # noqa: F401

    frame = synthetic(series=arguments.series, days=arguments.days + 28)
    cutoff = frame["ds"].max() - pd.Timedelta(days=28)
    past = frame["ds"] <= cutoff
    history, future = frame[past], frame[~past].drop(columns="y")
    del frame
    measured("data", lambda: None)
    plan = TrainingSettings(steps=arguments.steps, final_steps=arguments.steps)
    forecaster = SalesForecaster(known_future=("promo",), settings=plan)
    measured("fit", lambda: forecaster.fit(history))
    measured("predict", lambda: forecaster.predict(history, future))


if __name__ == "__main__":
    main()
