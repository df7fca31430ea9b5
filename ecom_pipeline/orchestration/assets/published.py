"""What people read: one DuckDB file, and a page that says the same; each put in place in one step, after every blocking
check has passed."""

import dagster as dg

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.orchestration.presentation import NIGHTLY, OWNERS, markdown_table
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

ANALYTICS = "analytics"
REPORT = "report"
NOT_ASSETS = frozenset({"runs", "validation_results", "about"})
"""Published tables that no asset stands for: every step writes the first two, and publishing itself the last."""


def published_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The published file, and the report made from it."""
    return [_analytics(partitions), _report(partitions)]


def _spec(
    key: str, description: str, *, deps: list[str], kinds: set[str], partitions: dg.PartitionsDefinition
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name="published",
        owners=[OWNERS["published"]],
        kinds=kinds,
        partitions_def=partitions,
        freshness_policy=NIGHTLY,
    )


def _analytics(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = _spec(
        ANALYTICS,
        "published/analytics.duckdb: every table that analysts read, with a comment on each table and column. It "
        "replaces the file of the night before in one atomic step, and only when no blocking check failed.",
        deps=sorted({declared.name for declared in PUBLISHED_TABLES.values()} - NOT_ASSETS),
        kinds={"duckdb"},
        partitions=partitions,
    )

    @dg.multi_asset(name=ANALYTICS, pool=WAREHOUSE_POOL, specs=[spec])
    def analytics(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.steps.publishing import publish_shop

        with recorded_step(context, shop) as step:
            report = publish_shop(
                shop.warehouse, home=shop.home, settings=shop.settings, profile=shop.profile, night=step.as_of
            )
        return dg.MaterializeResult(
            metadata={
                "file": dg.MetadataValue.path(str(shop.home.published_file)),
                "size, MiB": round(report.bytes / 1024**2, 2),
                "nights": len(report.nights),
                "rows written": report.written,
                "tables": dg.MetadataValue.md(markdown_table(("table", "rows"), sorted(report.rows.items()))),
                **step.figures,
            }
        )

    return analytics


def _report(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = _spec(
        REPORT,
        "reports/NIGHT.html, and for the newest night published/report.html: what a published night says, on one page "
        "for a browser that loads nothing from anywhere. Every figure comes from the published file.",
        deps=[ANALYTICS],
        kinds={"html"},
        partitions=partitions,
    )

    @dg.multi_asset(name=REPORT, pool=WAREHOUSE_POOL, specs=[spec])
    def report(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        from ecom_pipeline.report import archived_report, nightly_report, published_nights

        with recorded_step(context, shop) as step:
            if step.as_of not in published_nights(shop.home.published_file):
                # a backfill may reach further back than the published file does
                return dg.MaterializeResult(
                    metadata={
                        "note": f"No report: the published file keeps the newest {shop.settings.keep_nights} nights "
                        f"(the setting keep_nights), and {step.as_of} is older."
                    }
                )
            written = nightly_report(shop.home, as_of=step.as_of, currency=shop.profile.shop.currency)
        return dg.MaterializeResult(
            metadata={
                "headlines": dg.MetadataValue.md(
                    markdown_table(("", "last 7 days", "on the week before", "on last year"), written.headline)
                ),
                "report": dg.MetadataValue.url(written.file.resolve().as_uri()),
                "kept as": dg.MetadataValue.path(str(archived_report(shop.home, written.as_of))),
                "size, MiB": round(written.bytes / 1024**2, 2),
                "left out": dg.MetadataValue.md(
                    "\n".join(f"- {why}" for why in written.left_out.values()) or "nothing"
                ),
                **step.figures,
            }
        )

    return report
