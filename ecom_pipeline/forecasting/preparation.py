"""From a panel to the network's tables: scales, outliers, links, effects; fitted up to a limit, applied to any panel.

Belongs here: what is fitted on sales before the network is. Leakage ends here: `fit_preparation` sees the first `limit`
dates of the panel only.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.anniversaries import add_recurring_days, anniversary_positions
from ecom_pipeline.forecasting.calendar import Season, calendar_features
from ecom_pipeline.forecasting.covariates import (
    Encoders,
    apply_numeric,
    channel_owners,
    effect_columns,
    extend_categories,
    fit_encoders,
    static_codes,
    without_columns,
)
from ecom_pipeline.forecasting.effects import (
    FOLDS,
    Columns,
    Effects,
    Observations,
    effect_values,
    fit_effects,
    fold_of,
    useful_columns,
)
from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.rates import LARGEST, LEAST, fit_rates
from ecom_pipeline.forecasting.types import Link
from ecom_pipeline.forecasting.windows import Geometry, Tables, fill_gaps

OUTLIER_RATIO = 3.0
EFFECT_LIMIT = 8.0
SPARSE_SALES = 30
"""Dates with sales up to which a series counts as sparse: its scale borrows from the others."""
LEAST_SALES = 1e-12
"""Sales in all below which a series counts as one without sales: dividing by so little would overflow."""

PRIOR_SALES = 3.0


@dataclass
class Preparation:
    """What was fitted: encoders, and by series (in the order of `ids`) scale and cap; effects under one link.

    cap: the largest sales, in units of the scale, that the model believes; inf where it has no reason for doubt.
    effects: differences of linked sales; rates: logarithms of factors of the mean (rates.py).
    """

    ids: dict[str, int]
    encoders: Encoders
    scale: np.ndarray
    cap: np.ndarray
    effects: Effects
    rates: Effects
    link: Link
    season: Season
    last: np.datetime64
    embed_series: bool
    yearly: bool

    @property
    def categories(self) -> tuple[int, ...]:
        """Sizes of the embedding tables: static columns, and the series themselves if embedded."""
        sizes = tuple(len(c.levels) + 1 for c in self.encoders.static)
        return (*sizes, len(self.ids) + 1) if self.embed_series else sizes

    def rows(self, panel: Panel) -> np.ndarray:
        """(N,) row of each series of the panel in the fit, -1 where the fit did not see it."""
        return np.array([self.ids.get(str(series), -1) for series in panel.ids], dtype=np.int64)


def series_scale(y: np.ndarray, season: Season) -> np.ndarray:
    """(N,) mean absolute recorded sales of the last year, NaN without a record or with zeros only.

    The share of dates with sales is drawn towards that of the panel's sparse series, as if PRIOR_SALES dates of these
    had been seen too. Else the size of a sale in units of the scale would tell how many sales there are in all, those
    after a training window included, and the network would learn that a sale is never followed by another.
    """
    recent, everything = np.abs(y[:, -season.year :]), np.abs(y)
    sold = np.nansum(recent, axis=1) > 0
    dates = np.where(sold, (~np.isnan(recent)).sum(axis=1), (~np.isnan(everything)).sum(axis=1))
    with_sales = np.where(sold, (recent > 0).sum(axis=1), (everything > 0).sum(axis=1))
    total = np.where(sold, np.nansum(recent, axis=1), np.nansum(everything, axis=1))
    sparse = (with_sales > 0) & (with_sales <= SPARSE_SALES)
    own = with_sales / np.maximum(dates, 1)
    typical = with_sales[sparse].sum() / dates[sparse].sum() if sparse.any() else 1.0
    rate = np.where(sparse, (with_sales + PRIOR_SALES) / (dates + PRIOR_SALES / typical), own)
    return np.where(total > LEAST_SALES, total / np.maximum(with_sales, 1) * rate, np.nan)


def outlier_cap(z: np.ndarray) -> np.ndarray:
    """(N,) cap of |z|: three times the third-largest record, for series with at least 20 records.

    A single order or cancellation of a size that never came back is cut; promotions, which come again, are not.
    """
    size = np.where(np.isnan(z), 0, np.abs(z))
    if size.shape[1] < 20:
        return np.full(len(z), np.inf)
    third = np.partition(size, -3, axis=1)[:, -3]
    enough = ((~np.isnan(z)).sum(axis=1) >= 20) & (third > 0)
    return np.where(enough, OUTLIER_RATIO * third, np.inf)


def _fill_scale(scale: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Series without sales take the median scale of those that share most static columns with them.

    All columns are tried first, then all but the last, and so on; else it is the median of all series.
    """
    known = ~np.isnan(scale)
    filled = scale.copy()
    for columns in range(codes.shape[1], 0, -1):
        empty = np.isnan(filled)
        if not empty.any():
            break
        _, group = np.unique(codes[:, :columns], axis=0, return_inverse=True)
        group = group.reshape(-1)
        wanted = np.unique(group[empty])
        peers = known & np.isin(group, wanted)
        medians = pd.Series(scale[peers]).groupby(group[peers]).median()
        filled[empty] = medians.reindex(group[empty]).to_numpy()
    overall = float(np.median(scale[known])) if known.any() else 1.0
    return np.where(np.isnan(filled), overall, filled)


