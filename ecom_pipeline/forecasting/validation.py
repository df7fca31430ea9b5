"""Dates held back inside the history: which they are, and how a model or a simple forecast does on them."""

from dataclasses import dataclass

import numpy as np

from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.calendar import season_of
from ecom_pipeline.forecasting.fitted import FittedModel, mean_members
from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.preparation import build_tables, fit_preparation
from ecom_pipeline.forecasting.types import MEDIAN, Link
from ecom_pipeline.forecasting.windows import BASES, Geometry, Tables, gather

VALIDATION_SERIES = 1500
MEAN_MEMBERS = ("network", "network_quantiles", *BASES)
"""What a mean is combined of."""
ADJUSTED = ("adjusted_profile", "level", "adjusted_mean")


def validation_span(*, length: int, horizon: int, year: int) -> int:
    """Dates held back: two horizons and at least an eighth of a year, at most a quarter of the history."""
    return int(min(max(2 * horizon, year // 8), length // 4 if length >= 8 * horizon else length // 3))


def validation_origins(*, limit: int, length: int, horizon: int, windows: int) -> np.ndarray:
    """Origins from `limit` on whose first targets lie before `length`, evenly spaced, the last with a full horizon."""
    last = max(limit, length - horizon)
    return np.unique(np.linspace(limit, last, windows).round().astype(int))


@dataclass
class Outcome:
    """Forecasts made on dates the model had not seen, beside what came; flat rows of recorded targets."""

    y: np.ndarray
    quantiles: np.ndarray
    bases: np.ndarray
    means: np.ndarray
    step: np.ndarray
    date: np.ndarray
    weight: np.ndarray
    wape_weight: np.ndarray
    code: np.ndarray


def evaluate(model: FittedModel, panel: Panel, tables: Tables, origins: np.ndarray) -> Outcome:
    """Network forecasts (uncombined, uncalibrated) of up to VALIDATION_SERIES series a group at each origin."""
    horizon = model.geometry.horizon
    codes = model.group_codes(tables)
    alive = np.flatnonzero(tables.start < origins.max())
    alive = np.sort(np.concatenate([_evenly(alive[codes[alive] == code]) for code in np.unique(codes)]))
    series = np.tile(alive, len(origins))
    origin = np.repeat(origins, len(alive))
    begun = tables.start[series] < origin
    series, origin = series[begun], origin[begun]
    raw = model.network_forecasts(tables, series, origin)
    ahead = origin[:, None] + np.arange(horizon)
    inside = ahead < panel.observed
    y = np.where(inside, panel.y[series[:, None], np.minimum(ahead, panel.observed - 1)], np.nan)
    y = y / raw.size[:, None]
    rows = ~np.isnan(y)
    size = np.broadcast_to(raw.size[:, None], y.shape)[rows]
    return Outcome(
        y=y[rows],
        quantiles=raw.quantiles[rows],
        bases=raw.bases[rows],
        means=mean_members(raw)[rows],
        step=np.broadcast_to(np.arange(horizon), y.shape)[rows],
        date=ahead[rows],
        weight=np.sqrt(size),
        wape_weight=size,
        code=np.broadcast_to(codes[series][:, None], y.shape)[rows],
    )


def _evenly(series: np.ndarray) -> np.ndarray:
    """At most VALIDATION_SERIES of them, evenly spaced."""
    if len(series) <= VALIDATION_SERIES:
        return series
    return series[np.linspace(0, len(series) - 1, VALIDATION_SERIES).astype(int)]


def validation_figures(outcome: Outcome, *, mean: np.ndarray, median: np.ndarray) -> dict[str, float]:
    """For the record: WAPE of the combined mean (R,) and median (R,), and of everything that they combine."""
    total = np.abs(outcome.y * outcome.wape_weight).sum()

    def wape(forecast: np.ndarray) -> float:
        return float((np.abs(outcome.y - forecast) * outcome.wape_weight).sum() / max(total, 1e-12))

    return {
        "rows": len(outcome.y),
        "wape_combined": wape(mean),
        "wape_median_network": wape(outcome.quantiles[:, MEDIAN]),
        "wape_median_combined": wape(median),
        **{f"wape_{name}": wape(outcome.means[:, k]) for k, name in enumerate(MEAN_MEMBERS)},
    }


def base_score(
    panel: Panel,
    *,
    link: Link,
    yearly: bool,
    by_precision: bool,
    limit: int,
    origins: np.ndarray,
    horizon: int,
    patches: int,
) -> float:
    """Mean error under a link, with or without columns for the time of the year, of the simple forecasts that rest on
    effects (ADJUSTED): absolute error, relative to all sales and to each series' own.

    Not the squared error: under the logarithm a few effects far ahead of what was seen would rule it, and the network
    keeps those in bounds. Not the best forecast of all: where that is a median of sales, it is the same under every
    link, and the effects that the network starts from may be anything.
    """
    season = season_of(panel.offset)
    preparation = fit_preparation(
        panel, season=season, link=link, limit=limit, embed_series=False, yearly=yearly, by_precision=by_precision
    )
    geometry = Geometry(season=season, horizon=horizon, patches=patches, link=link)
    tables = build_tables(panel, preparation, geometry, training=False)
    errors = np.zeros((2, len(BASES)))
    for origin in origins:
        alive = np.flatnonzero(tables.start < origin)
        if len(alive) == 0:
            continue
        batch = gather(tables, geometry, alive, np.full(len(alive), origin))
        u = batch.centre[:, None, None] + batch.bases / batch.stretch[:, None, None]
        scale = tables.scale[alive]
        forecasts = links.inverse(u, link)[:, :horizon]
        ahead = origin + np.arange(horizon)
        y = np.where(ahead < panel.observed, panel.y[alive][:, np.minimum(ahead, panel.observed - 1)], np.nan)
        error = np.abs(forecasts - (y / scale[:, None])[:, :, None])
        errors[0] += np.nansum(error * scale[:, None, None], axis=(0, 1)) / max(np.nansum(np.abs(y)), 1e-12)
        own = np.nansum(error, axis=1) / np.maximum((~np.isnan(y)).sum(axis=1), 1)[:, None]
        errors[1] += own.mean(axis=0)
    relative = errors[0] / errors[0].size + errors[1] / errors[1].size
    return float(relative[[BASES.index(name) for name in ADJUSTED]].mean())
