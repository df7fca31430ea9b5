"""Accuracy of forecasts, as the benchmark tasks define it.

Every function takes arrays over scored rows; rows whose actual value is null must be dropped before.
"""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.types import LEVELS, QUANTILES


def wape(y: np.ndarray, forecast: np.ndarray) -> float:
    """Weighted absolute percentage error: sum |y - f| / sum |y|."""
    return float(np.abs(y - forecast).sum() / np.abs(y).sum())


def bias(y: np.ndarray, forecast: np.ndarray) -> float:
    """Relative bias: sum (f - y) / sum |y|; above zero the forecast is too high."""
    return float((forecast - y).sum() / np.abs(y).sum())


def mape(y: np.ndarray, forecast: np.ndarray) -> float:
    """Mean of |f - y| / |y| in percent, over rows with y different from zero."""
    some = y != 0
    return float(100 * np.mean(np.abs(forecast[some] - y[some]) / np.abs(y[some])))


def weighted_pinball(y: np.ndarray, quantile: np.ndarray, level: float) -> float:
    """wpl: 2 x sum of the pinball loss at `level` / sum |y|."""
    return float(2 * pinball(y, quantile, level).sum() / np.abs(y).sum())


def pinball(y: np.ndarray, quantile: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Pinball loss of each quantile at `level` (Koenker and Bassett 1978), in the units of y; arguments broadcast."""
    error = y - quantile
    return np.maximum(level * error, (level - 1) * error)


def coverage(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of rows with low <= y <= high."""
    return float(np.mean((y >= low) & (y <= high)))


def training_scales(history: pd.DataFrame, *, lag: int = 1, fill: str = "zero") -> pd.DataFrame:
    """Denominators of RMSSE and MASE: index unique_id, columns squared, absolute: mean of (y_t - y_{t-lag})^2 and |…|.

    history: unique_id, ds, y of one cutoff's past. Gaps (null y) are zeros (`fill="zero"`) or carried forward
    ("forward").
    """
    frame = history.sort_values(["unique_id", "ds"])
    y = frame["y"].fillna(0.0) if fill == "zero" else frame.groupby("unique_id")["y"].ffill()
    difference = y.groupby(frame["unique_id"]).diff(lag)
    keys = frame["unique_id"]
    return pd.DataFrame(
        {
            "squared": (difference**2).groupby(keys).mean(),
            "absolute": difference.abs().groupby(keys).mean(),
        }
    )


def rmsse(rows: pd.DataFrame, scales: pd.DataFrame, forecast: str = "mean") -> float:
    """Mean over series and cutoffs of sqrt(mean (y - f)^2 / scale).

    rows: unique_id, cutoff, y and the forecast's column; scales: cutoff, unique_id, squared. Series whose scale is
    zero are left out.
    """
    return _scaled(rows, scales, forecast, squared=True)


def mase(rows: pd.DataFrame, scales: pd.DataFrame, forecast: str = "p50") -> float:
    """Mean over series and cutoffs of mean |y - f| / scale (Hyndman and Koehler 2006)."""
    return _scaled(rows, scales, forecast, squared=False)


def _scaled(rows: pd.DataFrame, scales: pd.DataFrame, forecast: str, *, squared: bool) -> float:
    error = (rows["y"] - rows[forecast]).abs()
    error = error**2 if squared else error
    mean = error.groupby([rows["cutoff"], rows["unique_id"]]).mean().rename("error").reset_index()
    joined = mean.merge(scales, on=["cutoff", "unique_id"])
    scale = joined["squared"] if squared else joined["absolute"]
    ratio = (joined["error"] / scale)[scale > 0]
    return float(np.sqrt(ratio).mean() if squared else ratio.mean())


def summary(rows: pd.DataFrame, scales: pd.DataFrame) -> dict[str, float]:
    """All metrics of backtest rows (unique_id, cutoff, y, mean, p05 … p95); rows with null y are dropped."""
    rows = rows[rows["y"].notna()]
    y = rows["y"].to_numpy()
    result = {
        "wape": wape(y, rows["mean"].to_numpy()),
        "wape_median": wape(y, rows["p50"].to_numpy()),
        "rmsse": rmsse(rows, scales),
        "mase": mase(rows, scales),
        "bias": bias(y, rows["mean"].to_numpy()),
        "coverage_80": coverage(y, rows["p10"].to_numpy(), rows["p90"].to_numpy()),
        "coverage_90": coverage(y, rows["p05"].to_numpy(), rows["p95"].to_numpy()),
    }
    for level, name in zip(LEVELS, QUANTILES, strict=True):
        result[f"wpl_{name}"] = weighted_pinball(y, rows[name].to_numpy(), level)
    return result
