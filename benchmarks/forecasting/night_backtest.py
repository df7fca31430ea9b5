"""What the night's parts bring, on rolling windows of a shop's own home.

Adding up, by its weights; the network, by rank of the product; what is published, by class of the product and
by depth of the promotion; views and carts as inputs that are known of the past.

    python -m benchmarks.forecasting.night_backtest HOME --report reconciliation
    python -m benchmarks.forecasting.night_backtest HOME --report ranks --network-products 12000
    python -m benchmarks.forecasting.night_backtest HOME --judged --report classes
    python -m benchmarks.forecasting.night_backtest HOME --judged --report promotions
    python -m benchmarks.forecasting.night_backtest HOME --report browsing --seeds 0 1 2

HOME is a shop whose last night has been run (`python -m benchmarks.nights SHOP --home HOME`); it is copied, never
written to. The forecaster is fitted once, before the first window, with the settings of the home; `--judged` takes the
fit that the night was judged by, on the windows that it was judged on.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.classes import abc_classes
from ecom_pipeline.forecasting.reconciliation import reconcile_arrays, structural_variance
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import read_profile
from ecom_pipeline.steps import forecast_making, forecast_scores
from ecom_pipeline.steps.forecast import JUDGED, MODEL
from ecom_pipeline.steps.forecast_days import DayForecasts
from ecom_pipeline.steps.forecast_frames import MEASURES, Covariates, series_known_at
from ecom_pipeline.steps.forecast_judging import RECORD_CLASSES, Window, held_out_cutoffs, open_windows
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.steps.forecast_training import FittedForecaster, fit_forecaster, training_frame
from ecom_pipeline.warehouse import Warehouse, open_warehouse

LEVEL_NAMES = ("total", "category", "product")
BANDS = (0, 500, 1_500, 3_000, 6_000, 12_000)


@dataclass(frozen=True)
class Backtest:
    """Windows, and what was forecast for each before anything was added up."""

    windows: tuple[Window, ...]
    made: tuple[forecast_making.MadeForecasts, ...]


@contextmanager
def copied_warehouse(home: Home, settings: Settings) -> Iterator[Warehouse]:
    """A copy of the home's warehouse, opened."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "warehouse.duckdb"
        shutil.copy(home.warehouse_file, file)
        with open_warehouse(file, settings) as warehouse:
            yield warehouse


def country_of(home: Home, settings: Settings) -> str | None:
    """The country that the shop's profile names."""
    return read_profile(settings.profile, base=home.root).shop.country


def judged_before(home: Home, settings: Settings, warehouse: Warehouse) -> Backtest:
    """What the home trained last, kept or not, on the windows that it was judged on."""
    as_of = last_night(warehouse)
    registry = Registry(home, settings)
    version = registry.latest(MODEL, as_of)
    if version is None or not version.usable:
        raise SystemExit(f"{home.root}: no forecaster was trained up to {as_of}; leave --judged out to fit one.")
    first_day = warehouse.scalar("SELECT min(date) FROM feat_sales_daily")
    cutoffs = held_out_cutoffs(
        first_day=first_day,
        as_of=version.data_cutoff,
        horizon=settings.horizon_days,
        windows=settings.backtest_windows,
    )
    judged = FittedForecaster.load(registry.folder(version) / JUDGED)
    return forecast_windows(warehouse, judged, settings, cutoffs, country=country_of(home, settings))


def last_night(warehouse: Warehouse) -> date:
    day: date = warehouse.scalar("SELECT max(date) FROM feat_sales_daily")
    return day


def backtest(
    warehouse: Warehouse, settings: Settings, *, country: str | None, windows: int, browsing: bool = True
) -> Backtest:
    """Fit before the first window, forecast all of them; `browsing` False leaves views and carts out."""
    as_of = last_night(warehouse)
    began, processor = time.monotonic(), time.process_time()
    cutoffs = held_out_cutoffs(
        first_day=warehouse.scalar("SELECT min(date) FROM feat_sales_daily"),
        as_of=as_of,
        horizon=settings.horizon_days,
        windows=windows,
    )
    outlook = Outlook.back_then(warehouse, cutoff=cutoffs[0], horizon=settings.horizon_days, country=country)
    covariates = Covariates.of(warehouse, outlook=outlook)
    if not browsing:
        covariates = replace(covariates, past_only=())
    print(f"seed {settings.seed}, {covariates}")
    series = series_known_at(warehouse, cutoff=cutoffs[0], active_days=settings.forecast_active_days)
    history = training_frame(warehouse, series, covariates=covariates, outlook=outlook)
    fitted = fit_forecaster(history, covariates=covariates, settings=settings, on_progress=lambda stage, share: None)
    seconds, cpu = time.monotonic() - began, time.process_time() - processor
    print(f"fitted up to {cutoffs[0]} in {seconds:.0f} s, {cpu:.0f} processor seconds", flush=True)
    return forecast_windows(warehouse, fitted, settings, cutoffs, country=country)


