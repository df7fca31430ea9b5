"""Ours, with its defaults."""

import pandas as pd
import tensorflow  # noqa: F401  its import is not part of the fit's seconds

from benchmarks.forecasting.many_series.contender import compete
from ecom_pipeline.forecasting import SalesForecaster


class Ours:
    """The network; the promotions are known ahead."""

    def __init__(self) -> None:
        self.forecaster = SalesForecaster(known_future=("promo",))

    def fit(self, history: pd.DataFrame) -> None:
        """Learn from the history."""
        self.forecaster.fit(history)

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """Columns unique_id, ds, mean, p90."""
        return self.forecaster.predict(history, future)[["unique_id", "ds", "mean", "p90"]]


if __name__ == "__main__":
    compete(Ours(), name="ours")
