"""Feature tables: the state of the shop at the end of the night, made by one SQL file each."""

import dagster as dg

from ecom_pipeline.contracts import Table, tables_of_layer
from ecom_pipeline.orchestration.lineage import tables_read_by
from ecom_pipeline.orchestration.presentation import table_metadata, table_spec
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.steps.features import FEATURE_INPUTS, build_feature
from ecom_pipeline.steps.refreshing import made_of


def feature_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset a feature table."""
    return [_feature(declared, partitions) for declared in tables_of_layer("features")]


def _feature(declared: Table, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    deps = dict.fromkeys((*tables_read_by(declared), *FEATURE_INPUTS[declared.name]))
    spec = table_spec(declared, group="features", deps=list(deps), kinds={"duckdb", "sql"}, partitions=partitions)

    @dg.multi_asset(name=declared.name, pool=WAREHOUSE_POOL, specs=[spec])
    def feature(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        with recorded_step(context, shop) as step:
            step.rows = build_feature(
                shop.warehouse, declared.name, profile=shop.profile, settings=shop.settings, as_of=step.as_of
            )
        return dg.MaterializeResult(
            metadata={
                **table_metadata(shop.warehouse, declared, as_of=step.as_of),
                "made anew": made_of(shop.warehouse, declared.name),
                **step.figures,
            }
        )

    return feature
