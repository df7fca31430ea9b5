"""Features of real shops against an independent computation in pandas, straight from the files."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import load_landing, read_profile, update_core
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline.warehouse import Warehouse, open_warehouse
from ecom_pipeline_tests.real_data import shared_data

RETAIL_NIGHT = date(2011, 2, 20)
TMALL_NIGHT = date(2013, 7, 31)


def featured(warehouse: Warehouse, *, profile_name: str, landing: Path, as_of: date) -> None:
    """Ingest everything in landing and build all features."""
    profile, settings = read_profile(profile_name, base=landing), Settings(profile=profile_name)
    load_landing(warehouse, landing=landing, profile=profile, run_id="r")
    update_core(warehouse, profile=profile, run_id="r")
    for table_name in FEATURE_ORDER:
        build_feature(warehouse, table_name, profile=profile, settings=settings, as_of=as_of)


@pytest.fixture(scope="module")
def retail_files() -> list[Path]:
    """Three months of the gift shop: the last days lie after the night."""
    files = sorted(shared_data("online_retail", "by-day").glob("*.csv"))
    return [file for file in files if file.stem < "2011-03-01"]


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory, retail_files: list[Path]) -> Iterator[Warehouse]:
    home = tmp_path_factory.mktemp("retail")
    (home / "landing" / "orders").mkdir(parents=True)
    for file in retail_files:
        shutil.copy(file, home / "landing" / "orders" / file.name)
    with open_warehouse(home / "w.duckdb", Settings(profile="online_retail", threads=2)) as warehouse:
        featured(warehouse, profile_name="online_retail", landing=home / "landing", as_of=RETAIL_NIGHT)
        yield warehouse


@pytest.fixture(scope="module")
def retail_lines(retail_files: list[Path]) -> pd.DataFrame:
    """Order lines of products up to the night, cleaned by the shop's rules, in pandas."""
    text = {"InvoiceNo": str, "StockCode": str, "CustomerID": str}
    parts = [pd.read_csv(file, dtype=text).assign(file=n) for n, file in enumerate(retail_files)]
    lines = pd.concat(parts, ignore_index=True)
    lines = lines[~lines.drop(columns="file").duplicated()]
    cancelled = lines["InvoiceNo"].str.startswith("C")
    lines["item"] = lines["StockCode"].str.strip().str.upper()
    lines["status"] = np.where(cancelled, "cancellation", "sale")
    lines["at"] = pd.to_datetime(lines["InvoiceDate"])
    lines["date"] = lines["at"].dt.normalize()
    is_product = lines["item"].str.fullmatch(r"[0-9]{5}[A-Z]*|DCGS.+|PADS")
    keep = (
        ~lines["InvoiceNo"].str.startswith("A")
        & ((lines["Quantity"] > 0) | cancelled)
        & ((lines["UnitPrice"] > 0) | cancelled)
        & is_product
        & (lines["date"] <= pd.Timestamp(RETAIL_NIGHT))
    )
    return lines[keep].reset_index(drop=True)


