"""statsforecast's AutoETS with a season of a week: a model for each series, without promotions."""

import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS

from benchmarks.forecasting.many_series.contender import compete
from benchmarks.forecasting.many_series.shop import HORIZON


class LocalETS:
    """Its own choice of model by AICc; the 90 % quantile is the upper end of its 80 % interval."""

    def __init__(self) -> None:
        self.models = StatsForecast(models=[AutoETS(season_length=7)], freq="D", n_jobs=1)

    def fit(self, history: pd.DataFrame) -> None:
        """Choose and fit a model for each series."""
        self.models.fit(history[["unique_id", "ds", "y"]])

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """Columns unique_id, ds, mean, p90; nothing below zero."""
        forecast = self.models.predict(h=HORIZON, level=[80])
        columns = {"AutoETS": "mean", "AutoETS-hi-80": "p90"}
        forecast = forecast.rename(columns=columns)[["unique_id", "ds", "mean", "p90"]]
        return forecast.assign(mean=forecast["mean"].clip(lower=0), p90=forecast["p90"].clip(lower=0))


if __name__ == "__main__":
    compete(LocalETS(), name="autoets", sampled=True)
