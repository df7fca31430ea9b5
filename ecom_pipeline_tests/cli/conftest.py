"""What the tests of the commands share."""

from pathlib import Path

import pytest

from ecom_pipeline_tests.report.conftest import make_shop


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of which there are settings, a published file and one landed file alone."""
    root = tmp_path_factory.mktemp("home")
    (root / "settings.yaml").write_text("profile: sample\n", encoding="utf-8")
    (root / "published").mkdir()
    make_shop(root / "published" / "analytics.duckdb")
    (root / "landing" / "orders").mkdir(parents=True)
    lines = ["order,sku", *(f"{number},i{number}" for number in range(2, 12))]
    (root / "landing" / "orders" / "1.csv").write_text("\n".join(lines), encoding="utf-8")
    return root
