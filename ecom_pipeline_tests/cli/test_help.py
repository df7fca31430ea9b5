"""How help reads, and what a command says that is asked for what it cannot do."""

from pathlib import Path

from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.cli.help_pages import help_of


def documented() -> None:
    """Do a thing.

    It goes on
    in a second line, with [brackets].

    Example:

      ecom-pipeline status --home shop
    """


def test_paragraphs_wrap_with_the_terminal_and_examples_stand_out() -> None:
    assert help_of(documented).split("\n\n") == [
        "Do a thing.",
        r"It goes on in a second line, with \[brackets].",
        "Example:",
        "[cyan]  ecom-pipeline status --home shop[/cyan]",
    ]


def test_examples_are_indented_and_flags_have_no_type() -> None:
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["show", "forecast", "--help"]).stdout
    assert '\n   ecom-pipeline show forecast "espresso machine" --measure revenue --home shop' in shown
    assert "<quantity|revenue>" in shown
    assert "<bool>" not in shown


def test_a_shop_is_not_generated_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(app, ["generate", str(tmp_path), "--days", "1"])
    assert done.exit_code == 4
    assert "is not empty: name a new folder" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]
