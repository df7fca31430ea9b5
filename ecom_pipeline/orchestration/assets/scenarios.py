"""Scenarios: forecasts under another plan, launched by hand with the path of a scenario file; no night makes them."""

from typing import Any

import dagster as dg

from ecom_pipeline.orchestration.presentation import OWNERS, column_schema, markdown_table
from ecom_pipeline.orchestration.recording import recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop
from ecom_pipeline.scenarios.tables import SALES_SCENARIOS

SCENARIOS = SALES_SCENARIOS.name
SCENARIO_JOB = "scenario"
PREVIEW = ("measure", "level", "series_id", "plan_mean", "mean", "difference")


class ScenarioConfig(dg.Config):
    """Which scenario: a YAML or CSV file, relative to the shop home or absolute; docs/what-if.md."""

    file: str
    name: str | None = None


def scenario_asset() -> dg.AssetsDefinition:
    """Forecasts under a scenario beside the plan's."""
    spec = dg.AssetSpec(
        SCENARIOS,
        deps=["feat_items", "feat_sales_daily", "feat_sales_future", "sales_forecaster", "sales_forecasts"],
        description=f"{SALES_SCENARIOS.meaning} Launched by hand with a scenario file; kept in "
        "published/scenarios.duckdb.",
        group_name="marts",
        owners=[OWNERS["marts"]],
        kinds={"tensorflow", "duckdb"},
        metadata={"dagster/column_schema": column_schema(SALES_SCENARIOS)},
    )

    @dg.multi_asset(name=SCENARIOS, pool=WAREHOUSE_POOL, specs=[spec])
    def sales_scenarios(
        context: dg.AssetExecutionContext, config: ScenarioConfig, shop: dg.ResourceParam[Shop]
    ) -> dg.MaterializeResult:
        from ecom_pipeline.scenarios.forecasting import forecast_scenario
        from ecom_pipeline.scenarios.keeping import keep
        from ecom_pipeline.scenarios.plan import read_scenario

        with recorded_step(context, shop) as step:
            result = forecast_scenario(
                shop.warehouse,
                read_scenario(shop.home.root / config.file, name=config.name),
                home=shop.home,
                settings=shop.settings,
                on_progress=step.on_progress,
            )
            file = keep(
                shop.home,
                SALES_SCENARIOS,
                result.rows,
                instead_of={"scenario": result.scenario, "as_of": result.as_of},
            )
            step.rows = result.rows.num_rows
        frame = result.rows.to_pandas()
        totals = frame[frame["level"] != "product"].groupby(["measure", "level", "series_id"])[list(PREVIEW[3:])].sum()
        return dg.MaterializeResult(
            metadata={
                "scenario": result.scenario,
                "night": result.as_of.isoformat(),
                "changed product days": result.changed_product_days,
                "sums of all days": dg.MetadataValue.md(
                    markdown_table(PREVIEW, totals.reset_index().to_numpy().tolist())
                ),
                "file": dg.MetadataValue.path(str(file)),
                **step.figures,
            }
        )

    return sales_scenarios


def scenario_job() -> Any:
    """The scenario alone."""
    return dg.define_asset_job(
        SCENARIO_JOB,
        selection=dg.AssetSelection.assets(SCENARIOS),
        description="Forecasts under a scenario file, beside the plan's: what if prices or promotions were others.",
    )
