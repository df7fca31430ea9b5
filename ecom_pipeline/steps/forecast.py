"""The forecaster in the night: trained when due, judged, kept or not; and the sales forecasts of the night."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.forecasting.reconciliation import reconcile_arrays
from ecom_pipeline.forecasting.types import QUANTILES, ForecastingError
from ecom_pipeline.registry import (
    Metric,
    ModelName,
    ModelVersion,
    Registry,
    RegistryError,
    Training,
    Verdict,
    decide,
)
from ecom_pipeline.registry.fingerprint import fingerprint
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.steps.forecast_baseline import PROFILE_DAYS, SEASONAL_PROFILE, profile_forecasts
from ecom_pipeline.steps.forecast_days import DayForecasts
from ecom_pipeline.steps.forecast_frames import Covariates, series_known_at, series_of_night
from ecom_pipeline.steps.forecast_judging import (
    Window,
    classes_left_to_profile,
    figures,
    figures_of_parts,
    gain_over_profile,
    held_out_cutoffs,
    open_windows,
    predict_windows,
)
from ecom_pipeline.steps.forecast_making import make_forecasts
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_tail import RECENT_MEAN
from ecom_pipeline.steps.forecast_training import (
    FittedForecaster,
    fit_forecaster,
    go_on_from,
    share_of_fit,
    training_frame,
    training_settings,
)
from ecom_pipeline.steps.model_records import record_model
from ecom_pipeline.steps.training_workers import training_workers
from ecom_pipeline.warehouse import Warehouse

MODEL: ModelName = "sales_forecaster"
SERVING, JUDGED = "model", "judged"
"""A version's two fits: on everything up to its cutoff, and on what came before its held-out windows. The second is
what a later challenger meets: like the challenger's own it has not seen the windows that both are judged on."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ForecastReport:
    """What a night's forecasting wrote, and what with."""

    rows: int
    model: str
    model_version: str
    fallback: bool


def train_forecaster(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    country: str | None,
    as_of: date,
    on_progress: Progress | None = None,
) -> ModelVersion:
    """The version in force on the night `as_of`; trains, judges and registers one if training is due.

    `country`: the shop's, as in its profile; its public holidays tell on which days it is closed.
    Records what the registry knows in `model_metrics` and `model_versions`.

    Too little history, or a training that goes wrong, is registered too, as a rejected version without a model.

    Raises:
        FeatureError: if the features stand for another night.
    """
    progress = on_progress or _silent
    for name in ("feat_sales_daily", "feat_sales_future"):
        require_night(warehouse, name, as_of=as_of)
    registry = Registry(home, settings)
    version = _train_if_due(warehouse, registry, settings=settings, country=country, as_of=as_of, progress=progress)
    record_model(warehouse, registry, MODEL, as_of=as_of)
    return version


