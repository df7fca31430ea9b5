"""The data dictionary: Markdown made from the contracts of what is published. Nothing in it is written by hand.

`python -m ecom_pipeline.contracts.dictionary docs/data-dictionary.md` writes it anew.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from ecom_pipeline.contracts.catalogue import PUBLISHED_TABLES
from ecom_pipeline.contracts.model import Layer

_SECTIONS: Mapping[Layer, str] = {
    "marts": "What the night says",
    "features": "The facts behind it",
    "operations": "What came in, what was wrong, what ran",
}

_HEAD = """# Data dictionary

Every table of `published/analytics.duckdb`. The same words are the comments of the tables and columns in the file:
`SELECT table_name, comment FROM duckdb_tables()`. Made from the contracts by
`python -m ecom_pipeline.contracts.dictionary docs/data-dictionary.md`; a test keeps it from drifting.

Times are UTC, days are days of the shop's time zone. *Kept by night* means that past nights stay, told apart by
`as_of`; other tables hold the state of the latest night.
"""


def render() -> str:
    """The whole dictionary."""
    parts = [_HEAD]
    sections = {
        title: [name for name, declared in PUBLISHED_TABLES.items() if declared.layer == layer]
        for layer, title in _SECTIONS.items()
    }
    for title, tables in sections.items():
        listed = ", ".join(f"[{name}](#{name})" for name in tables)
        parts.append(f"**{title}**: {listed}\n")
    for title, tables in sections.items():
        parts.append(f"## {title}\n")
        parts.extend(table_section(name) for name in tables)
    return "\n".join(parts)


def table_section(name: str, *, heading: str = "###") -> str:
    """What the dictionary says of one published table, under a heading of the given Markdown level.

    Raises:
        KeyError: if no table of that name is published.
    """
    declared = PUBLISHED_TABLES[name]
    key = ", ".join(f"`{column}`" for column in declared.key)
    notes = [f"One row for each {key}." if key else "", "Kept by night." if declared.by_night else ""]
    lines = [
        f"{heading} {name}\n",
        " ".join([declared.meaning, *(note for note in notes if note)]) + "\n",
        "| column | type | meaning |",
        "|---|---|---|",
        *(
            f"| `{column.name}` | {column.type}{'' if column.nullable else ', never null'} | {_cell(column.meaning)} |"
            for column in declared.columns
        ),
        "",
    ]
    if declared.rules:
        lines += ["Checked each night: " + "; ".join(_cell(rule.words) for rule in declared.rules) + ".", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
