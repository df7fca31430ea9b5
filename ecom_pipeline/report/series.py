"""The forecast section's data: for each series what was sold, what is expected, and what earlier nights expected.

Arrays stand for days: `sold` ends with the night, `forecast` begins the day after it. Products beyond the greatest
are left to the published file, which the page says; otherwise a page of a large shop would be too heavy for a phone.
"""

from typing import Any

from ecom_pipeline.report.queries import Publication, Row

PRODUCTS = 400
CATEGORIES = 200
PRODUCT_DAYS = 84
DAYS = 420
WEEK = 7
QUANTILES = ("p05", "p10", "p25", "p50", "p75", "p90", "p95")
COLUMNS = ("mean", *QUANTILES, "baseline")
MEASURES = ("quantity", "revenue")
SIGNIFICANT = 5
"""Digits that the page keeps; more would double its size and no chart shows them."""


def shortened(value: float | None) -> float | int | None:
    """The value with as many significant digits as the page keeps; null stays null."""
    if value is None:
        return None
    kept = float(f"{value:.{SIGNIFICANT}g}")
    return int(kept) if kept.is_integer() else kept


def series_of(publication: Publication) -> list[dict[str, Any]]:
    """The series on the page: the total, the categories by size, the products by size."""
    chosen = publication.ask("series", measure="revenue", products=PRODUCTS, categories=CATEGORIES)
    if not chosen:
        chosen = publication.ask("series", measure="quantity", products=PRODUCTS, categories=CATEGORIES)
    publication.choose(
        "chosen_series",
        {"level": [row["level"] for row in chosen], "series_id": [row["series_id"] for row in chosen]},
    )
    found = {(row["level"], row["series_id"]): _begun(row) for row in chosen}
    _add_history(found, publication.ask("history", product_days=PRODUCT_DAYS, days=DAYS))
    for row in publication.ask("forecasts"):
        series = found[row["level"], row["series_id"]]
        forecast = series["forecast"].setdefault(row["measure"], {column: [] for column in COLUMNS})
        for column in COLUMNS:
            forecast[column].append(shortened(row[column]))
        totals = series["totals"].setdefault(row["measure"], _no_totals())
        totals["ahead"] += row["mean"]
        totals["baseline"] += row["baseline"]
        if row["horizon"] <= WEEK:
            totals["next_week"] += row["mean"]
    for row in publication.ask("past_forecasts", product_days=PRODUCT_DAYS):
        past = found[row["level"], row["series_id"]]["past"].setdefault(row["measure"], [])
        past.append([row["days_ago"], shortened(row["mean"]), shortened(row["p10"]), shortened(row["p90"])])
    return list(found.values())


def products_in_all(publication: Publication) -> int:
    """How many products have a forecast, on the page or not."""
    rows = publication.ask("series", measure="quantity", products=1, categories=0)
    return next((row["in_level"] for row in rows if row["level"] == "product"), 0)


def _begun(row: Row) -> dict[str, Any]:
    return {
        "level": row["level"],
        "id": row["series_id"],
        "name": row["name"] or ("All sales" if row["level"] == "total" else row["series_id"]),
        "category": row["category"],
        "first_seen": row["first_seen"],
        "fallback": bool(row["fallback"]),
        "model": row["model"],
        "sold": {measure: [] for measure in MEASURES},
        "promotions": [],
        "holidays": [],
        "forecast": {},
        "past": {},
        "totals": {},
    }


def _no_totals() -> dict[str, float]:
    """Sums that the page shows; they are of the published values, not of the shortened ones."""
    return {"last_week": 0.0, "next_week": 0.0, "ahead": 0.0, "baseline": 0.0}


def _add_history(found: dict[tuple[str, str], dict[str, Any]], rows: list[Row]) -> None:
    """Fill `sold` day by day; a day that the published table does not have is null, as one of unknown demand is."""
    for row in rows:
        series = found[row["level"], row["series_id"]]
        days_ago = row["days_ago"]
        for measure in MEASURES:
            values = series["sold"][measure]
            if not values:
                values.extend([None] * (days_ago + 1))
            values[len(values) - 1 - days_ago] = shortened(row[measure])
            if days_ago < WEEK and row[measure] is not None:
                series["totals"].setdefault(measure, _no_totals())["last_week"] += row[measure]
        if row["on_promotion"] and row["level"] == "product":
            series["promotions"].append(days_ago)
        if row["is_holiday"] and row["level"] == "total":
            series["holidays"].append(days_ago)
    for series in found.values():
        if all(value is None for value in series["sold"]["revenue"]):
            series["sold"]["revenue"] = []
