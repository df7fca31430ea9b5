"""`ecom-pipeline scenario` and `reorder`: what would sell under another plan, and how much to order."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid
from rich.text import Text

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10


def scenario(
    file: Annotated[Path, typer.Argument(help="Scenario: YAML or CSV (docs/what-if.md).")],
    name: Annotated[str | None, typer.Option(help="Name; default: the file's.", show_default=False)] = None,
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forecast the next weeks under other prices, promotions or coupons, beside the plan.

    The rows are kept as sales_scenarios in published/scenarios.duckdb; a scenario of the same name replaces its own.
    It needs the warehouse, so it waits while a night runs.

    Example:

      ecom-pipeline scenario half_price_week.yaml --home shop
    """
    from ecom_pipeline.cli.watching import console_of_our_own
    from ecom_pipeline.scenarios.forecasting import forecast_scenario
    from ecom_pipeline.scenarios.keeping import keep
    from ecom_pipeline.scenarios.plan import ScenarioError, read_scenario
    from ecom_pipeline.scenarios.tables import SALES_SCENARIOS
    from ecom_pipeline.warehouse import open_warehouse

    shop = existing_home(home)
    settings = shop.settings()
    try:
        wanted = read_scenario(file, name=name)
        with (
            console_of_our_own(quiet=quiet or as_json, log=False) as terminal,
            Progress(console=terminal, transient=True) as progress,
        ):
            task = progress.add_task(wanted.name, total=1.0)
            with open_warehouse(
                shop.warehouse_file,
                settings,
                on_wait=lambda seconds: progress.update(task, description="waiting for the warehouse"),
            ) as warehouse:
                result = forecast_scenario(
                    warehouse,
                    wanted,
                    home=shop,
                    settings=settings,
                    on_progress=lambda stage, share: progress.update(task, description=stage, completed=share),
                )
    except ScenarioError as error:
        raise CommandError(str(error)) from None
    kept = keep(shop, SALES_SCENARIOS, result.rows, instead_of={"scenario": result.scenario, "as_of": result.as_of})
    frame = result.rows.to_pandas()
    totals = _totals(frame)
    if as_json:
        told = {
            "scenario": result.scenario,
            "as_of": str(result.as_of),
            "changed_product_days": result.changed_product_days,
            "rows": len(frame),
            "file": str(kept),
            "totals": totals,
        }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    _print_scenario(Console(quiet=quiet, highlight=False), result.scenario, frame, totals, kept=kept)


