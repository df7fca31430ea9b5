"""Ingest: files in landing to raw tables, raw tables to core. By file, whatever the dates, so without partitions."""

from collections.abc import Iterator
from typing import Any, get_args

import dagster as dg

from ecom_pipeline.contracts import Table, table
from ecom_pipeline.orchestration.lineage import core_columns, tables_read_by
from ecom_pipeline.orchestration.presentation import lineage_metadata, markdown_table, table_metadata, table_spec
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.quality import raw_contract
from ecom_pipeline.sources.profile import Feed, SourceProfile

SETTLE_SECONDS = 1.0
"""How long a night watches files that were written just now, to see whether they still grow."""
FEEDS: tuple[Feed, ...] = get_args(Feed)
CORE_TABLES_FROM: dict[str, tuple[Feed, ...]] = {
    "core_order_lines": ("orders",),
    "core_events": ("orders", "browse"),
    "core_products": ("products",),
    "core_promotions": ("promotions",),
}
QUARANTINE_TABLES: dict[str, Feed] = {f"quarantine_{feed}": feed for feed in FEEDS}


def ingest_assets(profile: SourceProfile) -> list[dg.AssetsDefinition]:
    """Three steps: the raw tables; the core tables with the quarantine and the ledger; the quarantine in short."""
    return [_raw(profile), _core(), _quarantine_summary()]


def raw_table(profile: SourceProfile, feed: Feed) -> Table:
    """The contract of `raw_<feed>`: the columns that the profile's readers need."""
    columns = dict.fromkeys(column for reader in profile.readers(feed) for column in reader.needed_columns)
    return raw_contract(feed, tuple(columns))


def core_tables() -> tuple[Table, ...]:
    """What the step `core` writes: core tables, quarantine, and the ledger of files."""
    return tuple(table(name) for name in (*CORE_TABLES_FROM, *QUARANTINE_TABLES, "ingest_files"))


def _raw(profile: SourceProfile) -> dg.AssetsDefinition:
    declared = {feed: raw_table(profile, feed) for feed in FEEDS}

    @dg.multi_asset(
        name="raw",
        pool=WAREHOUSE_POOL,
        specs=[
            table_spec(
                declared[feed],
                group="raw",
                deps=(),
                kinds={"duckdb", *sorted({reader.format for reader in profile.readers(feed)})[:2]},
            )
            for feed in FEEDS
        ],
    )
    def raw(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> Iterator[dg.MaterializeResult]:
        from ecom_pipeline.privacy.forgotten import forgotten_of
        from ecom_pipeline.sources import load_landing

        forgotten = forgotten_of(shop.home)
        with recorded_step(context, shop) as step:
            report = load_landing(
                shop.warehouse,
                landing=shop.home.landing,
                profile=shop.profile,
                run_id=step.run_id,
                on_progress=step.on_progress,
                settle_seconds=SETTLE_SECONDS,
                forgotten_among=forgotten.among if forgotten is not None else None,
            )
            step.rows = report.rows_in
        files: dict[str, Any] = {
            "files found": report.files_found,
            "files loaded": report.files_loaded,
            "files unchanged": report.files_unchanged,
            "files no longer there": report.files_removed,
            "rows loaded": report.rows_in,
            "unreadable rows": report.rows_unreadable,
        }
        if report.refused:
            files["refused"] = dg.MetadataValue.md(markdown_table(("file", "why"), report.refused))
        if report.deferred:
            files["still being written"] = ", ".join(report.deferred)
        for feed in FEEDS:
            if shop.profile.readers(feed):
                described = table_metadata(shop.warehouse, declared[feed])
            else:
                described = {"note": f"The profile {shop.profile.name} has no {feed} feed."}
            yield dg.MaterializeResult(asset_key=declared[feed].name, metadata={**described, **files, **step.figures})

    return raw


def _core() -> dg.AssetsDefinition:
    sources = {
        **{name: [f"raw_{feed}" for feed in feeds] for name, feeds in CORE_TABLES_FROM.items()},
        **{name: [f"raw_{feed}"] for name, feed in QUARANTINE_TABLES.items()},
        "ingest_files": [f"raw_{feed}" for feed in FEEDS],
    }

    @dg.multi_asset(
        name="core",
        pool=WAREHOUSE_POOL,
        specs=[
            table_spec(declared, group="core", deps=sources[declared.name], kinds={"duckdb", "sql"})
            for declared in core_tables()
        ],
    )
    def core(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> Iterator[dg.MaterializeResult]:
        from ecom_pipeline.sources import update_core

        with recorded_step(context, shop) as step:
            report = update_core(shop.warehouse, profile=shop.profile, run_id=step.run_id, on_progress=step.on_progress)
            step.rows = report.rows_core
        lineage = core_columns(shop.profile)
        counts = {
            "rows of these files": report.rows_in,
            "to core": report.rows_core,
            "to quarantine": report.rows_quarantined,
            "duplicates": report.rows_duplicate,
        }
        for declared in core_tables():
            yield dg.MaterializeResult(
                asset_key=declared.name,
                metadata={
                    **table_metadata(shop.warehouse, declared),
                    **lineage_metadata(lineage.get(declared.name, {})),
                    **counts,
                    **step.figures,
                },
            )

    return core


def _quarantine_summary() -> dg.AssetsDefinition:
    declared = table("quarantine_summary")
    spec = table_spec(declared, group="core", deps=tables_read_by(declared), kinds={"duckdb", "sql"})

    @dg.multi_asset(name=declared.name, pool=WAREHOUSE_POOL, specs=[spec])
    def quarantine_summary(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        with recorded_step(context, shop) as step:
            step.rows = shop.warehouse.rebuild(declared)
        return dg.MaterializeResult(metadata={**table_metadata(shop.warehouse, declared), **step.figures})

    return quarantine_summary
