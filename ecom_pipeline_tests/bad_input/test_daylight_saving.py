"""Days of 23 and 25 hours: no row is lost, days and sums are the shop's, sessions are cut by real time."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from ecom_pipeline.settings import Settings
from ecom_pipeline.sources.times import day_in_zone
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature
from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

BROWSE = """
  browse:
    columns: {user_id: customer, item_id: item, event: event}
    events: {view: view}
    time: {value: at, formats: ["%Y-%m-%d %H:%M:%S"]ZONE}
    key: exact
"""
VIEWS_HEADER = "customer,item,event,at\n"
CHANGES = {
    # zone -> the first moment (UTC) after the clocks were put forward, and after they were put back
    "Europe/Berlin": (datetime(2024, 3, 31, 1), datetime(2024, 10, 27, 1)),
    "America/New_York": (datetime(2024, 3, 10, 7), datetime(2024, 11, 3, 6)),
    # at midnight: the day begins at 1:00, and its last hour comes twice
    "America/Sao_Paulo": (datetime(2018, 11, 4, 3), datetime(2018, 2, 18, 2)),
}
CASES = [(zone, change) for zone, changes in CHANGES.items() for change in changes]


def profile(zone: str, *, browse_zone: str | None = None) -> str:
    browse = BROWSE.replace("ZONE", f", zone: {browse_zone}" if browse_zone else "")
    return ORDERS.replace("Europe/Berlin", zone).rstrip() + browse


def local(moment: datetime, zone: str) -> datetime:
    return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def build(shop: Shop, as_of: date) -> None:
    for name in FEATURE_ORDER:
        build_feature(shop.warehouse, name, profile=shop.profile, settings=Settings(profile="test"), as_of=as_of)


def every_ten_minutes(change: datetime, *, hours: int) -> list[datetime]:
    return [change + timedelta(minutes=10 * n) for n in range(-6 * hours, 6 * hours)]


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_orders_written_in_local_time_are_all_sold_on_their_own_day(
    tmp_path: Path, zone: str, change: datetime
) -> None:
    written = [local(moment, zone) for moment in every_ten_minutes(change, hours=36)]
    with open_shop(tmp_path, profile(zone)) as shop:
        lines = [f"{n},ann,apple,1,1.5,{at}\n" for n, at in enumerate(written)]
        shop.write("orders/a.csv", HEADER + "".join(lines))
        shop.ingest()
        build(shop, max(written).date())
        expected: dict[date, float] = {}
        for at in written:
            expected[at.date()] = expected.get(at.date(), 0.0) + 1
        sold = shop.rows("SELECT date, quantity FROM feat_sales_daily WHERE level = 'total' AND quantity > 0")
        assert dict(sold) == expected
        assert expected[local(change, zone).date()] == 6 * (25 if _put_back(change, zone) else 23)
        assert shop.is_conserved()


def _put_back(change: datetime, zone: str) -> bool:
    return local(change, zone) < local(change - timedelta(minutes=1), zone)


@pytest.mark.parametrize(("zone", "change"), CASES)
@pytest.mark.parametrize("hour_that_is_missing", ["02:30:00", "00:30:00"])
def test_a_time_that_never_was_keeps_its_day(
    tmp_path: Path, zone: str, change: datetime, hour_that_is_missing: str
) -> None:
    day = local(change, zone).date()
    with open_shop(tmp_path, profile(zone)) as shop:
        shop.write("orders/a.csv", f"{HEADER}1,ann,apple,1,1.5,{day} {hour_that_is_missing}\n")
        shop.ingest()
        ((moment, found),) = shop.rows("SELECT ordered_at, order_date FROM core_order_lines")
        assert found == day
        assert local(moment, zone).date() == day


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_sessions_logged_in_utc_go_through_the_change_and_are_cut_by_real_time(
    tmp_path: Path, zone: str, change: datetime
) -> None:
    steady = every_ten_minutes(change, hours=2)
    paused = [change - timedelta(minutes=21), change + timedelta(minutes=20)]
    with open_shop(tmp_path, profile(zone, browse_zone="UTC")) as shop:
        lines = [f"steady,apple,view,{at}\n" for at in steady] + [f"paused,apple,view,{at}\n" for at in paused]
        shop.write("browse/a.csv", VIEWS_HEADER + "".join(lines))
        shop.ingest()
        build(shop, change.date() + timedelta(days=1))
        found = shop.rows("SELECT user_id, session_date, minutes FROM feat_sessions ORDER BY user_id, session_number")
        assert found == [
            *(("paused", local(moment, zone).date(), 0.0) for moment in paused),
            ("steady", local(steady[0], zone).date(), 230.0),
        ]
        by_day = shop.rows("SELECT event_date, count(*) FROM core_events WHERE user_id = 'steady' GROUP BY ALL")
        days = [local(moment, zone).date() for moment in steady]
        assert dict(by_day) == {day: days.count(day) for day in set(days)}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_session_logged_in_local_time_goes_over_the_hour_that_never_was(tmp_path: Path, zone: str) -> None:
    change = CHANGES[zone][0]
    moments = [change + timedelta(minutes=minute) for minute in (-50, -30, -10, 10, 30)]
    with open_shop(tmp_path, profile(zone)) as shop:
        lines = [f"ann,apple,view,{local(moment, zone)}\n" for moment in moments]
        shop.write("browse/a.csv", VIEWS_HEADER + "".join(lines))
        shop.ingest()
        build(shop, change.date())
        assert shop.rows("SELECT session_date, events, minutes FROM feat_sessions") == [(change.date(), 5, 80.0)]


@pytest.mark.parametrize(
    "zone", [*CHANGES, "UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati"]
)
def test_the_day_of_a_moment_is_that_of_the_clock_though_its_offset_is_asked_for_only_near_midnight(zone: str) -> None:
    moments = (
        "SELECT unnest(range(TIMESTAMP '2009-10-20', TIMESTAMP '2012-01-05', INTERVAL 97 MINUTE)) AS moment UNION ALL "
        "SELECT unnest([TIMESTAMP 'infinity', NULL, TIMESTAMP '1900-01-01 23:30:00', TIMESTAMP '2100-06-01 22:30:00'])"
    )
    with duckdb.connect() as clock:
        ((rows, others),) = clock.execute(
            f"SELECT count(*), count(*) FILTER ({day_in_zone('moment', zone)} IS DISTINCT FROM "
            f"CAST(timezone('{zone}', timezone('UTC', moment)) AS DATE)) FROM ({moments}) AS moments"
        ).fetchall()
    assert rows > 10_000
    assert others == 0
