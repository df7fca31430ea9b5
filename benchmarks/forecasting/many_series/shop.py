"""A synthetic shop of many daily series, seeded: how its sales come about, and the files that all contenders read.

Each series has a level that drifts (a random walk by the week) and a trend, a season of the year, a pattern over the
week, promotions of a week that lift it, and counts more uneven than Poisson's; a fifth start in the first two years.
No series knows of another, and no day has a shock of its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = "2022-01-01"
HORIZON = 28
SERIES_A_GROUP = 1000
WEEK = np.log([0.85, 0.80, 0.85, 0.95, 1.20, 1.40, 0.95])  # Monday first

HISTORY, FUTURE, HELD_OUT = "history.parquet", "future.parquet", "held_out.parquet"


def sales(*, first: int, series: int, days: int, seed: int) -> pd.DataFrame:
    """Series `first`, `first + 1`, …: unique_id, ds, y (units), promo (0 or 1), expected (the mean y was drawn of).

    There are no rows before a series begins.
    """
    rng = np.random.default_rng([seed, first])
    dates = pd.date_range(FIRST, periods=days, unit="us")
    day = np.arange(days)
    level = rng.normal(1.0, 1.0, size=(series, 1))
    walk = np.cumsum(rng.normal(0, 0.03, size=(series, days // 7 + 1)), axis=1)[:, day // 7]
    trend = rng.normal(0, 0.1, size=(series, 1)) * day / 365.25
    peak = rng.normal(-15, 60, size=(series, 1))  # day of the year: the middle of December, two months either way
    year = rng.uniform(0, 0.4, size=(series, 1)) * np.cos(2 * np.pi * (dates.day_of_year.to_numpy() - peak) / 365.25)
    week = (WEEK + rng.normal(0, 0.15, size=(series, 7)))[:, dates.day_of_week]
    starts = np.cumsum(rng.random((series, days)) < 0.05 / 7, axis=1)
    promo = starts > np.pad(starts[:, :-7], [(0, 0), (7, 0)])
    lift = rng.normal(np.log(2), 0.3, size=(series, 1)) * promo
    uneven = rng.gamma(8.0, 1 / 8, size=(series, days))
    expected = np.exp(level + walk + trend + year + week + lift)
    y = rng.poisson(expected * uneven)
    begins = np.where(rng.random(series) < 0.2, rng.integers(0, 730, size=series), 0)
    begun = day[None] >= np.minimum(begins, days // 2)[:, None]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"p{first + k:06d}" for k in range(series)], days),
            "ds": np.tile(dates, series),
            "y": y.ravel().astype(np.float32),
            "promo": promo.ravel().astype(np.float32),
            "expected": expected.ravel(),
        }
    )
    frame["unique_id"] = frame["unique_id"].astype("category")
    return frame[begun.ravel()]


def write_shop(folder: Path, *, series: int, days: int, seed: int) -> None:
    """Write the history of `days`, the promotions of the 28 days after it, and, in a file of its own, their sales."""
    cutoff = pd.Timestamp(FIRST) + pd.Timedelta(days=days - 1)
    writers: dict[str, pq.ParquetWriter] = {}
    for first in range(0, series, SERIES_A_GROUP):
        frame = sales(first=first, series=min(SERIES_A_GROUP, series - first), days=days + HORIZON, seed=seed)
        past = frame["ds"] <= cutoff
        parts = {
            HISTORY: frame.loc[past, ["unique_id", "ds", "y", "promo"]],
            FUTURE: frame.loc[~past, ["unique_id", "ds", "promo"]],
            HELD_OUT: frame.loc[~past, ["unique_id", "ds", "y", "expected"]],
        }
        for name, part in parts.items():
            table = pa.Table.from_pandas(part, preserve_index=False)
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / name, table.schema)
            writers[name].write_table(table, row_group_size=len(part))
    for writer in writers.values():
        writer.close()


def groups(file: Path) -> Iterator[pd.DataFrame]:
    """A file of the shop a thousand series at a time, the same ones in the same place of each file."""
    parquet = pq.ParquetFile(file)
    for group in range(parquet.num_row_groups):
        yield parquet.read_row_group(group).to_pandas()


def read(file: Path, *, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """A file of the shop, of the series named or of all; unique_id is categorical."""
    if ids is None:
        return pq.read_table(file).unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True)
    parts = [group[group["unique_id"].isin(ids)].astype({"unique_id": str}) for group in groups(file)]
    return pd.concat(parts, ignore_index=True).astype({"unique_id": "category"})
