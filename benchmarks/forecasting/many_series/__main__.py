"""Ours, LightGBM and AutoETS on the same many daily series, one core each, one after the other, in one run.

    benchmarks/forecasting/make_rivals_env.sh
    python -m benchmarks.forecasting.many_series                       # 30,000 series of three years; 15 minutes
    python -m benchmarks.forecasting.many_series --contenders ours

The last 28 days are held back in a file that no contender opens. A contender is a process of its own, in its own
environment; its data are read before its clock starts. AutoETS fits a model a series: it runs on a random sample, all
are scored on that sample too, and its seconds for all series are reckoned from those of the sample.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting.data import CHECKOUT
from benchmarks.forecasting.many_series.contender import SAMPLE
from benchmarks.forecasting.many_series.shop import FUTURE, HELD_OUT, HISTORY, HORIZON, groups, write_shop
from benchmarks.forecasting.side_by_side import ONE_THREAD, PYTHON
from ecom_pipeline.forecasting import metrics, scales_at, seasonal_profile
from ecom_pipeline.forecasting.profile import SEASONS

MODULES = {"ours": "ours", "lightgbm": "lightgbm_rival", "autoets": "autoets"}
HEADS = (
    "contender",
    "series",
    "fit: s (CPU s)",
    "predict: s (CPU s)",
    "peak, GiB",
    "all series: WAPE",
    "RMSSE",
    "wpl.9",
    "sample: WAPE",
    "RMSSE",
    "wpl.9",
)


def held_out_and_profile(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What was sold on the held-out days (with cutoff), the scales of RMSSE, and the seasonal profile's forecasts."""
    actual, scales, profile = [], [], []
    for history, future, sold in zip(
        groups(folder / HISTORY), groups(folder / FUTURE), groups(folder / HELD_OUT), strict=True
    ):
        cutoff = history["ds"].max()
        actual.append(sold.assign(cutoff=cutoff))
        scales.append(scales_at(history[["unique_id", "ds", "y"]], [cutoff]))
        recent = history[history["ds"] > cutoff - pd.Timedelta(days=7 * SEASONS)]
        profile.append(seasonal_profile(recent, HORIZON, "D", future=future)[["unique_id", "ds", "mean", "p90"]])
    columns = {"unique_id": str}
    return tuple(  # type: ignore[return-value]
        pd.concat([part.astype(columns) for part in parts], ignore_index=True) for parts in (actual, scales, profile)
    )


def scores(forecast: pd.DataFrame, actual: pd.DataFrame, scales: pd.DataFrame) -> str:
    """WAPE and RMSSE of the mean, weighted pinball loss of p90 if there is one, as cells; each actual needs a row."""
    rows = actual.merge(forecast, on=["unique_id", "ds"], how="left", validate="one_to_one")
    if rows.isna().to_numpy().any():
        raise SystemExit("a contender left out a series or a day, or forecast a NaN")
    y = rows["y"].to_numpy()
    cells = [f"{metrics.wape(y, rows['mean'].to_numpy()):.4f}", f"{metrics.rmsse(rows, scales):.4f}"]
    cells.append(f"{metrics.weighted_pinball(y, rows['p90'].to_numpy(), 0.9):.4f}" if "p90" in rows else "")
    return " | ".join(cells)


def took(seen: dict[str, Any], *, series: int) -> str:
    """Cells of what a contender's process measured; reckoned for all series where it ran on some."""
    factor = series / seen["series"]
    cells = [f"{seen['series']:,}"]
    for part in ("fit", "predict"):
        seconds, processor = seen[part]["seconds"], seen[part]["cpu_seconds"]
        reckoned = f"; reckoned for all: {factor * processor:,.0f}" if factor > 1 else ""
        cells.append(f"{seconds:.1f} ({processor:.1f}){reckoned}")
    cells.append(f"{max(seen['fit']['peak_gib'], seen['predict']['peak_gib']):.2f}")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=1095, help="of history, before the 28 held out")
    parser.add_argument("--sample", type=int, default=1000, help="series that AutoETS runs on")
    parser.add_argument("--seed", type=int, default=0, help="of the data and the sample")
    parser.add_argument("--contenders", nargs="+", choices=list(MODULES), default=list(MODULES))
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the rivals' environment")
    arguments = parser.parse_args()
    environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_shop(folder, series=arguments.series, days=arguments.days, seed=arguments.seed)
        actual, scales, profile = held_out_and_profile(folder)
        everyone = actual["unique_id"].unique()
        rng = np.random.default_rng(arguments.seed)
        sample = np.sort(rng.choice(everyone, size=min(arguments.sample, len(everyone)), replace=False))
        (folder / SAMPLE).write_text(json.dumps(sample.tolist()), encoding="utf-8")
        sampled = actual[actual["unique_id"].isin(sample)]
        described = (
            f"{len(everyone):,} series, sample of {len(sample):,}; {(actual['y'] == 0).mean():.0%} of the held-out"
        )
        print(f"# {described} days without a sale, {actual['y'].mean():.1f} units a day", flush=True)
        print("| " + " | ".join(HEADS) + " |\n" + "|---" * len(HEADS) + "|")
        drawn = actual[["unique_id", "ds", "expected"]].rename(columns={"expected": "mean"})
        for name, forecast in {"the mean they were drawn of": drawn, "seasonal profile": profile}.items():
            both = f"{scores(forecast, actual, scales)} | {scores(forecast, sampled, scales)}"
            print(f"| {name} | {len(everyone):,} | | | | {both} |", flush=True)
        for contender in arguments.contenders:
            interpreter = sys.executable if contender == "ours" else str(arguments.python)
            module = f"benchmarks.forecasting.many_series.{MODULES[contender]}"
            subprocess.run([interpreter, "-m", module, place], cwd=CHECKOUT, env=environment, check=True)
            load = os.getloadavg()[0]
            seen = json.loads((folder / f"{contender}.json").read_text(encoding="utf-8"))
            forecast = pd.read_parquet(folder / f"{contender}.parquet")
            whole = seen["series"] == len(everyone)
            cells = [took(seen, series=len(everyone)), scores(forecast, actual, scales) if whole else " | | "]
            cells.append(scores(forecast, sampled, scales))
            print(f"| {contender} (load {load:.1f}) | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
