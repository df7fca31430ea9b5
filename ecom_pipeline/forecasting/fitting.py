"""A fitted model and the order in which its parts are fitted: link, network, validation, calibration, final training.

Belongs here: what is fitted when, on which dates. The frames of the public API are forecaster.py's business.
"""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.calendar import season_of
from ecom_pipeline.forecasting.calibration import Calibration
from ecom_pipeline.forecasting.combining import combination_weights, level_factor
from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.preparation import Preparation, build_tables, fit_preparation
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.training import train
from ecom_pipeline.forecasting.types import MEDIAN, Cell, Link, Progress
from ecom_pipeline.forecasting.windows import BASES, Batch, Geometry, Tables, gather

if TYPE_CHECKING:
    from ecom_pipeline.forecasting.network import Network, NetworkConfig, Optimiser

FORWARD_BATCH = 1024
VALIDATION_SERIES = 1500
CALIBRATION_ROWS = 20000
ROWS_PER_SERIES_EMBEDDING = 365
"""With fewer records (measured on 90 weeks a series) an embedding of each series learns them by heart."""
GROWTH = 1.25
SHORT_HORIZON = 14


@dataclass
class Forecasts:
    """Forecasts of W windows in units of the window's size (mean sales): mean (W, H), quantiles (W, H, 7).

    bases (W, H, len(BASES)); size (W,) in sales.
    """

    mean: np.ndarray
    quantiles: np.ndarray
    bases: np.ndarray
    size: np.ndarray


@dataclass
class Combination:
    """Weights on the network and the bases, (1 + len(BASES),) each, for the mean and for the median; mean factor."""

    mean: np.ndarray
    median: np.ndarray
    factor: float = 1.0

    def towards(self, other: "Combination", share: float) -> "Combination":
        """Between this one (share 0) and another (share 1)."""
        return Combination(
            mean=(1 - share) * self.mean + share * other.mean,
            median=(1 - share) * self.median + share * other.median,
            factor=float(self.factor ** (1 - share) * other.factor**share),
        )

    @staticmethod
    def network_alone() -> "Combination":
        """All weight on the network."""
        alone = np.zeros(1 + len(BASES))
        alone[0] = 1.0
        return Combination(mean=alone, median=alone.copy())


@dataclass
class FittedModel:
    """Everything `predict` needs; arrays and plain values only."""

    geometry: Geometry
    preparation: Preparation
    config: "NetworkConfig"
    members: list[dict[str, np.ndarray]]
    combination: Combination
    calibration: Calibration
    allow_negative: bool
    report: dict[str, Any] = field(default_factory=dict)

    def forecast(self, tables: Tables, series: np.ndarray, origin: np.ndarray, *, calibrated: bool = True) -> Forecasts:
        """Forecast windows (series, origin), combined and, unless told otherwise, calibrated."""
        raw = self.network_forecasts(tables, series, origin)
        combined = combine(raw, self.combination)
        if calibrated:
            combined = replace(
                combined, quantiles=self.calibration.apply(combined.quantiles, horizon=self.geometry.horizon)
            )
        if not self.allow_negative:
            combined = replace(combined, mean=np.maximum(combined.mean, 0), quantiles=np.maximum(combined.quantiles, 0))
        return combined

    def network_forecasts(self, tables: Tables, series: np.ndarray, origin: np.ndarray) -> Forecasts:
        """The members' average, without combination or calibration."""
        parts = []
        networks = self.networks()
        for low in range(0, len(series), FORWARD_BATCH):
            batch = gather(tables, self.geometry, series[low : low + FORWARD_BATCH], origin[low : low + FORWARD_BATCH])
            parts.append(self._forward(networks, tables, batch, series[low : low + FORWARD_BATCH]))
        return Forecasts(
            mean=np.concatenate([p.mean for p in parts]),
            quantiles=np.concatenate([p.quantiles for p in parts]),
            bases=np.concatenate([p.bases for p in parts]),
            size=np.concatenate([p.size for p in parts]),
        )

    def networks(self) -> "list[Network]":
        """The members as networks, built anew from their weights."""
        from ecom_pipeline.forecasting.network import Network

        built = []
        for weights in self.members:
            network = Network(self.config, seed=0)
            for name, value in weights.items():
                network.weights[name].assign(value)
            built.append(network)
        return built

    def _forward(self, networks: "list[Network]", tables: Tables, batch: Batch, series: np.ndarray) -> Forecasts:
        from ecom_pipeline.forecasting.network import forward

        horizon, link = self.geometry.horizon, self.geometry.link
        outputs = [forward(network, batch.inputs()) for network in networks]
        u = batch.centre[:, None, None] + batch.bases / batch.stretch[:, None, None]
        bases = links.inverse(u, link) / batch.size[:, None, None]
        return Forecasts(
            mean=np.mean([o[0] for o in outputs], axis=0)[:, :horizon].astype(np.float64),
            quantiles=np.mean([o[1] for o in outputs], axis=0)[:, :horizon].astype(np.float64),
            bases=bases[:, :horizon].astype(np.float64),
            size=batch.size * tables.scale[series],
        )


