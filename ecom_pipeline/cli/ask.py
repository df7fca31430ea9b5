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
GAP = 2
LONGEST_WORD = 16
"""Characters of a word that a column of an answer never breaks; longer ones fold."""


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
    console.print(as_text(found, rows=rows, width=console.width) if found.rows else NOTHING)
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


def as_text(found: Answer, *, rows: int, width: int) -> Grid:
    """The answer as a table where the terminal is wide enough for its words and figures, else row by row."""
    shown = found.rows[:rows]
    told = [[printable(cell(value)) for value in row] for row in shown]
    headings = [column.replace("_", " ") for column in found.columns]
    columns = [[heading, *(row[place] for row in told)] for place, heading in enumerate(headings)]
    widths = _widths(columns, width)
    if widths is None:
        return _row_by_row(headings, told, width)
    grid = Grid(box=None, header_style="dim", padding=(0, GAP, 0, 0), pad_edge=False)
    for place, heading in enumerate(headings):
        is_number = all(isinstance(row[place], int | float | None) for row in shown)
        grid.add_column(heading, justify="right" if is_number else "left", width=widths[place], overflow="fold")
    for row in told:
        grid.add_row(*map(Text, row))
    return grid


def _widths(columns: list[list[str]], width: int) -> list[int] | None:
    """A width for each column that breaks no word of up to LONGEST_WORD characters; None if there is no room."""
    widths = [min(max(len(word) for text in texts for word in text.split(" ")), LONGEST_WORD) for texts in columns]
    full = [max(map(len, texts)) for texts in columns]
    spare = width - sum(widths) - GAP * len(columns)
    if spare < 0:
        return None
    for _ in range(spare):
        missing = [wanted - given for wanted, given in zip(full, widths, strict=True)]
        if max(missing) <= 0:
            break
        widths[missing.index(max(missing))] += 1
    return widths


def _row_by_row(headings: list[str], told: list[list[str]], width: int) -> Grid:
    """Each row as its first cell and the names and values of the others, filled into lines between them."""
    grid = Grid.grid(padding=(0, GAP, 0, 0))
    first_width = min(max(len(first) for first in (headings[0], *(row[0] for row in told))), width // 3)
    grid.add_column(width=first_width, overflow="fold")
    grid.add_column(width=width - first_width - GAP, overflow="fold")
    grid.add_row(Text(headings[0], style="dim"))
    for first, *others in told:
        filled, room = Text(), 0
        for heading, value in zip(headings[1:], others, strict=True):
            length = len(heading) + 1 + len(value) + GAP
            if not value:
                continue
            if filled and length - GAP > room:
                filled.append("\n")
            if not filled or length - GAP > room:
                room = width - first_width - GAP
            filled.append(f"{heading} ", style="dim").append(value + " " * min(GAP, max(room - length + GAP, 0)))
            room -= length
        grid.add_row(Text(first, style="bold"), filled)
    return grid
