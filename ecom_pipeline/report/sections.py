"""What each section of the report says: published rows in the page's order, or a sentence on why it is left out."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from ecom_pipeline.report.paths import flow_of
from ecom_pipeline.report.people import next_steps_section, segments_section, users_section
from ecom_pipeline.report.queries import Publication, Row
from ecom_pipeline.report.series import DAYS, PRODUCT_DAYS, products_in_all, series_of, shortened

Section = dict[str, Any]

SIMILAR_OF = 60
SIMILAR = 8
PATHS = 60
MISSES_SHOWN = 12
REASONS = {
    "promotion": "a promotion ran",
    "stock-out": "out of stock the day before or after",
    "new product": "first seen less than 28 days before",
    "holiday": "a public holiday",
    "whole shop": "the whole shop sold outside its own interval that day",
    "not known": "nothing in the data explains it",
}
MODEL_NAMES = {"sales_forecaster": "Sales forecaster", "next_item": "Next-item model"}
METRIC_WORDS = {
    "wape": "error (WAPE; lower is better)",
    "hr_10": "hit rate of 10 (higher is better)",
    "ndcg_10": "NDCG of 10 (higher is better)",
}


def sections_of(publication: Publication) -> dict[str, Section]:
    """All sections by name; one that cannot be told has `left_out`, a sentence."""
    return {
        "headline": _headline(publication),
        "forecast": _forecast(publication),
        "misses": _misses(publication),
        "value": _value(publication),
        "people": users_section(publication),
        "segments": segments_section(publication),
        "next_steps": next_steps_section(publication),
        "similar": _similar(publication),
        "funnel": _funnel(publication),
        "paths": _paths(publication),
        "quality": _quality(publication),
        "models": _models(publication),
    }


def _headline(publication: Publication) -> Section:
    weeks = {row["week"]: row for row in publication.ask("weeks")}
    visits = {row["week"]: row for row in publication.ask("visits")}
    next_week = {row["measure"]: row for row in publication.ask("next_week")}
    if "this" not in weeks:
        return {"left_out": "The shop has less than a week of sales so far; its figures appear after the seventh day."}
    trend = publication.ask("weekly_trend")
    figures = []
    for key, label, unit in (
        ("revenue", "Revenue", "money"),
        ("units", "Units sold", "count"),
        ("orders", "Orders", "count"),
    ):
        if weeks["this"][key] is None:
            continue
        figures.append(
            _figure(key, label, unit, {week: row[key] for week, row in weeks.items()}, [row[key] for row in trend])
        )
    left_out = [] if weeks["this"]["revenue"] is not None else ["Revenue is left out: no feed has prices."]
    if visits.get("this", {}).get("visits_with_view"):
        trend = publication.ask("weekly_visits")
        figures.append(
            _figure(
                "visits",
                "Visits",
                "count",
                {week: row["visits"] for week, row in visits.items()},
                [row["visits"] for row in trend],
            )
        )
        figures.append(
            _figure(
                "conversion",
                "Visits that buy",
                "share",
                {week: row["visits_with_purchase"] / row["visits"] for week, row in visits.items() if row["visits"]},
                [row["visits_with_purchase"] / row["visits"] if row["visits"] else None for row in trend],
            )
        )
    else:
        left_out.append("Visits and their conversion are left out: no feed says who looked at what.")
    for measure, key, label, unit in (
        ("revenue", "revenue", "Expected revenue, next 7 days", "money"),
        ("quantity", "units", "Expected units, next 7 days", "count"),
    ):
        if measure in next_week and next_week[measure]["days"] == 7:
            figures.append(
                {
                    "key": f"next_{key}",
                    "label": label,
                    "unit": unit,
                    "value": next_week[measure]["expected"],
                    "last_week": weeks["this"][key],
                    "last_year": weeks.get("next_year_ago", {}).get(key),
                    "trend": [],
                    "is_forecast": True,
                }
            )
    if "year" not in weeks:
        left_out.append("The comparison with last year is left out: the data go back less than a year.")
    return {"figures": figures, "notes": left_out}


def _figure(key: str, label: str, unit: str, by_week: dict[str, Any], trend: list[Any]) -> dict[str, Any]:
    return {
        "key": key,
        "label": label,
        "unit": unit,
        "value": by_week["this"],
        "last_week": by_week.get("last"),
        "last_year": by_week.get("year"),
        "trend": [shortened(value) for value in trend],
        "is_forecast": False,
    }


def _forecast(publication: Publication) -> Section:
    series = series_of(publication)
    if not series:
        return {"left_out": "No forecast was published: the shop has too little history, or its forecast step failed."}
    in_all = products_in_all(publication)
    shown = sum(one["level"] == "product" for one in series)
    notes = []
    if shown < in_all:
        notes.append(
            f"The {shown:,} products with the greatest expected sales of {in_all:,} are on this page; "
            "the rest is in the table sales_forecasts."
        )
    if not any(one["level"] == "category" for one in series):
        notes.append("Categories are left out: no feed has them.")
    if not any("revenue" in one["forecast"] for one in series):
        notes.append("Revenue is left out: no feed has prices.")
    if any(one["fallback"] for one in series):
        notes.append("The seasonal profile stands in for the model, which did not beat it or could not be used.")
    if not any(one["past"] for one in series):
        notes.append("What earlier nights forecast appears here once the days they spoke of are over.")
    return {
        "series": series,
        "notes": notes,
        "days": DAYS,
        "product_days": PRODUCT_DAYS,
        "horizon": max(len(values["mean"]) for one in series for values in one["forecast"].values()),
    }


def _misses(publication: Publication) -> Section:
    rows = publication.ask("misses")
    if not rows:
        return {
            "left_out": "No night has forecast a day that is over by now. The second night shows where the first "
            "was wrong."
        }
    missed = [row for row in rows if not row["in_80"]]
    errors: dict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    for row in missed:
        errors[row["reason"]] += row["abs_error"]
        counts[row["reason"]] += 1
    worst = sorted(missed, key=lambda row: (-row["abs_error"], row["target_date"], row["item_id"]))[:MISSES_SHOWN]
    return {
        "forecasts": len(rows),
        "outside": len(missed),
        "reasons": [
            {"reason": reason, "meaning": meaning, "misses": counts[reason], "units": shortened(errors[reason])}
            for reason, meaning in sorted(REASONS.items(), key=lambda item: -errors[item[0]])
            if counts[reason]
        ],
        "worst": [
            {
                **{key: row[key] for key in ("target_date", "item_id", "name", "reason", "horizon")},
                **{key: shortened(row[key]) for key in ("actual", "forecast", "p10", "p90")},
            }
            for row in worst
        ],
    }


def _value(publication: Publication) -> Section:
    made = publication.ask("value_added")
    held_out = publication.ask("held_out")
    if not made and not held_out:
        return {"left_out": "No forecast of the model could be judged yet; the seasonal profile stands in."}
    return {"made": _shortened(made), "held_out": _shortened(held_out)}


def _similar(publication: Publication) -> Section:
    rows = publication.ask("similar", items=SIMILAR_OF, similar=SIMILAR)
    if not rows:
        return {"left_out": "Similar products are left out: no feed says which user bought or looked at what."}
    items: dict[str, Row] = {}
    for row in rows:
        item = items.setdefault(
            row["item_id"],
            {**{key: row[key] for key in ("item_id", "name", "category", "events")}, "similar": []},
        )
        item["similar"].append(
            {
                "item_id": row["similar_item_id"],
                "name": row["similar_name"],
                "category": row["similar_category"],
                "score": shortened(row["score"]),
            }
        )
    return {"items": list(items.values())}


def _funnel(publication: Publication) -> Section:
    rows = publication.ask("funnel")
    if not any(row["with_view"] for row in rows):
        return {"left_out": "The funnel is left out: it needs a browse feed, and this shop's feeds hold orders alone."}
    splits: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        splits[row["split"]].append({key: value for key, value in row.items() if key != "split"})
    kept = {name: parts for name, parts in splits.items() if name == "all" or len(parts) > 1}
    has_carts = any(row["then_cart"] for row in rows)
    return {
        "splits": kept,
        "has_carts": has_carts,
        "notes": [] if has_carts else ["The step into the cart is left out: the feeds have no such events."],
    }


def _paths(publication: Publication) -> Section:
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in publication.ask("paths", paths=PATHS):
        by_kind[row["kind"]].append(row)
    flows = {kind: flow for kind, rows in sorted(by_kind.items(), reverse=True) if (flow := flow_of(rows)) is not None}
    if not flows:
        return {"left_out": "Paths are left out: they need a browse feed, and this shop's feeds hold orders alone."}
    top = {
        kind: [
            {key: row[key] for key in ("outcome", "rank", "path", "sessions", "share")}
            for row in by_kind[kind]
            if row["rank"] <= 5
        ]
        for kind in flows
    }
    return {"flows": flows, "top": top}


def _quality(publication: Publication) -> Section:
    nights = publication.ask("checks")
    tonight = next((row for row in nights if row["as_of"] == publication.as_of), None)
    return {
        "feeds": publication.ask("feeds"),
        "quarantine": publication.ask("quarantine"),
        "tonight": tonight,
        "nights": list(reversed(nights)),
        "failed": publication.ask("failed_checks"),
        "steps": _shortened(publication.ask("slowest_steps")),
    }


def _models(publication: Publication) -> Section:
    versions = publication.ask("versions")
    if not versions:
        return {"left_out": "No model was trained yet; the seasonal profile and co-visitation stand in."}
    trend: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in publication.ask("model_trend"):
        trend[row["model"], row["dataset"], row["metric"]].append(row)
    return {
        "versions": [{**row, "model_name": MODEL_NAMES.get(row["model"], row["model"])} for row in versions],
        "trend": [
            {
                "model": model,
                "model_name": MODEL_NAMES.get(model, model),
                "dataset": dataset,
                "metric": metric,
                "words": METRIC_WORDS[metric],
                "nights": [row["as_of"] for row in rows],
                "values": [shortened(row["value"]) for row in rows],
                "baselines": [shortened(row["baseline_value"]) for row in rows],
                "versions": [row["model_version"] for row in rows],
            }
            for (model, dataset, metric), rows in trend.items()
        ],
    }


def first_day(publication: Publication) -> str:
    """The first day of the forecasts."""
    return (publication.as_of + timedelta(days=1)).isoformat()


def _shortened(rows: list[Row]) -> list[Row]:
    return [
        {key: shortened(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    ]
