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


def test_the_home_of_the_first_hour_is_found_from_the_folder_of_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People export ECOM_PIPELINE_HOME=data in the clone; a notebook runs in its own folder."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    (tmp_path / "data" / "published").mkdir(parents=True)
    make_shop(tmp_path / "data" / "published" / "analytics.duckdb")
    monkeypatch.chdir(tmp_path / "docs" / "notebooks")
    monkeypatch.setenv("ECOM_PIPELINE_HOME", "data")
    matplotlib.use("Agg")
    first = next(cell for cell in read(FOLDER / "first-look.ipynb")["cells"] if cell["cell_type"] == "code")
    names: dict[str, Any] = {}
    exec(compile("".join(first["source"]), "first-look.ipynb, first cell", "exec"), names)  # noqa: S102 - ours
    names["shop"].close()
    assert names["home"] == tmp_path / "data"


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
