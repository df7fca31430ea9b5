"""`ecom-pipeline nightly --dry-run`: what a night would load, train and replace, told without running it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from ecom_pipeline.cli.homes import landing_folders
from ecom_pipeline.settings import Home
from ecom_pipeline.sources.profile import SourceProfile, read_profile

if TYPE_CHECKING:
    from ecom_pipeline.registry import ModelName

FILES_NAMED = 5


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Whether a model would be trained, and why."""

    model: str
    trains: bool
    why: str


@dataclass(frozen=True, slots=True)
class NightPlan:
    """What a night would do. Files are paths below landing, told by name, size and time as the last night knew them."""

    as_of: date
    home: str
    replaces_itself: bool
    last_night: date | None
    new_files: tuple[str, ...]
    changed_files: tuple[str, ...]
    known_files: int
    models: tuple[ModelPlan, ...]
    steps: int
    publishes: str
    report: str

    def as_json(self) -> str:
        """The plan as one JSON document."""
        return json.dumps(asdict(self), default=str, indent=2, ensure_ascii=False)


def plan_night(home: Home, night: date) -> NightPlan:
    """Look at landing, the published file and the registry; nothing is written, and no other run is waited for."""
    from ecom_pipeline.orchestration.running import steps_of_a_night
    from ecom_pipeline.report import report_beside

    settings = home.settings()
    profile = read_profile(settings.profile, base=home.root)
    ledger, nights = _known_to_the_last_night(home.published_file)
    new, changed, known = _landing(home, profile, ledger)
    return NightPlan(
        as_of=night,
        home=str(home.root),
        replaces_itself=night in nights,
        last_night=max(nights, default=None),
        new_files=new,
        changed_files=changed,
        known_files=known,
        models=tuple(_model_plan(home, model, night) for model in ("sales_forecaster", "next_item")),
        steps=steps_of_a_night(home),
        publishes=str(home.published_file),
        report=str(report_beside(home.published_file)),
    )


def print_plan(plan: NightPlan) -> None:
    """The plan as a person reads it."""
    console = Console(highlight=False)
    console.print(f"[bold]The night of {plan.as_of} in {plan.home}[/bold] (nothing is done: --dry-run)", soft_wrap=True)
    touched = "touched files, as far as their content is new"
    for what, files in (("new files", plan.new_files), (touched, plan.changed_files)):
        more = f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else ""
        console.print(
            f"load      {len(files):,} {what}{': ' if files else ''}{', '.join(files[:FILES_NAMED])}{more}",
            soft_wrap=True,
        )
    console.print(f"skip      {plan.known_files:,} files that are loaded already")
    for model in plan.models:
        console.print(f"{'train' if model.trains else 'keep':<10}{model.model}: {model.why}", soft_wrap=True)
    verb = "replaces its own rows" if plan.replaces_itself else "adds its rows"
    last = f"; the last night was {plan.last_night}" if plan.last_night else ""
    console.print(f"write     the night {verb}{last}")
    console.print(
        f"publish   {plan.publishes} and {plan.report}, if no blocking check fails ({plan.steps} steps)", soft_wrap=True
    )


def _known_to_the_last_night(published: Path) -> tuple[dict[str, tuple[int, datetime | None]], set[date]]:
    if not published.is_file():
        return {}, set()
    import duckdb

    connection = duckdb.connect(str(published), read_only=True)
    try:
        files = connection.execute(
            "SELECT path, bytes, modified_at FROM ingest_files WHERE status <> 'removed'"
        ).fetchall()
        nights = connection.execute("SELECT DISTINCT as_of FROM runs WHERE as_of IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {path: (size, modified) for path, size, modified in files}, {night for (night,) in nights}


def _landing(
    home: Home, profile: SourceProfile, ledger: dict[str, tuple[int, datetime | None]]
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    new, changed, known = [], [], 0
    for folder, patterns in landing_folders(profile).items():
        for file in sorted({file for pattern in patterns for file in (home.landing / folder).glob(pattern)}):
            if not file.is_file() or file.name.startswith("."):
                continue
            path = file.relative_to(home.landing).as_posix()
            state = file.stat()
            if path not in ledger:
                new.append(path)
                continue
            size, modified = ledger[path]
            touched = datetime.fromtimestamp(state.st_mtime, UTC).replace(tzinfo=None)
            same_time = modified is None or abs((touched - modified).total_seconds()) < 1
            if size == state.st_size and same_time:
                known += 1
            else:
                changed.append(path)
    return tuple(new), tuple(changed), known


def _model_plan(home: Home, model: "ModelName", night: date) -> ModelPlan:
    from ecom_pipeline.registry import Registry

    settings = home.settings()
    latest = Registry(home, settings).latest(model, night)
    if latest is None:
        return ModelPlan(model, True, "no version was trained by then")
    age = (night - latest.data_cutoff).days
    told = f"{latest.name} ({latest.decision}) is {age} days old, and {settings.retrain_after_days} is the limit"
    if age >= settings.retrain_after_days:
        return ModelPlan(model, True, told)
    return ModelPlan(model, False, f"{told}; a changed setting of it would train too")


def tell_plan(home: Home, night: date, *, as_json: bool) -> None:
    """Print the plan of a night."""
    plan = plan_night(home, night)
    if as_json:
        typer.echo(plan.as_json())
    else:
        print_plan(plan)
