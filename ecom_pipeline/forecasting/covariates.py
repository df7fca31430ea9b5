"""Encoding of covariates and static columns: fitted on the history up to the cutoff, applied to any later panel.

A column that is constant but for rounding is dropped, and no scale is ever below a floor, so that a covariate which
hardly varied in the past cannot become millions in the future.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ecom_pipeline.forecasting.panel import Panel

CLIP = 6.0
MAX_CATEGORIES = 4096
CHUNK = 256  # series that are worked on at once; bounds memory


@dataclass(frozen=True)
class Numeric:
    """One numeric column: (x - centre) / scale, clipped; `relative_scale` > 0 adds the deviation from the series' mean.

    `logged` columns pass through sign(x) log(1 + |x|) first. A scale of 0 means that the column carries nothing.
    """

    name: str
    centre: float
    scale: float
    relative_scale: float
    logged: bool
    flag: bool = False

    @property
    def width(self) -> int:
        """Number of channels the column becomes."""
        return int(self.scale > 0) + int(self.relative_scale > 0)


@dataclass(frozen=True)
class Category:
    """One static column: the names of its categories in order; code 0 is "unknown"."""

    name: str
    levels: tuple[str, ...]


def _carry_forward(values: np.ndarray) -> np.ndarray:
    """NaN replaced by the last recorded value of the same row, else by the row's first, else by 0; (N, T)."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    index = np.where(missing, 0, np.arange(values.shape[1])[None, :])
    np.maximum.accumulate(index, axis=1, out=index)
    filled = np.take_along_axis(values, index, axis=1)
    first = np.take_along_axis(values, (~missing).argmax(axis=1)[:, None], axis=1)
    filled = np.where(np.isnan(filled), first, filled)
    return np.nan_to_num(filled, nan=0.0)


def _prepare(values: np.ndarray, *, logged: bool) -> np.ndarray:
    filled = _carry_forward(values)
    return np.sign(filled) * np.log1p(np.abs(filled)) if logged else filled


def fit_numeric(name: str, values: np.ndarray, *, may_log: bool) -> Numeric:
    """Scale of a column from its past values, (N, T), NaN where missing."""
    seen = values[~np.isnan(values)]
    empty = Numeric(name=name, centre=0.0, scale=0.0, relative_scale=0.0, logged=False)
    if seen.size == 0:
        return empty
    spread = float(np.std(seen.astype(np.float64)))
    floor = 1e-4 * float(np.mean(np.abs(seen))) + 1e-9
    if spread <= floor:
        return empty
    if np.unique(seen[: 1 << 20]).size <= 2 and np.unique(seen).size <= 2:
        low, high = float(seen.min()), float(seen.max())
        return Numeric(name=name, centre=low, scale=high - low, relative_scale=0.0, logged=False, flag=True)
    logged = may_log and bool(seen.min() >= 0) and float(seen.max()) > 20 * (float(np.median(seen)) + 1e-9)
    prepared = _prepare(values, logged=logged).astype(np.float64)
    centre, scale = float(prepared.mean()), max(float(prepared.std()), floor)
    deviations = prepared - prepared.mean(axis=1, keepdims=True)
    within = float(deviations.std())
    between = float(prepared.mean(axis=1).std())
    relative = within if within > floor and between > 0.1 * scale else 0.0
    return Numeric(name=name, centre=centre, scale=scale, relative_scale=relative, logged=logged)


def apply_numeric(columns: list[Numeric], values: dict[str, np.ndarray], *, span: slice) -> np.ndarray:
    """(N, T', K) float32 channels of the columns; a series' mean is taken over the positions `span`."""
    shape = next(iter(values.values())).shape if values else (0, 0)
    channels = sum(column.width for column in columns)
    result = np.zeros((*shape, channels), dtype=np.float32)
    for low in range(0, shape[0], CHUNK):
        part = slice(low, low + CHUNK)
        at = 0
        for column in columns:
            if column.width == 0:
                continue
            prepared = _prepare(values[column.name][part], logged=column.logged)
            result[part, :, at] = np.clip((prepared - column.centre) / column.scale, -CLIP, CLIP)
            at += 1
            if column.relative_scale > 0:
                mean = prepared[:, span].mean(axis=1, keepdims=True)
                result[part, :, at] = np.clip((prepared - mean) / column.relative_scale, -CLIP, CLIP)
                at += 1
    return result


@dataclass(frozen=True)
class Encoders:
    """Everything fitted on covariates: known-future, past-only and static columns."""

    known: list[Numeric]
    past: list[Numeric]
    static: list[Category]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Encoders":
        """Inverse of to_json."""
        return Encoders(
            known=[Numeric(**c) for c in data["known"]],
            past=[Numeric(**c) for c in data["past"]],
            static=[Category(name=c["name"], levels=tuple(c["levels"])) for c in data["static"]],
        )


def fit_encoders(panel: Panel) -> Encoders:
    """Fit on the observed part of a panel only."""
    observed = panel.observed
    return Encoders(
        known=[fit_numeric(name, v[:, :observed], may_log=False) for name, v in panel.known.items()],
        past=[fit_numeric(name, v, may_log=True) for name, v in panel.past.items()],
        static=[_fit_category(name, values) for name, values in panel.static.items()],
    )


def extend_categories(encoders: Encoders, static: dict[str, np.ndarray]) -> Encoders:
    """The same encoders with static categories that appeared since; codes given out before keep their meaning."""
    extended = []
    for column in encoders.static:
        known = set(column.levels)
        fresh = sorted({str(v) for v in static[column.name] if v is not None} - known)
        room = max(0, MAX_CATEGORIES - len(column.levels))
        extended.append(Category(name=column.name, levels=(*column.levels, *fresh[:room])))
    return Encoders(known=encoders.known, past=encoders.past, static=extended)


def channel_owners(columns: list[Numeric]) -> np.ndarray:
    """(K,) int: the column that each channel of `apply_numeric` belongs to."""
    return np.repeat(np.arange(len(columns)), [column.width for column in columns])


def without_columns(encoders: Encoders, kept: np.ndarray) -> Encoders:
    """The same encoders, with the known-future columns that are not kept (bool by column) carrying nothing."""
    known = [
        c if keep else replace(c, scale=0.0, relative_scale=0.0) for c, keep in zip(encoders.known, kept, strict=True)
    ]
    return Encoders(known=known, past=encoders.past, static=encoders.static)


def _fit_category(name: str, values: np.ndarray) -> Category:
    present = [str(v) for v in values if v is not None]
    names, counts = np.unique(np.asarray(present, dtype=object).astype(str), return_counts=True)
    keep = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
    return Category(name=name, levels=tuple(sorted(str(names[k]) for k in keep)))


def static_codes(columns: list[Category], static: dict[str, np.ndarray], count: int) -> np.ndarray:
    """(N, S) int32 codes; 0 for a category that the fit never saw."""
    codes = np.zeros((count, len(columns)), dtype=np.int32)
    for k, column in enumerate(columns):
        lookup = {level: rank + 1 for rank, level in enumerate(column.levels)}
        codes[:, k] = [0 if v is None else lookup.get(str(v), 0) for v in static[column.name]]
    return codes


def effect_columns(columns: list[Numeric]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels for the regression of effects: one a column (the one relative to the series, if any), and the flags."""
    now: list[int] = []
    flags: list[int] = []
    at = 0
    for column in columns:
        if column.width:
            now.append(at + column.width - 1)
            if column.flag:
                flags.append(at)
        at += column.width
    return tuple(now), tuple(flags)
