"""The tables by plain pandas, as somebody would write them who knows it well: vectorised, no loops over rows.

python -m benchmarks.peers.pandas_peer LANDING OUT
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

EVENTS = {
    "view_item": "view",
    "search": "search",
    "add_to_wishlist": "favourite",
    "add_to_cart": "cart",
    "remove_from_cart": "remove",
}
STATUSES = {"paid": "sale", "returned": "return", "cancelled": "cancellation"}
MATCH_DAYS = pd.Timedelta(days=30)
GAP = pd.Timedelta(minutes=30)


def read(folder: Path) -> pd.DataFrame:
    """All rows of the feed's files as text, once each, with file and line."""
    files = sorted(folder.glob("*.csv"))
    frames = [pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""]) for file in files]
    rows = pd.concat(frames, keys=range(len(files)), names=["file", "line"])
    return rows[~rows.duplicated()].reset_index()


def text(column: pd.Series) -> pd.Series:
    """Trimmed; empty is null."""
    stripped = column.str.strip()
    return stripped.where(stripped != "")


def order_lines(landing: Path) -> pd.DataFrame:
    """`core_order_lines`."""
    raw = read(landing / "orders")
    local = pd.to_datetime(raw["ordered_at"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    lines = pd.DataFrame(
        {
            "order_id": text(raw["order"]),
            "user_id": text(raw["customer"]),
            "item_id": text(raw["sku"]).str.upper(),
            "item_name": text(raw["title"]),
            "quantity": pd.to_numeric(raw["quantity"], errors="coerce"),
            "unit_price": pd.to_numeric(raw["unit_price"], errors="coerce"),
            "status": raw["status"].map(STATUSES),
            "channel": text(raw["device"]),
            # of an hour that happens twice the second, and one that is skipped as if the clock had not been put forward
            "ordered_at": local.dt.tz_localize(
                "Europe/Berlin", ambiguous=np.zeros(len(raw), dtype=bool), nonexistent=pd.Timedelta(hours=1)
            )
            .dt.tz_convert("UTC")
            .dt.tz_localize(None),
            "order_date": local.dt.normalize(),
            "file": raw["file"],
            "line": raw["line"],
        }
    )
    lines["amount"] = lines["quantity"] * lines["unit_price"]
    lines["is_product"] = lines["item_id"] != "SHIPPING"
    right_sign = np.where(lines["status"] == "sale", lines["quantity"] > 0, lines["quantity"] < 0)
    priced = raw["unit_price"].isna() | (lines["unit_price"] >= 0)
    given = lines[["order_id", "item_id", "ordered_at"]].notna().all(axis=1)
    return lines[given & priced & right_sign].reset_index(drop=True)


def events(landing: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """`core_events`."""
    raw = read(landing / "browse")
    at = pd.to_datetime(raw["at_utc"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    day = at.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin").dt.tz_localize(None).dt.normalize()
    clicks = pd.DataFrame(
        {
            "user_id": text(raw["customer"]),
            "session_id": text(raw["session"]),
            "item_id": text(raw["sku"]).str.upper(),
            "event": raw["event"].map(EVENTS),
            "channel": text(raw["device"]),
            "event_ts": at,
            "event_date": day,
            "feed": "browse",
            "file": raw["file"],
            "line": raw["line"],
        }
    )
    kept = (
        clicks["event_ts"].notna()
        & clicks["event"].notna()
        & (clicks["item_id"].notna() | (clicks["event"] == "search"))
    )
    products = lines[lines["is_product"]]
    deals = pd.DataFrame(
        {
            "user_id": products["user_id"],
            "item_id": products["item_id"],
            "event": np.where(products["status"] == "sale", "purchase", "return"),
            "quantity": products["quantity"].abs(),
            "price": products["unit_price"],
            "channel": products["channel"],
            "event_ts": products["ordered_at"],
            "event_date": products["order_date"],
            "feed": "orders",
            "file": products["file"],
            "line": products["line"],
        }
    )
    return pd.concat([clicks[kept], deals], ignore_index=True)


def user_events(all_events: pd.DataFrame) -> pd.DataFrame:
    """`feat_user_events`."""
    told = all_events[all_events["user_id"].notna() & all_events["item_id"].notna() & (all_events["event"] != "search")]
    ordered = told.sort_values(["user_id", "event_ts", "feed", "file", "line"], ignore_index=True)
    of_user = ordered.groupby("user_id", sort=False)
    ordered["position"] = of_user.cumcount() + 1
    before, session_before = of_user["event_ts"].shift(), of_user["session_id"].shift()
    known = ordered["session_id"].notna() & session_before.notna()
    starts = np.where(
        before.isna(),
        True,
        np.where(known, ordered["session_id"] != session_before, ordered["event_ts"] > before + GAP),
    )
    ordered["session_number"] = pd.Series(starts.astype(int)).groupby(ordered["user_id"], sort=False).cumsum()
    return ordered


def sessions(history: pd.DataFrame) -> pd.DataFrame:
    """`feat_sessions`."""
    history = history.assign(
        view=history["event"] == "view",
        cart=history["event"] == "cart",
        purchase=history["event"] == "purchase",
        bought=(history["quantity"].fillna(1) * history["price"]).where(history["event"] == "purchase"),
    )
    grouped = history.groupby(["user_id", "session_number"], sort=False)
    made = grouped.agg(
        started_at=("event_ts", "min"),
        ended_at=("event_ts", "max"),
        session_date=("event_date", "min"),
        events=("event", "size"),
        items=("item_id", "nunique"),
        views=("view", "sum"),
        carts=("cart", "sum"),
        purchases=("purchase", "sum"),
        entry_item_id=("item_id", "first"),
        exit_item_id=("item_id", "last"),
    )
    made["value"] = grouped["bought"].sum(min_count=1).round(4)
    return made.reset_index()


def item_sales(lines: pd.DataFrame) -> pd.DataFrame:
    """Sales of each product by day, without those that a cancellation right after them undid."""
    sold = lines[lines["is_product"]].copy()
    sold["size"], sold["price_key"] = sold["quantity"].abs(), sold["unit_price"].fillna(-1)
    key = ["user_id", "item_id", "size", "price_key"]
    doubtful = sold[sold["status"].isin(["sale", "cancellation"]) & sold["user_id"].notna()]
    cancelled = doubtful.loc[doubtful["status"] == "cancellation", key].drop_duplicates()
    doubtful = doubtful.reset_index().merge(cancelled, on=key).assign(rank=lambda rows: rows["status"] != "sale")
    doubtful = doubtful.sort_values([*key, "ordered_at", "rank", "file", "line"])
    of_key = doubtful.groupby(key, sort=False)
    before, at_before = of_key["status"].shift(), of_key["ordered_at"].shift()
    after, at_after = of_key["status"].shift(-1), of_key["ordered_at"].shift(-1)
    undone = (
        (doubtful["status"] == "cancellation") & (before == "sale") & (doubtful["ordered_at"] <= at_before + MATCH_DAYS)
    ) | ((doubtful["status"] == "sale") & (after == "cancellation") & (at_after <= doubtful["ordered_at"] + MATCH_DAYS))
    sold = sold[~sold.index.isin(doubtful.loc[undone, "index"])].copy()
    sold["order"] = sold["order_id"].where(sold["quantity"] > 0)
    made = sold.groupby(["item_id", "order_date"], sort=False).agg(
        quantity=("quantity", "sum"), orders=("order", "nunique")
    )
    made["revenue"] = sold.groupby(["item_id", "order_date"], sort=False)["amount"].sum(min_count=1).round(4)
    made["quantity"] = made["quantity"].round(4)
    return made.reset_index().rename(columns={"order_date": "date"})


def main() -> None:
    """Make the tables and write them as Parquet."""
    landing, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    lines = order_lines(landing)
    lines.to_parquet(out / "core_order_lines.parquet")
    all_events = events(landing, lines)
    all_events.to_parquet(out / "core_events.parquet")
    history = user_events(all_events)
    history.to_parquet(out / "feat_user_events.parquet")
    sessions(history).to_parquet(out / "feat_sessions.parquet")
    item_sales(lines).to_parquet(out / "item_sales.parquet")


if __name__ == "__main__":
    main()