def forecast_windows(
    warehouse: Warehouse,
    fitted: FittedForecaster,
    settings: Settings,
    cutoffs: Sequence[date],
    *,
    country: str | None,
) -> Backtest:
    """Forecasts from each cutoff, before anything is added up."""
    opened = open_windows(
        warehouse,
        cutoffs=cutoffs,
        horizon=settings.horizon_days,
        active_days=settings.forecast_active_days,
        country=country,
    )
    made = []
    for window in opened:
        began, processor = time.monotonic(), time.process_time()
        made.append(
            forecast_making.unreconciled_forecasts(
                warehouse,
                fitted,
                window.series,
                baseline=window.baseline,
                outlook=window.outlook,
                horizon=settings.horizon_days,
                on_share=lambda share: None,
            )
        )
        seconds, cpu = time.monotonic() - began, time.process_time() - processor
        print(f"forecast from {window.outlook.cutoff} in {seconds:.0f} s, {cpu:.0f} processor seconds", flush=True)
    return Backtest(windows=opened, made=tuple(made))


def scores(
    windows: Sequence[Window],
    forecasts: Sequence[DayForecasts],
    some: Sequence[np.ndarray],
    *,
    days: slice = slice(None),
) -> dict[str, float]:
    """Metrics of the chosen series, (n,) bool a window, on the chosen days."""
    chosen = zip(windows, forecasts, some, strict=True)
    return forecast_scores.scores([window.errors(made, wanted).part(days=days) for window, made, wanted in chosen])


# --- adding up


def squared_errors(backtest: Backtest, number: int) -> pd.Series:
    """Mean squared error of each series (index unique_id) on the windows before window `number`."""
    errors: list[pd.Series] = []
    for window, made in zip(backtest.windows[:number], backtest.made[:number], strict=True):
        squared = np.where(made.forecasts.asked, (window.actual - made.forecasts.mean) ** 2, np.nan)
        ids = window.series["unique_id"].to_numpy(dtype=object)
        errors.append(pd.Series(squared.ravel(), index=np.repeat(ids, squared.shape[1])).dropna())
    mean: pd.Series = pd.concat(errors).groupby(level=0).mean()
    return mean


def residual(backtest: Backtest, number: int) -> np.ndarray:
    """Variances of the errors on earlier windows; a series without any takes its level's median, by size."""
    window, made = backtest.windows[number], backtest.made[number].forecasts
    known = squared_errors(backtest, number).reindex(window.series["unique_id"]).to_numpy(copy=True)
    level = window.series["level"].to_numpy()
    volume = np.maximum(made.mean.mean(axis=1), 1e-6)
    for name in LEVEL_NAMES:
        of = level == name
        typical = np.nanmedian(known[of] / volume[of]) if np.isfinite(known[of]).any() else 1.0
        known[of] = np.where(np.isfinite(known[of]), known[of], typical * volume[of])
    return np.repeat(np.maximum(known, 1e-9)[:, None], made.mean.shape[1], axis=1)


def structural(**factors: float) -> "Weights":
    def weights(backtest: Backtest, number: int) -> np.ndarray:
        made = backtest.made[number].forecasts
        return structural_variance(
            made.mean, made.asked, series=backtest.windows[number].series, factors={"product": 1.0, **factors}
        )

    return weights


Weights = Callable[[Backtest, int], np.ndarray | None]
WEIGHTS: Mapping[str, Weights] = {
    "the night's": lambda b, k: None,
    "equal say": structural(total=1.0, category=1.0),
    "bottom-up": structural(total=np.inf, category=np.inf),
    "top-down": structural(total=1e-6, category=np.inf),
    "OLS": lambda b, k: np.ones_like(b.made[k].forecasts.mean),
    "WLS, variance of earlier errors": residual,
}


def reconciled(backtest: Backtest, number: int, variance: np.ndarray | None) -> DayForecasts:
    window, made = backtest.windows[number], backtest.made[number].forecasts
    mean, quantiles = reconcile_arrays(made.mean, made.quantiles, made.asked, series=window.series, variance=variance)
    return replace(made, mean=mean, quantiles=quantiles)