def combine(raw: Forecasts, combination: Combination) -> Forecasts:
    """The mean and the median become combinations with the bases; the other quantiles move with the median."""
    mean = combination.factor * (combination.mean[0] * raw.mean + raw.bases @ combination.mean[1:])
    weights = combination.median
    shift = (weights[0] - 1) * raw.quantiles[:, :, MEDIAN] + raw.bases @ weights[1:]
    return replace(raw, mean=mean, quantiles=raw.quantiles + shift[:, :, None])


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
    mean: np.ndarray
    quantiles: np.ndarray
    bases: np.ndarray
    step: np.ndarray
    weight: np.ndarray
    wape_weight: np.ndarray


def evaluate(model: FittedModel, panel: Panel, tables: Tables, origins: np.ndarray) -> Outcome:
    """Network forecasts (uncombined, uncalibrated) of up to VALIDATION_SERIES series at each origin."""
    horizon = model.geometry.horizon
    alive = np.flatnonzero(tables.start < origins.max())
    if len(alive) > VALIDATION_SERIES:
        alive = alive[np.linspace(0, len(alive) - 1, VALIDATION_SERIES).astype(int)]
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
        mean=raw.mean[rows],
        quantiles=raw.quantiles[rows],
        bases=raw.bases[rows],
        step=np.broadcast_to(np.arange(horizon), y.shape)[rows],
        weight=np.sqrt(size),
        wape_weight=size,
    )


def base_score(panel: Panel, *, link: Link, limit: int, origins: np.ndarray, horizon: int, patches: int) -> float:
    """Error of the best simple forecast under a link: absolute and root squared error, both relative to mean sales."""
    season = season_of(panel.offset)
    preparation = fit_preparation(panel, season=season, link=link, limit=limit, embed_series=False)
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
        errors[1] += np.sqrt(np.nanmean(error**2, axis=1)).mean(axis=0)
    relative = errors[0] / errors[0].size + errors[1] / errors[1].size
    return float(relative.min())


