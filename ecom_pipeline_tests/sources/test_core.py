"""What becomes of rows: typed, judged, told apart from their copies, whatever the order in which files come."""

from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

BROWSE = """
  browse:
    columns: {user_id: u, item_id: i, event: e, session_id: s, quantity: q}
    events: {click: view, buy: purchase, look: search}
    time: {value: at, formats: iso, zone: UTC}
"""
BROWSE_HEADER = "u,i,e,s,q,at\n"


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("1,ann,apple,two,1.5,2024-01-05", "bad_quantity"),
        ("1,ann,apple,nan,1.5,2024-01-05", "bad_quantity"),
        ("1,ann,apple,1,inf,2024-01-05", "bad_unit_price"),
        ('1,ann,apple,1,"1,5",2024-01-05', "bad_unit_price"),
        ("1,ann,apple,,1.5,2024-01-05", "missing_quantity"),
        (",ann,apple,1,1.5,2024-01-05", "missing_order_id"),
        ("1,ann,  ,1,1.5,2024-01-05", "missing_item_id"),
        (f"1,ann,{'x' * 300},1,1.5,2024-01-05", "long_item_id"),
        ("1,ann,apple,1,1.5,", "missing_time"),
        ("1,ann,apple,1,1.5,2024-02-30", "bad_time"),
        ("1,ann,apple,1,1.5,05/01/2024", "bad_time"),
        ("1,ann,apple,1,1.5,0024-01-05", "time_too_early"),
        ("1,ann,apple,1,1.5,1970-01-01", "time_too_early"),
        ("1,ann,apple,1,1.5,2199-01-05", "time_in_future"),
        ("1,ann,apple,1e12,1.5,2024-01-05", "bad_quantity"),
        ("1,ann,apple,1,1000,2024-01-05", "cheap"),
        ("1,ann,apple,1,-1,2024-01-05", "out_of_range_unit_price"),
        ("1,ann,apple,0,1,2024-01-05", "sales_have_a_positive_quantity__returns_and_cancellations_a_neg"),
    ],
)
def test_a_bad_row_is_quarantined_as_it_came_under_the_first_rule_it_breaks(shop: Shop, row: str, rule: str) -> None:
    shop.write("orders/a.csv", HEADER + row + "\n1,ann,good,1,1.5,2024-01-05\n")
    shop.ingest()
    assert shop.quarantine() == [("orders/a.csv", 2, rule)]
    ((raw, reason, run),) = shop.rows("SELECT raw, reason, run_id FROM quarantine_orders")
    assert f'"order":{"null" if row.startswith(",") else chr(34) + "1" + chr(34)}' in raw
    assert reason and run == "load1"
    assert [found[3] for found in shop.core()] == ["good"]
    assert shop.is_conserved()


def test_what_the_profile_leaves_out_has_defaults(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + "1,,apple,2,1.5,2024-01-05\n2,ann,apple,-1,1.5,2024-01-06\n")
    shop.ingest()
    names = "status, amount, currency, is_product, user_id"
    assert shop.rows(f"SELECT {names} FROM core_order_lines ORDER BY line") == [
        ("sale", 3.0, "EUR", True, None),
        ("return", -1.5, "EUR", True, "ann"),
    ]


def test_order_lines_of_products_are_also_events(tmp_path: Path) -> None:
    text = ORDERS.replace("unit_price: price}", "unit_price: price, is_product: item <> 'postage'}")
    with open_shop(tmp_path, text) as shop:
        shop.write(
            "orders/a.csv",
            HEADER + "1,ann,apple,2,1.5,2024-01-05\n1,ann,postage,1,4,2024-01-05\n2,ann,apple,-1,1.5,2024-01-06\n",
        )
        shop.ingest()
        assert shop.rows("SELECT event, item_id, quantity, price, feed, line FROM core_events ORDER BY line") == [
            ("purchase", "apple", 2.0, 1.5, "orders", 2),
            ("return", "apple", 1.0, 1.5, "orders", 4),
        ]
        shop.write("orders/a.csv", HEADER)
        shop.ingest()
        assert shop.rows("SELECT count(*) FROM core_events") == [(0,)]


