from collections.abc import Iterator
from pathlib import Path

import pytest

from ecom_pipeline_tests.sources.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened
