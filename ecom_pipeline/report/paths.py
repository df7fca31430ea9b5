"""Paths of visits as a flow from left to right: each step has its own column, so that the flow never turns back."""

from collections import Counter
from itertools import pairwise
from typing import Any

from ecom_pipeline.report.queries import Row

CUT = "…"
ENDS = {"purchase": "bought", "leave": "left"}
STEPS_SHOWN = 4
NODES_IN_COLUMN = 6
OTHERS = "others"
AT_ONCE = "1. came to buy"
EARLIER = "earlier steps"


def flow_of(paths: list[Row]) -> dict[str, Any] | None:
    """Nodes and links of one kind of paths, with visits as their width; None where no visit has two steps.

    Paths longer than `STEPS_SHOWN` have a node that says so, and so has the beginning of those of which only the end is
    known. States that are rare in their column are summed up.
    """
    walks = [(_steps_of(path["path"], path["outcome"]), path["outcome"], int(path["sessions"])) for path in paths]
    if not any(steps for steps, _, _ in walks):
        return None
    sizes: Counter[tuple[int, str]] = Counter()
    for steps, _, sessions in walks:
        for place, state in enumerate(steps[:STEPS_SHOWN]):
            sizes[place, state] += sessions
    kept: set[tuple[int, str]] = set()
    for place in range(STEPS_SHOWN):
        column = sorted(
            (item for item in sizes.items() if item[0][0] == place), key=lambda item: (-item[1], item[0][1])
        )
        kept |= {key for key, _ in column[:NODES_IN_COLUMN]}
    links: Counter[tuple[str, str]] = Counter()
    for steps, outcome, sessions in walks:
        nodes = [
            f"{place + 1}. {state if (place, state) in kept else OTHERS}"
            for place, state in enumerate(steps[:STEPS_SHOWN])
        ]
        if len(steps) > STEPS_SHOWN:
            nodes.append(f"{STEPS_SHOWN + 1}. more steps")
        if not steps:
            nodes.append(AT_ONCE)
        nodes.append(ENDS[outcome])
        for before, after in pairwise(nodes):
            links[before, after] += sessions
    return {
        "nodes": sorted({node for link in links for node in link}),
        "links": [
            {"source": source, "target": target, "visits": visits}
            for (source, target), visits in sorted(links.items(), key=lambda item: (-item[1], item[0]))
        ],
        "shares": {
            outcome: sum(path["share"] for path in paths if path["outcome"] == outcome)
            for outcome in sorted({path["outcome"] for path in paths})
        },
        "visits": sum(sessions for _, _, sessions in walks),
        "period_days": int(paths[0]["period_days"]),
    }


def _steps_of(path: str, outcome: str) -> list[str]:
    """The steps of a path as `path_sequences` tells it, less the purchase that it leads to: that is the outcome.

    The mark of a cut beginning is a step with a name.
    """
    steps = [EARLIER if step == CUT else step for step in path.split(" > ")]
    return steps[:-1] if outcome == steps[-1] == "purchase" else steps
