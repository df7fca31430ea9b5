"""Names shared by the whole library: closed sets of strings, quantile levels, column names.

No logic lives here.
"""

from collections.abc import Callable
from typing import Literal

Cell = Literal["lstm", "gru", "simple_rnn", "dilated_cnn"]
Point = Literal["mean", "median", "percentage"]
Link = Literal["identity", "sqrt", "log"]
Progress = Callable[[str, float], None]
"""Called with a stage ("train", "validate", …) and the share of it that is done, 0 to 1."""

LEVELS: tuple[float, ...] = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
QUANTILES: tuple[str, ...] = ("p05", "p10", "p25", "p50", "p75", "p90", "p95")
MASSES: tuple[float, ...] = (0.075, 0.1, 0.2, 0.25, 0.2, 0.1, 0.075)
"""Probability that each quantile stands for: their sum in these shares is the mean, but for the tails."""
MEDIAN = LEVELS.index(0.50)
FORECAST_COLUMNS: tuple[str, ...] = ("unique_id", "ds", "mean", *QUANTILES, "point")


class ForecastingError(ValueError):
    """The input cannot be forecast as it stands; the message names the column, series or date and the remedy."""
