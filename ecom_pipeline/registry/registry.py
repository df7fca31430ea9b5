"""The registry: versions with their decisions in MLflow, their files below `models/` of the shop home.

A version counts once MLflow has it, which is one transaction after its folder is in place; a crash in between leaves
nothing that a night would use.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_pipeline.registry.folders import checksums, put_in_place
from ecom_pipeline.registry.manifest import MANIFEST_FILE, MODEL_NAMES, Decision, Manifest, ModelName
from ecom_pipeline.registry.tracking import tracking_client
from ecom_pipeline.settings import Home, Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
DATABASE = "mlflow.db"


class RegistryError(RuntimeError):
    """A version is not there or cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class ModelVersion:
    """One version: its manifest, and the decision that stands now (a rollback changes it)."""

    manifest: Manifest
    decision: Decision
    reason: str
    number: int

    @property
    def name(self) -> str:
        """The version as output tables name it."""
        return self.manifest.version

    @property
    def data_cutoff(self) -> date:
        """Last day of data that it saw."""
        return self.manifest.data_cutoff

    @property
    def usable(self) -> bool:
        """Whether the training ended with a model."""
        return bool(self.manifest.files)


class Registry:
    """Model versions of one shop home."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.root = home.models
        self._uri = settings.mlflow_tracking_uri
        # shops that share an MLflow server must not see each other's models
        self._prefix = "" if self._uri is None else re.sub(r"[^\w-]", "_", settings.profile) + "."

    @cached_property
    def _client(self) -> "MlflowClient":
        if self._uri is None:
            self.root.mkdir(parents=True, exist_ok=True)
        return tracking_client(self.tracking_uri)

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps runs and versions: the setting mlflow_tracking_uri, else a SQLite file of the home."""
        return self._uri or f"sqlite:///{self.root.resolve() / DATABASE}"

    def tracked_as(self, version: ModelVersion) -> tuple[str, str]:
        """Ids of the MLflow experiment and run in which a version was recorded."""
        entry = self._client.get_model_version(self._registered(version.manifest.model), str(version.number))
        return str(self._client.get_run(entry.run_id).info.experiment_id), str(entry.run_id)

    def register(self, manifest: Manifest, save: Callable[[Path], None] | None) -> ModelVersion:
        """Keep one training with its decision. `save(folder)` writes the model's files; None: there is no model.

        The version is complete when this returns, and not there at all when it is interrupted. A version that is
        there already is returned as it stands.
        """
        existing = self.find(manifest.model, manifest.version)
        if existing is not None:
            return existing
        whole = manifest
        if save is not None:
            folder = self._folder(manifest)

            def write(target: Path) -> None:
                nonlocal whole
                save(target)
                whole = manifest.model_copy(update={"files": checksums(target)})
                (target / MANIFEST_FILE).write_text(whole.model_dump_json(indent=2), encoding="utf-8")

            put_in_place(folder, write)
        run_id = self._track(whole)
        self._ensure_model(manifest.model)
        created = self._client.create_model_version(
            self._registered(manifest.model),
            source=f"runs:/{run_id}" if self._uri else f"{self._folder(manifest)}",
            run_id=run_id,
            tags={
                "version": manifest.version,
                "manifest": whole.model_dump_json(),
                "data_cutoff": manifest.data_cutoff.isoformat(),
                "decision": manifest.decision,
                "reason": manifest.reason,
            },
        )
        self._point_champion(manifest.model)
        return ModelVersion(
            manifest=whole, decision=manifest.decision, reason=manifest.reason, number=int(created.version)
        )

    def versions(self, model: ModelName) -> tuple[ModelVersion, ...]:
        """All versions, oldest data first; of one cutoff in order of registration."""
        found = self._client.search_model_versions(f"name = '{self._registered(model)}'", max_results=10_000)
        return tuple(
            sorted(
                (
                    ModelVersion(
                        manifest=Manifest.model_validate_json(entry.tags["manifest"]),
                        decision=entry.tags["decision"],
                        reason=entry.tags["reason"],
                        number=int(entry.version),
                    )
                    for entry in found
                ),
                key=lambda version: (version.data_cutoff, version.number),
            )
        )

    def find(self, model: ModelName, name: str) -> ModelVersion | None:
        """The version called `name`, or None."""
        return next((version for version in self.versions(model) if version.name == name), None)

    def champion(self, model: ModelName, as_of: date) -> ModelVersion | None:
        """The promoted version with the latest data of those that saw nothing after `as_of`, or None."""
        promoted = [
            version
            for version in self.versions(model)
            if version.decision == "promoted" and version.data_cutoff <= as_of
        ]
        return promoted[-1] if promoted else None

    def latest(self, model: ModelName, as_of: date) -> ModelVersion | None:
        """The version trained last, whatever its decision, of those that saw nothing after `as_of`, or None."""
        trained = [version for version in self.versions(model) if version.data_cutoff <= as_of]
        return trained[-1] if trained else None

    def folder(self, version: ModelVersion) -> Path:
        """The folder with the version's files, fetched from the MLflow server if it is not here, and verified.

        Raises:
            RegistryError: if a file is missing or is not what was registered.
        """
        folder = self._folder(version.manifest)
        if not folder.exists() and self._uri is not None:
            self._fetch(version, folder)
        actual = checksums(folder) if folder.exists() else {}
        damaged = [name for name, digest in version.manifest.files.items() if actual.get(name) != digest]
        if damaged:
            raise RegistryError(
                f"{folder / damaged[0]}: missing or damaged, so {version.manifest.model} {version.name} cannot be "
                f"used. Restore the folder from a backup, or go back to the version before it: "
                f"ecom-pipeline models rollback {version.manifest.model}"
            )
        return folder

    def promote(self, model: ModelName, name: str, *, reason: str) -> ModelVersion:
        """Make the version champion from its cutoff on, whatever was decided before.

        Raises:
            RegistryError: if it is not there, has no files, or a promoted version with later data stands in its way.
        """
        version = self._existing(model, name)
        if not version.usable:
            raise RegistryError(f"{model} {name} ended without a model ({version.reason}) and cannot be promoted")
        newest = self.champion(model, date.max)
        if newest is not None and newest.data_cutoff > version.data_cutoff:
            raise RegistryError(
                f"{model} {newest.name} is promoted and has later data than {name}; roll it back first: "
                f"ecom-pipeline models rollback {model}"
            )
        return self._decide(version, decision="promoted", reason=reason)

    def reject(self, model: ModelName, name: str, *, reason: str) -> ModelVersion:
        """Keep the version from being champion.

        Raises:
            RegistryError: if it is not there.
        """
        return self._decide(self._existing(model, name), decision="rejected", reason=reason)

    def discard(self, model: ModelName, name: str, *, reason: str) -> ModelVersion:
        """Delete the version's files for good: it was never a model, and the next night trains anew.

        Raises:
            RegistryError: if it is not there.
        """
        version = self._existing(model, name)
        emptied = version.manifest.model_copy(update={"files": {}})
        registered, number = self._registered(model), str(version.number)
        self._client.set_model_version_tag(registered, number, "manifest", emptied.model_dump_json())
        folder = self._folder(version.manifest)
        if folder.exists():
            shutil.rmtree(folder)
        return self._decide(replace(version, manifest=emptied), decision="rejected", reason=reason)

    def rollback(self, model: ModelName) -> ModelVersion:
        """Take the newest champion back; returns the version that is champion now.

        Raises:
            RegistryError: if no earlier version was promoted.
        """
        promoted = [version for version in self.versions(model) if version.decision == "promoted"]
        if len(promoted) < 2:
            there = f"only {promoted[0].name}" if promoted else "none"
            raise RegistryError(f"{model}: no earlier champion to go back to; promoted is {there}")
        self._decide(
            promoted[-1],
            decision="rolled_back",
            reason=f"rolled back to {promoted[-2].name}; before: {promoted[-1].reason}",
        )
        return promoted[-2]

    def _decide(self, version: ModelVersion, *, decision: Decision, reason: str) -> ModelVersion:
        name, number = self._registered(version.manifest.model), str(version.number)
        self._client.set_model_version_tag(name, number, "reason", reason)
        self._client.set_model_version_tag(name, number, "decision", decision)
        self._point_champion(version.manifest.model)
        return ModelVersion(manifest=version.manifest, decision=decision, reason=reason, number=version.number)

    def _point_champion(self, model: ModelName) -> None:
        champion = self.champion(model, date.max)
        if champion is None:
            self._client.delete_registered_model_alias(self._registered(model), CHAMPION)
        else:
            self._client.set_registered_model_alias(self._registered(model), CHAMPION, str(champion.number))

    def _track(self, manifest: Manifest) -> str:
        """An MLflow run with the training's settings, figures and (on a server) files; returns its id."""
        from mlflow.entities import Metric as LoggedMetric
        from mlflow.entities import Param

        experiment = f"{self._prefix}{manifest.model}"
        found = self._client.get_experiment_by_name(experiment)
        location = None if self._uri else (self.root / "runs").as_uri()
        experiment_id = (
            found.experiment_id if found else self._client.create_experiment(experiment, artifact_location=location)
        )
        run_id: str = self._client.create_run(
            experiment_id, run_name=manifest.version, tags={"decision": manifest.decision, "reason": manifest.reason}
        ).info.run_id
        facts = {
            "data_cutoff": manifest.data_cutoff.isoformat(),
            "data_fingerprint": manifest.data_fingerprint,
            "code_version": manifest.code_version,
            "seed": manifest.seed,
            **manifest.settings,
        }
        self._client.log_batch(
            run_id,
            metrics=[
                LoggedMetric(
                    key=re.sub(r"[^\w\-. :/]", "_", f"{row.dataset}/{row.metric}"), value=row.value, timestamp=0, step=0
                )
                for row in manifest.metrics
            ],
            params=[Param(key=key, value=str(value)) for key, value in facts.items()],
        )
        if self._uri is not None and manifest.files:
            self._client.log_artifacts(run_id, str(self._folder(manifest)))
        self._client.set_terminated(run_id)
        return run_id

    def _fetch(self, version: ModelVersion, folder: Path) -> None:
        entry = self._client.get_model_version(self._registered(version.manifest.model), str(version.number))

        def download(target: Path) -> None:
            self._client.download_artifacts(entry.run_id, "", str(target))

        put_in_place(folder, download)

    def _ensure_model(self, model: ModelName) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(self._registered(model))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(self._registered(model))

    def _existing(self, model: ModelName, name: str) -> ModelVersion:
        version = self.find(model, name)
        if version is None:
            known = ", ".join(version.name for version in self.versions(model)) or "none at all"
            raise RegistryError(f"{model} has no version {name!r}; it has {known}.")
        return version

    def _registered(self, model: ModelName) -> str:
        if model not in MODEL_NAMES:
            raise RegistryError(f"no model is called {model!r}; there are {', '.join(MODEL_NAMES)}")
        return f"{self._prefix}{model}"

    def _folder(self, manifest: Manifest) -> Path:
        return self.root / manifest.model / manifest.version
