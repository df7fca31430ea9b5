"""Between nights: what arrives in landing changes the recommendations of the users who made it, without training."""

import dagster as dg

from ecom_pipeline.contracts import table
from ecom_pipeline.orchestration.presentation import table_metadata, table_spec
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

RESCORED = "rescored_users"


def rescoring_asset() -> dg.AssetsDefinition:
    """Users with new events, their new recommendations, and the file for analysts."""
    declared = table(RESCORED)
    spec = table_spec(
        declared,
        group="marts",
        deps=("core_events", "core_order_lines", "feat_items", "feat_user_events", "next_item", "recommendations"),
        kinds={"duckdb"},
    )

    @dg.multi_asset(name=RESCORED, pool=WAREHOUSE_POOL, specs=[spec._replace(freshness_policy=None)])
    def rescored_users(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.steps.publishing import publish_shop
        from ecom_pipeline.steps.rescore import rescore_users

        with recorded_step(context, shop) as step:
            report = rescore_users(
                shop.warehouse,
                home=shop.home,
                settings=shop.settings,
                profile=shop.profile,
                run_id=step.run_id,
                on_progress=step.on_progress,
            )
            step.rows = report.users
            if report.users:
                publish_shop(shop.warehouse, home=shop.home, settings=shop.settings, profile=shop.profile)
        return dg.MaterializeResult(
            metadata={
                **table_metadata(shop.warehouse, declared),
                "night": str(report.as_of),
                **({"note": report.note} if report.note is not None else {}),
                "users with new events": report.users,
                "recommendations written": report.rows,
                "model version": report.model_version or "none",
                **step.figures,
            }
        )

    return rescored_users
