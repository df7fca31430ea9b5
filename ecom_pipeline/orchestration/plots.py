"""Plots for the Dagster UI: PNG images inside Markdown, drawn without a display."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from io import BytesIO
from itertools import cycle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODEL_COLOUR = "#2f5fd0"
BASELINE_COLOUR = "#8a8f98"
ACTUAL_COLOUR = "#1b1e23"
CURVE_COLOURS = (MODEL_COLOUR, "#c2571a", "#2e8b57", BASELINE_COLOUR)
WIDTH, HEIGHT = 7.2, 3.0
DOTS_PER_INCH = 90


def loss_curves(curves: Mapping[str, Sequence[float]], *, title: str) -> str:
    """Loss in the order of training, one line a network; returns Markdown."""

    def draw(axes: "Axes") -> None:
        for (name, values), colour in zip(curves.items(), cycle(CURVE_COLOURS)):
            axes.plot(range(1, len(values) + 1), values, label=name, color=colour, linewidth=1.6)
        axes.set_xlabel("epoch, or tens of steps")
        axes.set_ylabel("loss")
        axes.legend(frameon=False, fontsize=8)

    return _as_markdown(title, draw)


def forecast_against_actual(
    *,
    actual: Sequence[tuple[date, float | None]],
    forecast: Sequence[tuple[date, float, float, float]],
    unit: str,
    title: str,
) -> str:
    """What was sold, and what is forecast with its 80 % interval: rows of (day, mean, p10, p90); returns Markdown."""

    def draw(axes: "Axes") -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.ticker import StrMethodFormatter

        sold_on, sold = _columns(actual, 2)
        axes.plot(sold_on, sold, color=ACTUAL_COLOUR, linewidth=1.2, label="sold")
        days, mean, low, high = _columns(forecast, 4)
        axes.fill_between(days, low, high, color=MODEL_COLOUR, alpha=0.18, linewidth=0, label="80 % interval")
        axes.plot(days, mean, color=MODEL_COLOUR, linewidth=1.6, label="forecast")
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.set_ylabel(unit, fontsize=8)
        axes.legend(frameon=False, fontsize=8, loc="upper left")

    return _as_markdown(title, draw)


def bars_beside_baseline(rows: Sequence[tuple[str, float, float | None]], *, title: str, unit: str) -> str:
    """Pairs of bars, model beside baseline: rows of (label, model, baseline or None); returns Markdown."""

    def draw(axes: "Axes") -> None:
        places = list(range(len(rows)))
        axes.bar([place - 0.2 for place in places], [row[1] for row in rows], 0.38, color=MODEL_COLOUR, label="model")
        axes.bar(
            [place + 0.2 for place in places],
            [row[2] if row[2] is not None else 0.0 for row in rows],
            0.38,
            color=BASELINE_COLOUR,
            label="baseline",
        )
        axes.set_xticks(places, [row[0] for row in rows])
        axes.set_ylabel(unit)
        axes.legend(frameon=False, fontsize=8)

    return _as_markdown(title, draw)


def bars(rows: Sequence[tuple[str, float]], *, title: str, unit: str) -> str:
    """One bar a row of (label, value); returns Markdown."""

    def draw(axes: "Axes") -> None:
        places = list(range(len(rows)))
        axes.bar(places, [row[1] for row in rows], 0.6, color=MODEL_COLOUR)
        axes.set_xticks(places, [row[0] for row in rows])
        axes.set_ylabel(unit, fontsize=8)

    return _as_markdown(title, draw)


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x: str, y: str) -> str:
    """One line of (x, y) a name; returns Markdown."""

    def draw(axes: "Axes") -> None:
        for (name, points), colour in zip(curves.items(), cycle(CURVE_COLOURS)):
            at, values = _columns(points, 2)
            axes.plot(at, values, color=colour, linewidth=1.4, marker="o", markersize=3, label=name)
        axes.set_xlabel(x, fontsize=8)
        axes.set_ylabel(y, fontsize=8)
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False, fontsize=8)

    return _as_markdown(title, draw)


def reliability(curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str) -> str:
    """Curves of (predicted, observed) shares, one a name, beside the diagonal on which both are the same; returns
    Markdown."""

    def draw(axes: "Axes") -> None:
        most = max(value for points in curves.values() for point in points for value in point)
        axes.plot([0, most], [0, most], color=BASELINE_COLOUR, linewidth=0.8, linestyle="--", label="as said")
        for (name, points), colour in zip(curves.items(), cycle(CURVE_COLOURS)):
            said, came = _columns(points, 2)
            axes.plot(said, came, color=colour, linewidth=1.4, marker="o", markersize=3, label=name)
        axes.set_xlabel("probability said", fontsize=8)
        axes.set_ylabel("share that came", fontsize=8)
        axes.legend(frameon=False, fontsize=8)

    return _as_markdown(title, draw)


def _columns(rows: Sequence[Sequence[Any]], width: int) -> tuple[list[Any], ...]:
    return tuple([row[place] for row in rows] for place in range(width))


def _as_markdown(title: str, draw: Callable[["Axes"], None]) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    image = BytesIO()
    figure.savefig(image, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
