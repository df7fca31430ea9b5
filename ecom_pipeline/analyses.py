"""The analysts' questions: finding them in `sql/analyses/`, answering them from a published file, writing them down.

`python -m ecom_pipeline.analyses published/analytics.duckdb docs/analyses.md` writes the page with its answers.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

FILE_NAME = re.compile(r"(\d{2})_([a-z0-9_]+)\.sql")
ROWS_SHOWN = 8

_HEAD = """# Questions and answers

What analysts ask of a shop, each as a query for the published file. Open it and paste one in:

```sh
duckdb -readonly data/published/analytics.duckdb
```

Without the DuckDB command line, `ecom-pipeline ask 12` gives the answer to a question from your own shop, and
`ecom-pipeline ask --sql "SELECT …"` that to a query of your own.

The queries are files in `sql/analyses/`; what the tables and columns mean is told by the
[data dictionary](data-dictionary.md). The answers below are those of the sample shop, whose people, products and sales
are **synthetic**: they show what an answer looks like and are no finding about any real shop. At most {rows} rows of
each are shown. They are as of the last of these nights: {nights}.
Times are those of a machine with other work beside it.
Made by `python -m ecom_pipeline.analyses data/published/analytics.duckdb docs/analyses.md`.
"""


class AnalysisError(ValueError):
    """A file in `sql/analyses/` cannot be used; the message names it and says what is missing."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """One question, how its answer is read, and the SQL that answers it from a published file."""

    number: int
    name: str
    question: str
    reading: str
    sql: str

    @property
    def file_name(self) -> str:
        """Name of its file in `sql/analyses/`."""
        return f"{self.number:02d}_{self.name}.sql"


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and all rows of an answer."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def analyses() -> tuple[Analysis, ...]:
    """All questions in the order of their numbers.

    Raises:
        AnalysisError: if a file has another name than `NN_question.sql`, or its header lacks something.
    """
    folder = files("ecom_pipeline").joinpath("sql", "analyses")
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return tuple(read_analysis(entry.name, entry.read_text(encoding="utf-8")) for entry in entries)


def read_analysis(file_name: str, text: str) -> Analysis:
    """An analysis from its file: a header of comments `-- Question: …` and `-- Reading: …`, then one statement.

    Raises:
        AnalysisError: if the name or the header is not so.
    """
    named = FILE_NAME.fullmatch(file_name)
    if named is None:
        raise AnalysisError(f"sql/analyses/{file_name}: name the file NN_question.sql, lower-case, such as 07_what.sql")
    header: dict[str, str] = {}
    part = ""
    lines = text.splitlines()
    body_starts = next((place for place, line in enumerate(lines) if not line.startswith("--")), len(lines))
    for line in lines[:body_starts]:
        words = line.removeprefix("--").strip()
        key, colon, rest = words.partition(": ")
        if colon and key in {"Question", "Reading"}:
            part, words = key, rest
        header[part] = f"{header.get(part, '')} {words}".strip()
    for key in ("Question", "Reading"):
        if not header.get(key):
            raise AnalysisError(f"sql/analyses/{file_name}: the header has no line `-- {key}: …`")
    sql = "\n".join(lines[body_starts:]).strip()
    if not sql:
        raise AnalysisError(f"sql/analyses/{file_name}: there is no statement below the header")
    return Analysis(
        number=int(named[1]), name=named[2], question=header["Question"], reading=header["Reading"], sql=sql
    )


def answer(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Answer:
    """The answer from an open published file.

    Raises:
        duckdb.Error: if the file lacks a table or column that the question is about.
    """
    result = connection.execute(analysis.sql)
    columns = tuple(str(column[0]) for column in result.description or ())
    return Answer(columns=columns, rows=tuple(result.fetchall()))


def render(published: Path) -> str:
    """The whole page in Markdown, with the answers of a published file."""
    asked = analyses()
    contents = "\n".join(f"{one.number}. [{one.question}](#{anchor(one)})" for one in asked)
    with duckdb.connect(str(published), read_only=True) as connection:
        sections = [_section(one, answer(connection, one)) for one in asked]
        nights = connection.execute("SELECT DISTINCT as_of FROM sales_forecasts ORDER BY as_of").fetchall()
    listed = ", ".join(night.isoformat() for (night,) in nights)
    return "\n".join([_HEAD.format(rows=ROWS_SHOWN, nights=listed), contents, "", *sections])


def _heading(analysis: Analysis) -> str:
    return f"{analysis.number}. {analysis.question}"


def anchor(analysis: Analysis) -> str:
    """The address that GitHub and MkDocs give to the heading."""
    return re.sub(r"[^a-z0-9 -]", "", _heading(analysis).lower()).replace(" ", "-")


def _section(analysis: Analysis, found: Answer) -> str:
    shown = found.rows[:ROWS_SHOWN]
    more = len(found.rows) - len(shown)
    parts = [f"## {_heading(analysis)}", "", analysis.reading, "", "```sql", analysis.sql, "```", ""]
    if shown:
        parts += [*_table(found.columns, shown), ""]
    else:
        parts += ["No rows in the file that this page was made from.", ""]
    if more:
        parts += [f"… and {more} more {'row' if more == 1 else 'rows'}.", ""]
    return "\n".join(parts)


def _table(columns: tuple[str, ...], rows: tuple[tuple[Any, ...], ...]) -> Iterator[str]:
    numeric = [all(isinstance(row[place], int | float | None) for row in rows) for place in range(len(columns))]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "|".join("---:" if right else "---" for right in numeric) + "|"
    for row in rows:
        yield "| " + " | ".join(cell(value).replace("|", "\\|").replace("\n", " ") for value in row) + " |"


def cell(value: Any) -> str:
    """One value of an answer as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(render(Path(sys.argv[1])), encoding="utf-8")
