"""A wheel built from the project works outside the checkout: SQL files and bundled profiles travel in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ecom_pipeline_tests.real_data import CHECKOUT

LIST_WHAT_TRAVELS = """
import ecom_pipeline
from importlib.resources import files
from ecom_pipeline.contracts import tables_of_layer
from ecom_pipeline.sources import bundled_profiles, read_profile
from ecom_pipeline.warehouse import sql_text
from pathlib import Path

print(ecom_pipeline.__file__)
for table in tables_of_layer("features"):
    assert "SELECT" in sql_text("features", table.name).upper(), table.name
for folder, name in (("vendor", "echarts.min.js"), ("template", "report.html.j2"), ("template", "start.js")):
    assert files("ecom_pipeline.report").joinpath(folder, name).is_file(), name
for name in bundled_profiles():
    print(name, read_profile(name, base=Path.cwd()).shop.time_zone)
"""


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_sql_and_profiles_are_found_from_a_wheel_outside_the_checkout(unpacked_wheel: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST_WHAT_TRAVELS],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked_wheel), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    location, *profiles = done.stdout.splitlines()
    assert Path(location).is_relative_to(unpacked_wheel)
    assert {line.split()[0] for line in profiles} >= {"online_retail", "tmall2014", "complete_journey", "sample"}


def test_no_test_or_data_travels_in_the_wheel(unpacked_wheel: Path) -> None:
    top = {path.name for path in unpacked_wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"ecom_pipeline"}
