"""From a fitted forecaster to forecasts of every series of a night, real or past: block by block, added up."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import series_classes
from ecom_pipeline.forecasting.reconciliation import reconcile_arrays
from ecom_pipeline.forecasting.types import QUANTILES
from ecom_pipeline.steps.forecast_days import DayForecasts
from ecom_pipeline.steps.forecast_frames import history_of, known_ahead
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_spread import spread_groups
from ecom_pipeline.steps.forecast_tail import tail_forecasts
from ecom_pipeline.steps.forecast_training import Forecaster
from ecom_pipeline.warehouse import Warehouse

NETWORK_PRODUCTS = 6_000
"""Products of each measure that the network forecasts, the largest first. The long tail behind them sells so rarely
that a night's time is better spent elsewhere; it gets its recent means (forecast_tail.py)."""

PREDICTED_AT_ONCE = 4_000  # series; bounds memory


@dataclass(frozen=True)
class MadeForecasts:
    """Forecasts of n series, and how they came about.

    by_network (n,): whether the network made them; in_tail (n,): whether they are the recent means of the long tail.
    The others have the seasonal profile's: products of the classes on which it did better. series_class (n,): the class
    of each product that the network could forecast, by its history; None for all other series.
    """

    forecasts: DayForecasts
    by_network: np.ndarray
    in_tail: np.ndarray
    series_class: np.ndarray


def made_by_network(series: pd.DataFrame) -> np.ndarray:
    """Which series the network forecasts, (n,) bool; the others are the long tail."""
    products = series[series["level"] == "product"]
    largest = products.sort_values(["measure", "size", "series_id"], ascending=[True, False, True])
    kept = largest.groupby("measure", sort=False).head(NETWORK_PRODUCTS)
    return ((series["level"] != "product") | series.index.isin(kept.index)).to_numpy()


def make_forecasts(
    warehouse: Warehouse,
    forecaster: Forecaster,
    series: pd.DataFrame,
    *,
    baseline: DayForecasts,
    outlook: Outlook,
    horizon: int,
    on_share: Callable[[float], None],
) -> MadeForecasts:
    """Forecasts of all `series` after the night, as they are published: added up, with the spread of their level.

    `baseline` holds the profile's forecasts of the same series.
    """
    made = unreconciled_forecasts(
        warehouse,
        forecaster,
        series,
        baseline=baseline,
        outlook=outlook,
        horizon=horizon,
        on_share=on_share,
    )
    mean, quantiles = reconcile_arrays(
        made.forecasts.mean, made.forecasts.quantiles, made.forecasts.asked, series=series
    )
    quantiles = spread_groups(warehouse, mean, quantiles, series, outlook=outlook)
    return replace(made, forecasts=replace(made.forecasts, mean=mean, quantiles=quantiles))


def unreconciled_forecasts(
    warehouse: Warehouse,
    forecaster: Forecaster,
    series: pd.DataFrame,
    *,
    baseline: DayForecasts,
    outlook: Outlook,
    horizon: int,
    on_share: Callable[[float], None],
) -> MadeForecasts:
    """`make_forecasts` before anything is added up: what is said of each series alone."""
    by_network = made_by_network(series).copy()
    series_class = np.full(len(series), None, dtype=object)
    mean, quantiles = baseline.mean.copy(), baseline.quantiles.copy()
    in_tail = ~by_network
    if in_tail.any():
        mean[in_tail], quantiles[in_tail] = tail_forecasts(warehouse, series[in_tail], outlook=outlook, horizon=horizon)
    asked = np.flatnonzero(by_network)
    for start in range(0, len(asked), PREDICTED_AT_ONCE):
        places = asked[start : start + PREDICTED_AT_ONCE]
        chosen = series.iloc[places]
        history = history_of(warehouse, chosen, covariates=forecaster.covariates, outlook=outlook)
        future = known_ahead(warehouse, chosen, covariates=forecaster.covariates, outlook=outlook, horizon=horizon)
        series_class[places] = classes_of_products(history, chosen)
        left = np.isin(series_class[places], forecaster.profile_classes)
        by_network[places[left]] = False

        forecasts = forecaster.predict(history, future)
        number = pd.Index(chosen["unique_id"]).get_indexer(forecasts["unique_id"].cat.categories)
        number = number[forecasts["unique_id"].cat.codes]
        taken = ~left[number]
        day = (forecasts["ds"] - pd.Timestamp(outlook.cutoff)).dt.days.to_numpy() - 1
        cells = (places[number[taken]], day[taken])
        mean[cells] = forecasts["mean"].to_numpy()[taken]
        quantiles[cells] = forecasts[list(QUANTILES)].to_numpy()[taken]
        on_share((start + len(chosen)) / len(asked))
    return MadeForecasts(
        forecasts=DayForecasts(mean=mean, quantiles=quantiles, asked=baseline.asked),
        by_network=by_network,
        in_tail=in_tail,
        series_class=series_class,
    )


def classes_of_products(history: pd.DataFrame, series: pd.DataFrame) -> np.ndarray:
    """Class of each of `series`, (n,), by its history; None for what is no product."""
    products = series["unique_id"][series["level"] == "product"]
    if products.empty:
        return np.full(len(series), None, dtype=object)
    found = series_classes(history.loc[history["unique_id"].isin(products), ["unique_id", "ds", "y"]])
    by_id = found.set_index("unique_id")["series_class"].reindex(series["unique_id"])
    return by_id.astype(object).where(by_id.notna(), None).to_numpy(dtype=object)
