"""Next steps of users in the night: the model's training beside the recommender, and the night's probabilities.

The model is a part of a version of the next-item model, as its purchase probabilities are: trained when that is, on the
same events, kept in the same folder.
"""

from datetime import date
from pathlib import Path

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.recommending.frames import as_table
from ecom_pipeline.recommending.next_step import NextStepPredictor
from ecom_pipeline.recommending.storage import FORMAT_VERSION
from ecom_pipeline.registry import Metric, ModelVersion, Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.recommend import RecommendReport, of_night
from ecom_pipeline.steps.recommend_events import parts_by_user, rows_by_user
from ecom_pipeline.steps.recommend_versions import require_features, version_of_night
from ecom_pipeline.warehouse import Warehouse

NEXT_STEPS = "next_steps"
"""Folder of a version."""

_EVENTS = """
SELECT user_id, position, event, event_date
FROM feat_user_events
WHERE event NOT IN ('return', 'remove')
"""


def train_next_steps(
    warehouse: Warehouse, *, settings: Settings, as_of: date
) -> tuple[NextStepPredictor | str, tuple[Metric, ...]]:
    """A predictor of the night `as_of` with its figures on held-out days; or why there is none, and no figures."""
    predictor = NextStepPredictor(
        settings.purchase_window_days, active_days=settings.active_user_days, seed=settings.seed
    )
    events = rows_by_user(warehouse, _EVENTS, most=settings.next_item_events, seed=settings.seed)
    try:
        predictor.fit(events, cutoff=as_of)
    except ValueError as error:
        return str(error), ()
    return predictor, figures_of(predictor)


def figures_of(predictor: NextStepPredictor) -> tuple[Metric, ...]:
    """Figures of what is published (the model, or the floor that stands in) on the days held out last.

    The baseline of log_loss, brier and accuracy is the better floor; that of brier_skill the floor's own gain over the
    share of the days themselves; that of mean_probability what came.
    """
    rows: list[Metric] = []
    days = predictor.window_days
    for target, dataset in (("next", f"next step within {days} days"), ("buys", f"user buys within {days} days")):
        found = predictor.report()["targets"][target]
        scores, n = found["scores"], found["n"]
        ours = scores[found["speaker"]]
        floor = min((scores[name] for name in ("transitions", "base_rate")), key=lambda one: float(one["log_loss"]))
        pairs: list[tuple[str, float, float | None]] = [
            (name, ours[name], floor[name]) for name in ("log_loss", "brier", "accuracy")
        ]
        if ours["brier_of_share"] > 0:
            skill, floors = (1.0 - one["brier"] / one["brier_of_share"] for one in (ours, floor))
            pairs.append(("brier_skill", skill, floors))
        pairs.append(("ece", ours["ece"], floor["ece"]))
        if target == "buys":
            pairs.append(("mean_probability", ours["mean_probability"], ours["share"]))
        rows += [
            Metric(dataset=dataset, metric=metric, value=value, baseline_value=baseline, n=n)
            for metric, value, baseline in pairs
        ]
    return tuple(rows)


def predict_next_steps(warehouse: Warehouse, *, home: Home, settings: Settings, as_of: date) -> RecommendReport:
    """Replace the night's rows of `next_steps` and `next_step_reliability`.

    Shops with too little history get no rows, and the report says so.

    Raises:
        FeatureError: if the features stand for another night.
        RegistryError: if nothing was trained for this night yet.
    """
    require_features(warehouse, as_of)
    registry = Registry(home, settings)
    version = version_of_night(registry, as_of)
    predictor = next_steps_of(registry, version)
    said, curves = contracts.table("next_steps"), contracts.table("next_step_reliability")
    if predictor is None:
        for declared in (said, curves):
            warehouse.run(f"DELETE FROM {declared.name} WHERE as_of = :as_of", {"as_of": as_of})
        return RecommendReport(
            rows=0,
            model="none",
            model_version=version.name,
            fallback=True,
            note=f"version {version.name} has no model of next steps: {version.reason}",
        )
    predicted = pa.concat_tables(
        as_table(predictor.predict(events, as_of=as_of), name="next steps", required=())
        for events in parts_by_user(warehouse, _EVENTS)
    )
    reliability = _curves(predictor)
    with warehouse.transaction():
        rows = warehouse.replace_night_from_arrow(said, as_of, of_night(predicted, as_of=as_of, version=version))
        warehouse.replace_night_from_arrow(curves, as_of, of_night(reliability, as_of=as_of, version=version))
    speakers = {found["speaker"] for found in predictor.report()["targets"].values()}
    return RecommendReport(
        rows=rows,
        model="next_steps",
        model_version=version.name,
        fallback=speakers != {"model"},
        note=None if speakers == {"model"} else "a floor stands in where the model did not beat it on held-out days",
    )


def next_steps_of(registry: Registry, version: ModelVersion) -> NextStepPredictor | None:
    """The predictor of a version; None where there was too little to learn from."""
    if not version.usable or version.manifest.settings.get("format") != FORMAT_VERSION:
        return None
    folder: Path = registry.folder(version) / NEXT_STEPS
    return NextStepPredictor.load(folder) if folder.exists() else None


def _curves(predictor: NextStepPredictor) -> pa.Table:
    curves = predictor.report()["reliability"]
    rows = [
        (outcome, place, predicted, observed, int(users))
        for outcome, curve in curves.items()
        for place, (predicted, observed, users) in enumerate(
            zip(curve["predicted"], curve["observed"], curve["n"], strict=True), start=1
        )
    ]
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "outcome": pa.array(columns[0], pa.string()),
            "bin": pa.array(columns[1], pa.int32()),
            "predicted": pa.array(columns[2], pa.float64()),
            "observed": pa.array(columns[3], pa.float64()),
            "users": pa.array(columns[4], pa.int64()),
        }
    )