def _train_if_due(
    warehouse: Warehouse,
    registry: Registry,
    *,
    settings: Settings,
    country: str | None,
    as_of: date,
    progress: Progress,
) -> ModelVersion:
    training = Training(registry, MODEL, as_of, settings=training_settings(settings), seed=settings.seed)
    standing = training.standing(retrain_after_days=settings.retrain_after_days)
    if standing is not None:
        return standing

    progress("read sales", 0.0)
    outlook = Outlook.tonight(warehouse, as_of=as_of)
    covariates = Covariates.of(warehouse, outlook=outlook)
    series = series_of_night(warehouse, as_of=as_of)
    history = training_frame(warehouse, series, covariates=covariates, outlook=outlook)
    register = partial(training.register, fingerprint(history))

    days = (history["ds"].max() - history["ds"].min()).days + 1 if len(history) else 0
    cutoffs = held_out_cutoffs(
        first_day=history["ds"].min().date() if days else as_of,
        as_of=as_of,
        horizon=settings.horizon_days,
        windows=settings.backtest_windows,
    )
    if not cutoffs:
        needed = settings.horizon_days + max(2 * settings.horizon_days, PROFILE_DAYS)
        return register(
            Verdict("rejected", f"too little history: {days} days of sales, {needed} are needed to train and judge")
        )
    try:
        judged, windows, metrics, parts = _judge(
            warehouse, cutoffs=cutoffs, settings=settings, country=country, progress=progress
        )
        champion = _champion(registry, settings=settings, as_of=as_of)
        verdict = decide(
            challenger=gain_over_profile(metrics),
            champion=_champion_gain(warehouse, registry, champion, windows) if champion else None,
            baseline=0.0,
            measure="share of the seasonal profile's error saved",
        )
        serving = go_on_from(
            judged,
            history,
            settings=settings,
            on_progress=lambda stage, share: progress(f"{stage} on all days", 0.6 + 0.35 * share),
            workers=training_workers(settings, warehouse),
        )
    except (ForecastingError, ArithmeticError) as error:
        return register(Verdict("rejected", f"the training went wrong: {error}"))

    def save(folder: Path) -> None:
        serving.save(folder / SERVING)
        judged.save(folder / JUDGED)

    progress("register", 0.97)
    version = register(verdict, (*metrics, *parts), save)
    progress(f"{version.decision}: {version.name}", 1.0)
    return version


def _judge(
    warehouse: Warehouse,
    *,
    cutoffs: tuple[date, ...],
    settings: Settings,
    country: str | None,
    progress: Progress,
) -> tuple[FittedForecaster, tuple[Window, ...], tuple[Metric, ...], tuple[Metric, ...]]:
    """Fit before the first held-out window, forecast all, score, and note which classes are the profile's.

    The figures by measure and level, and those of their parts.

    The figures are the network's alone: its classes were chosen on the same windows, so they may not count here. They
    do when it meets a later challenger.
    """
    cutoff = cutoffs[0]
    outlook = Outlook.back_then(warehouse, cutoff=cutoff, horizon=settings.horizon_days, country=country)
    covariates = Covariates.of(warehouse, outlook=outlook)
    # which series, too, is chosen by what was known then: what sold well later must not be learnt from
    series = series_known_at(warehouse, cutoff=cutoff, active_days=settings.forecast_active_days)
    judged = fit_forecaster(
        training_frame(warehouse, series, covariates=covariates, outlook=outlook),
        covariates=covariates,
        settings=settings,
        on_progress=lambda stage, share: progress(
            f"{stage} before the held-out days", 0.05 + 0.35 * share_of_fit(stage, share)
        ),
        workers=training_workers(settings, warehouse),
    )
    windows = open_windows(
        warehouse,
        cutoffs=cutoffs,
        horizon=settings.horizon_days,
        active_days=settings.forecast_active_days,
        country=country,
    )
    predictions = predict_windows(
        warehouse, judged, windows, on_share=lambda share: progress("forecast the held-out days", 0.4 + 0.15 * share)
    )
    classes = classes_left_to_profile(windows, predictions)
    return (
        replace(judged, profile_classes=classes),
        windows,
        figures(windows, predictions),
        figures_of_parts(windows, predictions),
    )


def _champion_gain(
    warehouse: Warehouse, registry: Registry, champion: ModelVersion, windows: tuple[Window, ...]
) -> float:
    """The champion's figure on the challenger's windows, from its fit that saw none of them."""
    judged = FittedForecaster.load(registry.folder(champion) / JUDGED)
    return gain_over_profile(figures(windows, predict_windows(warehouse, judged, windows, on_share=lambda share: None)))


