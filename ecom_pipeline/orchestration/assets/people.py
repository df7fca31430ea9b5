"""What the models say of people: segments by the network's states, and each user's next steps; kept night by night."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from ecom_pipeline.contracts import table
from ecom_pipeline.orchestration import people_pictures as pictures
from ecom_pipeline.orchestration.pictures import nothing
from ecom_pipeline.orchestration.presentation import place_in_report, table_metadata, table_spec
from ecom_pipeline.orchestration.recording import Step, recorded_step
from ecom_pipeline.orchestration.resources import WAREHOUSE_POOL, Shop

Make = Callable[[Shop, Step], Mapping[str, Any]]
"""Does the work, sets the step's rows, and returns metadata."""
Describe = Callable[[Shop, Step], Mapping[str, Any]]


def people_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Two steps: segments with their products, and next steps with what they are worth."""
    return [
        _step(
            "segments_of_users",
            _segment,
            tables={
                "user_segments": nothing,
                "segments": pictures.segment_sizes,
                "segment_items": nothing,
            },
            deps=["next_item", "feat_items", "feat_user_events"],
            kinds={"tensorflow", "duckdb"},
            partitions=partitions,
        ),
        _step(
            "next_steps_of_users",
            _next_steps,
            tables={"next_steps": pictures.likeliest_steps, "next_step_reliability": pictures.reliability},
            deps=["next_item", "feat_user_events"],
            kinds={"numpy", "duckdb"},
            partitions=partitions,
        ),
    ]


def _step(
    name: str,
    make: Make,
    *,
    tables: Mapping[str, Describe],
    deps: list[str],
    kinds: set[str],
    partitions: dg.PartitionsDefinition,
) -> dg.AssetsDefinition:
    specs = [table_spec(table(one), group="marts", deps=deps, kinds=kinds, partitions=partitions) for one in tables]

    @dg.multi_asset(name=name, pool=WAREHOUSE_POOL, specs=specs)
    def people(context: dg.AssetExecutionContext, shop: dg.ResourceParam[Shop]) -> Iterator[dg.MaterializeResult]:
        with recorded_step(context, shop) as step:
            made = make(shop, step)
        for one, describe in tables.items():
            yield dg.MaterializeResult(
                asset_key=one,
                metadata={
                    **table_metadata(shop.warehouse, table(one), as_of=step.as_of),
                    **place_in_report(shop.home, one, step.as_of),
                    **describe(shop, step),
                    **made,
                    **step.figures,
                },
            )

    return people


def _segment(shop: Shop, step: Step) -> Mapping[str, Any]:
    from ecom_pipeline.steps.segments import segment_users

    report = segment_users(
        shop.warehouse,
        home=shop.home,
        settings=shop.settings,
        as_of=step.as_of,
        time_zone=shop.profile.shop.time_zone,
    )
    step.rows = report.users
    if report.note is not None:
        return {"note": f"No segments: {report.note}."}
    return {
        "model version": report.model_version,
        "agreement by number of segments": ", ".join(
            f"{count}: {agreement:.2f}" for count, agreement in report.agreements.items()
        ),
    }


def _next_steps(shop: Shop, step: Step) -> Mapping[str, Any]:
    from ecom_pipeline.steps.next_steps import predict_next_steps

    report = predict_next_steps(shop.warehouse, home=shop.home, settings=shop.settings, as_of=step.as_of)
    step.rows = report.rows
    return {"model version": report.model_version, **({"note": report.note} if report.note else {})}
