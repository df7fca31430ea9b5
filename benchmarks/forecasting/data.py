"""The benchmark tasks: where their data lie, and the protocol of each (frequency, horizon, cutoffs, columns).

Four are prepared files; three more are made of two data sets of the package ddop (BSD-3), which `make_rivals_env.sh`
installs: other shops and frequencies, on which no choice was made.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Task:
    """One task. cutoffs: scored once; validation: for choices, before any scored window. steps: the ones scored.

    shop: the data set of ddop that it is made of; None: a prepared file.
    """

    name: str
    freq: "str | pd.offsets.BaseOffset"
    horizon: int
    known_future: tuple[str, ...]
    past_only: tuple[str, ...]
    static: tuple[str, ...]
    cutoffs: tuple[str, ...]
    validation: tuple[str, ...]
    fill: str = "zero"
    shop: str | None = None
    steps: tuple[int, ...] | None = None


def _every(first: str, days: int, count: int) -> tuple[str, ...]:
    return tuple(str(d.date()) for d in pd.date_range(first, periods=count, freq=f"{days}D"))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="orange_juice",
            freq="W-THU",
            horizon=3,
            known_future=("deal", "feat", "price", "price_ratio", *(f"price{k}" for k in range(1, 12))),
            past_only=(),
            static=("store", "brand"),
            cutoffs=_every("1992-04-09", 14, 12),
            validation=_every("1991-12-19", 21, 5),
            fill="forward",
            steps=(2, 3),
        ),
        Task(
            name="bakery_daily",
            freq="D",
            horizon=28,
            known_future=("is_holiday", "is_holiday_next2days", "is_schoolholiday", "promo", "promo_lastweek"),
            past_only=("rain", "temperature"),
            static=("store", "product"),
            cutoffs=_every("2018-09-18", 28, 8),
            validation=("2017-11-14", "2017-12-12", "2018-03-06", "2018-06-26"),
        ),
        Task(
            name="online_retail_daily",
            freq=pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu Fri"),
            horizon=28,
            known_future=("closed",),
            past_only=(),
            static=(),
            cutoffs=("2011-09-01", "2011-10-04", "2011-11-06"),
            validation=("2011-06-01", "2011-07-04", "2011-07-31"),
        ),
        Task(
            name="complete_journey_weekly",
            freq="W-MON",
            horizon=8,
            known_future=("display", "mailer"),
            past_only=(),
            static=("department",),
            cutoffs=("2017-05-15", "2017-07-10", "2017-09-04", "2017-10-30"),
            validation=("2017-03-13", "2017-03-20"),
        ),
        Task(
            name="restaurant_daily",
            freq="D",
            horizon=28,
            known_future=("is_holiday", "is_closed"),
            past_only=("wind", "clouds", "rain", "sunshine", "temperature"),
            static=(),
            cutoffs=_every("2015-07-18", 28, 4),
            validation=(),
            shop="yaz",
        ),
        Task(
            name="store_item_weekly",
            freq="W-SUN",
            horizon=8,
            known_future=(),
            past_only=(),
            static=("store", "item"),
            cutoffs=_every("2017-05-21", 56, 4),
            validation=(),
            shop="SID",
        ),
        Task(
            name="store_item_monthly",
            freq="MS",
            horizon=3,
            known_future=(),
            past_only=(),
            static=("store", "item"),
            cutoffs=("2016-12-01", "2017-03-01", "2017-06-01", "2017-09-01"),
            validation=(),
            shop="SID",
        ),
    )
}


def load(task: Task) -> pd.DataFrame:
    """The task's long frame: from $ECOM_SHARED_DATA, else ../shared/data beside the checkout; or from ddop."""
    if task.shop is not None:
        frame = _of_ddop(task)
    else:
        root = Path(os.environ.get("ECOM_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
        frame = pd.read_parquet(root / "forecast_tasks" / f"{task.name}.parquet")
    return frame.assign(unique_id=frame["unique_id"].astype(str), ds=frame["ds"].astype("datetime64[us]"))


def _of_ddop(task: Task) -> pd.DataFrame:
    """From $ECOM_DDOP_DATA, else the rivals' environment."""
    packages = CHECKOUT / "benchmarks" / ".envs" / "forecasting" / "lib"
    places = [Path(os.environ["ECOM_DDOP_DATA"])] if "ECOM_DDOP_DATA" in os.environ else []
    places += packages.glob("python3*/site-packages/ddop/datasets/data")
    if not places:
        raise SystemExit(f"no data of ddop under {packages}; run benchmarks/forecasting/make_rivals_env.sh first")
    rows = pd.read_csv(places[0] / f"{task.shop}_data.csv", parse_dates=["date"]).rename(columns={"date": "ds"})
    sold = pd.read_csv(places[0] / f"{task.shop}_target.csv")
    if task.shop == "yaz":
        columns = ["ds", *task.known_future, *task.past_only]
        wide = pd.concat([rows[columns], sold], axis=1)
        return wide.melt(id_vars=columns, value_vars=list(sold.columns), var_name="unique_id", value_name="y")
    days = rows.assign(y=sold["sales"], unique_id=rows["store"].astype(str) + "/" + rows["item"].astype(str))
    parts = days.groupby(["unique_id", "store", "item", pd.Grouper(key="ds", freq=task.freq)])["y"]
    sums = parts.sum().reset_index()
    whole = parts.size().to_numpy() >= (7 if str(task.freq).startswith("W") else 28)  # no part of a week at an end
    return sums[whole].astype({"store": str, "item": str})
