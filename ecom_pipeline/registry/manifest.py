"""What is written beside each model version: data, code, settings, figures, decision."""

import hashlib
import json
from datetime import date
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

import ecom_pipeline

ModelName = Literal["sales_forecaster", "next_item"]
Decision = Literal["promoted", "rejected", "rolled_back"]
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)
MANIFEST_FILE = "manifest.json"


class Metric(BaseModel):
    """One figure on held-out time, beside the baseline's on the same `n` rows or cases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    metric: str
    value: FiniteFloat
    baseline_value: FiniteFloat | None
    n: int


class Manifest(BaseModel):
    """One training of one model.

    `version` follows from what went in (cutoff, data, code, seed, settings), so that the same training has the same
    name wherever and whenever it runs. `files` maps each file of the version to its SHA-256; a training that ended
    without a usable model has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName
    data_cutoff: date
    data_fingerprint: str
    code_version: str
    seed: int
    settings: dict[str, str | int | float | bool | None]
    metrics: tuple[Metric, ...] = ()
    decision: Decision
    reason: str
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def version(self) -> str:
        """Name of the version: the last day of data that it saw, and a hash of everything that went in."""
        inputs = [
            self.model,
            self.data_cutoff.isoformat(),
            self.data_fingerprint,
            self.code_version,
            self.seed,
            self.settings,
        ]
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        return f"{self.data_cutoff.isoformat()}-{digest[:8]}"


def code_version() -> str:
    """Version of the package that is running."""
    return ecom_pipeline.__version__
