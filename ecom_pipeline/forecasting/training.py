"""The training loop: draws windows, steps the optimiser, keeps the losses.

Belongs here: schedules and sampling. Does not: the network (network.py), what is trained when (fitting.py).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ecom_pipeline.forecasting.windows import Geometry, Tables, gather

LARGEST_WEIGHT = 5.0


@dataclass
class Windows:
    """The windows one may train on: `count` origins from `lowest` on by series; targets before `limit`.

    chance: how much more often than others a series' windows are drawn.
    """

    series: np.ndarray
    lowest: np.ndarray
    count: np.ndarray
    chance: np.ndarray
    limit: int

    @property
    def total(self) -> int:
        """Number of windows."""
        return int(self.count.sum())


@dataclass(frozen=True)
class Held:
    """Which of all series a worker's tables hold, and what it must know of all: start (N,), scale (N,) as of Tables.

    place: (N,) row in the worker's tables, -1 where another worker holds the series.
    """

    start: np.ndarray
    scale: np.ndarray
    place: np.ndarray

    @classmethod
    def all_of(cls, tables: Tables) -> "Held":
        """Tables that hold every series."""
        return cls(start=tables.start, scale=tables.scale, place=np.arange(len(tables.start)))

    def of_own(self, values: np.ndarray) -> np.ndarray:
        """Values of all series (N,) for those that the worker holds, in the order of its tables."""
        own = self.place >= 0
        out = np.empty(int(own.sum()), dtype=values.dtype)
        out[self.place[own]] = values[own]
        return out


def training_windows(held: Held, geometry: Geometry, limit: int) -> Windows:
    """Origins from two cycles after a series' first record up to the last date before `limit`."""
    least = 2 * geometry.season.cycle if geometry.season.cycle > 1 else min(4, max(1, limit // 4))
    lowest = np.maximum(held.start + least, 1)
    count = np.maximum(limit - lowest, 0)
    series = np.flatnonzero(count > 0)
    return Windows(
        series=series,
        lowest=lowest[series],
        count=count[series],
        chance=series_weight(held.scale)[series],
        limit=limit,
    )


def draw(
    windows: Windows, rng: np.random.Generator, size: int, half_life: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Series and origins of `size` windows; the recent ones more often if a half-life (in steps) is given."""
    edges = np.cumsum(windows.count * windows.chance)
    which = np.searchsorted(edges, rng.random(size) * edges[-1], side="right")
    count = windows.count[which].astype(np.float64)
    share = rng.random(size)
    if half_life is None:
        age = share * count
    else:
        rate = np.log(2) / half_life
        age = -np.log1p(-share * -np.expm1(-rate * count)) / rate
    origin = windows.limit - 1 - np.minimum(age.astype(np.int64), windows.count[which] - 1)
    return windows.series[which], origin


@dataclass
class TrainingLog:
    """Mean loss of every ten steps, steps taken of those allowed, seconds, and whether the clock cut it short."""

    allowed: int = 0
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    cut_short: bool = False


def batch_arrays(
    tables: Tables, geometry: Geometry, series: np.ndarray, origin: np.ndarray, *, limit: int, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """Inputs and targets of windows, targets from `limit` on masked."""
    batch = gather(tables, geometry, series, origin)
    ahead = origin[:, None] + np.arange(geometry.padded)
    batch.mask = batch.mask * (ahead < limit) * (np.arange(geometry.padded) < geometry.horizon)
    arrays = batch.inputs()
    arrays["weight"] = weight[series].astype(np.float32)
    return {name: np.ascontiguousarray(value, dtype=_dtype(name)) for name, value in arrays.items()}


def _dtype(name: str) -> type:
    return np.int32 if name == "codes" else np.float32


def series_weight(scale: np.ndarray, power: float = 0.25) -> np.ndarray:
    """(N,) weight of a series in the loss: between each alike (RMSSE) and each by volume (WAPE)."""
    weight = (scale / np.median(scale)) ** power
    return np.clip(weight, 1 / LARGEST_WEIGHT, LARGEST_WEIGHT)


def train(
    step: Callable[[dict[str, np.ndarray], tuple[int, int], float], float],
    tables: Tables,
    geometry: Geometry,
    *,
    limit: int,
    steps: int,
    batch_size: int,
    rate: float,
    warmup: int,
    seed: int,
    half_life: float | None = None,
    deadline: float | None = None,
    on_step: Callable[[float], None] | None = None,
    held: Held | None = None,
    done: TrainingLog | None = None,
    after_step: Callable[[TrainingLog], None] | None = None,
) -> TrainingLog:
    """Run `steps` updates, rate rising linearly, then falling as a cosine; a deadline (monotonic) ends it early.

    held: of a worker whose tables hold some of the series only: windows are drawn from all, and it takes part with its
    own. done: what an interrupted run had done when it was kept, in whole tens of steps; the steps after it follow.
    after_step: called with the log so far.

    Raises:
        ArithmeticError: if a loss is not a finite number: the training has diverged.
    """
    held = held or Held.all_of(tables)
    windows = training_windows(held, geometry, limit)
    if windows.total == 0:
        return TrainingLog()
    log = done or TrainingLog(allowed=steps)
    rng = np.random.default_rng(seed)
    weight = held.of_own(series_weight(held.scale))
    began = time.monotonic()
    bucket: list[float] = []
    first = log.steps
    for k in range(steps):
        series, origin = draw(windows, rng, batch_size, half_life)
        if k < first:
            continue
        own = held.place[series] >= 0
        if own.any():
            series, origin = held.place[series[own]], origin[own]
            arrays = batch_arrays(tables, geometry, series, origin, limit=limit, weight=weight)
        else:  # all are other workers': a window that does not count
            arrays = batch_arrays(tables, geometry, np.zeros(1, int), origin[:1], limit=limit, weight=weight)
            arrays["mask"] *= 0
        now = rate * min(1.0, (k + 1) / max(warmup, 1)) * (0.5 + 0.5 * np.cos(np.pi * k / steps))
        bucket.append(step(arrays, (seed % 2**31, k), float(now)))
        if not np.isfinite(bucket[-1]):
            raise ArithmeticError("the training of the network diverged: its loss is not a finite number")
        if len(bucket) == 10:
            log.losses.append(float(np.mean(bucket)))
            bucket = []
        log.steps += 1
        if after_step is not None:
            after_step(log)
        if on_step is not None and k % 20 == 0:
            on_step((k + 1) / steps)
        if deadline is not None and time.monotonic() > deadline and log.steps < steps:
            log.cut_short = True
            break
    log.seconds = time.monotonic() - began
    return log
