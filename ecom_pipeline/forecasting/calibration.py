"""Intervals that mean what they say: conformal corrections from errors on dates that the model had not seen.

Conformalised quantile regression (Romano, Patterson and Candès 2019), one correction an interval and part of the
horizon, in units of the forecast's own 80 % interval, both on an asinh scale; rolling: the newest errors replace the
oldest (Gibbs and Candès 2021 motivate following the drift).
"""

from dataclasses import dataclass

import numpy as np

from ecom_pipeline.forecasting.types import LEVELS, MEDIAN, QUANTILES

BUCKETS = 3
LEAST_ROWS = 100
LEAST_WIDTH = 0.05
LARGEST_MOVE = 1.0
"""In widths: a correction learnt on narrow intervals must not blow up wide ones."""
KNEE = 0.2
"""In units of a series' size (its mean sales lately)."""
SCORE_DECIMALS = 4


def bucket_of(step: np.ndarray, horizon: int) -> np.ndarray:
    """Part of the horizon (0 … BUCKETS - 1) of each step (0 for the first date ahead)."""
    return np.minimum(step * BUCKETS // max(horizon, 1), BUCKETS - 1)


def _spread_out(values: np.ndarray) -> np.ndarray:
    """asinh(values / KNEE): logarithmic well above the knee, linear around zero, so that ends move by a share."""
    return np.arcsinh(values / KNEE)


def _width(quantiles: np.ndarray) -> np.ndarray:
    width = quantiles[..., QUANTILES.index("p90")] - quantiles[..., QUANTILES.index("p10")]
    return width + LEAST_WIDTH


@dataclass
class Calibration:
    """Scores of past forecasts.

    scores: (R, 7) of (y - q) / width on the asinh scale; bucket: (R,) part of the horizon; batch: (R,) which evaluation
    made them.
    """

    scores: np.ndarray
    bucket: np.ndarray
    batch: np.ndarray

    @staticmethod
    def empty() -> "Calibration":
        """Nothing known yet: no correction."""
        return Calibration(
            scores=np.zeros((0, len(LEVELS)), np.float32), bucket=np.zeros(0, np.int8), batch=np.zeros(0, np.int32)
        )

    def add(
        self, y: np.ndarray, quantiles: np.ndarray, step: np.ndarray, *, horizon: int, keep: int, limit: int
    ) -> "Calibration":
        """With the errors of one more evaluation (y (R,), quantiles (R, 7) both in units of the series' size).

        The last `keep` evaluations stay, thinned evenly to `limit` rows each.
        """
        if len(y) > limit:
            some = np.linspace(0, len(y) - 1, limit).astype(np.int64)
            y, quantiles, step = y[some], quantiles[some], step[some]
        spread = _spread_out(quantiles)
        scores = (_spread_out(y)[:, None] - spread) / _width(spread)[:, None]
        # One of the scores becomes the correction of every forecast: the last bits of a float must not choose it.
        scores = np.round(scores, SCORE_DECIMALS).astype(np.float32)
        newest = int(self.batch.max(initial=-1)) + 1
        stay = self.batch > newest - keep
        return Calibration(
            scores=np.concatenate([self.scores[stay], scores]),
            bucket=np.concatenate([self.bucket[stay], bucket_of(step, horizon).astype(np.int8)]),
            batch=np.concatenate([self.batch[stay], np.full(len(y), newest, np.int32)]),
        )

    def corrections(self) -> np.ndarray:
        """(BUCKETS, 3) how far each interval (50, 80, 90 %) moves outwards at both ends, in widths.

        Both ends move alike and the median stays: a level that drifted in the last weeks must not be extrapolated.
        Buckets with few rows take the correction of all.
        """
        result = np.zeros((BUCKETS, MEDIAN))
        if len(self.scores) < LEAST_ROWS:
            return result
        overall = self._of(self.scores)
        for b in range(BUCKETS):
            here = self.scores[self.bucket == b]
            trust = len(here) / (len(here) + 10 * LEAST_ROWS)
            result[b] = trust * self._of(here) + (1 - trust) * overall if len(here) else overall
        return result

    @staticmethod
    def _of(scores: np.ndarray) -> np.ndarray:
        outside = [np.maximum(-scores[:, MEDIAN - k], scores[:, MEDIAN + k]) for k in range(1, MEDIAN + 1)]
        nominal = [LEVELS[MEDIAN + k] - LEVELS[MEDIAN - k] for k in range(1, MEDIAN + 1)]
        return np.array(
            [np.clip(np.quantile(o, p), -LARGEST_MOVE, LARGEST_MOVE) for o, p in zip(outside, nominal, strict=True)]
        )

    def apply(self, quantiles: np.ndarray, *, horizon: int) -> np.ndarray:
        """Corrected quantiles, sorted; (…, H, 7) in units of the series' size."""
        outwards = self.corrections()[bucket_of(np.arange(quantiles.shape[-2]), horizon)]
        corrections = np.concatenate([-outwards[:, ::-1], np.zeros((len(outwards), 1)), outwards], axis=1)
        spread = _spread_out(quantiles)
        moved = KNEE * np.sinh(np.clip(spread + corrections * _width(spread)[..., None], -12, 12))
        # Where an interval shrinks, no end may pass the median.
        moved[..., :MEDIAN] = np.minimum(moved[..., :MEDIAN], quantiles[..., MEDIAN : MEDIAN + 1])
        moved[..., MEDIAN + 1 :] = np.maximum(moved[..., MEDIAN + 1 :], quantiles[..., MEDIAN : MEDIAN + 1])
        return np.sort(moved, axis=-1)
