"""The public forecaster: long frames in, long frames out.

Belongs here: arguments, frames, and the order read → fit → predict. What happens inside is fitting.py's business.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.forecasting.fitted import FittedModel
from ecom_pipeline.forecasting.fitting import Fitter
from ecom_pipeline.forecasting.panel import Panel, read_panel
from ecom_pipeline.forecasting.preparation import build_tables
from ecom_pipeline.forecasting.profile import forecast_frame
from ecom_pipeline.forecasting.settings import TrainingSettings, check_arguments
from ecom_pipeline.forecasting.types import Cell, ForecastingError, Point, Progress


class SalesForecaster:
    """One global recurrent network over many series, with a mean and calibrated quantiles for each day ahead.

    freq: a pandas alias or offset (days, weeks, months, business days). horizon: steps ahead. known_future, past_only,
    static: names of columns of the history (numbers or flags; static ones may be names). cell: the recurrent cell.
    time_budget_s: seconds that one fit may take: they set its number of training steps (None: as many as planned); the
    clock interferes only at twice the time, and `settings_` says so. Else the result depends on data, settings and seed
    alone. allow_negative: whether forecasts below zero make sense (returns). group_by: the static column, if any, whose
    few categories are series of different kinds (a total, products): how much of a forecast is the network's, and by
    how much its level was off, is learnt for each. settings: the training plan.
    """

    def __init__(  # noqa: PLR0917
        self,
        freq: str | pd.offsets.BaseOffset = "D",
        horizon: int = 28,
        known_future: Sequence[str] = (),
        past_only: Sequence[str] = (),
        static: Sequence[str] = (),
        cell: Cell = "lstm",
        seed: int = 0,
        time_budget_s: float | None = None,
        *,
        allow_negative: bool = False,
        group_by: str | None = None,
        settings: TrainingSettings | None = None,
        on_progress: Progress | None = None,
        workers: Runner | None = None,
    ) -> None:
        self.freq, self.horizon, self.cell, self.seed = freq, horizon, cell, seed
        self.known_future, self.past_only, self.static = tuple(known_future), tuple(past_only), tuple(static)
        self.time_budget_s, self.allow_negative = time_budget_s, allow_negative
        self.group_by = group_by
        self.settings = settings or TrainingSettings()
        check_arguments(
            horizon=horizon,
            cell=cell,
            time_budget_s=time_budget_s,
            static=static,
            group_by=group_by,
            precision=self.settings.precision,
        )
        self.on_progress = on_progress
        self.workers = workers
        self.model_: FittedModel | None = None
        self._fitter = Fitter(
            settings=self.settings,
            cell=cell,
            seed=seed,
            horizon=horizon,
            allow_negative=allow_negative,
            time_budget_s=time_budget_s,
            on_progress=on_progress,
            group_by=group_by,
            workers=workers,
        )

    def fresh(self) -> "SalesForecaster":
        """An unfitted forecaster with the same arguments."""
        return SalesForecaster(
            freq=self.freq,
            horizon=self.horizon,
            known_future=self.known_future,
            past_only=self.past_only,
            static=self.static,
            cell=self.cell,
            seed=self.seed,
            time_budget_s=self.time_budget_s,
            allow_negative=self.allow_negative,
            group_by=self.group_by,
            settings=self.settings,
            on_progress=self.on_progress,
            workers=self.workers,
        )

    def fit(self, history: pd.DataFrame) -> "SalesForecaster":
        """Fit on a long frame unique_id, ds, y and covariates; a null y is a day that was not recorded, not a zero.

        Raises ForecastingError if the frame lacks columns, repeats a key, or has dates off the frequency.
        """
        panel = self._panel(history, None)
        if np.isnan(panel.y).all():
            raise ForecastingError("history: column y has no recorded value; there is nothing to learn from.")
        self.model_ = self._fitter.fit(panel)
        return self

    def update(self, history: pd.DataFrame) -> "SalesForecaster":
        """Warm refit on a history that goes on from the one fitted on: much cheaper than `fit`.

        Errors on the new dates, which the model has not seen, first move the calibration and the combination.
        """
        self.model_ = self._fitter.update(self._fitted(), self._panel(history, None))
        return self

    def predict(self, history: pd.DataFrame, future: pd.DataFrame | None = None, point: Point = "mean") -> pd.DataFrame:
        """Forecast the dates of `future` (unique_id, ds, known-future columns) from a history up to the forecast's eve.

        The history may be newer than what `fit` saw, and may hold series that it never saw. Without known-future
        columns `future` may be None: every series of the history and every step of the horizon.
        Returns unique_id, ds, mean, p05, p10, p25, p50, p75, p90, p95, point; rows in the order of `future`.
        """
        model = self._fitted()
        if future is None and self.known_future:
            raise ForecastingError(f"future is needed: it holds the known-future columns {list(self.known_future)}.")
        if point not in ("mean", "median", "percentage"):
            raise ForecastingError(f"point={point!r}: must be 'mean', 'median' or 'percentage'.")
        panel = self._panel(self._recent(history, model), future)
        tables = build_tables(panel, model.preparation, model.geometry, training=False)
        series = np.arange(len(panel.ids))
        asked = (
            series if future is None else np.unique(panel.ids.get_indexer(pd.Index(future["unique_id"], dtype=object)))
        )
        forecasts = model.forecast(tables, asked, np.full(len(asked), panel.observed))
        mean = np.zeros((len(panel.ids), self.horizon))
        quantiles = np.zeros((len(panel.ids), self.horizon, forecasts.quantiles.shape[2]))
        mean[asked] = forecasts.mean * forecasts.size[:, None]
        quantiles[asked] = forecasts.quantiles * forecasts.size[:, None, None]
        return forecast_frame(panel=panel, mean=mean, quantiles=quantiles, future=future, point=point)

    @property
    def settings_(self) -> dict[str, Any]:
        """What the fit chose, and its figures on validation dates; JSON-able."""
        model = self._fitted()
        return {
            "freq": str(self.freq),
            "horizon": self.horizon,
            "known_future": list(self.known_future),
            "past_only": list(self.past_only),
            "static": list(self.static),
            "allow_negative": self.allow_negative,
            "group_by": self.group_by,
            "training": self.settings.to_json(),
            "link": model.geometry.link,
            "patches": model.geometry.patches,
            "cycle": model.geometry.season.cycle,
            "effects_pool": model.preparation.effects.pool,
            **{k: v for k, v in model.report.items() if k not in ("losses", "update_losses")},
        }

    def report(self) -> dict[str, Any]:
        """`settings_` and the losses: `losses`, one list a network, the mean of every ten steps."""
        return {**self.settings_, "losses": self._fitted().report.get("losses", [])}

    def save(self, folder: str | Path) -> None:
        """Write the fitted forecaster to a folder: manifest.json and weights.npz; no pickle."""
        from ecom_pipeline.forecasting.storage import save

        save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> "SalesForecaster":
        """Read what `save` wrote. Loading reads numbers and names only; nothing in the folder is ever executed."""
        from ecom_pipeline.forecasting.storage import load

        return load(Path(folder))

    def _panel(self, history: pd.DataFrame, future: pd.DataFrame | None) -> Panel:
        return read_panel(
            history=history,
            future=future,
            freq=self.freq,
            horizon=self.horizon,
            known_future=self.known_future,
            past_only=self.past_only,
            static=self.static,
        )

    def _recent(self, history: pd.DataFrame, model: FittedModel) -> pd.DataFrame:
        """The part of a history that a forecast looks at: a year and two contexts; whole series that ended before."""
        geometry = model.geometry
        steps = geometry.season.year + 2 * geometry.context + 2 * geometry.season.cycle
        dates = pd.to_datetime(history["ds"])
        last = dates.max()
        days = steps * 366 / geometry.season.steps_per_year
        recent = dates > last - pd.Timedelta(days=days)
        if recent.all():
            return history
        kept = history[recent]
        asleep = ~history["unique_id"].isin(kept["unique_id"].unique())
        return pd.concat([history[asleep & ~recent], kept]) if asleep.any() else kept

    def _fitted(self) -> FittedModel:
        if self.model_ is None:
            raise ForecastingError("This forecaster is not fitted; call fit(history) or SalesForecaster.load(folder).")
        return self.model_