class Fitter:
    """Fits a model on a panel, and updates it on a longer one."""

    def __init__(
        self,
        *,
        settings: TrainingSettings,
        cell: Cell,
        seed: int,
        horizon: int,
        allow_negative: bool,
        time_budget_s: float | None,
        on_progress: Progress | None,
    ) -> None:
        self.settings, self.cell, self.seed, self.horizon = settings, cell, seed, horizon
        self.allow_negative, self.time_budget_s = allow_negative, time_budget_s
        self.on_progress: Progress = on_progress or (lambda stage, share: None)
        self._compiled: tuple[NetworkConfig, Optimiser] | None = None

    def fit(self, panel: Panel) -> FittedModel:
        """Choose the link, train up to the validation dates, validate, calibrate, and train on everything."""
        began = time.monotonic()
        settings, length = self.settings, panel.observed
        season = season_of(panel.offset)
        span = validation_span(length=length, horizon=self.horizon, year=season.year)
        limit = length - span
        origins = validation_origins(
            limit=limit, length=length, horizon=self.horizon, windows=settings.validation_windows
        )
        patches = self._patches(limit, season.cycle)
        link = self._choose_link(panel, limit=limit, origins=origins, patches=patches)
        geometry = Geometry(season=season, horizon=self.horizon, patches=patches, link=link)
        model = self._untrained(panel, geometry, limit=limit)
        losses: list[list[float]] = []
        trained = 0
        for member in range(settings.members):
            log = self._train(
                model, panel, member, limit=limit, steps=settings.steps, rate=settings.rate, stage="train",
                deadline=self._deadline(began, 0.65 * (member + 1) / settings.members),
            )  # fmt: skip
            losses.append(log.losses)
            trained += log.steps
        if span > 0:
            self.on_progress("validate", 0.0)
            self._learn_from(model, panel, origins)
        self.on_progress("validate", 1.0)
        model.preparation = fit_preparation(
            panel, season=season, link=link, limit=length, embed_series=model.preparation.embed_series,
            former=model.preparation,
        )  # fmt: skip
        for member in range(settings.members):
            log = self._train(
                model, panel, member, limit=length, steps=settings.final_steps, rate=settings.final_rate, stage="final",
                deadline=self._deadline(began, 0.7 + 0.3 * (member + 1) / settings.members),
            )  # fmt: skip
            losses[member] += log.losses
            trained += log.steps
        model.report |= {
            "losses": losses,
            "steps": trained,
            "length": length,
            "seconds": time.monotonic() - began,
            "trained_until": str(panel.grid[length - 1]),
        }
        return model

    def update(self, model: FittedModel, panel: Panel) -> FittedModel:
        """Warm refit: learn from the errors on the dates that came since the last fit, then train on them too.

        A history that has grown by GROWTH since the last full fit deserves another one: its context, link and calendar
        were chosen for less.
        """
        began = time.monotonic()
        former = model.preparation
        length = panel.observed
        if length >= GROWTH * model.report["length"]:
            return self.fit(panel)
        limit = int(np.searchsorted(panel.grid[:length].to_numpy(), former.last, side="right"))
        model = replace(model, members=[dict(m) for m in model.members], report=dict(model.report))
        if limit < length:
            origins = validation_origins(
                limit=limit, length=length, horizon=self.horizon, windows=self.settings.validation_windows
            )
            span = validation_span(length=limit, horizon=self.horizon, year=model.geometry.season.year)
            fresh = length - limit
            self._learn_from(model, panel, origins, share=fresh / (fresh + max(span, 1)))
        model.preparation = fit_preparation(
            panel, season=model.geometry.season, link=model.geometry.link, limit=length,
            embed_series=former.embed_series, former=former,
        )  # fmt: skip
        self._carry_embeddings(model, former)
        losses = []
        for member in range(len(model.members)):
            log = self._train(
                model, panel, member, limit=length, steps=self.settings.update_steps, rate=self.settings.update_rate,
                stage="update", deadline=self._deadline(began, (member + 1) / len(model.members)),
            )  # fmt: skip
            losses.append(log.losses)
        model.report |= {
            "update_losses": losses,
            "update_seconds": time.monotonic() - began,
            "trained_until": str(panel.grid[length - 1]),
        }
        return model

    def _deadline(self, began: float, share: float) -> float | None:
        return None if self.time_budget_s is None else began + share * self.time_budget_s

    def _patches(self, limit: int, cycle: int) -> int:
        settings = self.settings
        if cycle > 1:
            return max(1, min(settings.patches, limit // (2 * cycle)))
        return max(1, min(settings.context_without_cycle, limit // 2))

    def _choose_link(self, panel: Panel, *, limit: int, origins: np.ndarray, patches: int) -> Link:
        if self.settings.link is not None:
            return self.settings.link
        if self.allow_negative and np.nanmin(panel.y, initial=0.0) < 0:
            return "identity"
        if limit < 2 or limit >= panel.observed:
            return "sqrt"
        candidates: tuple[Link, ...] = ("identity", "sqrt", "log")
        panel = panel.sample(VALIDATION_SERIES)
        scores = {
            link: base_score(panel, link=link, limit=limit, origins=origins, horizon=self.horizon, patches=patches)
            for link in candidates
        }
        return min(scores, key=scores.__getitem__)

    def _untrained(self, panel: Panel, geometry: Geometry, *, limit: int) -> FittedModel:
        from ecom_pipeline.forecasting.network import Network, NetworkConfig

        settings = self.settings
        records = int((~np.isnan(panel.y[:, :limit])).sum())
        embed = settings.embed_series and records >= ROWS_PER_SERIES_EMBEDDING * len(panel.ids)
        preparation = fit_preparation(
            panel, season=geometry.season, link=geometry.link, limit=max(limit, 1), embed_series=embed
        )
        tables = build_tables(panel, preparation, geometry, training=True)
        sample = gather(tables, geometry, np.zeros(1, np.int64), np.array([max(limit, 1)]))
        config = NetworkConfig(
            cell=self.cell,
            link=geometry.link,
            patches=geometry.patches,
            horizon_patches=geometry.horizon_patches,
            cycle=geometry.season.cycle,
            encoder_width=sample.encoder.shape[2],
            day_width=sample.day.shape[2],
            window_width=sample.window.shape[1],
            bases=len(BASES),
            categories=preparation.categories,
            units=settings.units,
            hidden=settings.hidden,
            dropout=settings.dropout,
            allow_negative=self.allow_negative,
            mean_loss=settings.mean_loss,
        )
        members = [
            Network(config, seed=self.seed * 1000 + member).numpy_weights() for member in range(settings.members)
        ]
        return FittedModel(
            geometry=geometry,
            preparation=preparation,
            config=config,
            members=members,
            combination=Combination.network_alone(),
            calibration=Calibration.empty(),
            allow_negative=self.allow_negative,
            report={"link": geometry.link, "cell": self.cell, "seed": self.seed},
        )

    def _train(
        self,
        model: FittedModel,
        panel: Panel,
        member: int,
        *,
        limit: int,
        steps: int,
        rate: float,
        stage: str,
        deadline: float | None,
    ) -> Any:
        settings = self.settings
        tables = build_tables(panel, model.preparation, model.geometry, training=True)
        optimiser = self._optimiser(model.config)
        optimiser.restart(model.members[member])
        half_life = settings.half_life_years
        log = train(
            optimiser.train_step,
            tables,
            model.geometry,
            limit=limit,
            steps=steps,
            batch_size=settings.batch_size * (2 if model.geometry.padded <= SHORT_HORIZON else 1),
            rate=rate,
            warmup=settings.warmup,
            seed=(self.seed * 1000 + member) * 7919 + limit,
            half_life=None if half_life is None else half_life * model.geometry.season.year,
            deadline=deadline,
            on_step=lambda share: self.on_progress(stage, (member + share) / settings.members),
        )
        if log.steps:
            model.members[member] = optimiser.averaged()
        return log

    def _optimiser(self, config: "NetworkConfig") -> "Optimiser":
        """The compiled training step for a network's sizes; kept, because tracing it takes seconds."""
        from ecom_pipeline.forecasting.network import Network, Optimiser

        if self._compiled is None or self._compiled[0] != config:
            settings = self.settings
            optimiser = Optimiser(Network(config, seed=0), decay=settings.decay, average=settings.average, jit=False)
            self._compiled = (config, optimiser)
        return self._compiled[1]

    def _learn_from(self, model: FittedModel, panel: Panel, origins: np.ndarray, *, share: float = 1.0) -> None:
        """Combination weights and calibration from forecasts of dates that the members have not been trained on.

        share: how far the combination moves from what it was to what these dates ask for.
        """
        tables = build_tables(panel, model.preparation, model.geometry, training=False)
        if not (tables.start < origins.max()).any():
            return
        outcome = evaluate(model, panel, tables, origins)
        if len(outcome.y) < 50:
            return
        means = np.column_stack([outcome.mean, outcome.bases])
        medians = np.column_stack([outcome.quantiles[:, MEDIAN], outcome.bases])
        for_mean = combination_weights(y=outcome.y, members=means, weight=outcome.weight, loss="both")
        for_median = combination_weights(y=outcome.y, members=medians, weight=outcome.weight, loss="absolute")
        mean, median = means @ for_mean, medians @ for_median
        factor = level_factor(y=outcome.y, forecast=mean, weight=outcome.wape_weight)
        learnt = Combination(mean=for_mean, median=for_median, factor=factor)
        model.combination = learnt if share == 1.0 else model.combination.towards(learnt, share)
        median = medians @ model.combination.median
        model.calibration = model.calibration.add(
            outcome.y,
            outcome.quantiles + (median - medians[:, 0])[:, None],
            outcome.step,
            horizon=self.horizon,
            keep=self.settings.calibration_windows,
            limit=CALIBRATION_ROWS,
        )
        total = np.abs(outcome.y * outcome.wape_weight).sum()

        def wape(forecast: np.ndarray) -> float:
            return float((np.abs(outcome.y - forecast) * outcome.wape_weight).sum() / max(total, 1e-12))

        names = ("network", *BASES)
        model.report["validation"] = {
            "rows": len(outcome.y),
            "wape_combined": wape(mean),
            "wape_median_network": wape(medians[:, 0]),
            "wape_median_combined": wape(median),
            **{f"wape_{name}": wape(means[:, k]) for k, name in enumerate(names)},
        }
        model.report["combination"] = {
            "mean": dict(zip(names, model.combination.mean.tolist(), strict=True)),
            "median": dict(zip(names, model.combination.median.tolist(), strict=True)),
            "mean_factor": model.combination.factor,
        }
        model.report["interval_corrections"] = model.calibration.corrections().tolist()

    def _carry_embeddings(self, model: FittedModel, former: Preparation) -> None:
        """Embedding tables of the size that the new preparation asks for; what appeared since starts at "unknown"."""
        sizes = model.preparation.categories
        if sizes != model.config.categories or list(former.ids) != list(model.preparation.ids):
            model.config = replace(model.config, categories=sizes)
            for weights in model.members:
                for k, size in enumerate(sizes):
                    table = weights[f"embedding_{k}"]
                    wider = np.repeat(table[:1], size, axis=0)
                    if former.embed_series and k == len(sizes) - 1:
                        for name, row in model.preparation.ids.items():
                            if name in former.ids:
                                wider[row + 1] = table[former.ids[name] + 1]
                    else:
                        wider[: len(table)] = table
                    weights[f"embedding_{k}"] = wider
