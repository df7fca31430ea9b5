"""The nightly report: one HTML page beside the published file, and one kept for each night."""

import dagster as dg

from ecom_pipeline.orchestration.assets.published import ANALYTICS
from ecom_pipeline.orchestration.presentation import NIGHTLY, OWNERS, markdown_table
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

REPORT = "report"


def report_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The page."""
    spec = dg.AssetSpec(
        REPORT,
        deps=[ANALYTICS],
        description="published/report.html: what the newest published night says, on one page for a browser that loads "
        "nothing from anywhere; reports/ keeps one for each night. Every figure comes from the published file.",
        group_name="published",
        owners=[OWNERS["published"]],
        kinds={"html"},
        partitions_def=partitions,
        freshness_policy=NIGHTLY,
    )

    @dg.multi_asset(name=REPORT, pool=WAREHOUSE_POOL, specs=[spec])
    def report(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.report import archived_report, nightly_report

        with recorded_step(context, shop) as step:
            written = nightly_report(shop.home, currency=shop.profile.shop.currency)
        kept = archived_report(shop.home, written.as_of)
        return dg.MaterializeResult(
            metadata={
                "headlines": dg.MetadataValue.md(
                    markdown_table(("", "last 7 days", "on the week before", "on last year"), written.headline)
                ),
                "report": dg.MetadataValue.url(written.file.resolve().as_uri()),
                "kept as": dg.MetadataValue.path(str(kept)),
                "size, MiB": round(written.bytes / 1024**2, 2),
                "left out": dg.MetadataValue.md(
                    "\n".join(f"- {why}" for why in written.left_out.values()) or "nothing"
                ),
                **step.figures,
            }
        )

    return report
