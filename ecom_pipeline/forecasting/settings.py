"""Everything that may be set about a fit, with the defaults that hold for every shop.

Belongs here: names, types, defaults, checks. What a fit chose by itself is recorded in `SalesForecaster.settings_`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from ecom_pipeline.forecasting.types import Cell, ForecastingError, Link
from ecom_pipeline.precision import Precision


@dataclass(frozen=True)
class TrainingSettings:
    """Training plan; steps are optimiser updates of `batch_size` windows (twice as many for short horizons).

    members: networks trained from different seeds and averaged. steps: before validation; final_steps: after it, on
    all dates; update_steps: for each later refit. most_passes: how often the first training may draw a window, on
    average; where that allows fewer steps (100 are always taken) all three numbers shrink alike, for a small panel is
    learnt by heart in the steps that a large one needs. link: "identity", "sqrt" or "log"; None lets validation choose.
    half_life_years: age at which a window is drawn half as often. embed_series: an embedding of its own a series,
    if the series have a year of daily records on average. precision: of the layers' products in training;
    "mixed_bfloat16" pays only where there are instructions for it. xla: whether XLA compiles the training step, which
    takes long to begin with.
    """

    members: int = 1
    steps: int = 1000
    final_steps: int = 300
    update_steps: int = 120
    most_passes: float = 10.0
    batch_size: int = 64
    rate: float = 3e-3
    final_rate: float = 1.2e-3
    update_rate: float = 8e-4
    warmup: int = 30
    decay: float = 0.01
    average: float = 0.99
    units: int = 64
    hidden: int = 64
    dropout: float = 0.1
    patches: int = 12
    context_without_cycle: int = 13
    half_life_years: float | None = None
    embed_series: bool = True
    mean_loss: str = "poisson"
    link: Link | None = None
    validation_windows: int = 4
    calibration_windows: int = 6
    precision: Precision = "float32"
    xla: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_arguments(
    *,
    horizon: int,
    cell: Cell,
    time_budget_s: float | None,
    static: Sequence[str],
    group_by: str | None,
    precision: Precision,
) -> None:
    """Raise ForecastingError for arguments outside their range."""
    if horizon < 1:
        raise ForecastingError(f"horizon={horizon}: must be at least 1 step.")
    if cell not in ("lstm", "gru", "simple_rnn", "dilated_cnn"):
        raise ForecastingError(f"cell={cell!r}: must be 'lstm', 'gru', 'simple_rnn' or 'dilated_cnn'.")
    if time_budget_s is not None and time_budget_s <= 0:
        raise ForecastingError(f"time_budget_s={time_budget_s}: must be positive, or None for the default plan.")
    if group_by is not None and group_by not in static:
        raise ForecastingError(f"group_by={group_by!r}: must be one of the static columns {list(static)}, or None.")
    if precision not in get_args(Precision):
        raise ForecastingError(f"precision={precision!r}: must be one of {', '.join(get_args(Precision))}.")
