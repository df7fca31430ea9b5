"""The data dictionary is what the contracts say, all of it."""

from pathlib import Path

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.contracts.dictionary import render

FILE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"


def test_the_dictionary_in_docs_is_the_one_that_the_contracts_make() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), (
        "contracts changed: run python -m ecom_pipeline.contracts.dictionary docs/data-dictionary.md"
    )


def test_every_published_table_and_column_is_in_it() -> None:
    sections = {section.split("\n", 1)[0]: section for section in render().split("\n### ")[1:]}
    assert set(sections) == set(PUBLISHED_TABLES)
    for name, declared in PUBLISHED_TABLES.items():
        rows = [line.split(" | ")[0].strip("| `") for line in sections[name].splitlines() if line.startswith("| `")]
        assert tuple(rows) == declared.column_names


def test_rows_of_its_tables_have_three_cells_whatever_the_words() -> None:
    for line in render().splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == 4, line
