"""From a fitted forecaster to forecasts of every series of a night, real or past: block by block, added up."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import series_classes
from ecom_pipeline.forecasting.reconciliation import reconcile
from ecom_pipeline.steps.forecast_frames import history_of, known_ahead
from ecom_pipeline.steps.forecast_spread import spread_groups
from ecom_pipeline.steps.forecast_training import Forecaster
from ecom_pipeline.warehouse import Warehouse

NETWORK_PRODUCTS = 6_000
"""Products of each measure that the network forecasts, the largest first. The long tail behind them sells so rarely
that a night's time is better spent elsewhere; it gets the seasonal profile."""

PREDICTED_AT_ONCE = 4_000  # series; bounds memory


def made_by_network(series: pd.DataFrame) -> np.ndarray:
    """Which series the network forecasts, (n,) bool; the others are left to the seasonal profile."""
    products = series[series["level"] == "product"]
    largest = products.sort_values(["measure", "size", "series_id"], ascending=[True, False, True])
    kept = largest.groupby("measure", sort=False).head(NETWORK_PRODUCTS)
    return ((series["level"] != "product") | series.index.isin(kept.index)).to_numpy()


def make_forecasts(
    warehouse: Warehouse,
    forecaster: Forecaster,
    series: pd.DataFrame,
    *,
    baseline: pd.DataFrame,
    cutoff: date,
    horizon: int,
    planned: bool,
    on_share: Callable[[float], None],
) -> tuple[pd.DataFrame, np.ndarray]:
    """Forecasts of all `series` after `cutoff`, as they are published: unique_id, ds, mean, p05 … p95.

    Also tells which of the series are the network's, (n,) bool. The others have the seasonal profile's: the long tail,
    and products of the classes on which it did better.

    `baseline` holds the profile's forecasts of the same series; `planned` as in `known_ahead`.
    """
    by_network = made_by_network(series)
    asked = series[by_network]
    parts = []
    for start in range(0, len(asked), PREDICTED_AT_ONCE):
        chosen = asked.iloc[start : start + PREDICTED_AT_ONCE]
        history = history_of(warehouse, chosen, covariates=forecaster.covariates, cutoff=cutoff)
        future = known_ahead(
            warehouse, chosen, covariates=forecaster.covariates, cutoff=cutoff, horizon=horizon, planned=planned
        )
        left = left_to_profile(history, chosen, classes=forecaster.profile_classes)
        by_network = by_network & ~series["unique_id"].isin(left).to_numpy()
        forecasts = forecaster.predict(history, future)
        parts.append(forecasts[~forecasts["unique_id"].isin(left)])
        on_share((start + len(chosen)) / len(asked))
    parts.append(baseline[baseline["unique_id"].isin(series["unique_id"][~by_network])])
    added_up = reconcile(pd.concat(parts, ignore_index=True), series)
    return spread_groups(warehouse, added_up, series, cutoff=cutoff), by_network


def left_to_profile(history: pd.DataFrame, series: pd.DataFrame, *, classes: tuple[str, ...]) -> pd.Index:
    """unique_id of the products among `series` whose class, by their history, is one of `classes`."""
    if not classes:
        return pd.Index([], dtype=object)
    products = series["unique_id"][series["level"] == "product"]
    found = series_classes(history.loc[history["unique_id"].isin(products), ["unique_id", "ds", "y"]])
    return pd.Index(found["unique_id"][found["series_class"].isin(classes)])
