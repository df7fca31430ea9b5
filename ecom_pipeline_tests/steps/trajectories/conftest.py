"""The shop of the tests of trajectories: empty tables for each of them."""

from collections.abc import Iterator

import pytest

from ecom_pipeline.contracts.trajectories import TRAJECTORY_TABLES
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import empty_warehouse
from ecom_pipeline_tests.steps.trajectories.trajectory_shop import TrajectoryShop


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("trajectories")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> TrajectoryShop:
    for declared in TRAJECTORY_TABLES:
        warehouse.run(f"DELETE FROM {declared.name}")
    return TrajectoryShop(warehouse)
