"""What a night comes down to: a dozen figures and three queries, all read from the published file."""

import json
import shlex
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ecom_pipeline.orchestration.running import NightRun

PROGRAM = "ecom-pipeline"


@dataclass(frozen=True, slots=True)
class Query:
    """A question, its SQL, and the answer."""

    question: str
    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The version of one model that the night scored with, or the rejected one whose baseline stood in."""

    model: str
    model_version: str
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One figure of a version on held-out time, beside its baseline's on the same rows."""

    model: str
    model_version: str
    dataset: str
    metric: str
    value: float
    baseline: float | None
    n: int


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What a night loaded, found and says."""

    as_of: date
    run_id: str
    seconds: float
    published_file: str
    report: str
    files_loaded: int
    rows_loaded: int
    rows_in_all: int
    rows_quarantined: int
    rows_duplicate: int
    checks: int
    checks_failed: int
    models: tuple[Model, ...]
    accuracy: tuple[Accuracy, ...]
    queries: tuple[Query, ...]

    def as_json(self) -> str:
        """The summary as one JSON document."""
        return json.dumps(asdict(self), default=str, indent=2, ensure_ascii=False)


QUESTIONS = (
    (
        "What will sell next week, and how sure are we?",
        """SELECT target_date, round(mean) AS units, round(p10) AS low, round(p90) AS high
FROM sales_forecasts
WHERE as_of = (SELECT max(as_of) FROM sales_forecasts) AND level = 'total' AND measure = 'quantity'
ORDER BY target_date LIMIT 7""",
    ),
    (
        "Who is about to buy, and what above all?",
        """SELECT n.user_id, round(n.p_buys, 3) AS p_buys, n.window_days AS days, i.name AS likeliest,
  round(p.probability, 3) AS p_buys_it
FROM next_steps n JOIN purchase_predictions p USING (as_of, user_id) LEFT JOIN items i USING (item_id)
WHERE as_of = (SELECT max(as_of) FROM next_steps)
QUALIFY row_number() OVER (PARTITION BY n.user_id ORDER BY p.probability DESC, p.item_id) = 1
ORDER BY n.p_buys DESC, n.user_id LIMIT 5""",
    ),
    (
        "What to show one of the most active users next, and why?",
        """SELECT r.user_id, r.rank, i.name AS product, r.reason
FROM recommendations r LEFT JOIN items i USING (item_id)
WHERE r.as_of = (SELECT max(as_of) FROM recommendations)
  AND r.user_id = (SELECT user_id FROM user_events GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1)
ORDER BY r.rank LIMIT 5""",
    ),
)

MODELS = """
SELECT model, model_version, decision, reason FROM model_versions
WHERE data_cutoff <= ?
QUALIFY row_number() OVER (
  PARTITION BY model ORDER BY decision = 'promoted' DESC, data_cutoff DESC, model_version DESC) = 1
ORDER BY model DESC
"""
ACCURACY = """
SELECT model, model_version, dataset, metric, value, baseline_value, n FROM model_metrics
WHERE as_of = ?
  AND ((model = 'sales_forecaster' AND dataset IN ('quantity, total', 'quantity, product')
        AND metric IN ('wape', 'wpl', 'coverage_80'))
    OR (model = 'next_item' AND dataset IN ('next event', 'next purchase') AND metric IN ('hr_10', 'ndcg_10'))
    OR (model = 'next_item' AND dataset LIKE 'purchase within%' AND metric = 'brier'))
