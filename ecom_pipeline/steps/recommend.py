"""The recommender in the night: trained when due, judged, kept or not; what users get, may buy, and what is alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor, global_temporal_split
from ecom_pipeline.recommending.frames import as_table
from ecom_pipeline.recommending.storage import FORMAT_VERSION
from ecom_pipeline.registry import (
    Manifest,
    Metric,
    ModelName,
    ModelVersion,
    Registry,
    RegistryError,
    Verdict,
    code_version,
    decide,
    version_in_force,
)
from ecom_pipeline.registry.fingerprint import fingerprint
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.steps.model_records import record_model
from ecom_pipeline.steps.recommend_events import (
    active_histories,
    end_of_day,
    events_of_night,
    histories_of_active_users,
    item_names,
    items_still_sold,
)
from ecom_pipeline.steps.recommend_judging import (
    FEWEST_CASES,
    figures,
    gain_over_floors,
    open_held_out,
    purchase_figures,
)
from ecom_pipeline.warehouse import Warehouse

MODEL: ModelName = "next_item"
SERVING, JUDGED, PURCHASES = "model", "judged", "purchases"
"""A version's two fits: on everything up to its cutoff, and on what came before its held-out days, for the gate of
later challengers. And what turns recommendations into probabilities of a purchase."""

FLOORS: tuple[Literal["popularity", "co_visitation"], ...] = ("popularity", "co_visitation")
JUDGED_SHARE = 0.65
"""Of the time budget: for the judged model, whose choices the one that serves takes over."""
FEATURES = ("feat_items", "feat_user_events")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class RecommendReport:
    """What a step wrote, and what with; `note` says what was left out."""

    rows: int
    model: str
    model_version: str
    fallback: bool
    note: str | None = None


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
    _require(warehouse, as_of)
    registry = Registry(home, settings)
    version = _train_if_due(warehouse, registry, settings=settings, as_of=as_of, progress=progress)
    record_model(warehouse, registry, MODEL, as_of=as_of)
    return version


def _train_if_due(
    warehouse: Warehouse, registry: Registry, *, settings: Settings, as_of: date, progress: Progress
) -> ModelVersion:
    standing = version_in_force(
        registry,
        MODEL,
        as_of=as_of,
        retrain_after_days=settings.retrain_after_days,
        settings=_training_settings(settings),
        seed=settings.seed,
    )
    if standing is not None:
        return standing

    progress("read events", 0.0)
    events = events_of_night(warehouse)

    def register(
        verdict: Verdict, metrics: tuple[Metric, ...] = (), save: Callable[[Path], None] | None = None
    ) -> ModelVersion:
        manifest = Manifest(
            model=MODEL,
            data_cutoff=as_of,
            data_fingerprint=fingerprint(events.to_pandas()),
            code_version=code_version(),
            seed=settings.seed,
            settings=_training_settings(settings),
            metrics=metrics,
            decision=verdict.decision,
            reason=verdict.reason,
        )
        return registry.register(manifest, save)

    held_out_days = max(settings.test_days, settings.purchase_window_days)
    cutoff = end_of_day(warehouse, as_of - timedelta(days=held_out_days))
    if cutoff is None:
        return register(Verdict("rejected", f"too little history: no events before the last {held_out_days} days"))
    split = global_temporal_split(events, cutoff)
    if split.next_event.num_rows < FEWEST_CASES:
        return register(
            Verdict(
                "rejected",
                f"too few users: {split.next_event.num_rows} of those known before the last {held_out_days} days did "
                f"something in them, {FEWEST_CASES} are needed to judge a model",
            )
        )
    names = item_names(warehouse)
    judged = _fit(
        settings, split.train, names, lambda stage, share: progress(f"{stage} before the held-out days", 0.4 * share)
    )
    progress("judge", 0.4)
    held_out = open_held_out(
        split,
        [NextItemRecommender(model=floor, repeats=settings.repeats).fit(split.train) for floor in FLOORS],
    )
    metrics = figures(judged, held_out)
    champion = _champion(registry, as_of)
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
    purchases = _fit_purchases(settings, split.train)
    if isinstance(purchases, PurchasePredictor):
        histories = active_histories(split.train, cutoff=cutoff, days=settings.active_user_days)
        shown = as_table(judged.recommend(histories, settings.recommendations_per_user), name="shown", required=())
        metrics += purchase_figures(purchases, shown, events, histories=histories, cutoff=cutoff)
        purchases = purchases.extend(events, shown, since=cutoff)
    else:
        purchases = _fit_purchases(settings, events)
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

    if not isinstance(purchases, PurchasePredictor):
        verdict = Verdict(verdict.decision, f"{verdict.reason}; no purchase probabilities: {purchases}")

    version = register(verdict, metrics, save)
    progress(f"{version.decision}: {version.name}", 1.0)
    return version


def recommend(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `recommendations`: for every active user the best products that are still sold.

    Raises:
        FeatureError: if the features stand for another night.
        RegistryError: if nothing was trained for this night yet, or the champion's files are damaged.
    """
    progress = on_progress or _silent
    version, recommender = _recommender_of_night(warehouse, home=home, settings=settings, as_of=as_of)
    histories = histories_of_active_users(warehouse, settings=settings, as_of=as_of)
    table = contracts.table("recommendations")
    if recommender is None or not histories.num_rows:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, recommender, rows, note="no user did anything with a product lately")
    users = len(histories.column("user_id").unique())
    blocks = recommender.recommend_blocks(
        histories,
        settings.recommendations_per_user,
        candidates=items_still_sold(warehouse, settings=settings, as_of=as_of),
        blocked=pa.array(settings.blocked_items, pa.string()),
    )
    stands_in = not _is_champion(version)

    def nights_rows() -> Iterable[pa.Table]:
        done = 0
        for block in blocks:
            done += len(block.column("user_id").unique())
            progress("recommend", min(1.0, done / users))
            scores = block.column("score").to_numpy()
            if not np.isfinite(scores).all():
                raise ArithmeticError(f"{MODEL} {version.name}: a score is not a finite number; roll it back")
            yield _of_night(_marked_as_fallback(block) if stands_in else block, as_of=as_of, version=version)

    return _report(version, recommender, _replace_by_blocks(warehouse, table, as_of, nights_rows()))