def report_reconciliation(backtest: Backtest) -> None:
    """By level and measure, on all windows but the first, which the variances of earlier errors need."""
    numbers = range(1, len(backtest.windows))
    windows = [backtest.windows[number] for number in numbers]
    variants: dict[str, list[DayForecasts]] = {"none": [backtest.made[number].forecasts for number in numbers]}
    for name, weights in WEIGHTS.items():
        variants[name] = [reconciled(backtest, number, weights(backtest, number)) for number in numbers]
    print("\n| measure, level | metric | " + " | ".join(variants) + " |\n" + "|---" * (len(variants) + 2) + "|")
    for measure in MEASURES:
        for level in LEVEL_NAMES:
            some = [window.of_level(measure, level) for window in windows]
            if not any(chosen.any() for chosen in some):
                continue
            found = [scores(windows, forecasts, some) for forecasts in variants.values()]
            for metric in ("wape", "rmsse", "bias"):
                cells = " | ".join(f"{values[metric]:.4f}" for values in found)
                print(f"| {measure}, {level} | {metric} | {cells} |")


# --- the network by rank of the product


def report_ranks(backtest: Backtest) -> None:
    """The network beside the profile, by rank of the product in its measure; before adding up."""
    windows = backtest.windows
    network, profile = [made.forecasts for made in backtest.made], [window.baseline for window in windows]
    print("\n| measure | rank | rows | share of volume | WAPE | RMSSE | weighted pinball | bias |\n" + "|---" * 8 + "|")
    for measure in MEASURES:
        ranks = []
        for window in windows:
            products = window.of_level(measure, "product")
            rank = np.full(len(products), np.inf)
            order = window.series[products].sort_values(["size", "series_id"], ascending=[False, True]).index
            rank[order] = np.arange(len(order))
            ranks.append(rank)
        volume = sum(np.nansum(w.actual[np.isfinite(rank)]) for w, rank in zip(windows, ranks, strict=True))
        for low, high in pairwise(BANDS):
            some = [
                (rank >= low) & (rank < high) & made.by_network for rank, made in zip(ranks, backtest.made, strict=True)
            ]
            if not any(chosen.any() for chosen in some):
                continue
            ours, theirs = scores(windows, network, some), scores(windows, profile, some)
            share = sum(np.nansum(w.actual[chosen]) for w, chosen in zip(windows, some, strict=True)) / volume
            cells = " | ".join(f"{ours[name]:.3f} / {theirs[name]:.3f}" for name in ("wape", "rmsse", "wpl", "bias"))
            print(f"| {measure} | {low + 1:,} to {high:,} | {ours['n']:,.0f} | {share:.3f} | {cells} |")


# --- what is published, by class of the product


def by_volume(window: Window, measure: str) -> np.ndarray:
    """(n,) A, B or C by past volume for its products, else None."""
    products = window.series[window.of_level(measure, "product")]
    return abc_classes(products["size"]).reindex(window.series.index).astype(object).to_numpy()


def report_classes(backtest: Backtest) -> None:
    """What is published beside the profile, by class of the product as it stood at each cutoff, and by A, B, C."""
    windows = backtest.windows
    published = [reconciled(backtest, number, None) for number in range(len(windows))]
    profile = [window.baseline for window in windows]
    columns = ("wape", "rmsse", "mase", "wpl", "bias", "coverage_80")
    heads = (
        "measure",
        "class",
        "series a window",
        "share of volume",
        "WAPE",
        "RMSSE",
        "MASE",
        "weighted pinball",
        "bias",
        "80 %",
    )
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for measure in MEASURES:
        of_measure = [window.of_level(measure, "product") for window in windows]
        if not any(chosen.any() for chosen in of_measure):
            continue
        labels = (
            [np.where(made.in_tail, "long tail", made.series_class.astype(object)) for made in backtest.made],
            [by_volume(window, measure) for window in windows],
        )
        volume = sum(np.nansum(w.actual[chosen]) for w, chosen in zip(windows, of_measure, strict=True))
        for by, names in zip(labels, (RECORD_CLASSES, "ABC"), strict=True):
            for name in names:
                some = [(label == name) & chosen for label, chosen in zip(by, of_measure, strict=True)]
                sold = sum(np.nansum(w.actual[chosen]) for w, chosen in zip(windows, some, strict=True))
                if sold <= 0:
                    continue
                ours, theirs = scores(windows, published, some), scores(windows, profile, some)
                cells = " | ".join(f"{ours[column]:.3f} / {theirs[column]:.3f}" for column in columns)
                count = np.mean([chosen.sum() for chosen in some])
                print(f"| {measure} | {name} | {count:,.0f} | {sold / volume:.3f} | {cells} |")


# --- promotions

_DEPTHS = """
SELECT series_id, CAST(date_diff('day', CAST(:cutoff AS DATE), date) - 1 AS INTEGER) AS day, promotion_depth AS depth
FROM feat_sales_daily
WHERE level = 'product' AND promotion_share > 0 AND date > :cutoff AND date <= :last
"""
DEPTHS = (0.0, 0.2, 0.35, np.inf)


