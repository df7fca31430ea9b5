"""`ecom-pipeline status`: what was published last, what came in, what is wrong, in one screen."""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table as Grid

from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, existing_home

CHAMPIONS = """
SELECT model, model_version, decision FROM model_versions WHERE data_cutoff <= ?
QUALIFY row_number() OVER (
  PARTITION BY model ORDER BY decision = 'promoted' DESC, data_cutoff DESC, model_version DESC) = 1
ORDER BY model DESC
"""


@dataclass(frozen=True, slots=True)
class FeedState:
    """What came in by one feed."""

    feed: str
    files: int
    refused: int
    rows: int
    rows_quarantined: int


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that made what is published, or the newest rejected one, whose baseline stands in."""

    model: str
    model_version: str
    decision: str


@dataclass(frozen=True, slots=True)
class Status:
    """A home at a glance; `last_night` is None before the first night."""

    home: str
    profile: str
    published_file: str
    last_night: date | None
    nights: int
    minutes: float | None
    feeds: tuple[FeedState, ...]
    warnings: tuple[str, ...]
    report: str | None
    models: tuple[Champion, ...]


def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What was published last, what came in by each feed, and which checks gave a warning.

    It reads the published file alone, so it answers while a night runs.

    Examples:

      ecom-pipeline status --home shop

      ecom-pipeline status --home shop --json | jq .last_night
    """
    shop = existing_home(home)
    found = read_status(shop.root, shop.settings().profile, shop.published_file)
    if as_json:
        typer.echo(json.dumps(asdict(found), default=str, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(f"{found.home}: profile {found.profile}", soft_wrap=True)
    if found.last_night is None:
        console.print(f"No night was published yet. Run one with: ecom-pipeline nightly --home {home}", soft_wrap=True)
        return
    took = f" in {found.minutes:.1f} min" if found.minutes is not None else ""
    console.print(f"last night {found.last_night}{took}; {found.nights} nights kept", soft_wrap=True)
    grid = Grid(box=None)
    for name in ("feed", "files", "refused", "rows", "quarantined"):
        grid.add_column(name, justify="left" if name == "feed" else "right")
    for feed in found.feeds:
        grid.add_row(feed.feed, f"{feed.files:,}", f"{feed.refused:,}", f"{feed.rows:,}", f"{feed.rows_quarantined:,}")
    console.print(grid)
    for model in found.models:
        stands_in = "" if model.decision == "promoted" else "; its baseline stands in"
        console.print(f"{model.model} {model.model_version}: {model.decision}{stands_in}", soft_wrap=True)
    if found.report is not None:
        console.print(f"report {found.report}", soft_wrap=True)
    for warning in found.warnings:
        console.print(f"[yellow]warning[/yellow] {warning}", soft_wrap=True)


def read_status(root: Path, profile: str, published: Path) -> Status:
    """The state of the home at `root` as its published file tells it."""
    if not published.exists():
        return Status(str(root), profile, str(published), None, 0, None, (), (), None, ())
    import duckdb

    from ecom_pipeline.report import report_beside

    connection = duckdb.connect(str(published), read_only=True)
    try:
        ((last, nights),) = connection.execute(
            "SELECT max(as_of), count(DISTINCT as_of) FROM runs WHERE as_of IS NOT NULL"
        ).fetchall()
        ((minutes,),) = connection.execute(
            "SELECT sum(seconds) / 60 FROM runs WHERE run_id = "
            "(SELECT run_id FROM runs WHERE as_of IS NOT NULL ORDER BY started_at DESC LIMIT 1)"
        ).fetchall()
        feeds = connection.execute(
            "SELECT feed, count(*), count(*) FILTER (WHERE status = 'refused'), sum(rows_in)::BIGINT, "
            "sum(rows_quarantined)::BIGINT FROM ingest_files GROUP BY feed ORDER BY feed"
        ).fetchall()
        warnings = connection.execute(
            "SELECT sentence FROM validation_results WHERE as_of = ? AND NOT success ORDER BY table_name, rule", [last]
        ).fetchall()
        models = connection.execute(CHAMPIONS, [last]).fetchall()
    finally:
        connection.close()
    report = report_beside(published)
    return Status(
        home=str(root),
        profile=profile,
        published_file=str(published),
        last_night=last,
        nights=nights,
        minutes=minutes,
        feeds=tuple(FeedState(*row) for row in feeds),
        warnings=tuple(sentence for (sentence,) in warnings),
        report=str(report) if report.is_file() else None,
        models=tuple(Champion(*row) for row in models),
    )
