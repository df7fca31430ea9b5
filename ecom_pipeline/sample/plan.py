"""What kind of shop to generate: size, span, files. No randomness lives here, but for the numbering of its streams."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from typing import Literal

import numpy as np

FileFormat = Literal["csv", "csv.gz", "parquet"]
TIME_ZONE = "Europe/Berlin"
COUNTRY = "DE"
PLANNED_DAYS_AHEAD = 60
"""How far beyond its last day the shop plans promotions."""


class Stream(IntEnum):
    """Streams of random numbers, so that a change in one part of the shop leaves the others as they were."""

    CATALOGUE = 1
    PEOPLE = 2
    PROMOTIONS = 3
    DAY = 4
    STOCK = 5
    MOODS = 6
    DIRT = 7


@dataclass(frozen=True)
class ShopPlan:
    """One shop.

    `visits_per_day` is the mean number of visits; a visit makes about six browse events and 0.4 order lines.
    Files are one a day and feed, up to `archive_until` one a month. `dirt` is the share of bad or repeated rows.
    """

    seed: int
    first_day: date
    days: int
    users: int
    items: int
    visits_per_day: float
    file_format: FileFormat = "csv.gz"
    archive_until: date | None = None
    dirt: float = 0.003

    def __post_init__(self) -> None:
        for name in ("days", "users", "items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.visits_per_day < 0:
            raise ValueError(f"visits_per_day must not be negative, not {self.visits_per_day}")
        if not 0 <= self.dirt <= 0.5:
            raise ValueError(f"dirt is a share of the rows, 0 to 0.5, not {self.dirt}")

    @property
    def last_day(self) -> date:
        """The last day with events."""
        return self.first_day + timedelta(days=self.days - 1)

    def random(self, stream: Stream, *more: int) -> np.random.Generator:
        """The random numbers of one part of the shop, such as a day."""
        return np.random.default_rng([self.seed, int(stream), *more])


SAMPLE_SHOP = ShopPlan(
    seed=20261031,
    first_day=date(2025, 9, 1),
    days=426,
    users=1_500,
    items=90,
    visits_per_day=58,
    archive_until=date(2026, 9, 30),
)
"""The shop in data/sample."""


@dataclass(frozen=True)
class SampleReport:
    """What was written: rows and files by feed, and the dirty rows by kind."""

    rows: dict[str, int]
    files: int
    dirty_rows: dict[str, int]
