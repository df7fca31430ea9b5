"""An open, empty warehouse."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse, open_warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_warehouse(tmp_path / "warehouse" / "warehouse.duckdb", Settings(profile="sample")) as opened:
        yield opened
