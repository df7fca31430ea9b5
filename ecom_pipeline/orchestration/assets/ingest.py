"""Ingest: files in landing to raw tables, raw tables to core. By file, whatever the dates, so without partitions."""

from collections.abc import Iterator
from typing import get_args

import dagster as dg

from ecom_pipeline.contracts import Table, table
from ecom_pipeline.orchestration.presentation import table_metadata, table_spec
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import Shop
from ecom_pipeline.quality import raw_contract
from ecom_pipeline.sources.profile import Feed, SourceProfile

FEEDS: tuple[Feed, ...] = get_args(Feed)
CORE_TABLES_FROM: dict[str, tuple[Feed, ...]] = {
    "core_order_lines": ("orders",),
    "core_events": ("orders", "browse"),
    "core_products": ("products",),
    "core_promotions": ("promotions",),
}


def ingest_assets(profile: SourceProfile) -> list[dg.AssetsDefinition]:
    """The raw tables, one step; the core tables with the quarantine and the ledger, one step."""
    return [_raw(profile), _core()]


def raw_table(profile: SourceProfile, feed: Feed) -> Table:
    """The contract of `raw_<feed>`: the columns that the profile's readers need."""
    columns = dict.fromkeys(column for reader in profile.readers(feed) for column in reader.needed_columns)
    return raw_contract(feed, tuple(columns))


def core_tables() -> tuple[Table, ...]:
    """What the step `core` writes: core tables, quarantine, and the ledger of files."""
    names = [*CORE_TABLES_FROM, *(f"quarantine_{feed}" for feed in FEEDS), "quarantine_summary", "ingest_files"]
    return tuple(table(name) for name in names)


def _raw(profile: SourceProfile) -> dg.AssetsDefinition:
    specs = [
        table_spec(
            raw_table(profile, feed),
            group="raw",
            deps=(),
            kinds={"duckdb", *sorted({reader.format for reader in profile.readers(feed)})[:2]},
        )
        for feed in FEEDS
    ]

    @dg.multi_asset(name="raw", specs=specs)
    def raw(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> Iterator[dg.MaterializeResult]:
        from ecom_pipeline.sources import load_landing

        with recorded_step(context, shop) as step:
            report = load_landing(
                shop.warehouse,
                landing=shop.home.landing,
                profile=shop.profile,
                run_id=step.run_id,
                on_progress=step.on_progress,
            )
            step.rows = report.rows
        for feed in FEEDS:
            yield dg.MaterializeResult(asset_key=f"raw_{feed}", metadata=step.figures)

    return raw


def _core() -> dg.AssetsDefinition:
    sources = {
        **{name: [f"raw_{feed}" for feed in feeds] for name, feeds in CORE_TABLES_FROM.items()},
        **{f"quarantine_{feed}": [f"raw_{feed}"] for feed in FEEDS},
        "quarantine_summary": [f"quarantine_{feed}" for feed in FEEDS],
        "ingest_files": [f"raw_{feed}" for feed in FEEDS],
    }

    @dg.multi_asset(
        name="core",
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
        for declared in core_tables():
            yield dg.MaterializeResult(
                asset_key=declared.name, metadata={**table_metadata(shop.warehouse, declared), **step.figures}
            )

    return core
