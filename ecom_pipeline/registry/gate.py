"""When a model is trained anew, and whether a challenger becomes champion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ecom_pipeline.registry.manifest import Decision, ModelName
from ecom_pipeline.registry.registry import ModelVersion, Registry


@dataclass(frozen=True)
class Verdict:
    """A decision with its figures in words."""

    decision: Decision
    reason: str


def version_in_force(
    registry: Registry,
    model: ModelName,
    *,
    as_of: date,
    retrain_after_days: int,
    settings: Mapping[str, str | int | float | bool | None],
    seed: int,
) -> ModelVersion | None:
    """The version trained last at or before `as_of` if no training is due, else None.

    A training is due where none ended with a model, where the last is `retrain_after_days` old, and where settings or
    seed have changed since. Whether the last one was promoted does not matter: a rejected challenger is not trained
    again every night.
    """
    trained = [version for version in registry.versions(model) if version.data_cutoff <= as_of]
    for version in reversed(trained):
        manifest = version.manifest
        if (as_of - version.data_cutoff).days >= retrain_after_days:
            return None
        if manifest.settings == dict(settings) and manifest.seed == seed and version.usable:
            return version
    return None


def decide(*, challenger: float, champion: float | None, baseline: float, measure: str) -> Verdict:
    """Promote a challenger that beats the champion and the baseline on the same held-out days.

    The figures are gains: higher is better, equal does not win, and a figure that is not finite loses.
    """
    beats_champion = champion is None or not math.isfinite(champion) or challenger > champion
    promoted = math.isfinite(challenger) and challenger > baseline and beats_champion
    others = f"{baseline:.4g} of the baseline" + ("" if champion is None else f" and {champion:.4g} of the champion")
    return Verdict(
        decision="promoted" if promoted else "rejected",
        reason=f"{measure}: {challenger:.4g} against {others}, on the same held-out days",
    )