def without_undone_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines without those that a cancellation right after them undoes, found line by line."""
    undone: set[int] = set()
    known = lines[lines["CustomerID"].notna()].sort_values(["at", "status"], ascending=[True, False], kind="stable")
    last: dict[tuple[str, str, int, float], tuple[int, str, pd.Timestamp]] = {}
    line: Any
    for line in known.itertuples():
        key = (line.CustomerID, line.item, abs(line.Quantity), line.UnitPrice)
        before = last.get(key)
        if (
            line.status == "cancellation"
            and before
            and before[1] == "sale"
            and line.at - before[2] <= timedelta(days=30)
        ):
            undone |= {line.Index, before[0]}
        last[key] = (line.Index, line.status, line.at)
    return lines.drop(index=sorted(undone))


def test_daily_sales_are_those_that_pandas_finds(retail: Warehouse, retail_lines: pd.DataFrame) -> None:
    lines = without_undone_lines(retail_lines)
    assert len(lines) < len(retail_lines)
    lines["amount"] = lines["Quantity"] * lines["UnitPrice"]
    sales = lines[lines["Quantity"] > 0]
    days = pd.date_range(lines["date"].min(), RETAIL_NIGHT)
    for level, keys in (("product", ["item"]), ("total", [])):
        expected = lines.groupby([*keys, "date"])[["Quantity", "amount"]].sum()
        expected["orders"] = sales.groupby([*keys, "date"])["InvoiceNo"].nunique()
        gross = sales.groupby([*keys, "date"])[["Quantity", "amount"]].sum()
        expected["average_price"] = gross["amount"] / gross["Quantity"]
        if keys:
            # On sale since it was first seen, be it in a line that was cancelled later.
            first = retail_lines.groupby("item")["date"].min()[lines["item"].unique()]
            grid: Any = pd.MultiIndex.from_tuples(
                [(item, day) for item, start in first.items() for day in days[days >= start]], names=["item", "date"]
            )
        else:
            grid = days
        expected = expected.reindex(grid)
        filled = expected[["Quantity", "amount", "orders"]].fillna(0)
        found = retail.arrow(
            "SELECT series_id, date, quantity, revenue, orders, average_price FROM feat_sales_daily "
            f"WHERE level = '{level}' ORDER BY series_id, date"
        ).to_pandas()
        if keys:
            filled, expected = filled.sort_index(), expected.sort_index()
            assert found["series_id"].tolist() == filled.index.get_level_values("item").tolist()
        assert len(found) == len(filled)
        np.testing.assert_allclose(found["quantity"], filled["Quantity"])
        np.testing.assert_allclose(found["revenue"], filled["amount"], atol=1e-6)
        assert found["orders"].tolist() == filled["orders"].astype(int).tolist()
        np.testing.assert_allclose(found["average_price"].to_numpy(float), expected["average_price"], rtol=1e-9)


def test_the_order_of_74215_units_that_was_cancelled_leaves_no_trace(
    retail: Warehouse, retail_lines: pd.DataFrame
) -> None:
    assert retail_lines["Quantity"].max() == 74_215
    assert retail.scalar("SELECT max(quantity) FROM feat_sales_daily WHERE level = 'product'") < 10_000


def test_saturdays_are_closed_and_other_days_are_not(retail: Warehouse) -> None:
    closed = retail.rows(
        "SELECT date FROM feat_sales_daily WHERE level = 'total' AND is_closed AND NOT is_holiday ORDER BY date"
    )
    saturdays = pd.date_range("2010-12-01", RETAIL_NIGHT, freq="W-SAT").date
    holidays = {date(2010, 12, 25), date(2011, 1, 1)}
    assert [day for (day,) in closed] == [day for day in saturdays if day not in holidays]


def in_order(warehouse: Warehouse) -> pd.DataFrame:
    """The sequences, user by user."""
    return warehouse.arrow("SELECT * FROM feat_user_events ORDER BY user_id, position").to_pandas()


def test_sequences_and_sessions_of_the_gift_shop_are_those_that_pandas_finds(
    retail: Warehouse, retail_lines: pd.DataFrame
) -> None:
    events = retail_lines[retail_lines["CustomerID"].notna()].copy()
    events["user"] = events["CustomerID"].str.removesuffix(".0")
    events = events.sort_values(["user", "at"], kind="stable")
    gap = events.groupby("user")["at"].diff()
    session = (gap.isna() | (gap > pd.Timedelta(minutes=30))).groupby(events["user"]).cumsum()
    found = in_order(retail)
    assert found["user_id"].tolist() == events["user"].tolist()
    assert found["item_id"].tolist() == events["item"].tolist()
    assert found["session_number"].tolist() == session.tolist()
    assert (found["event"] == "purchase").tolist() == (events["Quantity"] > 0).tolist()
    assert retail.scalar("SELECT count(*) FROM feat_sessions") == len(events.assign(s=session).groupby(["user", "s"]))


@pytest.fixture(scope="module")
def tmall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    home = tmp_path_factory.mktemp("tmall")
    (home / "landing" / "browse").mkdir(parents=True)
    shutil.copy(shared_data("tmall2014", "t_alibaba_data.csv"), home / "landing" / "browse")
    with open_warehouse(home / "w.duckdb", Settings(profile="tmall2014", threads=2)) as warehouse:
        featured(warehouse, profile_name="tmall2014", landing=home / "landing", as_of=TMALL_NIGHT)
        yield warehouse


@pytest.fixture(scope="module")
def tmall_events() -> pd.DataFrame:
    """Events up to the night in the order of user, day and line."""
    events = pd.read_csv(shared_data("tmall2014", "t_alibaba_data.csv"), dtype=str)
    month_day = events["visit_datetime"].str.split("-", expand=True).astype(int)
    events["date"] = pd.to_datetime(pd.DataFrame({"year": 2013, "month": month_day[0], "day": month_day[1]}))
    events = events[events["date"] <= pd.Timestamp(TMALL_NIGHT)]
    return events.sort_values(["user_id", "date"], kind="stable").reset_index(drop=True)


def test_sequences_follow_the_lines_where_only_the_day_is_known(tmall: Warehouse, tmall_events: pd.DataFrame) -> None:
    names = {"0": "view", "1": "purchase", "2": "favourite", "3": "cart"}
    found = in_order(tmall)
    assert found["user_id"].tolist() == tmall_events["user_id"].tolist()
    assert found["item_id"].tolist() == tmall_events["brand_id"].tolist()
    assert found["event"].tolist() == tmall_events["type"].map(names).tolist()
    day_number = tmall_events.groupby("user_id")["date"].rank("dense").astype(int)
    assert found["session_number"].tolist() == day_number.tolist()


def test_sales_and_clicks_come_from_the_browse_feed_alone(tmall: Warehouse, tmall_events: pd.DataFrame) -> None:
    found = tmall.arrow(
        "SELECT date, quantity, revenue, orders, views, carts FROM feat_sales_daily WHERE level = 'total' ORDER BY date"
    ).to_pandas()
    days = pd.date_range(tmall_events.loc[tmall_events["type"] == "1", "date"].min(), TMALL_NIGHT)
    for column, kind in (("quantity", "1"), ("views", "0"), ("carts", "3")):
        counted = tmall_events[tmall_events["type"] == kind].groupby("date").size().reindex(days).fillna(0)
        assert found[column].tolist() == counted.tolist()
    buyers = tmall_events[tmall_events["type"] == "1"].groupby("date")["user_id"].nunique().reindex(days).fillna(0)
    assert found["orders"].tolist() == buyers.tolist()
    assert found["revenue"].isna().all()
    products = tmall.rows(
        "SELECT date, sum(quantity) FROM feat_sales_daily WHERE level = 'product' GROUP BY 1 ORDER BY 1"
    )
    assert [quantity for _, quantity in products] == found["quantity"].tolist()
