"""`ecom-pipeline ask`: the analysts' questions, answered from a home's published file; or a query of one's own."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from ecom_pipeline.analyses import Analysis, Answer, analyses, answer, cell
from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.finding import published_file
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, existing_home
from ecom_pipeline.cli.printing import printable
from ecom_pipeline.settings import Home

NOTHING = "No rows: the feeds of this shop, or its nights so far, say nothing of it."


def ask(  # noqa: PLR0917 - options of a command, never passed by position
    question: Annotated[
        str, typer.Argument(help="Number of a question, or words of it; nothing lists all of them.")
    ] = "",
    sql: Annotated[str, typer.Option(help="A query of your own instead.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="Rows of the answer to print.")] = 20,
    show_sql: Annotated[bool, typer.Option("--show-sql", help="Print the SQL above the answer.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What people ask of a shop (sql/analyses), answered from the published file.

    It reads the published file alone and can change nothing. All questions with answers of the sample shop are in
    docs/analyses.md.

    Examples:

      ecom-pipeline ask

      ecom-pipeline ask 37 --home shop

      ecom-pipeline ask newsletter --show-sql --home shop

      ecom-pipeline ask --sql "SELECT level, count(*) FROM sales_forecasts GROUP BY level" --home shop
    """
    if question and sql:
        raise CommandError("Ask a question or give --sql, not both.", ExitCode.USAGE)
    console = Console(highlight=False)
    if not question and not sql:
        _list(analyses(), console=console, as_json=as_json)
        return
    shop = existing_home(home)
    asked = Analysis(0, "own", "", "", sql) if sql else _meant(question)
    found = _answer(shop, asked)
    if as_json:
        told = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        typer.echo(json.dumps(told, default=str, indent=2, ensure_ascii=False))
        return
    if asked.question:
        console.print(f"[bold]{asked.number}. {asked.question}[/bold]")
        console.print(asked.reading, style="dim")
    if show_sql:
        console.print(Syntax(asked.sql, "sql", background_color="default"))
    console.print(_grid(found, rows) if found.rows else NOTHING)
    if len(found.rows) > rows:
        console.print(f"… and {len(found.rows) - rows:,} more: --rows {len(found.rows)}", style="dim")


def _list(asked: tuple[Analysis, ...], *, console: Console, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([{"number": one.number, "question": one.question} for one in asked], indent=2))
        return
    for one in asked:
        console.print(f"{one.number:>3}  {one.question}", soft_wrap=True)
    console.print("\nAn answer: ecom-pipeline ask NUMBER", style="dim")


def _meant(question: str) -> Analysis:
    """The question of this number, or the one with all of these words.

    Raises:
        CommandError: if there is none, or several.
    """
    asked = analyses()
    if question.isdigit():
        if not 1 <= int(question) <= len(asked):
            raise CommandError(f"Questions go from 1 to {len(asked)}; `ecom-pipeline ask` lists them.", ExitCode.USAGE)
        return asked[int(question) - 1]
    words = question.lower().split()
    found = [one for one in asked if all(word in one.question.lower() for word in words)]
    if len(found) != 1:
        which = "; ".join(f"{one.number}: {one.question}" for one in found)
        raise CommandError(
            f"{len(found)} questions have all of these words: {which} Ask by the number."
            if found
            else f"No question has the words {question!r}; `ecom-pipeline ask` lists them.",
            ExitCode.USAGE,
        )
    return found[0]


def _answer(shop: Home, asked: Analysis) -> Answer:
    import duckdb

    with duckdb.connect(str(published_file(shop)), read_only=True) as connection:
        connection.execute("SET enable_external_access = false").fetchall()
        try:
            return answer(connection, asked)
        except duckdb.Error as error:
            raise CommandError(
                f"The query cannot be answered: {error}"
                if not asked.number
                else f"{shop.published_file} is of another version of ecom-pipeline: {error}\nRun the night again.",
                ExitCode.USAGE if not asked.number else ExitCode.UNUSABLE,
            ) from None


def _grid(found: Answer, rows: int) -> Grid:
    grid = Grid(box=None, header_style="dim")
    shown = found.rows[:rows]
    told = [[printable(cell(value)) for value in row] for row in shown]
    for place, column in enumerate(found.columns):
        is_text = any(isinstance(row[place], str) for row in shown)
        words = column.split("_")  # a heading may wrap between its words; figures and days are not broken
        longest = [*words, *(() if is_text else (row[place] for row in told))]
        is_number = all(isinstance(row[place], int | float | None) for row in shown)
        grid.add_column(
            " ".join(words), justify="right" if is_number else "left", min_width=max(map(len, longest)), overflow="fold"
        )
    for row in told:
        grid.add_row(*map(Text, row))
    return grid
