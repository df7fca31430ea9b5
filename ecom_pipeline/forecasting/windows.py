"""What the network sees: arrays prepared once a panel, and batches gathered from them on the fly.

A window is a pair (series, origin): `origin` dates are known, the `horizon` dates after it are asked for. Windows are
gathered a batch at a time and never stored.
"""

from dataclasses import dataclass

import numpy as np

from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.anniversaries import ClosingDays
from ecom_pipeline.forecasting.calendar import Season
from ecom_pipeline.forecasting.types import Link

BASES = ("profile", "adjusted_profile", "level", "last_season", "adjusted_mean", "year_ago")
PROFILE_SEASONS = 8
LEAST_SHARE = 0.2
LEAST_SCALE = 0.05
"""Floors of a window's own scale, in units of the year before it and of the series' scale: long runs of zeros must not
blow up what follows."""
LEAST_RISE, LARGEST_RISE = -0.3, 1.0
SPARSE_SHARE = 0.1
CHUNK = 256  # series that are worked on at once; bounds memory
CEILING_RATIO = 3.0
"""No forecast is above this many times the largest sales of the year before."""


@dataclass(frozen=True)
class Geometry:
    """Sizes in steps: context = patches x cycle, horizon padded up to whole patches."""

    season: Season
    horizon: int
    patches: int
    link: Link

    @property
    def context(self) -> int:
        """Steps of history that a window shows."""
        return self.patches * self.season.cycle

    @property
    def horizon_patches(self) -> int:
        """Patches that cover the horizon."""
        return -(-self.horizon // self.season.cycle)

    @property
    def padded(self) -> int:
        """Horizon in whole patches, in steps."""
        return self.horizon_patches * self.season.cycle

    @property
    def level_span(self) -> int:
        """Steps over which a window's level and scale are taken."""
        return min(self.context, PROFILE_SEASONS * self.season.cycle if self.season.cycle > 1 else 8)


@dataclass
class Tables:
    """A panel in the network's units; T observed dates, `padded` dates ahead, all float32.

    u: (N, T) linked sales, gaps filled from the past; mask: (N, T) 1 where recorded; z: (N, T) sales / scale, gaps 0;
    effect: (N, T + padded), of linked sales; factor: (N, T + padded), logarithm of that of the mean;
    known: (N, T + padded, K); calendar: (T + padded, C); past: (N, T, Kp); codes: (N, S) int32; start: (N,) first
    recorded position; scale: (N,).
    """

    u: np.ndarray
    z: np.ndarray
    mask: np.ndarray
    effect: np.ndarray
    factor: np.ndarray
    known: np.ndarray
    calendar: np.ndarray
    past: np.ndarray
    codes: np.ndarray
    start: np.ndarray
    scale: np.ndarray
    closing: ClosingDays

    @property
    def observed(self) -> int:
        """Number of observed dates."""
        return self.u.shape[1]


@dataclass
class Batch:
    """Inputs of B windows. v = (u - centre) * stretch is the unit that the network works in.

    encoder: (B, patches, cycle * channels); day: (B, padded, features); bases: (B, padded, len(BASES)) in v;
    window: (B, 5); codes: (B, S); spread: (B,) typical error in v; centre, stretch, size: (B,), where
    size is the window's mean sales in units of the series' scale. rarity (B,): share of the window's days without
    sales. rise (B,): share of its fitted medians by which its sales lay above them on average. In units of size:
    expected (B, padded), its mean sales by the factors of the days; grain (B,), the smallest sale of the last year
    where sales are rare, else 0; ceiling (B,), above which nothing is forecast; target z (B, padded). mask (B, padded).
    """

    encoder: np.ndarray
    day: np.ndarray
    bases: np.ndarray
    window: np.ndarray
    codes: np.ndarray
    spread: np.ndarray
    centre: np.ndarray
    stretch: np.ndarray
    size: np.ndarray
    expected: np.ndarray
    rise: np.ndarray
    rarity: np.ndarray
    grain: np.ndarray
    ceiling: np.ndarray
    target: np.ndarray
    mask: np.ndarray

    def inputs(self) -> dict[str, np.ndarray]:
        """Arrays by name, as the network takes them."""
        return dict(self.__dict__)


def fill_gaps(values: np.ndarray, recorded: np.ndarray, *, cycle: int, empty: float) -> np.ndarray:
    """Gaps take the last recorded value of the same phase; what comes before the first record, the first mean.

    values (N, T), recorded (N, T) bool. A series' first record is a gap too, if it has others: series begin with a
    sale, so their first day says more about when they began than about what they sell. Nothing is taken from after a
    gap, except before a series begins, where the mean of its first cycle of records stands; a series without a record
    is `empty` throughout.
    """
    filled = np.empty(values.shape, dtype=np.float32)
    for low in range(0, len(values), CHUNK):
        part = slice(low, low + CHUNK)
        filled[part] = _fill(values[part], recorded[part], cycle=cycle, empty=empty)
    return filled


def _fill(values: np.ndarray, recorded: np.ndarray, *, cycle: int, empty: float) -> np.ndarray:
    count, length = values.shape
    ranks = np.cumsum(recorded, axis=1)
    recorded = recorded & ((ranks > 1) | (ranks[:, -1:] == 1))
    filled = np.where(recorded, values, np.nan)
    early = recorded & (ranks <= max(cycle, 4))
    total = early.sum(axis=1)
    first = np.where(total > 0, np.where(early, values, 0).sum(axis=1) / np.maximum(total, 1), empty)
    if length > cycle and np.isnan(filled).any():
        padded = -(-length // cycle) * cycle
        wide = np.full((count, padded), np.nan, dtype=filled.dtype)
        wide[:, :length] = filled
        wide = wide.reshape(count, padded // cycle, cycle)
        index = np.where(np.isnan(wide), -1, np.arange(padded // cycle)[None, :, None])
        np.maximum.accumulate(index, axis=1, out=index)
        taken = np.take_along_axis(wide, np.maximum(index, 0), axis=1)
        filled = np.where(index >= 0, taken, np.nan).reshape(count, padded)[:, :length]
    return np.where(np.isnan(filled), first[:, None], filled).astype(np.float32)


def gather(tables: Tables, geometry: Geometry, series: np.ndarray, origin: np.ndarray) -> Batch:
    """Batch of windows: series (B,), origin (B,) number of dates known to each window."""
    cycle, context, padded = geometry.season.cycle, geometry.context, geometry.padded
    link, seasons = geometry.link, min(PROFILE_SEASONS, geometry.patches)
    size_of_batch = len(series)
    back = origin[:, None] + np.arange(-context, 0)
    inside = (back >= 0) & (back >= tables.start[series][:, None])
    back = np.maximum(back, 0)
    rows = series[:, None]
    u, effect, factor = tables.u[rows, back], tables.effect[rows, back], tables.factor[rows, back]
    adjusted = u - effect
    ahead = origin[:, None] + np.arange(padded)
    ahead_effect, factor_ahead = tables.effect[rows, ahead], tables.factor[rows, ahead]

    span = geometry.level_span
    centre = u[:, -span:].mean(axis=1)
    level = adjusted[:, -span:].mean(axis=1)
    filled_z = links.inverse(u[:, -span:], link)
    usual, grain, largest = _last_year(tables, geometry, series, origin)
    size = np.maximum(np.abs(filled_z).mean(axis=1), np.maximum(LEAST_SHARE * usual, LEAST_SCALE))
    stretch = links.stretch(1 / size, link).astype(np.float32)

    raw_seasons = u.reshape(size_of_batch, -1, cycle)
    seasons_adjusted = adjusted.reshape(size_of_batch, -1, cycle)
    tile = (1, geometry.horizon_patches)
    recent = max(2, seasons // 4) if cycle > 1 else 3
    profile = np.median(raw_seasons[:, -seasons:], axis=1)
    adjusted_profile = np.median(seasons_adjusted[:, -seasons:], axis=1)
    adjusted_mean = seasons_adjusted[:, -seasons:].mean(axis=1)
    recent_level = adjusted[:, -recent * cycle :].mean(axis=1)
    tiled = np.tile(adjusted_profile, tile)
    year_ago, has_year = _year_ago(tables, geometry, series, origin, level)
    year_ago = np.where(has_year[:, None], year_ago, tiled)
    bases = np.stack(
        [
            np.tile(profile, tile),
            tiled + ahead_effect,
            recent_level[:, None] + ahead_effect,
            np.tile(seasons_adjusted[:, -1], tile) + ahead_effect,
            np.tile(adjusted_mean, tile) + ahead_effect,
            year_ago + ahead_effect,
        ],
        axis=2,
    )
    closed = tables.closing.closed_on(series, ahead)
    nothing = float(links.forward(np.zeros(1), link)[0])
    bases += closed[:, :, None] * (nothing - bases)
    bases = (bases - centre[:, None, None]) * stretch[:, None, None]

    residual = seasons_adjusted[:, -seasons:] - adjusted_profile[:, None]
    fitted = np.tile(adjusted_profile, (1, -(-span // cycle)))[:, -span:] + effect[:, -span:]
    zero_share = (np.abs(filled_z) < 1e-6).mean(axis=1)
    expected = _expected(filled_z / size[:, None], factor[:, -span:], factor_ahead) * (1 - closed)
    spread = np.abs(residual).mean(axis=(1, 2)) * 1.25 * stretch
    spread = np.clip(spread, 0.02, 3.0).astype(np.float32)
    encoder = np.concatenate(
        [
            np.clip((u - centre[:, None]) * stretch[:, None], -8, 8)[:, :, None],
            np.clip((adjusted - level[:, None]) * stretch[:, None], -8, 8)[:, :, None],
            (tables.mask[rows, back] * inside)[:, :, None],
            tables.known[rows, back],
            tables.past[rows, back],
        ],
        axis=2,
    ).astype(np.float32)
    steps = np.broadcast_to((np.arange(padded, dtype=np.float32) + 1) / padded, (size_of_batch, padded))
    relative_effect = np.clip(ahead_effect - effect[:, -span:].mean(axis=1)[:, None], -5, 5) * stretch[:, None]
    day = np.concatenate(
        [
            tables.known[rows, ahead],
            tables.calendar[ahead],
            np.clip(bases, -8, 8),
            relative_effect[:, :, None],
            steps[:, :, None],
            closed[:, :, None],
        ],
        axis=2,
    ).astype(np.float32)
    age = np.sqrt(np.clip((origin - tables.start[series]) / geometry.season.year, 0, 1))
    trend = np.clip((recent_level - level) * stretch, -4, 4)
    relative_size = np.log(size / np.maximum(usual, LEAST_SCALE))
    window = np.stack([relative_size, np.log(spread), zero_share, age, trend], axis=1).astype(np.float32)

    aim = np.minimum(ahead, tables.observed - 1)
    return Batch(
        encoder=encoder.reshape(size_of_batch, geometry.patches, -1),
        day=day,
        bases=bases.astype(np.float32),
        window=window,
        codes=tables.codes[series],
        spread=spread,
        centre=centre.astype(np.float32),
        stretch=stretch,
        size=size.astype(np.float32),
        expected=expected.astype(np.float32),
        rise=_rise(filled_z, links.inverse(fitted, link)).astype(np.float32),
        rarity=zero_share.astype(np.float32),
        grain=(grain / size).astype(np.float32),
        ceiling=(CEILING_RATIO * np.maximum(largest / size, 1.0)).astype(np.float32),
        target=(tables.z[rows, aim] / size[:, None]).astype(np.float32),
        mask=(tables.mask[rows, aim] * (ahead < tables.observed)).astype(np.float32),
    )


def _expected(sales: np.ndarray, factor: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """(B, H) mean sales of days with factors `ahead` (B, H), from sales (B, S) on days with `factor`; logarithms."""
    return (sales.mean(axis=1) / np.exp(factor).mean(axis=1))[:, None] * np.exp(ahead)


def _rise(sales: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """(B,) share by which sales (B, S) lay above fitted medians (B, S) on average."""
    return np.clip((sales - fitted).mean(axis=1) / np.maximum(fitted.mean(axis=1), 1e-6), LEAST_RISE, LARGEST_RISE)


def _last_year(
    tables: Tables, geometry: Geometry, series: np.ndarray, origin: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean |sales|, smallest sale and largest sale of the year before each origin, (B,) in units of the scale.

    The smallest sale is 0 for series that sell on more than SPARSE_SHARE of their dates, by more than a standard error
    of such a share: a short record of a rare product may hold many sales by chance. A series that sold nothing in that
    year is sparse too; its smallest sale is taken to be its mean sales a date, which is far below any sale.

    The series' first record is left out of the mean. The scale itself was estimated on dates after a training window
    too: how the window compares with it must not be seen, or the network learns that what is above must come down.
    """
    back = origin[:, None] + np.arange(-geometry.season.year, 0)
    place = np.maximum(back, 0)
    rows = series[:, None]
    seen = tables.mask[rows, place] * (back > tables.start[rows])
    sales = np.abs(tables.z[rows, place]) * seen
    smallest = np.where(sales > 0, sales, np.inf).min(axis=1)
    dates = np.maximum(seen.sum(axis=1), 1)
    most = SPARSE_SHARE * dates + np.sqrt(SPARSE_SHARE * (1 - SPARSE_SHARE) * dates)
    sparse = (sales > 0).sum(axis=1) <= most
    grain = np.where(sparse, np.where(np.isfinite(smallest), smallest, 1.0), 0.0)
    return sales.sum(axis=1) / dates, grain, sales.max(axis=1, initial=0.0)


def _year_ago(
    tables: Tables, geometry: Geometry, series: np.ndarray, origin: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Effect-adjusted values a year before each target, moved to today's level, and which windows have them."""
    year, cycle, span = geometry.season.year, geometry.season.cycle, geometry.level_span
    has_year = origin - year - span >= tables.start[series]
    rows = series[:, None]
    reach = cycle if cycle > 1 else 1

    def adjusted(position: np.ndarray) -> np.ndarray:
        place = np.clip(position, 0, tables.observed - 1)
        return tables.u[rows, place] - tables.effect[rows, place]

    then = origin[:, None] + np.arange(geometry.padded) - year
    # A target more than a year ahead has no value a year before it: the last known year's stands for it.
    then = np.where(then >= origin[:, None], then - year, then)
    before, after = np.maximum(then - reach, 0), then + reach
    after = np.where(after >= origin[:, None], then, after)
    smooth = 0.5 * adjusted(then) + 0.25 * adjusted(before) + 0.25 * adjusted(after)
    level_then = adjusted(origin[:, None] + np.arange(-span, 0) - year).mean(axis=1)
    return smooth + (level - level_then)[:, None], has_year