def test_local_times_become_utc_and_days_stay_those_of_the_shop(shop: Shop) -> None:
    times = {
        "2024-01-05 00:30:00": datetime(2024, 1, 4, 23, 30),
        "2024-07-05 00:30:00": datetime(2024, 7, 4, 22, 30),
        "2024-03-31 01:59:59": datetime(2024, 3, 31, 0, 59, 59),
        "2024-03-31 03:00:00": datetime(2024, 3, 31, 1, 0),
        "2024-10-27 01:59:59": datetime(2024, 10, 26, 23, 59, 59),
        "2024-10-27 03:00:00": datetime(2024, 10, 27, 2, 0),
        "2024-07-06": datetime(2024, 7, 5, 22, 0),
    }
    shop.write("orders/a.csv", HEADER + "".join(f"1,ann,{i},1,1,{at}\n" for i, at in enumerate(times)))
    shop.ingest()
    rows = shop.rows("SELECT ordered_at, order_date FROM core_order_lines ORDER BY line")
    assert [row[0] for row in rows] == list(times.values())
    assert [str(row[1]) for row in rows] == [at[:10] for at in times]


def test_a_time_that_daylight_saving_skips_or_repeats_stays_on_its_day(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + "1,a,x,1,1,2024-03-31 02:30:00\n1,a,y,1,1,2024-10-27 02:30:00\n")
    shop.ingest()
    assert shop.rows("SELECT ordered_at, order_date FROM core_order_lines ORDER BY line") == [
        (datetime(2024, 3, 31, 1, 30), date(2024, 3, 31)),
        (datetime(2024, 10, 27, 1, 30), date(2024, 10, 27)),
    ]


@pytest.mark.parametrize(
    ("formats", "written", "utc", "day"),
    [
        ("iso", "2024-07-05T23:30:00Z", datetime(2024, 7, 5, 23, 30), date(2024, 7, 6)),
        ("iso", "2024-07-05T23:30:00.250+05:30", datetime(2024, 7, 5, 18, 0, 0, 250_000), date(2024, 7, 5)),
        ("iso", "2024-07-05 23:30:00-0200", datetime(2024, 7, 6, 1, 30), date(2024, 7, 6)),
        ("iso", "2024-07-05 23:30:00+02", datetime(2024, 7, 5, 21, 30), date(2024, 7, 5)),
        ("iso", "2024-07-05 00:30:00", datetime(2024, 7, 4, 22, 30), date(2024, 7, 5)),
        ("iso", "2024-07-05", datetime(2024, 7, 4, 22, 0), date(2024, 7, 5)),
        ("epoch_s", "1720222200", datetime(2024, 7, 5, 23, 30), date(2024, 7, 6)),
        ("epoch_s", "1720222200.5", datetime(2024, 7, 5, 23, 30, 0, 500_000), date(2024, 7, 6)),
        ("epoch_ms", "1720222200500", datetime(2024, 7, 5, 23, 30, 0, 500_000), date(2024, 7, 6)),
        ("'%d.%m.%Y %H:%M'", "05.07.2024 00:30", datetime(2024, 7, 4, 22, 30), date(2024, 7, 5)),
    ],
)
def test_times_are_read_in_each_format(tmp_path: Path, formats: str, written: str, utc: datetime, day: date) -> None:
    text = ORDERS.replace('formats: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]', f"formats: {formats}")
    with open_shop(tmp_path, text) as shop:
        shop.write("orders/a.csv", HEADER + f"1,ann,apple,1,1,{written}\n1,ann,pear,1,1,99999999999999999999\n")
        shop.ingest()
        assert shop.rows("SELECT ordered_at, order_date FROM core_order_lines") == [(utc, day)]
        assert shop.quarantine() == [("orders/a.csv", 3, "bad_time")]


