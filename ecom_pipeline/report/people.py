"""The sections on people: users with their history and recommendations, segments, next steps."""

from collections import defaultdict
from typing import Any

from ecom_pipeline.report.queries import Publication, Row
from ecom_pipeline.report.series import shortened

Section = dict[str, Any]

USERS = 12
EVENTS = 12
RECOMMENDATIONS = 8
CURVES = ("buys", "nothing", "purchase")
"""Outcomes whose reliability is drawn, the most telling first."""
SCARCELY_ANYBODY = 1.0
"""Expected users from which on a next step is told."""
STEP_WORDS = {
    "nothing": "nothing",
    "view": "looks at a product",
    "favourite": "marks a favourite",
    "cart": "fills the cart",
    "purchase": "buys",
}


def users_section(publication: Publication) -> Section:
    """Some users: what they did, what is recommended to them and why, what they are likely to do."""
    users = publication.ask("users", users=USERS)
    if not users:
        return {"left_out": "No recommendation was published: no feed says which user bought or looked at what."}
    publication.choose("chosen_users", {"user_id": [row["user_id"] for row in users]})
    histories: dict[str, list[Row]] = defaultdict(list)
    for row in publication.ask("user_histories", events=EVENTS):
        histories[row["user_id"]].append({key: row[key] for key in ("item_id", "name", "event", "event_date", "times")})
    shown: dict[str, list[Row]] = defaultdict(list)
    for row in publication.ask("user_recommendations", recommendations=RECOMMENDATIONS):
        shown[row["user_id"]].append(
            {
                **{key: row[key] for key in ("rank", "item_id", "name", "category", "source", "reason", "is_repeat")},
                "probability": shortened(row["probability"]),
                "window_days": row["window_days"],
            }
        )
    outlook = {row["user_id"]: row for row in publication.ask("user_outlook")}
    return {
        "users": [
            {
                **row,
                "monetary": shortened(row["monetary"]),
                "state_segment": outlook[row["user_id"]]["state_segment"],
                "likeliest": outlook[row["user_id"]]["likeliest"],
                "p_buys": shortened(outlook[row["user_id"]]["p_buys"]),
                "buys_within": outlook[row["user_id"]]["window_days"],
                "history": histories[row["user_id"]],
                "recommendations": shown[row["user_id"]],
            }
            for row in users
        ]
    }


def segments_section(publication: Publication) -> Section:
    """Segments by the states of the sequence network."""
    rows = publication.ask("segments")
    if not rows:
        return {
            "left_out": "Segments are left out: they are groups of the states of the sequence network, and no such "
            "network is in force, or the shop has too few active users."
        }
    return {
        "segments": [
            {key: shortened(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        ],
        "users": sum(row["users"] for row in rows),
        "period_days": rows[0]["period_days"],
    }


def next_steps_section(publication: Publication) -> Section:
    """What active users are expected to do next, and what such probabilities were worth on held-out days."""
    rows = publication.ask("next_steps")
    if not rows:
        return {
            "left_out": "Next steps are left out: the shop has too little history with known users to learn them from."
        }
    curves: dict[str, list[Row]] = defaultdict(list)
    for row in publication.ask("next_step_reliability"):
        curves[row["outcome"]].append(
            {**{key: shortened(row[key]) for key in ("predicted", "observed")}, "users": row["users"]}
        )
    figures: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in publication.ask("next_step_figures"):
        figures[row["dataset"]][row["metric"]] = {
            "value": shortened(row["value"]),
            "baseline": shortened(row["baseline_value"]),
            "n": row["n"],
        }
    first = rows[0]
    return {
        "users": first["users"],
        "window_days": first["window_days"],
        "expected_buyers": shortened(first["expected_buyers"]),
        "steps": [
            {
                "words": STEP_WORDS[row["step"]],
                "step": row["step"],
                "likeliest_for": row["likeliest_for"],
                "expected_users": shortened(row["expected_users"]),
            }
            for row in rows
            if _is_expected(row)
        ],
        "curves": {name: curves[name] for name in CURVES if name in curves},
        "figures": [
            {"dataset": dataset, **metrics}
            for dataset, metrics in figures.items()
            if {"brier", "log_loss", "ece", "brier_skill"} <= metrics.keys()
        ],
        "notes": [*_stand_ins(first), *_not_expected(rows)],
    }


def _is_expected(row: Row) -> bool:
    return row["likeliest_for"] > 0 or row["expected_users"] >= SCARCELY_ANYBODY


def _not_expected(rows: list[Row]) -> list[str]:
    """Steps that the table leaves out: what a feed does not tell of never comes next."""
    left_out = [STEP_WORDS[row["step"]] for row in rows if not _is_expected(row)]
    if not left_out:
        return []
    return [f"Expected of less than one user in all, and left out of the table: {', '.join(left_out)}."]


def _stand_ins(row: Row) -> list[str]:
    told = {
        "next_fallback": "the next step: the model did not beat what mostly follows the last kind of event",
        "buys_fallback": "buying: the model did not beat the share of buyers after the last kind of event",
    }
    return [f"A floor stands in for {why} on held-out days." for flag, why in told.items() if row[flag]]
