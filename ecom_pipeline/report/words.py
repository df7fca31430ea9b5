"""Numbers, days and changes as the page's text says them; the scripts say the same through `format.js`."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

NOTHING = "\u2013"


def number(value: float | None) -> str:
    """A count or amount with as many decimals as its size deserves; a dash for nothing."""
    if value is None:
        return NOTHING
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share from 0 to 1 in percent."""
    return NOTHING if share is None else f"{100 * share:,.{digits}f} %"


def figure(value: float | None, unit: str, money: dict[str, str]) -> str:
    """A headline figure in its unit."""
    if unit == "share":
        return percent(value)
    if unit == "money" and value is not None:
        return f"{money['before']}{number(value)}{money['after']}"
    return number(value)


def change(value: float, before: float | None, unit: str) -> dict[str, str] | None:
    """The change from `before`: its direction, and in words; of a share in percentage points. None without one."""
    if before is None or (unit != "share" and before == 0):
        return None
    difference = 100 * (value - before) if unit == "share" else 100 * (value / before - 1)
    direction = "up" if difference >= 0.05 else "down" if difference <= -0.05 else "level"
    return {"direction": direction, "text": f"{abs(difference):,.1f} {'points' if unit == 'share' else '%'}"}


def day(value: date | str) -> str:
    """A day as people write it."""
    when = date.fromisoformat(value) if isinstance(value, str) else value
    return f"{when:%A} {when.day} {when:%B %Y}"


def short_day(value: date | str | None) -> str:
    """A day in a table."""
    if value is None:
        return NOTHING
    when = date.fromisoformat(value) if isinstance(value, str) else value
    return f"{when.day} {when:%b %Y}"


def moment(value: datetime) -> str:
    """A time in UTC."""
    return f"{value:%Y-%m-%d %H:%M} UTC"


def in_words(name: str) -> str:
    """A name of code as words."""
    return name.replace("_", " ")


def sparkline(values: list[float | None], width: int = 120, height: int = 32) -> dict[str, Any] | None:
    """Points of a small line through the values, and its last point; None for fewer than two."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = (width - 6) / (len(values) - 1)
    points = [
        (round(3 + place * step, 1), round(height - 4 - (value - low) / span * (height - 8), 1))
        for place, value in enumerate(values)
        if value is not None
    ]
    return {"points": " ".join(f"{x},{y}" for x, y in points), "x": points[-1][0], "y": points[-1][1]}


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "percent": percent,
    "figure": figure,
    "change": change,
    "day": day,
    "short_day": short_day,
    "moment": moment,
    "in_words": in_words,
    "sparkline": sparkline,
}
