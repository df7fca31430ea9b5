"""The order in which a model's parts are fitted: link, network, validation, calibration, final training.

Belongs here: what is fitted when, on which dates. The frames of the public API are forecaster.py's business.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.forecasting.budget import FINAL_SHARE, TRAIN_SHARE, UPDATE_SHARE, Budget
from ecom_pipeline.forecasting.calendar import season_of
from ecom_pipeline.forecasting.calibration import Calibration
from ecom_pipeline.forecasting.combining import (
    FEWEST_ROWS,
    Combination,
    Combinations,
    Evidence,
    learn_combinations,
)
from ecom_pipeline.forecasting.fitted import FittedModel
from ecom_pipeline.forecasting.form import choose_form, patches_for
from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.preparation import Preparation, build_tables, fit_preparation
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.training import Held, TrainingLog, train, training_windows
from ecom_pipeline.forecasting.types import MEDIAN, Cell, Progress
from ecom_pipeline.forecasting.validation import (
    MEAN_MEMBERS,
    evaluate,
    validation_figures,
    validation_origins,
    validation_span,
)
from ecom_pipeline.forecasting.windows import BASES, Geometry, gather

if TYPE_CHECKING:
    from ecom_pipeline.forecasting.network import NetworkConfig, Optimiser

CALIBRATION_ROWS = 20000
ROWS_PER_SERIES_EMBEDDING = 365
"""With fewer records (measured on 90 weeks a series) an embedding of each series learns them by heart."""
GROWTH = 1.25
FEWEST_STEPS = 100
"""Of the first training, however few windows there are."""
SHORT_HORIZON = 14


def _steps_of(logs: Sequence[TrainingLog]) -> dict[str, int | bool]:
    """For the record: steps taken, steps that plan and budget allow, and whether the clock cut any training short."""
    return {
        "steps": sum(log.steps for log in logs),
        "allowed_steps": sum(log.allowed for log in logs),
        "cut_short_by_clock": any(log.cut_short for log in logs),
    }


def _described(combination: Combination) -> dict[str, Any]:
    """A combination as plain values."""
    return {
        "mean": dict(zip(MEAN_MEMBERS, combination.mean.tolist(), strict=True)),
        "median": dict(zip(("network", *BASES), combination.median.tolist(), strict=True)),
        "mean_factor": combination.factor,
    }


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
        group_by: str | None = None,
        workers: Runner | None = None,
    ) -> None:
        self.workers = workers
        self.settings, self.cell, self.seed, self.horizon = settings, cell, seed, horizon
        self.allow_negative, self.time_budget_s = allow_negative, time_budget_s
        self.group_by = group_by
        self.on_progress: Progress = on_progress or (lambda stage, share: None)
        self._compiled: tuple[NetworkConfig, Optimiser] | None = None

    def fit(self, panel: Panel) -> FittedModel:
        """Choose the link, train up to the validation dates, validate, calibrate, and train on everything."""
        budget = Budget(self.time_budget_s)
        settings, length = self.settings, panel.observed
        season = season_of(panel.offset)
        span = validation_span(length=length, horizon=self.horizon, year=season.year)
        limit = length - span
        origins = validation_origins(
            limit=limit, length=length, horizon=self.horizon, windows=settings.validation_windows
        )
        patches = patches_for(settings, limit=limit, season=season)
        link, yearly = choose_form(
            panel, settings=settings, season=season, horizon=self.horizon, allow_negative=self.allow_negative,
            by_precision=self.group_by is not None,
        )  # fmt: skip
        geometry = Geometry(season=season, horizon=self.horizon, patches=patches, link=link)
        model = self._untrained(panel, geometry, limit=limit, yearly=yearly)
        losses: list[list[float]] = []
        logs = []
        for member in range(settings.members):
            log = self._train(
                model, panel, member, limit=limit, steps=settings.steps, rate=settings.rate, stage="train",
                budget=budget, share=TRAIN_SHARE,
            )  # fmt: skip
            losses.append(log.losses)
            logs.append(log)
        if span > 0:
            self.on_progress("validate", 0.0)
            self._learn_from(model, panel, origins)
        self.on_progress("validate", 1.0)
        model.preparation = fit_preparation(
            panel, season=season, link=link, limit=length, embed_series=model.preparation.embed_series,
            by_precision=self.group_by is not None, former=model.preparation,
        )  # fmt: skip
        for member in range(settings.members):
            log = self._train(
                model, panel, member, limit=length, steps=settings.final_steps, rate=settings.final_rate, stage="final",
                budget=budget, share=FINAL_SHARE, before=1.0 - FINAL_SHARE,
            )  # fmt: skip
            losses[member] += log.losses
            logs.append(log)
        model.report |= {
            "losses": losses,
            **_steps_of(logs),
            "length": length,
            "seconds": time.monotonic() - budget.began,
            "trained_until": str(panel.grid[length - 1]),
        }
        return model

    def update(self, model: FittedModel, panel: Panel) -> FittedModel:
        """Warm refit: learn from the errors on the dates that came since the last fit, then train on them too.

        A history that has grown by GROWTH since the last full fit deserves another one: its context, link and calendar
        were chosen for less.
        """
        budget = Budget(self.time_budget_s)
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
            embed_series=former.embed_series, by_precision=self.group_by is not None, former=former,
        )  # fmt: skip
        self._carry_embeddings(model, former)
        logs = [
            self._train(
                model, panel, member, limit=length, steps=self.settings.update_steps, rate=self.settings.update_rate,
                stage="update", budget=budget, share=UPDATE_SHARE, before=1.0 - UPDATE_SHARE,
            )
            for member in range(len(model.members))
        ]  # fmt: skip
        model.report |= {
            "update_losses": [log.losses for log in logs],
            **{f"update_{name}": value for name, value in _steps_of(logs).items()},
            "update_seconds": time.monotonic() - budget.began,
            "trained_until": str(panel.grid[length - 1]),
        }
        return model

    def _untrained(self, panel: Panel, geometry: Geometry, *, limit: int, yearly: bool) -> FittedModel:
        from ecom_pipeline.forecasting.network import Network, NetworkConfig

        settings = self.settings
        records = int((~np.isnan(panel.y[:, :limit])).sum())
        embed = settings.embed_series and records >= ROWS_PER_SERIES_EMBEDDING * len(panel.ids)
        preparation = fit_preparation(
            panel, season=geometry.season, link=geometry.link, limit=max(limit, 1), embed_series=embed, yearly=yearly,
            by_precision=self.group_by is not None, select=True,
        )  # fmt: skip
        tables = build_tables(panel.sample(1), preparation, geometry, training=True)
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
            combinations=Combinations(common=Combination.network_alone()),
            calibration=Calibration.empty(),
            allow_negative=self.allow_negative,
            group_by=self.group_by,
            report={
                "link": geometry.link,
                "columns_for_the_year": yearly,
                "cell": self.cell,
                "seed": self.seed,
                "known_future_used": [column.name for column in preparation.encoders.known if column.width],
            },
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
        budget: Budget,
        share: float,
        before: float = 0.0,
    ) -> TrainingLog:
        """Train one member; share: of the budget, for all members together; before: what the stages before it take."""
        settings = self.settings
        batch_size = settings.batch_size * (2 if model.geometry.padded <= SHORT_HORIZON else 1)
        members = len(model.members)
        tables = build_tables(panel, model.preparation, model.geometry, training=True)
        windows = training_windows(Held.all_of(tables), model.geometry, limit).total
        most = max(FEWEST_STEPS, settings.most_passes * windows / batch_size)
        steps = round(steps * min(1.0, most / settings.steps))
        half_life = settings.half_life_years
        schedule: dict[str, Any] = {
            "limit": limit,
            "steps": budget.steps(steps, share=share, members=members, config=model.config, batch_size=batch_size),
            "batch_size": batch_size,
            "rate": rate,
            "warmup": settings.warmup,
            "seed": (self.seed * 1000 + member) * 7919 + limit,
            "half_life": None if half_life is None else half_life * model.geometry.season.year,
        }
        if self.workers is not None:
            from ecom_pipeline.distributed.sales import train_together

            model.members[member], log = train_together(
                self.workers, model.members[member], tables, config=model.config, geometry=model.geometry,
                settings=settings, schedule=schedule,
            )  # fmt: skip
            self.on_progress(stage, (member + 1) / settings.members)
            return log
        optimiser = self._optimiser(model.config)
        optimiser.restart(model.members[member])
        log = train(
            optimiser.train_step,
            tables,
            model.geometry,
            **schedule,
            deadline=budget.deadline(before + share * (member + 1) / members),
            on_step=lambda share: self.on_progress(stage, (member + share) / settings.members),
        )
        if log.steps:
            model.members[member] = optimiser.averaged()
        return log

    def _optimiser(self, config: "NetworkConfig") -> "Optimiser":
        """The compiled training step for a network's sizes; kept, because tracing it takes seconds."""
        from ecom_pipeline.forecasting.network import Network, Optimiser

        if self._compiled is None or self._compiled[0] != config:
            self._compiled = (config, Optimiser(Network(config, seed=0), self.settings))
        return self._compiled[1]

    def _learn_from(self, model: FittedModel, panel: Panel, origins: np.ndarray, *, share: float = 1.0) -> None:
        """Combination weights and calibration from forecasts of dates that the members have not been trained on.

        share: how far the combination moves from what it was to what these dates ask for.
        """
        tables = build_tables(panel, model.preparation, model.geometry, training=False)
        if not (tables.start < origins.max()).any():
            return
        outcome = evaluate(model, panel, tables, origins)
        if len(outcome.y) < FEWEST_ROWS:
            return
        evidence = Evidence(
            y=outcome.y,
            means=outcome.means,
            medians=np.column_stack([outcome.quantiles[:, MEDIAN], outcome.bases]),
            weight=outcome.weight,
            volume=outcome.wape_weight,
            date=outcome.date,
            code=outcome.code,
        )
        learnt = learn_combinations(
            evidence, levels=model.groups, trained=int(origins.min()), negative=self.allow_negative
        )
        of_learnt = learnt.weights(model.groups, outcome.code)
        model.combinations = learnt if share == 1.0 else model.combinations.towards(learnt, share)
        median = (evidence.medians * model.weights(outcome.code).median).sum(axis=1)
        model.calibration = model.calibration.add(
            outcome.y,
            outcome.quantiles + (median - outcome.quantiles[:, MEDIAN])[:, None],
            outcome.step,
            horizon=self.horizon,
            keep=self.settings.calibration_windows,
            limit=CALIBRATION_ROWS,
        )
        model.report["validation"] = validation_figures(
            outcome,
            mean=(evidence.means * of_learnt.mean).sum(axis=1),
            median=(evidence.medians * of_learnt.median).sum(axis=1),
        )
        model.report["combination"] = _described(model.combinations.common)
        model.report["combination_by_group"] = {
            name: _described(combination) for name, combination in model.combinations.groups.items()
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
