"""Model versions: what each saw, which one is champion for a night, and why.

Belongs here: keeping versions on disk whole or not at all, the record of decisions in MLflow, rollback. Does not:
training, or the comparison that leads to a decision (`ecom_pipeline.steps`).
"""

from ecom_pipeline.registry.gate import Verdict, decide, version_in_force
from ecom_pipeline.registry.manifest import Decision, Manifest, Metric, ModelName, code_version
from ecom_pipeline.registry.registry import ModelVersion, Registry, RegistryError
from ecom_pipeline.registry.training import Training

__all__ = [
    "Decision",
    "Manifest",
    "Metric",
    "ModelName",
    "ModelVersion",
    "Registry",
    "RegistryError",
    "Training",
    "Verdict",
    "code_version",
    "decide",
    "version_in_force",
]
