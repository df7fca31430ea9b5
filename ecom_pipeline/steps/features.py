"""Feature tables of one night: in which order, from what, and for which night they stand.

What belongs here: building `feat_*` tables from their SQL files. What a table holds is said by its SQL and contract.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.calendar import shop_calendar
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources.profile import SourceProfile
from ecom_pipeline.steps.refreshing import refresh
from ecom_pipeline.warehouse import Warehouse

FEATURE_INPUTS: dict[str, tuple[str, ...]] = {
    "feat_user_events": (),
    "feat_item_clicks": ("feat_user_events",),
    "feat_items": ("feat_item_clicks",),
    "feat_promotion_days": ("feat_items",),
    "feat_sessions": ("feat_user_events",),
    "feat_sales_daily": ("feat_item_clicks", "feat_items", "feat_promotion_days"),
    "feat_sales_future": ("feat_items", "feat_promotion_days", "feat_sales_daily"),
}
"""Feature table -> the feature tables that it, or what tells its changes, reads; all read core tables as well."""

FEATURE_ORDER: tuple[str, ...] = tuple(FEATURE_INPUTS)
"""An order in which every table comes after those that it reads."""

CALENDAR_TABLES = frozenset({"feat_promotion_days", "feat_sales_daily", "feat_sales_future"})


class FeatureError(RuntimeError):
    """A feature table cannot be built or used for this night; the message says why and what to do."""


def with_inputs(names: Iterable[str]) -> tuple[str, ...]:
    """Feature tables and those that they are made from, each after those that it reads."""
    needed = set(names)
    for name in reversed(FEATURE_ORDER):
        if name in needed:
            needed.update(FEATURE_INPUTS[name])
    return tuple(name for name in FEATURE_ORDER if name in needed)


def build_feature(
    warehouse: Warehouse, table_name: str, *, profile: SourceProfile, settings: Settings, as_of: date
) -> int:
    """Bring a feature table to the end of the day `as_of`; returns its rows.

    The table and its entry in `feature_nights` change together or not at all.

    Raises:
        FeatureError: if a feature table that it reads stands for another night.
    """
    if table_name not in FEATURE_INPUTS:
        raise FeatureError(f"{table_name}: no such feature table; there are {', '.join(FEATURE_ORDER)}")
    for needed in FEATURE_INPUTS[table_name]:
        require_night(warehouse, needed, as_of=as_of)
    parameters = {
        "as_of": as_of,
        "orders_tell": orders_tell_purchases(warehouse, as_of=as_of),
        "session_gap_minutes": settings.session_gap_minutes,
        "cancellation_match_days": settings.cancellation_match_days,
        "active_since": as_of - timedelta(days=settings.forecast_active_days),
    }
    needs_calendar = table_name in CALENDAR_TABLES
    days = (
        calendar_of_night(warehouse, country=profile.shop.country, horizon=settings.horizon_days, as_of=as_of)
        if needs_calendar
        else None
    )
    with _calendar(warehouse, days):
        return refresh(warehouse, contracts.table(table_name), parameters, as_of=as_of)


def orders_tell_purchases(warehouse: Warehouse, *, as_of: date) -> bool:
    """Whether purchases up to the night come from an orders feed, so that those of a browse log are said twice."""
    return bool(
        warehouse.scalar(
            "SELECT count(*) > 0 FROM core_events WHERE feed = 'orders' AND event_date <= :as_of", {"as_of": as_of}
        )
    )


def require_night(warehouse: Warehouse, table_name: str, *, as_of: date) -> None:
    """Make sure that a feature table stands for the night `as_of`.

    Raises:
        FeatureError: if it stands for another night or was never built.
    """
    night = night_of(warehouse, table_name)
    if night != as_of:
        found = f"stands for the night of {night}" if night is not None else "was never built"
        raise FeatureError(f"{table_name} {found}, not for that of {as_of}; build it for {as_of} first")


def night_of(warehouse: Warehouse, table_name: str) -> date | None:
    """The night that a feature table stands for; None: it was never built."""
    nights = warehouse.rows("SELECT as_of FROM feature_nights WHERE table_name = :name", {"name": table_name})
    return nights[0][0] if nights else None


def calendar_of_night(warehouse: Warehouse, *, country: str | None, horizon: int, as_of: date) -> pa.Table:
    """The shop's calendar from its first day to the last to forecast: date, is_holiday, is_closed.

    `country` as in `public_holidays`; what is closed is learnt from sales up to `as_of`.

    Raises:
        ValueError: for a country whose holidays are not known.
    """
    trading_days = [
        day
        for (day,) in warehouse.rows(
            """
            SELECT order_date FROM core_order_lines WHERE status = 'sale' AND is_product AND order_date <= :as_of
            UNION
            SELECT event_date FROM core_events WHERE event = 'purchase' AND event_date <= :as_of
            """,
            {"as_of": as_of},
        )
    ]
    return shop_calendar(
        first=min(trading_days, default=as_of),
        last=as_of + timedelta(days=horizon),
        trading_days=trading_days,
        as_of=as_of,
        country=country,
    )


@contextmanager
def _calendar(warehouse: Warehouse, days: pa.Table | None) -> Iterator[None]:
    """The calendar, if any, under the name that the SQL files know, `shop_calendar`, for as long as the block lasts."""
    if days is None:
        yield
        return
    warehouse.connection.register("shop_calendar", days)
    try:
        yield
    finally:
        warehouse.connection.unregister("shop_calendar")