def test_times_of_another_zone_fall_on_the_day_of_the_shop(tmp_path: Path) -> None:
    text = ORDERS.replace("time: {value: at,", "time: {zone: America/New_York, value: at,")
    with open_shop(tmp_path, text) as shop:
        shop.write("orders/a.csv", HEADER + "1,ann,apple,1,1,2024-07-05 20:00:00\n")
        shop.ingest()
        assert shop.rows("SELECT ordered_at, order_date FROM core_order_lines") == [
            (datetime(2024, 7, 6, 0, 0), date(2024, 7, 6))
        ]


def test_browse_events_are_named_and_unknown_ones_quarantined(tmp_path: Path) -> None:
    with open_shop(tmp_path, ORDERS + BROWSE) as shop:
        shop.write(
            "browse/a.csv",
            BROWSE_HEADER
            + "ann,apple,click,s1,,2024-01-05T10:00:00\n,,look,,,2024-01-05\nann,apple,stare,,,2024-01-05\n"
            + "ann,,click,,,2024-01-05\nann,apple,buy,s1,2,2024-01-05\n",
        )
        shop.ingest()
        assert shop.rows("SELECT user_id, item_id, event, session_id, feed FROM core_events ORDER BY line") == [
            ("ann", "apple", "view", "s1", "browse"),
            (None, None, "search", None, "browse"),
            ("ann", "apple", "purchase", "s1", "browse"),
        ]
        assert [row[1:] for row in shop.quarantine("browse")] == [(4, "unknown_event"), (5, "missing_item_id")]


def test_purchases_count_once_as_soon_as_orders_have_come(tmp_path: Path) -> None:
    with open_shop(tmp_path, ORDERS + BROWSE) as shop:
        shop.write("browse/a.csv", BROWSE_HEADER + "ann,apple,click,,,2024-01-05\nann,apple,buy,,1,2024-01-05\n")
        shop.ingest()
        assert shop.rows("SELECT event, feed FROM core_events ORDER BY ALL") == [
            ("purchase", "browse"),
            ("view", "browse"),
        ]
        shop.write("orders/a.csv", HEADER + "1,ann,apple,1,1.5,2024-01-05\n")
        shop.ingest()
        assert shop.rows("SELECT event, feed FROM core_events ORDER BY ALL") == [
            ("purchase", "orders"),
            ("view", "browse"),
        ]
        assert shop.ledger()["browse/a.csv"]["rows_duplicate"] == 1
        assert shop.is_conserved()


def test_files_and_feeds_that_leave_the_profile_leave_core(tmp_path: Path) -> None:
    with open_shop(tmp_path, ORDERS + BROWSE) as shop:
        shop.write("orders/a.csv", HEADER + "1,ann,apple,1,1.5,2024-01-05\n")
        shop.write("orders/b.csv", HEADER + "2,bob,bread,1,1.5,2024-01-05\n")
        shop.write("browse/a.csv", BROWSE_HEADER + "ann,apple,click,,,2024-01-05\n")
        shop.ingest()
    with open_shop(tmp_path, ORDERS.replace("    columns:", "    files: a*\n    columns:")) as shop:
        shop.ingest()
        assert shop.rows("SELECT item_id FROM core_order_lines") == [("apple",)]
        assert shop.rows("SELECT feed, item_id FROM core_events") == [("orders", "apple")]
    with open_shop(tmp_path, ORDERS + BROWSE) as shop:
        shop.ingest()
        assert shop.rows("SELECT feed, item_id FROM core_events ORDER BY ALL") == [
            ("browse", "apple"),
            ("orders", "apple"),
            ("orders", "bread"),
        ]
        assert shop.is_conserved()


