"""What analysts read: one DuckDB file, put in place in one step after every blocking check has passed."""

import dagster as dg

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.orchestration.nights import SAMPLE_PROFILE
from ecom_pipeline.orchestration.presentation import NIGHTLY, OWNERS, markdown_table
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

ANALYTICS = "analytics"
NOT_ASSETS = frozenset({"runs", "validation_results", "about"})
"""Published tables that no asset stands for: every step writes the first two, and publishing itself the last."""


def published_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The published file."""
    spec = dg.AssetSpec(
        ANALYTICS,
        deps=sorted({declared.name for declared in PUBLISHED_TABLES.values()} - NOT_ASSETS),
        description="published/analytics.duckdb: every table that analysts read, with a comment on each table and "
        "column. It replaces the file of the night before in one atomic step, and only when no blocking check failed.",
        group_name="published",
        owners=[OWNERS["published"]],
        kinds={"duckdb"},
        partitions_def=partitions,
        freshness_policy=NIGHTLY,
    )

    @dg.multi_asset(name=ANALYTICS, pool=WAREHOUSE_POOL, specs=[spec])
    def analytics(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.privacy.pseudonyms import hash_key
        from ecom_pipeline.warehouse.publishing import publish

        with recorded_step(context, shop) as step:
            report = publish(
                shop.warehouse,
                target=shop.home.published_file,
                keep_nights=shop.settings.keep_nights,
                profile=shop.settings.profile,
                is_synthetic=shop.settings.profile == SAMPLE_PROFILE,
                hash_key=hash_key(shop.settings),
            )
        return dg.MaterializeResult(
            metadata={
                "file": dg.MetadataValue.path(str(shop.home.published_file)),
                "size, MiB": round(report.bytes / 1024**2, 2),
                "nights": len(report.nights),
                "tables": dg.MetadataValue.md(markdown_table(("table", "rows"), sorted(report.rows.items()))),
                **step.figures,
            }
        )

    return analytics
