"""Decisions about models by hand in the UI: a job for each model and decision, to be launched as it stands.

The same as `ecom-pipeline models promote` and `rollback`. No partition and no asset: a decision holds from the next
night on, for the nights of its version's data and later.
"""

from typing import Any

import dagster as dg

from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.registry import ModelName, ModelVersion, Registry
from ecom_pipeline.registry.manifest import MODEL_NAMES

NEWEST = "newest"


class PromoteConfig(dg.Config):
    """Which version, and why. `newest` is the one trained last: mostly a challenger that the gate has just rejected."""

    version: str = NEWEST
    reason: str = "promoted by hand in the UI"


def decision_jobs() -> list[dg.JobDefinition]:
    """`promote_<model>` and `roll_back_<model>` for each model."""
    return [job for model in MODEL_NAMES for job in (_promote_job(model), _roll_back_job(model))]


def _promote_job(model: ModelName) -> dg.JobDefinition:
    @dg.op(name=f"promotion_of_{model}", pool=WAREHOUSE_POOL)
    def promote(context: dg.OpExecutionContext, config: PromoteConfig, shop: dg.ResourceParam[Shop]) -> None:
        registry = Registry(shop.home, shop.settings)
        chosen = config.version
        if chosen == NEWEST:
            usable = [version.name for version in registry.versions(model) if version.usable]
            if not usable:
                raise dg.Failure(
                    f"{model}: no version ended with a model, so there is none to promote. Train one first."
                )
            chosen = usable[-1]
        _tell(context, registry.promote(model, chosen, reason=config.reason))

    return _job(
        f"promote_{model}",
        promote,
        description=f"Make a version of {model} champion, by default the one trained last; nights from the next one on "
        "score with it.",
    )


def _roll_back_job(model: ModelName) -> dg.JobDefinition:
    @dg.op(name=f"rollback_of_{model}", pool=WAREHOUSE_POOL)
    def roll_back(context: dg.OpExecutionContext, shop: dg.ResourceParam[Shop]) -> None:
        _tell(context, Registry(shop.home, shop.settings).rollback(model))

    return _job(
        f"roll_back_{model}",
        roll_back,
        description=f"Take the newest champion of {model} back; the one before it is champion again from the next "
        "night on.",
    )


def _job(name: str, op: Any, *, description: str) -> dg.JobDefinition:
    """A job of one op, which needs another name than the job: both are nodes to Dagster."""

    @dg.job(name=name, description=description)
    def decide() -> None:
        op()

    return decide


def _tell(context: dg.OpExecutionContext, champion: ModelVersion) -> None:
    """Say who is champion now, in the log and as the output's metadata."""
    model = champion.manifest.model
    context.log.info(f"{model}: {champion.name} is champion. Run a night (again), and it scores with this version.")
    context.add_output_metadata(
        {
            "champion": champion.name,
            "trained on data up to": champion.data_cutoff.isoformat(),
            "reason": champion.reason,
        }
    )
