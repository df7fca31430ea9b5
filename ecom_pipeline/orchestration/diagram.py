"""The asset graph as a picture: one column a layer, left to right, drawn from the definitions themselves.

`python -m ecom_pipeline.orchestration.diagram docs/images/architecture.svg` draws it anew.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import dagster as dg

LAYERS: Mapping[str, str] = {
    "raw": "#64748b",
    "core": "#0f766e",
    "features": "#0369a1",
    "models": "#7c3aed",
    "marts": "#b45309",
    "published": "#15803d",
}
"""Groups of assets from left to right, each with its colour."""

BOX = (178, 24)
GAP = 9
COLUMN = 246
TOP = 46
MARGIN = 16
BEND = 42
SWEEPS = 12


def draw(definitions: dg.Definitions) -> str:
    """The graph as SVG. An asset stands in the column of its group; assets that share neighbours stand close together.

    Raises:
        ValueError: if an asset has a group that is not one of `LAYERS`.
    """
    groups: dict[str, str] = {}
    above: dict[str, list[str]] = {}
    for spec in definitions.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        groups[name] = spec.group_name or ""
        above[name] = sorted(dependency.asset_key.to_user_string() for dependency in spec.deps)
    unknown = sorted({group for group in groups.values() if group not in LAYERS})
    if unknown:
        raise ValueError(f"assets have the groups {', '.join(unknown)}; the diagram knows {', '.join(LAYERS)}")
    columns = _ordered(groups, above)
    tallest = max(len(names) for names in columns.values())
    height = TOP + tallest * (BOX[1] + GAP) + MARGIN
    places = {
        name: (
            MARGIN + index * COLUMN,
            TOP + (tallest - len(names)) * (BOX[1] + GAP) / 2 + row * (BOX[1] + GAP),
        )
        for index, names in enumerate(columns.values())
        for row, name in enumerate(names)
    }
    width = 2 * MARGIN + (len(columns) - 1) * COLUMN + BOX[0] + BEND
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="system-ui, sans-serif" font-size="11.5">',
            "<title>The assets of a night and what each is made from</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#f8fafc"/>',
            *(_edge(places[source], places[name], groups[source]) for name in sorted(above) for source in above[name]),
            *(
                f'<text x="{MARGIN + index * COLUMN}" y="28" font-size="14" font-weight="600" fill="{LAYERS[layer]}">'
                f"{layer}</text>"
                for index, layer in enumerate(columns)
            ),
            *(_box(name, places[name], groups[name]) for names in columns.values() for name in names),
            "</svg>\n",
        ]
    )


def _ordered(groups: Mapping[str, str], above: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Names by layer; inside a layer by the mean place of their neighbours (the barycentre method of Sugiyama et al.,
    Methods for Visual Understanding of Hierarchical System Structures, 1981), which keeps crossings few."""
    columns = {layer: sorted(name for name, group in groups.items() if group == layer) for layer in LAYERS}
    neighbours: dict[str, set[str]] = defaultdict(set)
    for name, sources in above.items():
        for source in sources:
            neighbours[name].add(source)
            neighbours[source].add(name)
    for _ in range(SWEEPS):
        for names in columns.values():
            place = {
                name: row / max(len(column) - 1, 1) for column in columns.values() for row, name in enumerate(column)
            }
            names.sort(
                key=lambda name: (
                    fmean([place[other] for other in sorted(neighbours[name])]) if neighbours[name] else 0.5,
                    name,
                )
            )
    return columns


def _box(name: str, place: tuple[float, float], group: str) -> str:
    x, y = place
    return (
        f'<rect x="{x}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="5" fill="#fff" stroke="{LAYERS[group]}"/>'
        f'<text x="{x + 9}" y="{y + 16:g}" fill="#0f172a">{escape(name)}</text>'
    )


def _edge(source: tuple[float, float], target: tuple[float, float], group: str) -> str:
    x1, y1 = source[0] + BOX[0], source[1] + BOX[1] / 2
    x2, y2 = target[0], target[1] + BOX[1] / 2
    bend = (x1 + x2) / 2
    if x2 < x1:  # inside one layer
        x2 += BOX[0]
        bend = x1 + BEND
    curve = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"
    return f'<path d="{curve}" fill="none" stroke="{LAYERS[group]}" stroke-opacity=".32"/>'


if __name__ == "__main__":
    from ecom_pipeline.definitions import build_defs

    with TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_text(draw(build_defs(Path(folder))), encoding="utf-8")
