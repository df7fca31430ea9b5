"""What the documentation site adds to the pages of this folder: a page for each published table, from its contract."""

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ecom_pipeline.analyses import Analysis, analyses, anchor
from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.contracts.dictionary import table_section


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages under the analysts' part of the navigation."""
    pages = [f"tables/{name}.md" for name in sorted(PUBLISHED_TABLES)]
    (part,) = [part["Analysts"] for part in config.nav or [] if "Analysts" in part]
    part.append({"Tables": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages: columns and rules of the table, and the questions that it helps to answer."""
    asked = analyses()
    for name in PUBLISHED_TABLES:
        files.append(File.generated(config, f"tables/{name}.md", content=_page(name, asked)))
    return files


def _page(name: str, asked: tuple[Analysis, ...]) -> str:
    page = table_section(name, heading="#")
    links = [f"- [{one.question}](../analyses.md#{anchor(one)})" for one in asked if re.search(rf"\b{name}\b", one.sql)]
    return page + ("\n## Questions that it answers\n\n" + "\n".join(links) + "\n" if links else "")