QUALIFY rank() OVER (PARTITION BY model ORDER BY is_champion DESC, model_version DESC) = 1
ORDER BY model DESC, dataset DESC, metric
"""


def summarise(published: Path, run: NightRun) -> NightSummary:
    """Read the summary of a run that was published."""
    import duckdb

    from ecom_pipeline.report import report_beside

    connection = duckdb.connect(str(published), read_only=True)
    try:
        (files_loaded, rows_loaded), (rows_in_all, quarantined, duplicate) = (
            connection.execute(
                "SELECT count(*), coalesce(sum(rows_in), 0) FROM ingest_files WHERE run_id = ? AND status = 'loaded'",
                [run.run_id],
            ).fetchall()[0],
            connection.execute(
                "SELECT coalesce(sum(rows_in), 0), coalesce(sum(rows_quarantined), 0), "
                "coalesce(sum(rows_duplicate), 0) FROM ingest_files"
            ).fetchall()[0],
        )
        checks, failed = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE NOT success) FROM validation_results WHERE as_of = ?", [run.as_of]
        ).fetchall()[0]
        models = connection.execute(MODELS, [run.as_of]).fetchall()
        accuracy = connection.execute(ACCURACY, [run.as_of]).fetchall()
        queries = []
        for question, sql in QUESTIONS:
            answer = connection.execute(sql)
            columns = tuple(column[0] for column in answer.description or ())
            queries.append(Query(question, sql, columns, tuple(answer.fetchall())))
    finally:
        connection.close()
    return NightSummary(
        as_of=run.as_of,
        run_id=run.run_id,
        seconds=round(run.seconds, 1),
        published_file=str(published),
        report=str(report_beside(published)),
        files_loaded=files_loaded,
        rows_loaded=int(rows_loaded),
        rows_in_all=int(rows_in_all),
        rows_quarantined=int(quarantined),
        rows_duplicate=int(duplicate),
        checks=checks,
        checks_failed=failed,
        models=tuple(Model(*row) for row in models),
        accuracy=tuple(Accuracy(*row) for row in accuracy),
        queries=tuple(queries),
    )


def print_summary(console: Console, summary: NightSummary, run: NightRun) -> None:
    """The summary as a person reads it."""
    console.print()
    console.rule(f"[bold]The night of {summary.as_of}[/bold]", align="left")
    loaded, new, in_all = summary.rows_loaded, summary.files_loaded, summary.rows_in_all
    facts = {
        "loaded": f"{loaded:,} rows of {new:,} new files ({in_all:,} rows in all)",
        "quarantined": f"{summary.rows_quarantined:,} rows, and {summary.rows_duplicate:,} duplicates dropped",
        "rules checked": f"{summary.checks - summary.checks_failed:,} of {summary.checks:,} hold",
        "time": f"{summary.seconds:,.1f} s",
        "published": summary.published_file,
        "report": summary.report,
    }
    for name, told in facts.items():  # no grid: it would break a long path, which then cannot be copied
        console.print(f"{name:<15}", Text(told), sep="", soft_wrap=True)
    for check in run.failed_checks:
        console.print(f"[yellow]warning[/yellow] {check.sentence}", soft_wrap=True)
    for model in summary.models:
        stands_in = "" if model.decision == "promoted" else ", so its baseline stands in"
        console.print(
            f"{model.model} {model.model_version}: {model.decision}{stands_in} ({model.reason})", soft_wrap=True
        )
    if summary.accuracy:
        console.print(_accuracy_grid(summary.accuracy))
    asked = f"{command()} ask --home {shlex.quote(str(_from_here(Path(summary.published_file).parents[1])))}"
    console.print(f"\nTry, with [bold]{asked} --sql '…'[/bold] or any DuckDB client from 1.4 on:", soft_wrap=True)
    for query in summary.queries:
        console.print(f"\n[bold]{query.question}[/bold]\n{query.sql};", soft_wrap=True)
        console.print(_answer_grid(query))
    console.print(f"\nWhat else people ask: [bold]{asked}[/bold]", soft_wrap=True)


def command() -> str:
    """How this program is called: by its name where the shell finds it, else by its path."""
    program = Path(sys.argv[0])
    if program.name != PROGRAM or shutil.which(PROGRAM) is not None:
        return PROGRAM
    return shlex.quote(str(_from_here(program)))


def _from_here(path: Path) -> Path:
    """The path from the current folder, where it lies in it."""
    here = Path.cwd()
    absolute = here / path
    return absolute.relative_to(here) if absolute.is_relative_to(here) and absolute != here else path


def _accuracy_grid(accuracy: tuple[Accuracy, ...]) -> Grid:
    grid = Grid(title="\nOn held-out time, beside the baselines", title_justify="left", box=None)
    for name in ("model", "held out", "metric", "model's", "baseline's", "cases"):
        grid.add_column(name, justify="left" if name in ("model", "held out", "metric") else "right")
    for row in accuracy:
        baseline = f"{row.baseline:.4g}" if row.baseline is not None else ""
        grid.add_row(row.model, row.dataset, row.metric, f"{row.value:.4g}", baseline, f"{row.n:,}")
    return grid


def _answer_grid(query: Query) -> Grid:
    grid = Grid(box=None, header_style="dim")
    for column in query.columns:
        grid.add_column(column)
    for row in query.rows:
        grid.add_row(*("" if value is None else str(value) for value in row))
    if not query.rows:
        grid.add_row("no rows: this shop gives too little to answer it", *[""] * (len(query.columns) - 1))
    return grid