def fit_preparation(
    panel: Panel,
    *,
    season: Season,
    link: Link,
    limit: int,
    embed_series: bool,
    yearly: bool = False,
    by_precision: bool = False,
    former: Preparation | None = None,
    select: bool = False,
) -> Preparation:
    """Fit encoders, scales, caps and effects on the first `limit` dates of a panel.

    yearly: the calendar has columns for the time of the year. by_precision: as in Observations. With a `former`
    preparation its encoders and its calendar stay, and its categories keep their codes. select: leave out known-future
    columns that do not help on blocks of dates left out.
    """
    seen = _truncate(panel, limit)
    encoders = fit_encoders(seen) if former is None else extend_categories(former.encoders, panel.static)
    codes = static_codes(encoders.static, panel.static, len(panel.ids))
    scale = _fill_scale(series_scale(seen.y, season), codes)
    z = _in_units(seen.y, scale)
    cap = outlier_cap(z)
    weight = (~np.isnan(z)).astype(np.float32)
    z = _believed(z, cap)
    recent = slice(max(0, limit - season.year), limit)
    known = apply_numeric(encoders.known, seen.known, span=recent) if seen.known else _no_columns(panel, limit)
    yearly = yearly if former is None else former.yearly
    data = Observations(
        u=links.forward(z, link),
        weight=weight,
        known=known,
        calendar=calendar_features(panel.grid[:limit], season, yearly=yearly),
        codes=codes,
        columns=Columns(*effect_columns(encoders.known)),
        span=8 * season.cycle + 1 if season.cycle > 1 else 17,
        by_precision=by_precision,
    )
    if select and former is None and len(encoders.known) > 1:
        kept = useful_columns(data, owners=channel_owners(encoders.known), count=len(encoders.known))
        encoders = without_columns(encoders, kept)
        known = apply_numeric(encoders.known, seen.known, span=recent)
        data = replace(data, known=known, columns=Columns(*effect_columns(encoders.known)))
    effects = fit_effects(data, pool=None if former is None else former.effects.pool)
    rates = fit_rates(np.maximum(z, 0), data, pool=None if former is None else former.rates.pool)
    return Preparation(
        ids={str(series): k for k, series in enumerate(panel.ids)},
        encoders=encoders,
        scale=scale,
        cap=cap,
        effects=effects,
        rates=rates,
        link=link,
        season=season,
        last=np.datetime64(panel.grid[limit - 1]),
        embed_series=embed_series,
        yearly=yearly,
    )