def predict_purchases(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `purchase_predictions`: the chance that what is recommended is bought.

    Shops without enough purchases to learn from get no rows, and the report says so.

    Raises:
        FeatureError, RegistryError: as `recommend`.
    """
    progress = on_progress or _silent
    _require(warehouse, as_of)
    registry = Registry(home, settings)
    version = _version_of_night(registry, as_of)
    table = contracts.table("purchase_predictions")
    recommended = warehouse.arrow(
        "SELECT user_id, item_id, rank, fallback FROM recommendations WHERE as_of = :as_of ORDER BY user_id, rank",
        {"as_of": as_of},
    )
    readable = version.usable and version.manifest.settings.get("format") == FORMAT_VERSION
    folder = registry.folder(version) / PURCHASES if readable else None
    now = end_of_day(warehouse, as_of)
    if folder is None or not folder.exists() or not recommended.num_rows or now is None:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, None, rows, note="too few purchases to learn probabilities from")
    progress("purchase probabilities", 0.1)
    predicted = PurchasePredictor.load(folder).predict(
        histories_of_active_users(warehouse, settings=settings, as_of=as_of), recommended, as_of=now
    )
    rows = _replace_by_blocks(warehouse, table, as_of, [_of_night(predicted, as_of=as_of, version=version)])
    progress("written", 1.0)
    return RecommendReport(rows=rows, model="purchases", model_version=version.name, fallback=False)


def similar_items(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `similar_items`: for every product that is still sold the most similar ones.

    Raises:
        FeatureError, RegistryError: as `recommend`.
    """
    progress = on_progress or _silent
    version, recommender = _recommender_of_night(warehouse, home=home, settings=settings, as_of=as_of)
    table = contracts.table("similar_items")
    if recommender is None:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, recommender, rows, note="no user did anything with a product")
    progress("similar items", 0.1)
    sold = items_still_sold(warehouse, settings=settings, as_of=as_of)
    found = recommender.similar_items(
        sold, settings.similar_items_per_item, candidates=sold, blocked=pa.array(settings.blocked_items, pa.string())
    )
    rows = _replace_by_blocks(warehouse, table, as_of, [_of_night(found, as_of=as_of, version=version)])
    progress("written", 1.0)
    return _report(version, recommender, rows)


