"""A sales forecaster of one version: fitting it, judging it, keeping it, and loading it again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.forecasting.storage import FORMAT
from ecom_pipeline.settings import Settings
from ecom_pipeline.steps.forecast_frames import IS_CLOSED, STATIC, Covariates, history_of
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_pipeline.forecasting import SalesForecaster

FIT_PRODUCTS = 3_000
"""Products that the network learns from, the largest first; it forecasts all. More of them cost time and add little."""

FIT_SHARE = 0.75
"""Share of the time budget for the fit that is judged; the rest goes into learning the held-out days as well."""

Progress = Callable[[str, float], None]

FACTS_FILE = "facts.json"


class Forecaster(Protocol):
    """What is judged: a forecaster and the covariates that it wants."""

    @property
    def covariates(self) -> Covariates:
        """Covariates of the frames that it predicts from."""

    @property
    def profile_classes(self) -> tuple[str, ...]:
        """Classes of products that are left to the seasonal profile."""

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """unique_id, ds, mean, p05 … p95."""


@dataclass(frozen=True)
class FittedForecaster:
    """The library's forecaster with the covariates that it knows, and the classes of products it does not serve."""

    forecaster: "SalesForecaster"
    covariates: Covariates
    profile_classes: tuple[str, ...] = ()

    def predict(self, history: pd.DataFrame, future: pd.DataFrame) -> pd.DataFrame:
        """unique_id, ds, mean, p05 … p95 for every row of `future`; zero on days that are known to be closed.

        Raises:
            ArithmeticError: if a forecast is not a finite number.
        """
        forecasts = self.forecaster.predict(history, future).drop(columns="point")
        values = forecasts.drop(columns=["unique_id", "ds"])
        if not values.notna().all(axis=None) or values.abs().max(axis=None) == float("inf"):
            broken = forecasts[~values.notna().all(axis=1)]
            which = broken["unique_id"].iloc[0] if len(broken) else "one series"
            raise ArithmeticError(f"the network's forecast of {which} is not a finite number")
        if IS_CLOSED in future:
            is_open = (future[IS_CLOSED] <= 0).to_numpy(dtype=float)
            forecasts[values.columns] = values.mul(is_open, axis=0)
        return forecasts

    def save(self, folder: Path) -> None:
        """Write the model's files."""
        folder.mkdir(parents=True)
        self.forecaster.save(folder / "network")
        facts = {
            "known_future": self.covariates.known_future,
            "past_only": self.covariates.past_only,
            "profile_classes": self.profile_classes,
        }
        (folder / FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "FittedForecaster":
        """Read what `save` wrote."""
        from ecom_pipeline.forecasting import SalesForecaster

        names = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        return cls(
            forecaster=SalesForecaster.load(folder / "network"),
            covariates=Covariates(known_future=tuple(names["known_future"]), past_only=tuple(names["past_only"])),
            profile_classes=tuple(names["profile_classes"]),
        )


def training_settings(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """What makes a model what it is, the format of its files included; a change makes training due."""
    return {
        "format": FORMAT,
        "cell": settings.forecast_cell,
        "horizon_days": settings.horizon_days,
        "time_budget_seconds": settings.forecast_time_budget_seconds,
        "backtest_windows": settings.backtest_windows,
        "active_days": settings.forecast_active_days,
        "precision": settings.training_precision,
        "xla": settings.training_xla,
    }


def series_to_fit(series: pd.DataFrame) -> pd.DataFrame:
    """All totals and categories, and the largest products of each measure."""
    products = series[series["level"] == "product"]
    largest = products.sort_values(["measure", "size", "series_id"], ascending=[True, False, True])
    kept = largest.groupby("measure", sort=False).head(FIT_PRODUCTS)
    return series[(series["level"] != "product") | series.index.isin(kept.index)]


def training_frame(
    warehouse: Warehouse, series: pd.DataFrame, *, covariates: Covariates, outlook: Outlook
) -> pd.DataFrame:
    """History up to the night of the series to learn from."""
    return history_of(warehouse, series_to_fit(series), covariates=covariates, outlook=outlook)


STAGES = {"train": (0.0, 0.7), "validate": (0.7, 0.75), "final": (0.75, 1.0)}
"""Parts of a fit: where each begins and ends, as shares of the whole."""


def share_of_fit(stage: str, share: float) -> float:
    """Share of the whole fit that is done when `share` of a stage is."""
    begin, end = STAGES.get(stage, (0.0, 1.0))
    return begin + (end - begin) * share


def fit_forecaster(
    history: pd.DataFrame,
    *,
    covariates: Covariates,
    settings: Settings,
    on_progress: Progress,
    workers: Runner | None = None,
) -> FittedForecaster:
    """Fit a new forecaster to `history`, within most of the time budget."""
    forecaster = _unfitted(covariates, settings, share=FIT_SHARE, on_progress=on_progress, workers=workers)
    return FittedForecaster(forecaster=forecaster.fit(history), covariates=covariates)


def go_on_from(
    fitted: FittedForecaster,
    history: pd.DataFrame,
    *,
    settings: Settings,
    on_progress: Progress,
    workers: Runner | None = None,
) -> FittedForecaster:
    """A second forecaster that has learnt from the newer days of `history` too, within the rest of the time budget.

    `fitted` stays as it is.
    """
    forecaster = _unfitted(fitted.covariates, settings, share=1.0 - FIT_SHARE, on_progress=on_progress, workers=workers)
    forecaster.model_ = fitted.forecaster.model_
    return replace(fitted, forecaster=forecaster.update(history))


def _unfitted(
    covariates: Covariates, settings: Settings, *, share: float, on_progress: Progress, workers: Runner | None
) -> "SalesForecaster":
    from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings

    return SalesForecaster(
        freq="D",
        horizon=settings.horizon_days,
        known_future=covariates.known_future,
        past_only=covariates.past_only,
        static=STATIC,
        cell=settings.forecast_cell,
        seed=settings.seed,
        group_by="level_code",
        time_budget_s=share * settings.forecast_time_budget_seconds,
        on_progress=on_progress,
        settings=TrainingSettings(precision=settings.training_precision, xla=settings.training_xla),
        workers=workers,
    )
