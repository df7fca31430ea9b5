"""One training of a model for one night: whether it is due, and the version that comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ecom_pipeline.registry.gate import Verdict, version_in_force
from ecom_pipeline.registry.manifest import Manifest, Metric, ModelName, code_version
from ecom_pipeline.registry.registry import ModelVersion, Registry


@dataclass(frozen=True)
class Training:
    """What a training is: `settings` are those that make the model what it is, `as_of` the last day that it sees."""

    registry: Registry
    model: ModelName
    as_of: date
    settings: Mapping[str, str | int | float | bool | None]
    seed: int

    def standing(self, *, retrain_after_days: int) -> ModelVersion | None:
        """The version trained last if no training is due, else None; see `version_in_force`."""
        return version_in_force(
            self.registry,
            self.model,
            as_of=self.as_of,
            retrain_after_days=retrain_after_days,
            settings=self.settings,
            seed=self.seed,
        )

    def register(
        self,
        data_fingerprint: str,
        verdict: Verdict,
        metrics: tuple[Metric, ...] = (),
        save: Callable[[Path], None] | None = None,
    ) -> ModelVersion:
        """Keep the outcome with its decision; `save(folder)` writes the model's files; None: there is no model."""
        manifest = Manifest(
            model=self.model,
            data_cutoff=self.as_of,
            data_fingerprint=data_fingerprint,
            code_version=code_version(),
            seed=self.seed,
            settings=dict(self.settings),
            metrics=metrics,
            decision=verdict.decision,
            reason=verdict.reason,
        )
        return self.registry.register(manifest, save)
