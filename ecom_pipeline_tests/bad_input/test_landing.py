"""What may lie in landing besides good files: links, odd names, files still being written, drift from day to day."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from ecom_pipeline.quality import check_health
from ecom_pipeline.sources import load_landing, readers
from ecom_pipeline.sources.files import LandingFile
from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

GOOD = "1,ann,apple,2,1.50,2024-01-05 10:00:00\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, ORDERS) as opened:
        (opened.landing / "orders").mkdir()
        yield opened


def test_a_link_that_leaves_landing_is_refused_and_not_read(shop: Shop, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(HEADER + GOOD)
    (shop.landing / "orders" / "link.csv").symlink_to(secret)
    (shop.landing / "orders" / "relative.csv").symlink_to("../../secret.csv")
    report, _ = shop.ingest()
    assert [path for path, _ in report.refused] == ["orders/link.csv", "orders/relative.csv"]
    assert all("leads out of landing" in why for _, why in report.refused)
    assert shop.core() == []


def test_a_linked_folder_is_not_entered(shop: Shop, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_text(HEADER + GOOD)
    (shop.landing / "orders" / "sub").symlink_to(outside, target_is_directory=True)
    (shop.landing / "orders" / "loop").symlink_to(shop.landing, target_is_directory=True)
    assert shop.load().files_found == 0


def test_a_link_within_landing_is_followed(shop: Shop) -> None:
    shop.write("kept/a.csv", HEADER + GOOD)
    (shop.landing / "orders" / "a.csv").symlink_to(shop.landing / "kept" / "a.csv")
    shop.ingest()
    assert [row[3] for row in shop.core()] == ["apple"]


def test_what_is_no_file_is_passed_over(shop: Shop) -> None:
    folder = shop.landing / "orders"
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "broken.csv").symlink_to("nowhere.csv")
    (folder / ".hidden.csv").write_text(HEADER + GOOD)
    (folder / "a.csv.part").write_text(HEADER + GOOD)
    assert shop.load().files_found == 0


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.csv",
        "'; DROP TABLE x; --.csv",
        "*.csv",
        "[a].csv",
        "ü😀.csv",
        "a b.csv",
        "$(id).csv",
        "-rf.csv",
        "%s.csv",
        '"q".csv',
    ],
)
def test_odd_names_are_names(shop: Shop, name: str) -> None:
    shop.write(f"orders/{name}", HEADER + GOOD)
    shop.write("orders/good.csv", HEADER + GOOD.replace("1,ann", "2,bob"))
    report, _ = shop.ingest()
    assert report.refused == ()
    assert sorted(row[0] for row in shop.core()) == sorted([f"orders/{name}", "orders/good.csv"])


def test_a_name_that_is_no_text_is_refused(shop: Shop) -> None:
    path = os.fsencode(shop.landing / "orders") + b"/\xff\xfe.csv"
    Path(os.fsdecode(path)).write_text(HEADER + GOOD)
    shop.write("orders/good.csv", HEADER + GOOD.replace("1,ann", "2,bob"))
    report, _ = shop.ingest()
    assert len(report.refused) == 1
    assert "rename" in report.refused[0][1]
    assert [row[0] for row in shop.core()] == ["orders/good.csv"]


def test_a_file_that_may_not_be_read_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("orders/a.csv", HEADER + GOOD)

    def denied(file: LandingFile) -> str:
        raise PermissionError(13, "Permission denied", str(file.absolute))

    monkeypatch.setattr(readers, "compression_of", denied)
    report = shop.load()
    assert "may not be read (Permission denied)" in report.refused[0][1]


def test_a_file_that_is_still_being_written_waits_for_the_next_look(shop: Shop) -> None:
    growing = shop.write("orders/growing.csv", HEADER)
    shop.write("orders/whole.csv", HEADER + GOOD.replace("1,ann", "2,bob"))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with growing.open("a") as file:
                file.write(GOOD[:7])
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = load_landing(
            shop.warehouse, landing=shop.landing, profile=shop.profile, run_id="r", settle_seconds=0.3
        )
    finally:
        stop.set()
        writer.join()
    assert (report.deferred, report.files_loaded) == (("orders/growing.csv",), 1)
    growing.write_text(HEADER + GOOD)
    shop.ingest()
    assert sorted(row[0] for row in shop.core()) == ["orders/growing.csv", "orders/whole.csv"]


def test_duplicate_orders_with_other_contents_are_both_kept_and_exact_ones_once(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + GOOD + GOOD + GOOD.replace(",2,", ",5,"))
    shop.ingest()
    assert [row[5] for row in shop.core()] == [2.0, 5.0]
    assert shop.is_conserved()


def test_an_order_that_comes_with_other_contents_under_one_key_keeps_the_first(tmp_path: Path) -> None:
    with open_shop(tmp_path, ORDERS.replace("key: exact", "key: [order_id, item_id]")) as shop:
        shop.write("orders/a.csv", HEADER + GOOD)
        shop.write("orders/b.csv", HEADER + GOOD.replace(",2,", ",5,"))
        shop.ingest()
        assert [row[5] for row in shop.core()] == [2.0]
        assert shop.is_conserved()


def test_drift_from_one_day_to_the_next_is_taken_or_refused_by_name(shop: Shop) -> None:
    shop.write("orders/1.csv", HEADER + GOOD)
    shop.ingest()
    shop.write("orders/2.csv", "at,price,new,qty,item,customer,order\n2024-01-06,1.5,x,3,bread,bob,2\n")
    shop.write("orders/3.csv", HEADER.replace("qty", "quantity") + GOOD)
    shop.write("orders/4.csv", HEADER.replace(",price", "") + "4,ann,corn,1,2024-01-06\n")
    report, _ = shop.ingest()
    assert {path: "is missing" in why for path, why in report.refused} == {"orders/3.csv": True, "orders/4.csv": True}
    assert [(row[0], row[3], row[5]) for row in shop.core()] == [
        ("orders/1.csv", "apple", 2.0),
        ("orders/2.csv", "bread", 3.0),
    ]


@pytest.mark.parametrize(("times", "rule"), [(10, "volume_is_usual"), (0.1, "volume_is_usual"), (0, "feed_is_fresh")])
def test_a_sudden_change_of_volume_or_a_feed_that_stops_is_told(shop: Shop, times: float, rule: str) -> None:
    first = date(2024, 1, 1)
    usual, night = 40, first + timedelta(days=69)
    lines = [HEADER]
    for day in range(70):
        at = first + timedelta(days=day)
        count = usual if day < 69 else round(usual * times)
        if times == 0 and day > 60:
            count = 0
        lines += [f"{day}-{n},u{n},apple,1,1.5,{at}\n" for n in range(count)]
    shop.write("orders/a.csv", "".join(lines))
    shop.ingest()
    validation = check_health(shop.warehouse, "core_order_lines", as_of=night, run_id="r")
    assert rule in {result.expectation for result in validation.failures}
