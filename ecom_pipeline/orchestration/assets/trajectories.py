"""Shopping trajectories: what people did on their way to a purchase, made by one SQL file each."""

import dagster as dg

from ecom_pipeline.contracts import Table, table
from ecom_pipeline.orchestration import trajectory_pictures as pictures
from ecom_pipeline.orchestration.lineage import tables_read_by
from ecom_pipeline.orchestration.pictures import nothing
from ecom_pipeline.orchestration.presentation import place_in_report, table_metadata, table_spec
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.steps.refreshing import made_of
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory

PICTURES = {
    "funnel_daily": pictures.funnel_of_visits,
    "time_to_convert": pictures.days_to_convert,
    "cohort_retention": pictures.months_of_cohorts,
    "rfm_segment_sizes": pictures.rfm_sizes,
}


def trajectory_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset a trajectory table."""
    return [_trajectory(table(name), partitions) for name in TRAJECTORY_ORDER]


def _trajectory(declared: Table, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = table_spec(
        declared, group="marts", deps=tables_read_by(declared), kinds={"duckdb", "sql"}, partitions=partitions
    )

    @dg.multi_asset(name=declared.name, pool=WAREHOUSE_POOL, specs=[spec])
    def trajectory(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        with recorded_step(context, shop) as step:
            step.rows = build_trajectory(
                shop.warehouse, declared.name, profile=shop.profile, settings=shop.settings, as_of=step.as_of
            )
        return dg.MaterializeResult(
            metadata={
                **table_metadata(shop.warehouse, declared, as_of=step.as_of),
                **place_in_report(shop.home, declared.name, step.as_of),
                **PICTURES.get(declared.name, nothing)(shop, step),
                **({} if declared.by_night else {"made anew": made_of(shop.warehouse, declared.name)}),
                **step.figures,
            }
        )

    return trajectory
