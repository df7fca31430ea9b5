"""Trajectory tables on real shops beside an independent computation in pandas and plain Python."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import load_landing, read_profile, update_core
from ecom_pipeline.steps.features import build_feature, with_inputs
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline_tests.real_data import shared_data

TMALL_NIGHT = date(2013, 7, 31)
RETAIL_NIGHT = date(2011, 2, 20)
DAYS, WINDOW = 60, 5
TMALL_EVENTS = {0: "view", 1: "purchase", 2: "favourite", 3: "cart"}


@contextmanager
def built_shop(folder: Path, profile_name: str, feed: str, files: list[Path], night: date) -> Iterator[Warehouse]:
    """A warehouse with the trajectories of one night, from files of one feed."""
    landing = folder / "landing"
    (landing / feed).mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, landing / feed / file.name)
    settings = Settings(
        profile=profile_name,
        trajectory_days=DAYS,
        conversion_window_days=WINDOW,
        paths_kept=1_000_000,
        threads=2,
    )
    profile = read_profile(profile_name, base=folder)
    with open_warehouse(folder / "warehouse.duckdb", settings) as warehouse:
        load_landing(warehouse, landing=landing, profile=profile, run_id="test")
        update_core(warehouse, profile=profile, run_id="test")
        if feed == "browse":  # categories of our own making: the feed has none
            warehouse.run(
                """
                INSERT INTO core_products (item_id, category_path, file_id, line)
                SELECT
                  item_id, concat('group ', CAST(item_id AS BIGINT) % 7, ' > all'), 0,
                  row_number() OVER (ORDER BY item_id)
                FROM (SELECT DISTINCT item_id FROM core_events)
                WHERE CAST(item_id AS BIGINT) % 7 > 0
                """
            )
        for table_name in with_inputs(["feat_items", "feat_sessions"]):
            build_feature(warehouse, table_name, profile=profile, settings=settings, as_of=night)
        for table_name in TRAJECTORY_ORDER:
            assert build_trajectory(warehouse, table_name, profile=profile, settings=settings, as_of=night) >= 0
        yield warehouse


@pytest.fixture(scope="module")
def tmall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    file = shared_data("tmall2014", "t_alibaba_data.csv")
    with built_shop(tmp_path_factory.mktemp("tmall"), "tmall2014", "browse", [file], TMALL_NIGHT) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def clicks() -> pd.DataFrame:
    """The log up to the night, users' events in order; a session is a user's day, as times of day are unknown."""
    log = pd.read_csv(shared_data("tmall2014", "t_alibaba_data.csv"), dtype={"user_id": str})
    log["date"] = pd.to_datetime("2013-" + log["visit_datetime"], format="%Y-%m-%d")
    log = log[log["date"] <= pd.Timestamp(TMALL_NIGHT)]
    log = log.sort_values(["user_id", "date"], kind="stable").reset_index(drop=True)
    log["event"] = log["type"].map(TMALL_EVENTS)
    log["category"] = ["group " + str(item % 7) if item % 7 else "uncategorised" for item in log["brand_id"]]
    log["place"] = range(len(log))
    return log


def recent_sessions(clicks: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """(event, category) of each event of each session that began in the period."""
    recent = clicks[clicks["date"] > pd.Timestamp(TMALL_NIGHT - timedelta(days=DAYS))]
    rows = zip(recent["user_id"], recent["date"], recent["event"], recent["category"], strict=True)
    return [[row[2:] for row in session] for _, session in groupby(rows, key=lambda row: row[:2])]


def expected_funnel(clicks: pd.DataFrame) -> pd.DataFrame:
    """Figures of the total and of each category by day and user type."""
    first_days = clicks.groupby("user_id")["date"].min()
    parts = []
    for level, keys in (("total", ["user_id", "date"]), ("category", ["user_id", "category", "date"])):
        marks = clicks.assign(
            view=clicks["place"].where(clicks["event"] == "view"),
            cart=clicks["place"].where(clicks["event"] == "cart"),
            purchase=clicks["place"].where(clicks["event"] == "purchase"),
        )
        steps = marks.groupby(keys).agg(view=("view", "min"), cart=("cart", "max"), purchase=("purchase", "max"))
        steps = steps.reset_index()
        steps["series_id"] = "total" if level == "total" else steps["category"]
        steps["user_type"] = [
            "new" if d == first_days[u] else "returning" for u, d in zip(steps["user_id"], steps["date"], strict=True)
        ]
        out = steps[["date", "series_id", "user_type"]].assign(level=level, sessions=1, users=1)
        for step in ("view", "cart", "purchase"):
            out[f"sessions_with_{step}"] = out[f"users_with_{step}"] = steps[step].notna().astype(int)
        for step in ("cart", "purchase"):
            at_once = steps[step] > steps["view"]
            out[f"sessions_view_then_{step}"] = at_once.astype(int)
            done = steps[steps[step].notna()]
            days_of = done.groupby([done["user_id"], done["series_id"]])["date"].agg(list).to_dict()
            later = [
                any(timedelta(0) < d - day <= timedelta(days=WINDOW) for d in days_of.get((user, series), []))
                for user, series, day in zip(steps["user_id"], steps["series_id"], steps["date"], strict=True)
            ]
            out[f"users_view_then_{step}"] = (at_once | (steps["view"].notna() & pd.Series(later))).astype(int)
        parts.append(out)
    return pd.concat(parts).groupby(["date", "level", "series_id", "user_type"]).sum().sort_index()


def test_the_funnel_is_that_of_pandas(tmall: Warehouse, clicks: pd.DataFrame) -> None:
    expected = expected_funnel(clicks)
    columns = ", ".join(expected.columns)
    found = tmall.arrow(
        f"SELECT CAST(date AS TIMESTAMP) AS date, level, series_id, user_type, {columns} FROM funnel_daily"
    ).to_pandas()
    found["date"] = found["date"].astype(clicks["date"].dtype)
    found = found.set_index(["date", "level", "series_id", "user_type"]).sort_index()
    assert expected["users_view_then_purchase"].sum() > expected["sessions_view_then_purchase"].sum() > 1000
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_index_type=False)


def test_transitions_are_those_of_plain_python(tmall: Warehouse, clicks: pd.DataFrame) -> None:
    sessions = recent_sessions(clicks)
    for place, kind in enumerate(("event", "category")):
        pairs = Counter[tuple[str, str]]()
        for session in sessions:
            pairs.update(pairwise(["(start)", *(states[place] for states in session), "(end)"]))
        leaving, arriving = Counter[str](), Counter[str]()
        for (before, after), n in pairs.items():
            leaving[before] += n
            arriving[after] += n
        rows = tmall.rows(
            "SELECT from_state, to_state, transitions, probability, lift FROM path_transitions WHERE kind = :kind",
            {"kind": kind},
        )
        assert {(before, after): n for before, after, n, _, _ in rows} == pairs
        for before, after, n, probability, lift in rows:
            assert probability == pytest.approx(n / leaving[before], abs=1e-6)
            assert lift == pytest.approx(n / leaving[before] / (arriving[after] / pairs.total()), abs=1e-4)


def told_path(states: list[str]) -> str:
    """Runs collapsed, the last six steps."""
    steps = [state for state, _ in groupby(states)]
    return " > ".join((["…"] if len(steps) > 6 else []) + steps[-6:])


def test_paths_are_those_of_plain_python(tmall: Warehouse, clicks: pd.DataFrame) -> None:
    expected = Counter[tuple[str, str, str]]()
    for session in recent_sessions(clicks):
        events = [event for event, _ in session]
        bought = "purchase" in events
        told = session[: events.index("purchase") + 1] if bought else session
        for place, kind in enumerate(("event", "category")):
            expected[kind, "purchase" if bought else "leave", told_path([states[place] for states in told])] += 1
    rows = tmall.rows("SELECT kind, outcome, path, sessions, share FROM path_sequences")
    assert {(kind, outcome, path): n for kind, outcome, path, n, _ in rows} == expected
    assert sum(row[4] for row in rows) == pytest.approx(4, abs=0.01)
    assert any(path.startswith("…") for _, _, path in expected)


BUCKETS = (
    (0, "same session"),
    (1, "next day"),
    (3, "2 to 3 days"),
    (7, "4 to 7 days"),
    (14, "8 to 14 days"),
    (30, "15 to 30 days"),
    (90, "31 to 90 days"),
    (10_000, "over 90 days"),
)


def expected_conversions(clicks: pd.DataFrame) -> Counter[tuple[str, str, str]]:
    """Conversions by (measure, series, bucket), event by event."""
    since = pd.Timestamp(TMALL_NIGHT - timedelta(days=DAYS - 1))
    first_views: dict[tuple[str, ...], pd.Timestamp] = {}
    converted = set()
    counted = Counter[tuple[str, str, str]]()
    columns = ("user_id", "brand_id", "event", "date", "category")
    for user, item, event, day, category in zip(*(clicks[name] for name in columns), strict=True):
        for measure, key in (("product", (user, item)), ("user", (user,))):
            if event == "view":
                first_views.setdefault(key, day)
            if event != "purchase" or key not in first_views or key in converted:
                continue
            converted.add(key)
            if day < since:
                continue
            days = (day - first_views[key]).days
            label = next(text for most, text in BUCKETS if days <= most)
            counted[measure, "total", label] += 1
            if measure == "product":
                counted[measure, category, label] += 1
    return counted


def test_times_to_convert_are_those_of_plain_python(tmall: Warehouse, clicks: pd.DataFrame) -> None:
    rows = tmall.rows("SELECT measure, series_id, label, conversions FROM time_to_convert WHERE conversions > 0")
    expected = expected_conversions(clicks)
    assert {(measure, series, label): n for measure, series, label, n in rows} == expected
    assert len({label for _, _, label in expected}) == 8


def expected_cohorts(activity: pd.DataFrame, frequency: str) -> dict[tuple[Any, int], tuple[int, int]]:
    """(cohort's first day, period) -> (users, active users), for periods in which the cohort was active."""
    periods = activity["date"].dt.to_period(frequency)
    active = pd.DataFrame({"user_id": activity["user_id"], "period": periods}).drop_duplicates()
    active["cohort"] = active.groupby("user_id")["period"].transform("min")
    sizes = active.groupby("cohort")["user_id"].nunique()
    counts = active.groupby(["cohort", "period"])["user_id"].nunique().reset_index()
    return {
        (cohort.start_time.date(), period.ordinal - cohort.ordinal): (int(sizes[cohort]), int(n))
        for cohort, period, n in zip(counts["cohort"], counts["period"], counts["user_id"], strict=True)
    }


def found_cohorts(warehouse: Warehouse, basis: str, grain: str) -> dict[tuple[Any, int], tuple[int, int]]:
    rows = warehouse.rows(
        "SELECT cohort, period, users, active_users FROM cohort_retention "
        "WHERE basis = :basis AND grain = :grain AND active_users > 0",
        {"basis": basis, "grain": grain},
    )
    return {(cohort, period): (users, active) for cohort, period, users, active in rows}


def test_cohorts_of_a_browse_log_are_those_of_pandas(tmall: Warehouse, clicks: pd.DataFrame) -> None:
    bought = clicks[clicks["event"] == "purchase"]
    for grain, frequency in (("week", "W-SUN"), ("month", "M")):
        assert found_cohorts(tmall, "event", grain) == expected_cohorts(clicks, frequency)
        assert found_cohorts(tmall, "purchase", grain) == expected_cohorts(bought, frequency)


# Orders alone, with prices and cancellations


@pytest.fixture(scope="module")
def retail_files() -> list[Path]:
    folder = shared_data("online_retail", "by-day")
    return sorted(folder.glob("*.csv"))[:70]


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory, retail_files: list[Path]) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("retail")
    with built_shop(folder, "online_retail", "orders", retail_files, RETAIL_NIGHT) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def deals(retail_files: list[Path]) -> pd.DataFrame:
    """Sales and cancellations of products by known customers up to the night."""
    raw = pd.concat([pd.read_csv(file, dtype=str) for file in retail_files]).drop_duplicates()
    code = raw["StockCode"].str.strip().str.upper()
    lines = pd.DataFrame(
        {
            "user_id": raw["CustomerID"].str.removesuffix(".0"),
            "date": pd.to_datetime(raw["InvoiceDate"].str[:10]),
            "quantity": raw["Quantity"].astype(float),
            "price": raw["UnitPrice"].astype(float),
            "cancelled": raw["InvoiceNo"].str.startswith("C"),
        }
    )
    is_product = code.str.fullmatch(r"[0-9]{5}[A-Z]*|DCGS.+|PADS") & ~raw["InvoiceNo"].str.startswith("A")
    is_deal = lines["cancelled"] | ((lines["quantity"] > 0) & (lines["price"] > 0))
    known = lines["user_id"].notna() & (lines["date"] <= pd.Timestamp(RETAIL_NIGHT))
    return lines[is_product & is_deal & known]


