"""A forecast as characters: what was sold, what is expected, and the interval as a shade, one column a day."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

HEIGHT = 14
SOLD, EXPECTED, SHADE, TONIGHT = "●", "━", "░", "│"


@dataclass(frozen=True, slots=True)
class Day:
    """One column: `sold` of a past day; `mean` and interval of one ahead. None is unknown."""

    sold: float | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None


def plot(days: Sequence[Day], *, height: int = HEIGHT) -> Text:
    """The days from left to right with a scale at the left, as many rows as `height` and one below for the axis."""
    known = [value for day in days for value in (day.sold, day.mean, day.high) if value is not None]
    top = max([value for value in known if value > 0], default=1.0)
    scale = [_short(top), _short(top / 2), "0"]
    margin = max(map(len, scale)) + 1
    first_ahead = next((place for place, day in enumerate(days) if day.mean is not None), len(days))
    drawn = Text(no_wrap=True)
    for row in range(height):
        label = {0: scale[0], height // 2: scale[1], height - 1: scale[2]}.get(row, "")
        drawn.append(f"{label:>{margin}} ", style="dim")
        for place, day in enumerate(days):
            if place == first_ahead:
                drawn.append(TONIGHT, style="dim")
            drawn.append(*_cell(day, row, top=top, height=height))
        drawn.append("\n")
    drawn.append(" " * (margin + 1) + "─" * (len(days) + (first_ahead < len(days))), style="dim")
    return drawn


def _cell(day: Day, row: int, *, top: float, height: int) -> tuple[str, str]:
    def at(value: float) -> int:
        return min(height - 1, max(0, round((1 - max(value, 0.0) / top) * (height - 1))))

    if day.sold is not None:
        return (SOLD, "bold") if at(day.sold) == row else (" ", "")
    if day.mean is None:
        return " ", ""
    if at(day.mean) == row:
        return EXPECTED, "bold blue"
    if day.low is not None and day.high is not None and at(day.high) <= row <= at(day.low):
        return SHADE, "blue"
    return " ", ""


def _short(value: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{suffix}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
