"""Models: trained when their champion is older than a setting says, judged, registered; a night scores with it.

They wait for the ledger of files as well as for what they learn from: files that its checks refuse stop a night before
anything is trained on their rows, and before anybody has waited for it.
"""

from collections.abc import Callable

import dagster as dg

from ecom_pipeline.orchestration.pictures import describe_version
from ecom_pipeline.orchestration.presentation import OWNERS
from ecom_pipeline.orchestration.recording import Step, recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.registry import ModelName, ModelVersion

Train = Callable[[Shop, Step], ModelVersion]
DUE = "Trained anew when the champion is older than the setting retrain_after_days; promoted only if it wins."


def model_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The two models."""
    return [
        _model(
            "sales_forecaster",
            _train_forecaster,
            description="One recurrent network over all sales series, with its backtest against the seasonal profile.",
            deps=["feat_items", "feat_sales_daily", "feat_sales_future", "ingest_files"],
            partitions=partitions,
        ),
        _model(
            "next_item",
            _train_recommender,
            description="The next-item model over the event sequences, judged on a global temporal split against "
            "popularity and co-visitation; with it the models of purchases and of next steps.",
            deps=["feat_items", "feat_user_events", "ingest_files"],
            partitions=partitions,
        ),
    ]


def _model(
    name: ModelName, train: Train, *, description: str, deps: list[str], partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        name,
        deps=deps,
        description=f"{description} {DUE}",
        group_name="models",
        owners=[OWNERS["models"]],
        kinds={"tensorflow", "mlflow"},
        partitions_def=partitions,
    )

    @dg.multi_asset(name=name, pool=WAREHOUSE_POOL, specs=[spec])
    def model(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        with recorded_step(context, shop) as step:
            version = train(shop, step)
        return dg.MaterializeResult(metadata={**describe_version(shop, version), **step.figures})

    return model


def _train_forecaster(shop: Shop, step: Step) -> ModelVersion:
    from ecom_pipeline.steps.forecast import train_forecaster

    return train_forecaster(
        shop.warehouse,
        home=shop.home,
        settings=shop.settings,
        country=shop.profile.shop.country,
        as_of=step.as_of,
        on_progress=step.on_progress,
    )


def _train_recommender(shop: Shop, step: Step) -> ModelVersion:
    from ecom_pipeline.steps.recommend_training import train_recommender

    return train_recommender(
        shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of, on_progress=step.on_progress
    )