def test_a_copy_takes_the_place_of_a_kept_row_that_is_gone(shop: Shop) -> None:
    row = "1,ann,apple,1,1.5,2024-01-05\n"
    shop.write("orders/a.csv", HEADER + row)
    shop.write("orders/b.csv", HEADER + row + row)
    shop.ingest()
    assert [line[0] for line in shop.core()] == ["orders/a.csv"]
    assert [shop.ledger()[f"orders/{name}.csv"]["rows_duplicate"] for name in "ab"] == [0, 2]
    shop.write("orders/a.csv", HEADER + "2,bob,pear,1,1.5,2024-01-05\n")
    shop.ingest()
    assert [(line[0], line[3], line[-1]) for line in shop.core()] == [
        ("orders/a.csv", "pear", 2),
        ("orders/b.csv", "apple", 2),
    ]
    assert [shop.ledger()[f"orders/{name}.csv"]["rows_duplicate"] for name in "ab"] == [0, 1]
    assert shop.rows("SELECT count(*) FROM core_events") == [(2,)]
    assert shop.is_conserved()


def test_a_key_may_be_columns_of_the_feed_and_expressions(tmp_path: Path) -> None:
    text = ORDERS.replace("key: exact", "key: [order_id, upper(item)]")
    with open_shop(tmp_path, text) as shop:
        shop.write(
            "orders/a.csv",
            HEADER + "1,ann,apple,1,1,2024-01-05\n1,bob,APPLE,2,2,2024-01-06\n2,c,apple,1,1,2024-01-05\n",
        )
        shop.ingest()
        assert [(row[1], row[2]) for row in shop.core()] == [("1", "ann"), ("2", "c")]


def test_without_a_key_equal_rows_are_all_kept(tmp_path: Path) -> None:
    with open_shop(tmp_path, ORDERS.replace("    key: exact\n", "")) as shop:
        shop.write("orders/a.csv", HEADER + "1,ann,apple,1,1,2024-01-05\n" * 3)
        shop.ingest()
        assert len(shop.core()) == 3


ROW = st.sampled_from(
    [
        "1,ann,apple,1,1.5,2024-01-05",
        "1,ann,apple,1,1.50,2024-01-05",
        "2,,bread,2,3,2024-01-06",
        "3,cid,corn,-1,2,2024-01-06",
        "4,dan,dates,x,2,2024-01-06",
        "5,eva,figs",
        '6,"fay\ngin",grapes,1,1,2024-01-07',
    ]
)
FILES = st.dictionaries(st.sampled_from("abcdef"), st.lists(ROW, max_size=6), min_size=1, max_size=5)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), final=FILES)
def test_any_order_of_loading_and_any_history_of_files_gives_the_same_core(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, final: dict[str, list[str]]
) -> None:
    def text(rows: list[str]) -> str:
        return HEADER + "".join(f"{row}\n" for row in rows)

    def outcome(shop: Shop) -> tuple[object, ...]:
        assert shop.is_conserved()
        counts = {
            path: [row[name] for name in ("rows_in", "rows_core", "rows_quarantined", "rows_duplicate")]
            for path, row in shop.ledger().items()
        }
        ids = {path: row["file_id"] for path, row in shop.ledger().items()}
        assert sorted(ids) == sorted(ids, key=ids.__getitem__)
        return shop.core(), shop.core("core_events"), shop.quarantine(), counts

    with open_shop(tmp_path_factory.mktemp("at_once")) as shop:
        for name, rows in final.items():
            shop.write(f"orders/{name}.csv", text(rows))
        shop.ingest()
        expected = outcome(shop)

    with open_shop(tmp_path_factory.mktemp("one_by_one")) as shop:
        for name in data.draw(st.permutations(sorted(final)), label="order"):
            if data.draw(st.booleans(), label="has a former version"):
                shop.write(f"orders/{name}.csv", text(data.draw(st.lists(ROW, max_size=5), label="former")))
                shop.ingest()
        for name in data.draw(st.permutations(sorted(final)), label="final order"):
            shop.write(f"orders/{name}.csv", text(final[name]))
            if data.draw(st.booleans(), label="ingest now"):
                shop.ingest()
        shop.ingest()
        assert outcome(shop) == expected
