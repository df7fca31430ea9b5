"""The recommender of a night: trained when due, judged on held-out days, kept or not, and registered."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor, global_temporal_split
from ecom_pipeline.recommending.evaluation import TemporalSplit, draw_users
from ecom_pipeline.recommending.frames import as_table, is_among
from ecom_pipeline.recommending.next_step import NextStepPredictor
from ecom_pipeline.recommending.storage import FORMAT_VERSION
from ecom_pipeline.registry import (
    ModelVersion,
    Registry,
    Training,
    Verdict,
    decide,
)
from ecom_pipeline.registry.fingerprint import fingerprint
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.model_records import record_model
from ecom_pipeline.steps.next_steps import NEXT_STEPS, train_next_steps
from ecom_pipeline.steps.recommend_events import active_users, end_of_day, events_of_night, item_names
from ecom_pipeline.steps.recommend_judging import (
    FEWEST_CASES,
    figures,
    gain_over_floors,
    open_held_out,
    purchase_figures,
)
from ecom_pipeline.steps.recommend_versions import JUDGED, MODEL, PURCHASES, SERVING, champion_of, require_features
from ecom_pipeline.steps.training_workers import training_workers
from ecom_pipeline.warehouse import Warehouse

FLOORS: tuple[Literal["popularity", "co_visitation"], ...] = ("popularity", "co_visitation")
JUDGED_SHARE = 0.65
"""Of the time budget: for the judged model, whose choices the one that serves takes over."""

JUDGED_USERS = 20_000
"""Users of each held-out set that are judged, at most: an interval of 95 % is .7 points wide either way then, and to
rank for every user of a large shop, for every model, would take longer than its training."""

Progress = Callable[[str, float], None]


def train_recommender(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> ModelVersion:
    """The version in force on the night `as_of`; trains, judges and registers one if training is due.

    Records what the registry knows in `model_metrics` and `model_versions`.

    Too few events are registered too, as a rejected version without a model.

    Raises:
        FeatureError: if the features stand for another night.
    """
    progress = on_progress or _silent
    require_features(warehouse, as_of)
    registry = Registry(home, settings)
    version = _train_if_due(warehouse, registry, settings=settings, as_of=as_of, progress=progress)
    record_model(warehouse, registry, MODEL, as_of=as_of)
    return version


def _train_if_due(
    warehouse: Warehouse, registry: Registry, *, settings: Settings, as_of: date, progress: Progress
) -> ModelVersion:
    training = Training(registry, MODEL, as_of, settings=_training_settings(settings), seed=settings.seed)
    standing = training.standing(retrain_after_days=settings.retrain_after_days)
    if standing is not None:
        return standing

    progress("read events", 0.0)
    events = events_of_night(warehouse, most=settings.next_item_events, seed=settings.seed)
    register = partial(training.register, fingerprint(events))

    held_out_days = max(settings.test_days, settings.purchase_window_days)
    cutoff = end_of_day(warehouse, as_of - timedelta(days=held_out_days))
    if cutoff is None:
        return register(Verdict("rejected", f"too little history: no events before the last {held_out_days} days"))
    split = global_temporal_split(events, cutoff, most_users=JUDGED_USERS, seed=settings.seed)
    if split.next_event.num_rows < FEWEST_CASES:
        return register(
            Verdict(
                "rejected",
                f"too few users: {split.next_event.num_rows} of those known before the last {held_out_days} days did "
                f"something in them, {FEWEST_CASES} are needed to judge a model",
            )
        )
    try:
        return _train(
            warehouse,
            registry,
            register,
            events=events,
            split=split,
            cutoff=cutoff,
            settings=settings,
            as_of=as_of,
            progress=progress,
        )
    except ArithmeticError as error:  # the champion, or the floor, goes on
        return register(Verdict("rejected", f"the training went wrong: {error}"))


def _train(
    warehouse: Warehouse,
    registry: Registry,
    register: Callable[..., ModelVersion],
    *,
    events: pa.Table,
    split: TemporalSplit,
    cutoff: datetime,
    settings: Settings,
    as_of: date,
    progress: Progress,
) -> ModelVersion:
    """Fit on the events before the split, judge on those after it, fit on all, and register the outcome.

    Raises:
        ArithmeticError: if a training diverges.
    """
    names = item_names(warehouse)
    judged = _fit(
        settings,
        split.train,
        names,
        lambda stage, share: progress(f"{stage} before the held-out days", 0.4 * share),
        training_workers(settings, warehouse),
    )
    progress("judge", 0.4)
    floors = {name: NextItemRecommender(model=name, repeats=settings.repeats).fit(split.train) for name in FLOORS}
    held_out = open_held_out(split, list(floors.values()))
    metrics = figures(judged, held_out)
    champion = champion_of(registry, as_of)
    champion_gain = None
    if champion is not None:
        rival = NextItemRecommender.load(registry.folder(champion) / JUDGED)
        champion_gain = gain_over_floors(figures(rival, held_out), held_out)
    verdict = decide(
        challenger=gain_over_floors(metrics, held_out),
        champion=champion_gain,
        baseline=0.0,
        measure="gain in NDCG@10 over the better of popularity and co-visitation",
    )
    progress("purchase probabilities", 0.6)
    purchases = _fit_purchases(settings, split.train, floors["co_visitation"])
    if isinstance(purchases, PurchasePredictor):
        active = active_users(split.train, cutoff=cutoff, days=settings.active_user_days)
        drawn = draw_users(active, JUDGED_USERS, seed=settings.seed)
        histories = split.train.filter(pa.array(is_among(split.train, "user_id", drawn, name="events")))
        shown = as_table(judged.recommend(histories, settings.recommendations_per_user), name="shown", required=())
        metrics += purchase_figures(purchases, shown, events, histories=histories, cutoff=cutoff)
        purchases = purchases.extend(events, shown, since=cutoff)
    else:
        purchases = _fit_purchases(settings, events, floors["co_visitation"])
    next_steps, step_figures = train_next_steps(warehouse, settings=settings, as_of=as_of)
    metrics += step_figures
    serving = judged.refit(
        events,
        item_features=names,
        time_budget_s=settings.next_item_time_budget_seconds * (1.0 - JUDGED_SHARE),
        on_progress=lambda stage, share: progress(f"{stage} on all events", 0.7 + 0.3 * share),
    )

    def save(folder: Path) -> None:
        serving.save(folder / SERVING)
        judged.save(folder / JUDGED)
        if isinstance(purchases, PurchasePredictor):
            purchases.save(folder / PURCHASES)
        if isinstance(next_steps, NextStepPredictor):
            next_steps.save(folder / NEXT_STEPS)

    if not isinstance(purchases, PurchasePredictor):
        verdict = Verdict(verdict.decision, f"{verdict.reason}; no purchase probabilities: {purchases}")
    if not isinstance(next_steps, NextStepPredictor):
        verdict = Verdict(verdict.decision, f"{verdict.reason}; no next steps: {next_steps}")

    version = register(verdict, metrics, save)
    progress(f"{version.decision}: {version.name}", 1.0)
    return version


def _training_settings(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """What makes a model what it is, the format of its files included; a change makes training due."""
    return {
        "format": FORMAT_VERSION,
        "model": settings.next_item_model,
        "repeats": settings.repeats,
        "events": settings.next_item_events,
        "time_budget_seconds": settings.next_item_time_budget_seconds,
        "test_days": settings.test_days,
        "purchase_window_days": settings.purchase_window_days,
        "precision": settings.training_precision,
    }


def _fit(
    settings: Settings, events: pa.Table, names: pa.Table, on_progress: Progress, workers: Runner | None
) -> NextItemRecommender:
    recommender = NextItemRecommender(
        model=settings.next_item_model,
        repeats=settings.repeats,
        seed=settings.seed,
        time_budget_s=settings.next_item_time_budget_seconds * JUDGED_SHARE,
        workers=workers,
        precision=settings.training_precision,
    )
    return recommender.fit(events, item_features=names, on_progress=on_progress)


def _fit_purchases(settings: Settings, events: pa.Table, floor: NextItemRecommender) -> PurchasePredictor | str:
    """Learnt from the windows before the end of `events`; or why not, where there are too few days or purchases."""
    predictor = PurchasePredictor(
        settings.purchase_window_days, k=settings.recommendations_per_user, seed=settings.seed, recommender=floor
    )
    try:
        return predictor.fit(events)
    except ValueError as error:
        return str(error)


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
