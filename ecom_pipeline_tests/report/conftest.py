"""A small published shop whose every section has something to say, with names that try to break out of the page."""

from pathlib import Path

import duckdb
import pytest

from ecom_pipeline import contracts

SHOP = Path(__file__).parents[1] / "published_shop.sql"
HOSTILE = """</script><script>document.title='broken'</script><img src=x onerror="document.title='broken'">"""
NIGHTS_BEFORE = """
INSERT INTO about VALUES
  (DATE '2025-06-30', DATE '2025-06-29', 2, TIMESTAMP '2025-07-01', '0.1.0', 'corner_shop', false);
INSERT INTO model_metrics
SELECT DATE '2025-06-29' + CAST(n AS INTEGER), 'sales_forecaster', '1', true, d, m, 0.2 + 0.01 * n, 0.3, 28
FROM range(2) AS a(n) CROSS JOIN (VALUES ('quantity, total'), ('quantity, product')) AS b(d)
CROSS JOIN (VALUES ('wape'), ('coverage_80')) AS c(m);
INSERT INTO model_versions VALUES
  ('sales_forecaster', '1', DATE '2025-06-29', 'f', 'rejected', 'no better than the baseline', 0, '0.1.0');
INSERT INTO ingest_files VALUES
  (1, 'orders', 'orders/1.csv', 9, NULL, 'x', 'loaded', 100, 96, 3, 1, true, NULL, TIMESTAMP '2025-07-01', 'r');
INSERT INTO path_sequences VALUES
  (DATE '2025-06-30', 'category', 'leave', 1, 'group 0 > group 1', 2, 30, 20, 0.6, 90),
  (DATE '2025-06-30', 'event', 'leave', 2, '… > view > cart > view > cart > view', 6, 7, 7, 0.05, 90);
"""


def make_shop(file: Path, *, with_rows: bool = True) -> Path:
    """The published file of the small shop, or of one without a row."""
    with duckdb.connect(str(file)) as connection:
        for name, declared in contracts.PUBLISHED_TABLES.items():
            connection.execute(contracts.create_statement(declared, name=name))
        if with_rows:
            connection.execute(SHOP.read_text(encoding="utf-8")).fetchall()
            connection.execute(NIGHTS_BEFORE).fetchall()
            connection.execute("UPDATE items SET name = ? WHERE item_id IN ('i3', 'i5')", [HOSTILE]).fetchall()
            connection.execute("UPDATE recommendations SET reason = ? WHERE rank = 2", [HOSTILE]).fetchall()
            connection.execute("UPDATE quarantine_summary SET example = ?", [HOSTILE]).fetchall()
    return file


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file of the small shop."""
    return make_shop(tmp_path_factory.mktemp("report") / "analytics.duckdb")