def forecast_sales(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> ForecastReport:
    """Replace the night's rows of `sales_forecasts`: by the champion, or by the seasonal profile without one.

    Raises:
        FeatureError: if the features stand for another night.
        RegistryError: if nothing was trained for this night yet, or the champion's files are damaged.
    """
    progress = on_progress or _silent
    for name in ("feat_sales_daily", "feat_sales_future"):
        require_night(warehouse, name, as_of=as_of)
    registry = Registry(home, settings)
    champion = _champion(registry, settings=settings, as_of=as_of)
    version = champion or _trained_last(registry, as_of)
    series = series_of_night(warehouse, as_of=as_of)
    promoted = champion is not None
    table = contracts.table("sales_forecasts")
    model = str(version.manifest.settings["cell"]) if promoted else SEASONAL_PROFILE
    if series.empty:
        progress("no series to forecast", 1.0)
        rows = warehouse.replace_night(table, as_of, sql=f"SELECT * FROM {table.name} WHERE false")
        return ForecastReport(rows=rows, model=model, model_version=version.name, fallback=not promoted)

    progress("seasonal profile", 0.05)
    outlook = Outlook.tonight(warehouse, as_of=as_of)
    baseline = profile_forecasts(warehouse, series, outlook=outlook, horizon=settings.horizon_days)
    if champion is not None:
        made = make_forecasts(
            warehouse,
            FittedForecaster.load(registry.folder(champion) / SERVING),
            series,
            baseline=baseline,
            outlook=outlook,
            horizon=settings.horizon_days,
            on_share=lambda share: progress("forecast", 0.1 + 0.8 * share),
        )
        forecasts = made.forecasts
        models = np.select([made.by_network, made.in_tail], [model, RECENT_MEAN], SEASONAL_PROFILE)
    else:
        mean, quantiles = reconcile_arrays(baseline.mean, baseline.quantiles, baseline.asked, series=series)
        forecasts = replace(baseline, mean=mean, quantiles=quantiles)
        models = np.full(len(series), SEASONAL_PROFILE)
    rows = warehouse.replace_night_from_arrow(
        table,
        as_of,
        _rows(
            forecasts,
            baseline,
            series.assign(model=models),
            as_of=as_of,
            model_version=version.name,
            fallback=not promoted,
        ),
    )
    progress("written", 1.0)
    return ForecastReport(rows=rows, model=model, model_version=version.name, fallback=not promoted)


def _champion(registry: Registry, *, settings: Settings, as_of: date) -> ModelVersion | None:
    """The champion, unless it was trained for another horizon, or by code whose files this code cannot read."""
    champion = registry.champion(MODEL, as_of)
    if champion is None:
        return None
    known, wanted = champion.manifest.settings, training_settings(settings)
    return champion if all(known.get(name) == wanted[name] for name in ("format", "horizon_days")) else None


def _trained_last(registry: Registry, as_of: date) -> ModelVersion:
    version = registry.latest(MODEL, as_of)
    if version is None:
        raise RegistryError(f"no {MODEL} was trained at or before {as_of}; train one first (train_forecaster)")
    return version


def _rows(
    forecasts: DayForecasts,
    baseline: DayForecasts,
    series: pd.DataFrame,
    *,
    as_of: date,
    model_version: str,
    fallback: bool,
) -> pa.Table:
    named = series[["measure", "level", "series_id"]].reset_index(drop=True)
    order = named.sort_values(list(named.columns), kind="stable").index.to_numpy()
    place, day = np.nonzero(forecasts.asked[order])
    place = order[place]
    count = len(place)

    def names(column: str) -> pa.Array:
        return pa.array(series[column], pa.string()).take(pa.array(place))

    return pa.table(
        {
            "as_of": pa.array(np.full(count, np.datetime64(as_of))),
            "level": names("level"),
            "series_id": names("series_id"),
            "measure": names("measure"),
            "target_date": pa.array(np.datetime64(as_of) + 1 + day),
            "horizon": pa.array((day + 1).astype(np.int32)),
            "mean": pa.array(forecasts.mean[place, day]),
            **{name: pa.array(forecasts.quantiles[place, day, number]) for number, name in enumerate(QUANTILES)},
            "baseline": pa.array(baseline.mean[place, day].round(4)),
            "model": names("model"),
            "model_version": pa.repeat(model_version, count),
            "fallback": pa.repeat(fallback, count),
        }
    )


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
