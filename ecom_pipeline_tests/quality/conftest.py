"""An empty warehouse for each test of validation: a copy of one that is made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse, open_warehouse


@pytest.fixture(scope="session")
def empty_warehouse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "warehouse.duckdb"
    with open_warehouse(file, Settings(profile="sample")):
        return file


@pytest.fixture
def warehouse(tmp_path: Path, empty_warehouse_file: Path) -> Iterator[Warehouse]:
    file = tmp_path / "warehouse.duckdb"
    shutil.copy(empty_warehouse_file, file)
    with open_warehouse(file, Settings(profile="sample")) as opened:
        yield opened
