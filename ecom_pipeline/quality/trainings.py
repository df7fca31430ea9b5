"""Whether the last training of every model ended with a model; where one did not, something else speaks for it."""

from collections.abc import Sequence
from datetime import date

from ecom_pipeline.quality.queries import kept
from ecom_pipeline.quality.results import TableValidation, warning
from ecom_pipeline.registry import ModelVersion
from ecom_pipeline.warehouse import Warehouse

TABLE = "model_versions"


def check_trainings(
    warehouse: Warehouse, trained_last: Sequence[ModelVersion], *, as_of: date, run_id: str
) -> TableValidation:
    """A warning that gives the reason of each version in `trained_last` (one a model) that has no model to serve.

    A challenger that was trained well and rejected by its figures is no reason to warn.
    """
    failed = [version for version in trained_last if not version.usable]
    observed = "; ".join(f"{version.manifest.model} {version.data_cutoff}: {version.reason}" for version in failed)
    result = warning(
        TABLE,
        rule="the last training of every model ended with a model",
        expectation="trainings_ended_with_a_model",
        success=not failed,
        observed=observed or ", ".join(version.name for version in trained_last) or "nothing trained yet",
        to_do="The champion before it goes on; where there is none, the baseline stands in with fallback = true. The "
        "next night trains again.",
    )
    return kept(warehouse, TABLE, "models", [result], as_of=as_of, run_id=run_id)
