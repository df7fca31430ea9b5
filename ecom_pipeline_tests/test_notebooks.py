"""The notebooks in docs/ run as they stand, and hold no output that could grow old."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from ecom_pipeline_tests.report.conftest import make_shop

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(notebook: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(notebook.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib.use("Agg")
    (tmp_path / "published").mkdir()
    make_shop(tmp_path / "published" / "analytics.duckdb")
    monkeypatch.setenv("ECOM_PIPELINE_HOME", str(tmp_path))
    names: dict[str, Any] = {}
    for number, cell in enumerate(read(notebook)["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)  # noqa: S102 - ours
    import matplotlib.pyplot as plt

    plt.close("all")
    assert len(names["recommended"]) == 90
    assert list(names["segments"]["users"]) == [10, 10, 10]
    assert names["made"]["wape"].iloc[0] > 0


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_of_format_four_without_outputs(notebook: Path) -> None:
    found = read(notebook)
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    identities = [cell["id"] for cell in found["cells"]]
    assert len(set(identities)) == len(identities)
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None
        for cell in found["cells"]
        if cell["cell_type"] == "code"
    )


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
