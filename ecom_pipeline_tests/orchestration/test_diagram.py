"""The picture of the asset graph is drawn from the definitions."""

from pathlib import Path
from xml.etree import ElementTree

import dagster as dg
import pytest

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.orchestration.diagram import draw

FILE = Path(__file__).resolve().parents[2] / "docs" / "images" / "architecture.svg"


def test_the_picture_in_docs_is_the_one_of_the_definitions(tmp_path: Path) -> None:
    assert FILE.read_text(encoding="utf-8") == draw(build_defs(tmp_path / "none")), (
        "assets changed: run python -m ecom_pipeline.orchestration.diagram docs/images/architecture.svg"
    )


def test_each_asset_has_a_box_and_each_dependency_a_line() -> None:
    specs = [
        dg.AssetSpec("a<b", group_name="raw"),
        dg.AssetSpec("c", group_name="core", deps=["a<b"]),
        dg.AssetSpec("d", group_name="core", deps=["a<b", "c"]),
    ]
    root = ElementTree.fromstring(draw(dg.Definitions(assets=specs)))  # noqa: S314
    kinds = [element.tag.rpartition("}")[2] for element in root]
    assert kinds.count("path") == 3
    texts = [element.text for element in root if element.tag.endswith("text")]
    assert {"a<b", "c", "d"} <= set(texts)


def test_an_asset_of_an_unknown_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        draw(dg.Definitions(assets=[dg.AssetSpec("a", group_name="elsewhere")]))