def _training_settings(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """What makes a model what it is, the format of its files included; a change makes training due."""
    return {
        "format": FORMAT_VERSION,
        "model": settings.next_item_model,
        "repeats": settings.repeats,
        "time_budget_seconds": settings.next_item_time_budget_seconds,
        "test_days": settings.test_days,
        "purchase_window_days": settings.purchase_window_days,
    }


def _fit(settings: Settings, events: pa.Table, names: pa.Table, on_progress: Progress) -> NextItemRecommender:
    recommender = NextItemRecommender(
        model=settings.next_item_model,
        repeats=settings.repeats,
        seed=settings.seed,
        time_budget_s=settings.next_item_time_budget_seconds * JUDGED_SHARE,
    )
    return recommender.fit(events, item_features=names, on_progress=on_progress)


def _fit_purchases(settings: Settings, events: pa.Table) -> PurchasePredictor | str:
    """Learnt from the windows before the end of `events`; or why not, where there are too few days or purchases."""
    predictor = PurchasePredictor(
        settings.purchase_window_days, k=settings.recommendations_per_user, seed=settings.seed
    )
    try:
        return predictor.fit(events)
    except ValueError as error:
        return str(error)


def _require(warehouse: Warehouse, as_of: date) -> None:
    for name in FEATURES:
        require_night(warehouse, name, as_of=as_of)


def _champion(registry: Registry, as_of: date) -> ModelVersion | None:
    """The champion, unless code made it whose files this code cannot read."""
    champion = registry.champion(MODEL, as_of)
    return champion if champion is not None and _is_champion(champion) else None


def _is_champion(version: ModelVersion) -> bool:
    return version.decision == "promoted" and version.manifest.settings.get("format") == FORMAT_VERSION


def _version_of_night(registry: Registry, as_of: date) -> ModelVersion:
    version = _champion(registry, as_of) or registry.latest(MODEL, as_of)
    if version is None:
        raise RegistryError(f"no {MODEL} was trained at or before {as_of}; train one first (train_recommender)")
    return version


def _recommender_of_night(
    warehouse: Warehouse, *, home: Home, settings: Settings, as_of: date
) -> tuple[ModelVersion, NextItemRecommender | None]:
    """The champion; without one co-visitation fitted on the night's events, or None without any event."""
    _require(warehouse, as_of)
    registry = Registry(home, settings)
    version = _version_of_night(registry, as_of)
    if _is_champion(version):
        return version, NextItemRecommender.load(registry.folder(version) / SERVING)
    events = events_of_night(warehouse)
    if not events.num_rows:
        return version, None
    stand_in = NextItemRecommender(model="co_visitation", repeats=settings.repeats, seed=settings.seed)
    return version, stand_in.fit(events, item_features=item_names(warehouse))


def _marked_as_fallback(rows: pa.Table) -> pa.Table:
    return rows.set_column(rows.column_names.index("fallback"), "fallback", pa.array([True] * rows.num_rows))


def _of_night(rows: pa.Table, *, as_of: date, version: ModelVersion) -> pa.Table:
    count = rows.num_rows
    return rows.append_column("as_of", pa.array([as_of] * count, pa.date32())).append_column(
        "model_version", pa.array([version.name] * count, pa.string())
    )


def _replace_by_blocks(warehouse: Warehouse, table: contracts.Table, as_of: date, blocks: Iterable[pa.Table]) -> int:
    """Replace the night's rows block by block in one transaction; returns the rows written."""
    with warehouse.transaction():
        warehouse.run(f"DELETE FROM {table.name} WHERE as_of = :as_of", {"as_of": as_of})
        return sum(warehouse.append_from_arrow(table, block) for block in blocks)


def _report(
    version: ModelVersion, recommender: NextItemRecommender | None, rows: int, *, note: str | None = None
) -> RecommendReport:
    return RecommendReport(
        rows=rows,
        model=recommender.model if recommender is not None else "none",
        model_version=version.name,
        fallback=not _is_champion(version),
        note=note,
    )


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