def test_the_segments_of_an_order_book_are_those_of_pandas(retail: Warehouse, deals: pd.DataFrame) -> None:
    sales = deals[~deals["cancelled"]]
    buyers = sales.groupby("user_id")["date"].agg(["min", "max", "nunique"])
    buyers.columns = ["first_purchase", "last_purchase", "frequency"]
    worth = deals.assign(value=deals["quantity"] * deals["price"]).groupby("user_id")[["quantity", "value"]].sum()
    buyers = buyers.join(worth)
    n = len(buyers)
    buyers["recency_score"] = 5 - (5 * (buyers["last_purchase"].rank(method="min", ascending=False) - 1) // n)
    buyers["frequency_score"] = 1 + 5 * (buyers["frequency"].rank(method="min") - 1) // n
    buyers["monetary_score"] = 1 + 5 * (buyers["value"].round(4).rank(method="min") - 1) // n
    found = retail.arrow("SELECT * FROM user_rfm").to_pandas().set_index("user_id").sort_index()
    buyers = buyers.sort_index()
    assert n > 1000
    assert list(found.index) == list(buyers.index)
    for column in ("frequency", "recency_score", "frequency_score", "monetary_score"):
        assert (found[column] == buyers[column]).all(), column
    recency = (pd.Timestamp(RETAIL_NIGHT) - buyers["last_purchase"]).dt.days
    assert (found["recency_days"] == recency).all()
    assert found["monetary"].to_numpy() == pytest.approx(buyers["value"].to_numpy(), abs=1e-3)
    assert found["units"].to_numpy() == pytest.approx(buyers["quantity"].to_numpy())
    sizes = dict(retail.connection.execute("SELECT segment, users FROM rfm_segment_sizes WHERE users > 0").fetchall())
    assert sizes == found["segment"].value_counts().to_dict()


def test_the_cohorts_of_an_order_book_are_those_of_pandas(retail: Warehouse, deals: pd.DataFrame) -> None:
    sales = deals[~deals["cancelled"]]
    for grain, frequency in (("week", "W-SUN"), ("month", "M")):
        assert found_cohorts(retail, "purchase", grain) == expected_cohorts(sales, frequency)
        assert found_cohorts(retail, "event", grain) == expected_cohorts(sales, frequency)
    value = (
        sales.assign(value=sales["quantity"] * sales["price"]).groupby(sales["date"].dt.to_period("M"))["value"].sum()
    )
    rows = retail.rows(
        "SELECT period_start, sum(value) FROM cohort_retention WHERE basis = 'purchase' AND grain = 'month' "
        "GROUP BY period_start ORDER BY period_start"
    )
    assert [start for start, _ in rows] == [period.start_time.date() for period in value.index]
    assert [total for _, total in rows] == pytest.approx(list(value), abs=1e-2)


def test_an_order_book_alone_has_a_funnel_of_purchases(retail: Warehouse, deals: pd.DataFrame) -> None:
    sales = deals[~deals["cancelled"]]
    expected = sales.groupby("date")["user_id"].nunique()
    days = pd.DatetimeIndex(expected.index).date
    rows = retail.rows(
        "SELECT date, sum(users_with_purchase), sum(users_with_view) FROM funnel_daily GROUP BY date ORDER BY date"
    )
    assert {day: n for day, n, _ in rows if n > 0} == dict(zip(days, expected, strict=True))
    assert sum(row[2] for row in rows) == 0
    assert retail.rows("SELECT count(*) FROM time_to_convert") == [(0,)]
