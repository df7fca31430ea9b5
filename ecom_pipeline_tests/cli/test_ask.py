"""`ask`: the analysts' questions from the terminal, and queries that can change nothing."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from ecom_pipeline.analyses import Answer, analyses
from ecom_pipeline.cli import app
from ecom_pipeline.cli.ask import as_text


def ask(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["ask", *(str(argument) for argument in arguments)])


def test_without_a_question_all_are_listed() -> None:
    listed = ask().stdout
    assert all(f"{one.number}  {one.question}" in listed for one in analyses())
    assert len(json.loads(ask("--json").stdout)) == len(analyses())


def test_a_question_is_found_by_its_number_or_its_words(home: Path) -> None:
    by_number = ask("1", "--home", home)
    assert by_number.exit_code == 0, by_number.output
    assert by_number.stdout.startswith("1. What will sell next week, and how sure are we?")
    assert ask("sell NEXT week", "--home", home).stdout == by_number.stdout
    assert "36.3" in by_number.stdout
    assert "say nothing of it" in ask("--sql", "SELECT 1 AS x WHERE false", "--home", home).stdout


def test_rows_that_are_not_shown_are_counted_and_the_sql_is_shown_when_asked_for(home: Path) -> None:
    done = ask("1", "--rows", "2", "--show-sql", "--home", home).stdout
    assert "… and 7 more: --rows 9" in done
    assert "FROM sales_forecasts" in done
    assert len(json.loads(ask("1", "--rows", "2", "--json", "--home", home).stdout)) == 9


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("99", "Questions go from 1 to"),
        ("weather", "No question has the words 'weather'"),
        ("products", "questions have all of these words: 4: Which products are dying?"),
    ],
)
def test_a_question_that_is_none_or_several_says_so(home: Path, question: str, message: str) -> None:
    done = ask(question, "--home", home)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_query_of_ones_own_is_answered_and_can_neither_write_nor_read_other_files(home: Path, tmp_path: Path) -> None:
    assert json.loads(ask("--sql", "SELECT count(*) AS n FROM items", "--json", "--home", home).stdout) == [{"n": 10}]
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    for sql in ("DELETE FROM items", f"COPY items TO '{tmp_path}/out.csv'", f"FROM '{secret}'", "SELEC 1"):
        done = ask("--sql", sql, "--home", home)
        assert done.exit_code == 2, sql
        assert "The query cannot be answered" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]
    assert ask("1", "--sql", "SELECT 1", "--home", home).exit_code == 2


def test_a_home_without_a_night_says_how_to_run_one(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("profile: sample\n", encoding="utf-8")
    done = ask("1", "--home", tmp_path)
    assert done.exit_code == 4
    assert "Run one with: ecom-pipeline nightly" in done.stderr


WIDE = Answer(
    columns=("user_id", "buyers_expected", "segment", "likeliest", "bought_for", "reason"),
    rows=(
        (
            "C00137",
            137.7,
            "cannot lose them",
            "favourite",
            10132.82,
            "you bought Kestrel charcoal, 3 kg before",
        ),
        ("C01451", 137.7, "hibernating", "nothing", 3261.12, "people with a taste like yours bought it"),
    ),
)


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_an_answer_fits_the_terminal_without_a_broken_word_or_a_lost_column(width: int) -> None:
    written = io.StringIO()
    Console(file=written, width=width).print(as_text(WIDE, rows=20, width=width))
    lines = written.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    words = written.getvalue().split()
    for row in WIDE.rows:
        for value in row:
            for word in str(value).split():
                assert word in words
    for column in WIDE.columns:
        for word in column.split("_"):
            assert word in words


def test_what_does_not_fit_as_a_table_is_told_row_by_row() -> None:
    def shown(width: int) -> list[str]:
        written = io.StringIO()
        Console(file=written, width=width).print(as_text(WIDE, rows=1, width=width))
        return [line.rstrip() for line in written.getvalue().splitlines()]

    assert shown(50)[:2] == ["user id", "C00137   buyers expected 137.7"]
    assert shown(50)[2] == "         segment cannot lose them"
    assert shown(80)[0].split() == ["user", "buyers", "bought"]
    assert sum(line.startswith("C00137") for line in shown(80)) == 1