def report_promotions(warehouse: Warehouse, backtest: Backtest) -> None:
    """Sold and forecast units of products on the held-out days, by the depth of the day's promotion."""
    heads = ("promotion", "days", "sold", "network", "published", "seasonal profile")
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    sums = np.zeros((len(DEPTHS), 5))
    for number, (window, made) in enumerate(zip(backtest.windows, backtest.made, strict=True)):
        chosen = window.of_level("quantity", "product")
        last = window.outlook.day(window.actual.shape[1])
        rows = warehouse.arrow(_DEPTHS, {"cutoff": window.outlook.cutoff, "last": last}).to_pandas()
        place = pd.Index(window.series["series_id"][chosen]).get_indexer(pd.Index(rows["series_id"]))
        known = place >= 0
        depth = np.full(window.actual.shape, np.nan)
        depth[np.flatnonzero(chosen)[place[known]], rows["day"].to_numpy()[known]] = rows["depth"].to_numpy()[known]
        band = np.where(np.isnan(depth), 0, 1 + np.digitize(depth, DEPTHS[1:-1]))
        forecasts = (made.forecasts, reconciled(backtest, number, None), window.baseline)
        counts = chosen[:, None] & made.forecasts.asked & ~np.isnan(window.actual)
        for k in range(len(DEPTHS)):
            cells = counts & (band == k)
            values = [cells, window.actual, *(one.mean for one in forecasts)]
            sums[k] += [float(np.where(cells, value, 0.0).sum()) for value in values]
    names = ["none", *(f"{low:.0%} to {high:.0%}" for low, high in pairwise(DEPTHS[:-1])), f"{DEPTHS[-2]:.0%} and more"]
    for name, row in zip(names, sums, strict=True):
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in row) + " |")


# --- views and carts


def report_browsing(
    warehouse: Warehouse, settings: Settings, *, country: str | None, windows: int, seeds: Sequence[int]
) -> None:
    """The network with and without views and carts of the past, by level and part of the horizon; before adding up."""
    found: dict[bool, list[Backtest]] = {True: [], False: []}
    for seed in seeds:
        for browsing, runs in found.items():
            runs.append(
                backtest(
                    warehouse,
                    settings.model_copy(update={"seed": seed}),
                    country=country,
                    windows=windows,
                    browsing=browsing,
                )
            )
    opened = found[True][0].windows
    parts = {"1 to 7": slice(0, 7), "8 to end": slice(7, None), "all": slice(None)}
    print("\n| measure, level | days ahead | metric | with | without | difference |\n" + "|---" * 6 + "|")
    for measure in MEASURES:
        for level in LEVEL_NAMES:
            some = [
                window.of_level(measure, level) & made.by_network
                for window, made in zip(opened, found[True][0].made, strict=True)
            ]
            if not any(chosen.any() for chosen in some):
                continue
            for name, days in parts.items():
                values = {
                    browsing: [scores(opened, [made.forecasts for made in run.made], some, days=days) for run in runs]
                    for browsing, runs in found.items()
                }
                for metric in ("wape", "rmsse", "wpl"):
                    with_, without = (
                        np.array([score[metric] for score in values[browsing]]) for browsing in (True, False)
                    )
                    saved = with_ - without
                    print(
                        f"| {measure}, {level} | {name} | {metric} | {with_.mean():.4f} | {without.mean():.4f} "
                        f"| {saved.mean():+.4f} ± {saved.std(ddof=1) if len(saved) > 1 else 0:.4f} |"
                    )


def main() -> None:
    """Backtest the home that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--judged", action="store_true", help="fit nothing: take the fit that the night was judged by")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="more than one only for browsing")
    parser.add_argument(
        "--time-budget", type=int, default=600, help="seconds; enough for the clock not to cut it short"
    )
    parser.add_argument("--network-products", type=int, default=forecast_making.NETWORK_PRODUCTS)
    parser.add_argument(
        "--report",
        choices=["reconciliation", "ranks", "classes", "promotions", "browsing"],
        nargs="+",
        default=["reconciliation"],
    )
    arguments = parser.parse_args()
    home = Home(arguments.home)
    settings = home.settings().model_copy(
        update={"seed": arguments.seeds[0], "forecast_time_budget_seconds": arguments.time_budget}
    )
    country = country_of(home, settings)
    forecast_making.NETWORK_PRODUCTS = arguments.network_products
    with copied_warehouse(home, settings) as warehouse:
        if "browsing" in arguments.report:
            report_browsing(warehouse, settings, country=country, windows=arguments.windows, seeds=arguments.seeds)
            return
        found = (
            judged_before(home, settings, warehouse)
            if arguments.judged
            else backtest(warehouse, settings, country=country, windows=arguments.windows)
        )
        if "promotions" in arguments.report:
            report_promotions(warehouse, found)
    if "reconciliation" in arguments.report:
        report_reconciliation(found)
    if "ranks" in arguments.report:
        report_ranks(found)
    if "classes" in arguments.report:
        report_classes(found)


if __name__ == "__main__":
    main()
