"""What every contender does in a process of its own: read the shop's files, fit, predict, say what it took."""

import argparse
import json
import time
from pathlib import Path
from typing import Protocol

import pandas as pd

from benchmarks.forecasting.many_series.shop import FUTURE, HISTORY, read

SAMPLE = "sample.json"


class Contender(Protocol):
    """A method of forecasting. history: unique_id, ds, y, promo; future: unique_id, ds, promo."""

    def fit(self, history: pd.DataFrame) -> object:
        """Learn from the history."""
        ...

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """Columns unique_id, ds, mean, p90; a row for each of `future`."""
        ...


class Clock:
    """Seconds, processor seconds and the process's highest memory (GiB) since it was made."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        self._began, self._processor = time.monotonic(), time.process_time()

    def read(self) -> dict[str, float]:
        """What was taken since: seconds, cpu_seconds, peak_gib."""
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return {
            "seconds": time.monotonic() - self._began,
            "cpu_seconds": time.process_time() - self._processor,
            "peak_gib": peak / 2**20,
        }


def compete(contender: Contender, *, name: str, sampled: bool = False) -> None:
    """Fit and predict on the shop in the folder that the command line names; write NAME.parquet and NAME.json there.

    The data are read before the clock starts and stay in memory. sampled: only on the series of the sample.
    """
    parser = argparse.ArgumentParser(description=f"{name} on many series")
    parser.add_argument("folder", type=Path, help="where many_series has written the shop")
    folder = parser.parse_args().folder
    ids = json.loads((folder / SAMPLE).read_text(encoding="utf-8")) if sampled else None
    history, future = read(folder / HISTORY, ids=ids), read(folder / FUTURE, ids=ids)
    clock = Clock()
    contender.fit(history)
    fit = clock.read()
    clock = Clock()
    forecast = contender.predict(history, future)
    predict = clock.read()
    forecast.astype({"unique_id": str}).to_parquet(folder / f"{name}.parquet")
    took = {"series": future["unique_id"].nunique(), "fit": fit, "predict": predict}
    (folder / f"{name}.json").write_text(json.dumps(took), encoding="utf-8")