def _in_units(y: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(N, T) float32 sales in units of the scales (N,), without a copy in double precision."""
    return np.divide(y, scale[:, None], out=np.empty(y.shape, dtype=np.float32), casting="same_kind")


def _believed(z: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """z (N, T) within its caps (N,), gaps 0; in place."""
    np.nan_to_num(z, copy=False)
    most = cap.astype(np.float32)[:, None]
    return np.clip(z, -most, most, out=z)


def _no_columns(panel: Panel, length: int) -> np.ndarray:
    return np.zeros((len(panel.ids), length, 0), dtype=np.float32)


def _truncate(panel: Panel, limit: int) -> Panel:
    return Panel(
        ids=panel.ids,
        grid=panel.grid[:limit],
        offset=panel.offset,
        observed=limit,
        y=panel.y[:, :limit],
        known={name: v[:, :limit] for name, v in panel.known.items()},
        past={name: v[:, :limit] for name, v in panel.past.items()},
        static=panel.static,
    )


def build_tables(panel: Panel, preparation: Preparation, geometry: Geometry, *, training: bool) -> Tables:
    """Apply a fitted preparation to a panel, whose history may be shorter or longer than the one fitted on.

    For `training`, effects inside the fitted dates come from coefficients of the other blocks of dates.
    """
    season, link, encoders = preparation.season, preparation.link, preparation.encoders
    rows = preparation.rows(panel)
    codes = static_codes(encoders.static, panel.static, len(panel.ids))
    own = np.where(rows >= 0, preparation.scale[np.maximum(rows, 0)], np.nan)
    fresh = series_scale(panel.y, season)
    scale = _fill_scale(np.where(np.isnan(own), fresh, own), codes)
    cap = np.where(rows >= 0, preparation.cap[np.maximum(rows, 0)], np.inf)
    recorded = ~np.isnan(panel.y)
    z = _believed(_in_units(panel.y, scale), cap)
    empty = float(links.forward(np.ones(1), link)[0])
    u = fill_gaps(links.forward(z, link), recorded, cycle=season.cycle, empty=empty)
    span = slice(max(0, panel.observed - season.year), panel.observed)

    extra = geometry.padded - panel.horizon
    total = panel.observed + geometry.padded
    grid = panel.grid
    if extra > 0:
        grid = pd.DatetimeIndex(grid.append(pd.date_range(grid[-1], periods=extra + 1, freq=panel.offset)[1:]))
    if panel.known:
        known = apply_numeric(encoders.known, panel.known, span=span)
    else:
        known = _no_columns(panel, len(panel.grid))
    known = np.concatenate([known, np.repeat(known[:, -1:], max(extra, 0), axis=1)], axis=1)[:, :total]
    calendar = calendar_features(grid, season, yearly=preparation.yearly)[:total]
    past = apply_numeric(encoders.past, panel.past, span=span) if panel.past else _no_columns(panel, panel.observed)
    fitted = int(np.searchsorted(panel.grid[: panel.observed].to_numpy(), preparation.last, side="right"))
    folds = np.full(total, FOLDS)
    if training:
        folds[:fitted] = fold_of(fitted)
    effect, factor = effect_values(
        (preparation.effects, preparation.rates),
        known=known,
        calendar=calendar,
        rows=rows,
        codes=codes,
        folds=folds,
        observed=panel.observed,
    )
    np.clip(effect, -EFFECT_LIMIT, EFFECT_LIMIT, out=effect)
    np.clip(factor, LEAST, LARGEST, out=factor)
    closing = add_recurring_days(
        effect,
        linked=u,
        sales=z,
        recorded=recorded,
        positions=anniversary_positions(grid[:total], season),
        cycle=season.cycle,
    )
    if preparation.embed_series:
        codes = np.concatenate([codes, (rows + 1)[:, None].astype(np.int32)], axis=1)
    return Tables(
        u=u,
        z=z,
        mask=recorded.astype(np.float32),
        effect=effect,
        factor=factor,
        known=known,
        calendar=calendar,
        past=past,
        codes=codes,
        start=panel.start,
        scale=scale,
        closing=closing,
    )
