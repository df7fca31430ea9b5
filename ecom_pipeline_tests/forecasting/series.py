"""Synthetic series and tiny training plans for the forecasting tests."""

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings

TINY = TrainingSettings(steps=12, final_steps=4, update_steps=4, batch_size=32, units=8, hidden=8, patches=4)


def tiny_forecaster(**arguments: object) -> SalesForecaster:
    """A forecaster that trains in a second."""
    return SalesForecaster(**{"freq": "D", "horizon": 7, "settings": TINY, **arguments})  # type: ignore[arg-type]


def weekly_sales(*, series: int = 6, days: int = 140, seed: int = 0, promotions: bool = True) -> pd.DataFrame:
    """Daily sales with a weekly season and promotions that double them: unique_id, ds, y, promo, category."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2024-01-01", periods=days)
    parts = []
    for k in range(series):
        promo = (rng.random(days) < 0.15).astype(float) if promotions else np.zeros(days)
        level = 10 * (k + 1) * (1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7))
        y = level * (1 + promo) * np.exp(rng.normal(0, 0.08, days))
        parts.append(
            pd.DataFrame(
                {"unique_id": f"p{k}", "ds": dates, "y": y, "promo": promo, "category": "even" if k % 2 == 0 else "odd"}
            )
        )
    return pd.concat(parts, ignore_index=True)


def split(sales: pd.DataFrame, *, horizon: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """History and the last `horizon` dates."""
    cutoff = sales["ds"].max() - pd.Timedelta(days=horizon)
    return sales[sales["ds"] <= cutoff], sales[sales["ds"] > cutoff]