def reorder(  # noqa: PLR0917 - options of a command, never passed by position
    lead_time: Annotated[int, typer.Option(min=0, help="Days from ordering to arrival.")] = 7,
    review: Annotated[int, typer.Option(min=1, help="Days until the next order can be made.")] = 7,
    service_level: Annotated[
        float | None, typer.Option(help="Probability that stock lasts; default 0.95.", show_default=False)
    ] = None,
    underage: Annotated[
        float | None, typer.Option(help="Cost of a unit too few (lost margin); with --overage.", show_default=False)
    ] = None,
    overage: Annotated[
        float | None, typer.Option(help="Cost of a unit too many (holding, waste).", show_default=False)
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """How much of each product to order tonight, from the forecasts' quantiles (newsvendor).

    The rows are kept as reorder_suggestions in published/scenarios.duckdb. It reads the published file alone.

    Examples:

      ecom-pipeline reorder --lead-time 10 --review 7 --service-level 0.98 --home shop

      ecom-pipeline reorder --underage 4.50 --overage 0.50 --home shop
    """
    from ecom_pipeline.scenarios.keeping import keep
    from ecom_pipeline.scenarios.plan import ScenarioError
    from ecom_pipeline.scenarios.reordering import ReorderTerms, critical_ratio, reorder_suggestions
    from ecom_pipeline.scenarios.tables import REORDER_SUGGESTIONS

    shop = existing_home(home)
    if (underage is None) != (overage is None) or (underage is not None and service_level is not None):
        raise CommandError("Give --service-level, or both --underage and --overage.", ExitCode.USAGE)
    try:
        level = service_level if service_level is not None else 0.95
        if underage is not None and overage is not None:
            level = critical_ratio(underage=underage, overage=overage)
        terms = ReorderTerms(lead_time_days=lead_time, review_days=review, service_level=level)
        rows = reorder_suggestions(shop.published_file, terms)
    except ScenarioError as error:
        raise CommandError(str(error)) from None
    kept = keep(shop, REORDER_SUGGESTIONS, rows, instead_of={})
    frame = rows.to_pandas()
    if as_json:
        typer.echo(frame.to_json(orient="records", date_format="iso", indent=2, force_ascii=False))
        return
    _print_suggestions(Console(quiet=quiet, highlight=False), frame, level=level, kept=kept)


def _totals(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Sums of the total and of each category over all days, by measure."""
    groups = frame[frame["level"] != "product"].groupby(["measure", "level", "series_id"], sort=True)
    columns = ["plan_mean", "mean", "difference", "difference_low", "difference_high"]
    return [
        {
            "measure": key[0],
            "level": key[1],
            "series_id": key[2],
            **{name: round(float(group[name].sum()), 2) for name in columns},
        }
        for key, group in groups
    ]


def _print_scenario(
    console: Console, name: str, frame: "pd.DataFrame", totals: list[dict[str, Any]], *, kept: Path
) -> None:
    days = frame["target_date"].nunique()
    console.print(Text.assemble((name, "bold"), f"  {days} days ahead, plan and scenario by the same forecaster"))
    grid = Grid(box=None, header_style="dim")
    for heading in ("measure", "series", "plan", "scenario", "difference", "from", "to"):
        grid.add_column(heading, justify="left" if heading in ("measure", "series") else "right", overflow="fold")
    for row in totals:
        share = f" ({row['difference'] / row['plan_mean']:+.1%})" if row["plan_mean"] else ""
        grid.add_row(
            row["measure"],
            Text("all sales" if row["level"] == "total" else row["series_id"]),
            f"{row['plan_mean']:,.0f}",
            f"{row['mean']:,.0f}",
            f"{row['difference']:+,.0f}{share}",
            f"{row['difference_low']:+,.0f}",
            f"{row['difference_high']:+,.0f}",
        )
    console.print(grid)
    console.print(
        "from, to: if every day goes as badly, or as well, in both (80 %). The effect itself is an estimate too.",
        style="dim",
        soft_wrap=True,
    )
    console.print(f"{len(frame):,} rows of sales_scenarios in {kept}", soft_wrap=True)


def _print_suggestions(console: Console, frame: "pd.DataFrame", *, level: float, kept: Path) -> None:
    known = frame[frame["order_units"].notna()]
    if known.empty:
        console.print("The shop does not say what is in stock; order_up_to says what stock and order should come to.")
    grid = Grid(box=None, header_style="dim")
    for heading in ("product", "stock", "expected", "order up to", "order", "runs out before it arrives"):
        grid.add_column(heading, justify="left" if heading == "product" else "right", overflow="fold")
    chosen = known if len(known) else frame
    first = "order_units" if len(known) else "order_up_to"
    for row in chosen.sort_values([first, "item_id"], ascending=[False, True]).head(SHOWN).to_dict("records"):
        grid.add_row(
            Text(str(row["name"] or row["item_id"])),
            f"{row['stock']:,.0f}" if len(known) else "?",
            f"{row['expected_demand']:,.1f}",
            f"{row['order_up_to']:,}",
            f"{row['order_units']:,.0f}" if len(known) else "?",
            f"{row['stock_out_probability']:.0%}" if len(known) else "?",
        )
    console.print(
        f"To last with a probability of {level:.1%}, the greatest {min(SHOWN, len(chosen))} of {len(chosen):,}:"
    )
    console.print(grid)
    console.print(f"{len(frame):,} rows of reorder_suggestions in {kept}", soft_wrap=True)
