"""Figures of forecasts of held-out windows, from arrays: all of a level, a part of its days, a class of its series.

Belongs here: metrics of the library (`forecasting/metrics.py`) over windows of many series, without a frame in between.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ecom_pipeline.forecasting.metrics import pinball
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES
from ecom_pipeline.steps.forecast_days import DayForecasts

NINETY = QUANTILES.index("p90")
CELLS = ("scored", "size", "excess", "off_median", "loss", "loss_90", "inside")


@dataclass(frozen=True)
class WindowErrors:
    """What a window's forecasts of n series on H days came to; (n, H) each, 0 where `scored` is false.

    scored: forecast and recorded. size: |y|. excess: mean - y. off_median: |y - p50|. loss: twice the pinball loss,
    mean over the seven levels; loss_90: that of p90. inside: p10 <= y <= p90. squared, absolute (n,): what the scaled
    errors are divided by, mean changes from day to day before the window.
    """

    scored: np.ndarray
    size: np.ndarray
    excess: np.ndarray
    off_median: np.ndarray
    loss: np.ndarray
    loss_90: np.ndarray
    inside: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray

    @classmethod
    def of(
        cls,
        actual: np.ndarray,
        forecasts: DayForecasts,
        *,
        squared: np.ndarray,
        absolute: np.ndarray,
        some: np.ndarray,
    ) -> "WindowErrors":
        """Of `some` of the series, (N,) bool, in their order; actual (N, H): NaN where not recorded or not judged."""
        quantiles = forecasts.quantiles[some]
        scored = forecasts.asked[some] & ~np.isnan(actual[some])
        y = np.where(scored, actual[some], 0.0)
        loss = 2 * pinball(y[:, :, None], quantiles, np.array(LEVELS))
        low, median, high = (quantiles[:, :, QUANTILES.index(name)] for name in ("p10", "p50", "p90"))
        return cls(
            scored=scored,
            size=np.abs(y),
            excess=np.where(scored, forecasts.mean[some] - y, 0.0),
            off_median=np.where(scored, np.abs(y - median), 0.0),
            loss=np.where(scored, loss.mean(axis=2), 0.0),
            loss_90=np.where(scored, loss[:, :, NINETY], 0.0),
            inside=scored & (y >= low) & (y <= high),
            squared=squared[some],
            absolute=absolute[some],
        )

    def part(self, series: np.ndarray | slice = slice(None), days: slice = slice(None)) -> "WindowErrors":
        """The chosen series, (n,) bool, on the chosen days."""
        return WindowErrors(
            **{name: getattr(self, name)[series][:, days] for name in CELLS},
            squared=self.squared[series],
            absolute=self.absolute[series],
        )


def scores(windows: Sequence[WindowErrors]) -> dict[str, float]:
    """Metrics over all windows; n: days that were scored. Those that nothing can be said of are NaN."""
    n = sum(int(of.scored.sum()) for of in windows)
    size = sum(float(of.size.sum()) for of in windows)

    def share(parts: Iterable[np.ndarray], whole: float) -> float:
        return sum(float(part.sum()) for part in parts) / whole if whole > 0 else float("nan")

    scaled_squares = _scaled((of.excess**2, of.scored, of.squared) for of in windows)
    scaled_errors = _scaled((of.off_median, of.scored, of.absolute) for of in windows)
    return {
        "n": n,
        "wape": share((np.abs(of.excess) for of in windows), size),
        "wape_median": share((of.off_median for of in windows), size),
        "rmsse": float(np.sqrt(scaled_squares).mean()) if len(scaled_squares) else float("nan"),
        "mase": float(scaled_errors.mean()) if len(scaled_errors) else float("nan"),
        "bias": share((of.excess for of in windows), size),
        "wpl": share((of.loss for of in windows), size),
        "wpl_90": share((of.loss_90 for of in windows), size),
        "coverage_80": share((of.inside for of in windows), n),
    }


def _scaled(windows: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mean error of each series and window over its scale; without those that have no scale or no scored day."""
    ratios = []
    for error, scored, scale in windows:
        days = scored.sum(axis=1)
        some = (days > 0) & (scale > 0)
        ratios.append(error[some].sum(axis=1) / days[some] / scale[some])
    return np.concatenate(ratios)
