"""How good a recommender is on held-out days: next event and next purchase, beside popularity and co-visitation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from ecom_pipeline.recommending import (
    Evaluation,
    NextItemRecommender,
    PurchasePredictor,
    TemporalSplit,
    bought_within,
    evaluate,
)
from ecom_pipeline.recommending.calibration import calibration_metrics
from ecom_pipeline.recommending.frames import as_table
from ecom_pipeline.registry import Metric

KS = (5, 10, 20)
GATE_METRIC = "ndcg@10"
SLICE_METRICS = ("hr@10", "ndcg@10")
FEWEST_CASES = 30
"""Cases that a held-out set needs to be judged on; fewer say more of chance than of the model."""


@dataclass(frozen=True)
class HeldOut:
    """What users did in the held-out days, and the figures of the better floor by dataset."""

    split: TemporalSplit
    targets: dict[str, pa.Table]
    floors: dict[str, Evaluation]


def open_held_out(split: TemporalSplit, floors: Sequence[NextItemRecommender]) -> HeldOut:
    """Judge the floors (fitted on the split's past) on the sets that have enough cases; the better one stays."""
    targets = {
        name: table
        for name, table in (("next event", split.next_event), ("next purchase", split.next_purchase))
        if table.num_rows >= FEWEST_CASES
    }
    shown = [_shown(floor, split) for floor in floors]
    best = {
        name: max(
            (
                evaluate(floor, split.histories, table, k=KS, recommended=recommended)
                for floor, recommended in zip(floors, shown, strict=True)
            ),
            key=lambda evaluation: evaluation.metrics[GATE_METRIC],
        )
        for name, table in targets.items()
    }
    return HeldOut(split=split, targets=targets, floors=best)


def figures(recommender: NextItemRecommender, held_out: HeldOut) -> tuple[Metric, ...]:
    """Metrics by dataset, of the recommender and of the better floor on the same cases; and by slice: history length,
    popularity decile of the target, cold and warm targets. Intervals are 95 %."""
    rows: list[Metric] = []
    recommended = _shown(recommender, held_out.split)
    for name, table in held_out.targets.items():
        ours = evaluate(recommender, held_out.split.histories, table, k=KS, recommended=recommended)
        theirs = held_out.floors[name]
        rows += _rows(name, _with_bounds(ours, "all"), _with_bounds(theirs, "all"), tuple(ours.metrics))
        for part in ours.slices:
            rows += _rows(f"{name}, {part}", _with_bounds(ours, part), _with_bounds(theirs, part), SLICE_METRICS)
    return tuple(rows)


def _shown(recommender: NextItemRecommender, split: TemporalSplit) -> pa.Table:
    """user_id, item_id, rank of what is recommended after the split's past, once for all sets of targets."""
    blocks = recommender.recommend_blocks(split.histories, max(KS))
    tables = [block.select(["user_id", "item_id", "rank"]) for block in blocks]
    return pa.concat_tables(tables) if tables else pa.table({"user_id": [], "item_id": [], "rank": []})


def _with_bounds(evaluation: Evaluation, part: str) -> dict[str, float]:
    """Metrics of a slice ("all" for the whole), with the ends of their 95 % intervals as `<metric>_low`, `_high`."""
    metrics = dict(evaluation.metrics if part == "all" else evaluation.slices.get(part, {}))
    for name, (low, high) in evaluation.intervals_of(part).items():
        metrics |= {f"{name}_low": low, f"{name}_high": high}
    return metrics


def _rows(dataset: str, ours: dict[str, float], theirs: dict[str, float], names: tuple[str, ...]) -> list[Metric]:
    """The named metrics, each with its interval where it has one."""
    wanted = [name for one in names for name in (one, f"{one}_low", f"{one}_high")]
    return [
        Metric(
            dataset=dataset,
            metric=name.replace("@", "_"),
            value=ours[name],
            baseline_value=theirs[name] if np.isfinite(theirs.get(name, np.nan)) else None,
            n=int(ours["n"]),
        )
        for name in wanted
        if name != "n" and np.isfinite(ours.get(name, np.nan))
    ]


def gain_over_floors(metrics: Sequence[Metric], held_out: HeldOut) -> float:
    """One figure for the gate: NDCG@10 of the model / of the better floor - 1, mean over the datasets."""
    wanted = GATE_METRIC.replace("@", "_")
    gains = [
        row.value / row.baseline_value - 1.0
        for row in metrics
        if row.dataset in held_out.targets and row.metric == wanted and row.baseline_value
    ]
    return float(np.mean(gains)) if gains else float("nan")


def purchase_figures(
    predictor: PurchasePredictor, recommended: pa.Table, events: pa.Table, *, histories: pa.Table, cutoff: datetime
) -> tuple[Metric, ...]:
    """Calibration of purchase probabilities in the held-out days; the baseline knows only the share that is bought.

    `recommended` is what active users, or a random part of them, were shown as of the cutoff, whether or not anything
    followed: those who stayed away are what a probability is about.
    """
    if not recommended.num_rows:
        return ()
    predicted = as_table(
        predictor.predict(histories, recommended, as_of=cutoff), name="purchase predictions", required=()
    )
    labels = bought_within(predicted, events, since=cutoff, days=predictor.window_days).astype(np.float64)
    scores = calibration_metrics(predicted.column("probability").to_numpy(), labels)
    dataset = f"purchase within {predictor.window_days} days"
    return tuple(
        Metric(dataset=dataset, metric=name, value=scores[name], baseline_value=floor, n=int(scores["n"]))
        for name, floor in (
            ("brier", scores["brier_base"]),
            ("ece", None),
            ("mean_probability", scores["base_rate"]),
        )
    )
