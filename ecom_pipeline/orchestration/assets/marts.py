"""Marts: what the night says of the future and of past nights, kept night by night."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from ecom_pipeline.contracts import table
from ecom_pipeline.orchestration import pictures
from ecom_pipeline.orchestration.presentation import place_in_report, table_metadata, table_spec
from ecom_pipeline.orchestration.recording import Step, recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

Make = Callable[[Shop, Step], int]
Describe = Callable[[Shop, Step], Mapping[str, Any]]


def mart_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset a mart."""

    def mart(
        name: str, make: Make, *, deps: list[str], kinds: set[str], describe: Describe = pictures.nothing
    ) -> dg.AssetsDefinition:
        return _mart(name, make, deps=deps, kinds=kinds, describe=describe, partitions=partitions)

    return [
        mart(
            "sales_forecasts",
            _forecast_sales,
            deps=["sales_forecaster", "feat_items", "feat_sales_daily", "feat_sales_future"],
            kinds={"tensorflow", "duckdb"},
            describe=pictures.forecast_of_total,
        ),
        mart(
            "sales_forecast_accuracy",
            _forecast_accuracy,
            deps=["sales_forecasts", "feat_sales_daily"],
            kinds={"duckdb", "sql"},
            describe=pictures.accuracy_by_horizon,
        ),
        mart(
            "recommendations",
            _recommend,
            deps=["next_item", "feat_items", "feat_user_events"],
            kinds={"tensorflow", "duckdb"},
            describe=pictures.recommended_by_source,
        ),
        mart(
            "purchase_predictions",
            _predict_purchases,
            deps=["next_item", "recommendations", "feat_user_events"],
            kinds={"numpy", "duckdb"},
            describe=pictures.purchase_reliability,
        ),
        mart("similar_items", _similar_items, deps=["next_item", "feat_items"], kinds={"numpy", "duckdb"}),
        mart(
            "model_metrics",
            _rows_of("model_metrics"),
            deps=["sales_forecaster", "next_item"],
            kinds={"mlflow", "duckdb"},
        ),
        mart(
            "model_versions",
            _rows_of("model_versions"),
            deps=["sales_forecaster", "next_item"],
            kinds={"mlflow", "duckdb"},
        ),
    ]


def _mart(
    name: str,
    make: Make,
    *,
    deps: list[str],
    kinds: set[str],
    describe: Describe,
    partitions: dg.PartitionsDefinition,
) -> dg.AssetsDefinition:
    declared = table(name)
    spec = table_spec(declared, group="marts", deps=deps, kinds=kinds, partitions=partitions)

    @dg.multi_asset(name=name, pool=WAREHOUSE_POOL, specs=[spec])
    def mart(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> dg.MaterializeResult:
        with recorded_step(context, shop) as step:
            step.rows = make(shop, step)
        return dg.MaterializeResult(
            metadata={
                **table_metadata(shop.warehouse, declared, as_of=step.as_of),
                **place_in_report(shop.home, name, step.as_of),
                **describe(shop, step),
                **step.figures,
            }
        )

    return mart


def _forecast_sales(shop: Shop, step: Step) -> int:
    from ecom_pipeline.steps.forecast import forecast_sales

    return forecast_sales(
        shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of, on_progress=step.on_progress
    ).rows


def _forecast_accuracy(shop: Shop, step: Step) -> int:
    from ecom_pipeline.steps.accuracy import forecast_accuracy

    return forecast_accuracy(shop.warehouse, as_of=step.as_of)


def _recommend(shop: Shop, step: Step) -> int:
    from ecom_pipeline.steps.recommend import recommend

    return recommend(
        shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of, on_progress=step.on_progress
    ).rows


def _predict_purchases(shop: Shop, step: Step) -> int:
    from ecom_pipeline.steps.recommend import predict_purchases

    return predict_purchases(
        shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of, on_progress=step.on_progress
    ).rows


def _similar_items(shop: Shop, step: Step) -> int:
    from ecom_pipeline.steps.recommend import similar_items

    return similar_items(
        shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of, on_progress=step.on_progress
    ).rows


def _rows_of(name: str) -> Make:
    def rows(shop: Shop, step: Step) -> int:
        return int(shop.warehouse.scalar(f"SELECT count(*) FROM {name}"))

    return rows
