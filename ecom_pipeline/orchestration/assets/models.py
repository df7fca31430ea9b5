"""Models: trained when their champion is older than a setting says, judged, registered; a night scores with it."""

import dagster as dg

from ecom_pipeline.orchestration.pictures import describe_version
from ecom_pipeline.orchestration.presentation import OWNERS
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop


def model_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The two models."""
    return [_sales_forecaster(partitions), _next_item(partitions)]


def _spec(key: str, description: str, deps: list[str], partitions: dg.PartitionsDefinition) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name="models",
        owners=[OWNERS["models"]],
        kinds={"tensorflow", "mlflow"},
        partitions_def=partitions,
    )


def _sales_forecaster(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = _spec(
        "sales_forecaster",
        "One recurrent network over all sales series, with its backtest against the seasonal profile. Trained anew "
        "when the champion is older than the setting retrain_after_days; promoted only if it wins.",
        ["feat_items", "feat_sales_daily", "feat_sales_future"],
        partitions,
    )

    @dg.multi_asset(name="sales_forecaster", pool=WAREHOUSE_POOL, specs=[spec])
    def sales_forecaster(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.steps.forecast import train_forecaster

        with recorded_step(context, shop) as step:
            version = train_forecaster(
                shop.warehouse,
                home=shop.home,
                settings=shop.settings,
                as_of=step.as_of,
                on_progress=step.on_progress,
            )
        return dg.MaterializeResult(metadata={**describe_version(shop, version), **step.figures})

    return sales_forecaster


def _next_item(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = _spec(
        "next_item",
        "The next-item model over the event sequences, judged on a global temporal split against popularity and "
        "co-visitation. Trained anew when the champion is older than the setting retrain_after_days.",
        ["feat_items", "feat_user_events"],
        partitions,
    )

    @dg.multi_asset(name="next_item", pool=WAREHOUSE_POOL, specs=[spec])
    def next_item(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.steps.recommend_training import train_recommender

        with recorded_step(context, shop) as step:
            version = train_recommender(
                shop.warehouse,
                home=shop.home,
                settings=shop.settings,
                as_of=step.as_of,
                on_progress=step.on_progress,
            )
        return dg.MaterializeResult(metadata={**describe_version(shop, version), **step.figures})

    return next_item
