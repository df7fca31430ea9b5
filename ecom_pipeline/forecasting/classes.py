"""Classes of series, and which of two forecasts each class gets.

Belongs here: smooth, intermittent, new, dying (after Syntetos and Boylan 2005), ABC by volume, and the choice between
model and profile by class. Does not: the promotion of one trained model over another, which the registry decides.
"""

from typing import Literal

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.metrics import pinball
from ecom_pipeline.forecasting.types import LEVELS, QUANTILES

INTERMITTENT_GAP = 1.32
"""Average interval between sales from which demand counts as intermittent (Syntetos and Boylan 2005)."""


def series_classes(history: pd.DataFrame, *, new_steps: int = 56, dying_steps: int = 28) -> pd.DataFrame:
    """Class and ABC class of each series: unique_id, series_class, abc_class, from unique_id, ds, y.

    new: first sale less than `new_steps` dates before the end; dying: no sale in the last `dying_steps` dates; ABC: the
    series that make up the first 80 %, the next 15 % and the last 5 % of the recorded volume.
    """
    frame = history[["unique_id", "ds", "y"]].sort_values(["unique_id", "ds"])
    dates = np.sort(pd.to_datetime(frame["ds"]).unique())
    sold = frame[frame["y"].fillna(0) > 0]
    rank = pd.Series(np.arange(len(dates)), index=dates)
    place = pd.to_datetime(sold["ds"]).map(rank).groupby(sold["unique_id"])
    ids = pd.Index(frame["unique_id"].unique(), name="unique_id")
    first, last, count = (s.reindex(ids) for s in (place.min(), place.max(), place.size()))
    gap = (last - first + 1) / count
    end = len(dates)
    labels = np.select(
        [count.isna(), first > end - 1 - new_steps, last < end - dying_steps, gap >= INTERMITTENT_GAP],
        ["empty", "new", "dying", "intermittent"],
        default="smooth",
    )
    volume = frame["y"].clip(lower=0).groupby(frame["unique_id"]).sum().reindex(ids)
    abc = abc_classes(volume)
    return pd.DataFrame({"unique_id": ids.to_numpy(), "series_class": labels, "abc_class": abc.to_numpy()})


def abc_classes(volume: pd.Series) -> pd.Series:
    """A for the series that make up the first 80 % of the volume, B for the next 15 %, C for the rest; same index."""
    ordered = volume.sort_values(ascending=False, kind="stable")
    before = (ordered.cumsum() - ordered) / max(float(ordered.sum()), 1e-12)
    named = pd.Series(np.select([before < 0.8, before < 0.95], ["A", "B"], default="C"), index=ordered.index)
    return named.reindex(volume.index)


def better_by_class(
    model: pd.DataFrame, profile: pd.DataFrame, classes: pd.DataFrame, *, margin: float = 0.0
) -> dict[str, Literal["model", "profile"]]:
    """Which forecast each class of series gets: the profile where the model's pinball loss is not below it by `margin`.

    The loss of all seven quantiles, not the WAPE of the mean: where sales are rare that is least for a mean of zero.
    model, profile: backtest rows of the same cutoffs. Classes without rows get the profile.
    """
    result: dict[str, Literal["model", "profile"]] = {}
    lookup = classes.set_index("unique_id")["series_class"]
    keys = ["unique_id", "ds", "cutoff"]
    names = list(QUANTILES)
    joined = model[[*keys, "y", *names]].merge(profile[[*keys, *names]], on=keys, suffixes=("", "_profile"))
    joined = joined[joined["y"].notna()]
    label = joined["unique_id"].map(lookup)
    for name in ("smooth", "intermittent", "new", "dying", "empty"):
        rows = joined[label == name]
        y = rows[["y"]].to_numpy()
        ours, theirs = (
            pinball(y, rows[columns].to_numpy(), np.array(LEVELS)).sum()
            for columns in (names, [f"{quantile}_profile" for quantile in names])
        )
        result[name] = "model" if len(rows) and ours < theirs * (1 - margin) else "profile"
    return result
