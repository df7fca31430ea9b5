"""Days of the year that come back: what the same day did a year ago, beyond what weekday and covariates explain.

A shop that was closed on 25 December, or sold twice as much on the Saturday before Easter, will do so again, flag or no
flag. The anniversary of a date is the same feast where the date hangs on Easter, else the same day of the month.

Closing days: where many of the series that sell on that weekday sold nothing, each of them is expected to do so again,
and the others in that proportion. All other days: the anomaly of a day is its distance from the same weekday of the
four weeks on either side. Most anomalies are noise, so they are shrunk twice by James and Stein's rule (Efron and
Morris 1975): the panel's mean of a date by the spread of such means over all dates, and each series' distance from it
by how far series scatter on that date and on others.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.calendar import Season

EASTER_DAYS = (-52, -48, -47, -46, -3, -2, -1, 0, 1, 38, 39, 48, 49, 50, 60)
"""Days after Easter Sunday with customs of their own: carnival, Good Friday to Easter Monday, Ascension, Pentecost,
Corpus Christi."""
WEEKS = 4
YEARS = 2
CHUNK = 128
LIMIT = 4.0
SHORTEST_CYCLE = 5
SPARED = 2
"""Neighbouring weeks without sales that do not speak against a series selling on that weekday: holidays, perhaps."""
LEAST_CLOSED = 0.2
"""Of the series that sell on that weekday, the share without sales from which a day counts as a closing day."""


def anniversary_positions(grid: pd.DatetimeIndex, season: Season, *, years: int = YEARS) -> np.ndarray:
    """(years, T) position in the grid of each date's anniversary 1, 2, … years before; -1 where there is none.

    Daily grids only; for others all are -1.
    """
    result = np.full((years, len(grid)), -1, dtype=np.int64)
    if not SHORTEST_CYCLE <= season.cycle <= 7:
        return result
    days = [stamp.date() for stamp in grid]
    place = {day: k for k, day in enumerate(days)}
    for k, day in enumerate(days):
        feast = _easter_day(day)
        for back in range(years):
            then = _anniversary(day, feast, back + 1)
            result[back, k] = place.get(then, -1) if then is not None else -1
    return result


def _easter_day(day: date) -> int | None:
    from dateutil.easter import easter  # type: ignore[import-untyped]

    offset = (day - easter(day.year)).days
    return offset if offset in EASTER_DAYS else None


def _anniversary(day: date, feast: int | None, years: int) -> date | None:
    from dateutil.easter import easter

    if feast is not None:
        return date.fromordinal(easter(day.year - years).toordinal() + feast)
    try:
        then = day.replace(year=day.year - years)
    except ValueError:  # 29 February
        return None
    return None if _easter_day(then) is not None else then


@dataclass
class ClosingDays:
    """Share of the anniversaries on which a series was closed, closed (N, S), for the S dates that were closing days of
    some; column (T + H,): which of them a date is, -1 for none.
    """

    closed: np.ndarray
    column: np.ndarray

    def closed_on(self, series: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Share of closed anniversaries at positions (B, H) of series (B,)."""
        column = self.column[position]
        return np.where(column >= 0, self.closed[series[:, None], np.maximum(column, 0)], 0.0).astype(np.float32)


def add_recurring_days(
    effects: np.ndarray,
    *,
    linked: np.ndarray,
    sales: np.ndarray,
    recorded: np.ndarray,
    positions: np.ndarray,
    cycle: int,
) -> ClosingDays:
    """Learn from linked sales (N, T), gaps filled, less effects (N, T + H), and from sales (N, T) and recorded (N, T)
    bool; add what comes back to the effects, in place.

    positions (years, T + H) as from `anniversary_positions`. The value at t looks at days up to WEEKS cycles after its
    anniversaries, so at nothing later than a year less that before t.
    """
    count, length = linked.shape
    none = ClosingDays(closed=np.zeros((count, 1), np.float32), column=np.full(positions.shape[1], -1))
    there = (positions >= 0) & (positions < length)
    if not there.any() or length <= 2 * WEEKS * cycle:
        return none
    used = np.unique(positions[there])
    place = np.full(length, -1)
    place[used] = np.arange(len(used))
    anomaly = np.empty((count, len(used)), dtype=np.float32)
    spread = np.empty(count, dtype=np.float32)
    always = np.empty((count, len(used)), dtype=bool)
    shut = np.empty((count, len(used)), dtype=bool)
    for low in range(0, count, CHUNK):
        part = slice(low, low + CHUNK)
        anomaly[part], always[part] = _anomalies(
            linked[part] - effects[part, :length], sales[part], recorded[part], used, cycle
        )
        spread[part] = np.maximum(np.sqrt((anomaly[part] ** 2).mean(axis=1)), 0.02)
        shut[part] = always[part] & recorded[part][:, used] & (sales[part][:, used] <= 0)
    anomaly /= spread[:, None]
    mean = anomaly.mean(axis=0)
    within = np.einsum("nk,nk->k", anomaly, anomaly) / count - mean**2
    # The median of a squared standard normal is .455; the median of mean ** 2 hardly feels the few special days.
    trust_mean = np.maximum(0, 1 - np.median(mean**2) / 0.455 / np.maximum(mean**2, 1e-12))
    trust_own = np.maximum(0, 1 - np.median(within) / np.maximum(within, 1e-12))
    anomaly -= mean
    anomaly *= trust_own
    anomaly += trust_mean * mean
    anomaly *= spread[:, None]
    share = shut.sum(axis=0) / np.maximum(always.sum(axis=0), 1)
    number = np.maximum(there.sum(axis=0), 1)
    closed_columns: list[np.ndarray] = []
    column = np.full(positions.shape[1], -1)
    closing = np.zeros(positions.shape, dtype=bool)
    closing[there] = share[place[positions[there]]] >= LEAST_CLOSED
    for t in np.flatnonzero(there.any(axis=0)):
        of = place[positions[there[:, t], t]]
        effects[:, t] += anomaly[:, of].sum(axis=1) / number[t]
        if closing[:, t].any():
            column[t] = len(closed_columns)
            again = np.where(always[:, of], shut[:, of], share[of]).astype(np.float32) * (share[of] >= LEAST_CLOSED)
            closed_columns.append(again.mean(axis=1))
    if not closed_columns:
        return none
    return ClosingDays(closed=np.stack(closed_columns, axis=1), column=column)


def _anomalies(
    adjusted: np.ndarray, sales: np.ndarray, recorded: np.ndarray, used: np.ndarray, cycle: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distance (n, K) of the days `used` from the same phase of the WEEKS cycles on either side, largest and smallest
    of these left out; and whether there were sales on all but SPARED of these."""
    length = adjusted.shape[1]
    shape = (len(adjusted), len(used))
    total, high, low = np.zeros(shape), np.full(shape, -np.inf), np.full(shape, np.inf)
    selling = np.zeros(shape, dtype=np.int8)
    for k in range(1, WEEKS + 1):
        for shift in (-k * cycle, k * cycle):
            place = used + shift
            # Beyond either end the other side stands in.
            place = np.where((place < 0) | (place >= length), used - shift, place)
            values = adjusted[:, place]
            total += values
            np.maximum(high, values, out=high)
            np.minimum(low, values, out=low)
            selling += sales[:, place] > 0
    expected = (total - high - low) / (2 * WEEKS - 2)
    anomaly = np.clip(adjusted[:, used] - expected, -LIMIT, LIMIT)
    return np.where(recorded[:, used], anomaly, 0.0), selling >= 2 * WEEKS - SPARED
