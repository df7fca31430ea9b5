"""Each file is loaded once; what happens to its rows when it changes, comes back or cannot be read."""

import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from ecom_pipeline.sources.file_ids import assign
from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

A = "1,ann,apple,2,1.50,2024-01-05 10:00:00\n"
B = "1,ann,bread,1,3.00,2024-01-05 10:00:00\n"
C = "2,,apple,1,1.50,2024-01-06\n"


def test_the_same_file_again_changes_nothing(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + A + B)
    first, _ = shop.ingest()
    before = shop.core(), shop.ledger()
    again, update = shop.ingest()
    assert (first.files_loaded, again.files_loaded, again.files_unchanged) == (1, 0, 1)
    assert update.files == 0
    assert (shop.core(), shop.ledger()) == before


def test_the_same_contents_with_another_time_change_nothing_but_the_time(shop: Shop) -> None:
    file = shop.write("orders/a.csv", HEADER + A)
    shop.ingest()
    core = shop.core()
    os.utime(file, (1_700_000_000, 1_700_000_000))
    report, update = shop.ingest()
    assert (report.files_loaded, report.files_unchanged, update.files) == (0, 1, 0)
    assert shop.core() == core
    assert shop.ledger()["orders/a.csv"]["modified_at"].year == 2023


def test_a_changed_file_replaces_its_own_rows(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + A + "9,zoe,bad,x,1,2024-01-05\n")
    shop.write("orders/b.csv", HEADER + C)
    shop.ingest()
    shop.write("orders/a.csv", HEADER + B)
    report, _ = shop.ingest()
    assert report.files_loaded == 1
    assert [(row[0], row[3]) for row in shop.core()] == [("orders/a.csv", "bread"), ("orders/b.csv", "apple")]
    assert shop.quarantine() == []
    assert shop.is_conserved()


def test_a_change_of_the_same_size_is_seen_though_it_comes_at_once(shop: Shop) -> None:
    file = shop.write("orders/a.csv", HEADER + A)
    shop.ingest()
    stamp = file.stat().st_mtime_ns
    shop.write("orders/a.csv", HEADER + A.replace("apple", "grape"))
    os.utime(file, ns=(stamp, stamp))
    shop.ingest()
    assert [row[3] for row in shop.core()] == ["grape"]


def test_late_rows_land_by_themselves(shop: Shop) -> None:
    shop.write("orders/2024-01-06.csv", HEADER + C)
    shop.ingest()
    shop.write("orders/2024-01-05.csv", HEADER + A)
    report, _ = shop.ingest()
    assert report.files_loaded == 1
    assert [row[-2] for row in shop.core()] == [date(2024, 1, 5), date(2024, 1, 6)]


def test_a_removed_file_keeps_its_rows_and_is_known_when_it_returns(shop: Shop) -> None:
    file = shop.write("orders/a.csv", HEADER + A)
    shop.ingest()
    hidden = file.rename(shop.landing / "a.csv")
    gone, _ = shop.ingest()
    assert (gone.files_removed, shop.ledger()["orders/a.csv"]["status"], len(shop.core())) == (1, "removed", 1)
    shutil.copy2(hidden, file)
    back, _ = shop.ingest()
    assert (back.files_loaded, shop.ledger()["orders/a.csv"]["status"], len(shop.core())) == (0, "loaded", 1)


def test_a_bad_file_is_refused_and_the_others_go_on(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER.replace("qty", "quantity") + A)
    shop.write("orders/b.csv", HEADER + C)
    report, _ = shop.ingest()
    (path, error) = report.refused[0]
    assert path == "orders/a.csv"
    assert "orders/a.csv: line 1: the column 'qty' is missing" in error and "'quantity'" in error
    assert shop.ledger()["orders/a.csv"]["status"] == "refused"
    assert [row[0] for row in shop.core()] == ["orders/b.csv"]
    again, _ = shop.ingest()
    assert again.refused == report.refused
    shop.write("orders/a.csv", HEADER + A)
    mended, _ = shop.ingest()
    assert (mended.refused, len(shop.core()), shop.is_conserved()) == ((), 2, True)


def test_a_refused_new_version_leaves_the_rows_of_the_former_one(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + A)
    shop.ingest()
    shop.write("orders/a.csv", "something,else\n1,2\n")
    report, _ = shop.ingest()
    assert len(report.refused) == 1
    assert (len(shop.core()), shop.ledger()["orders/a.csv"]["rows_core"], shop.is_conserved()) == (1, 1, True)
    shop.write("orders/a.csv", HEADER + B)
    shop.ingest()
    assert [row[3] for row in shop.core()] == ["bread"]


@pytest.mark.parametrize("name", ["a.csv.part", ".a.csv", "a.csv.tmp", "a.csv~"])
def test_files_that_are_still_being_written_are_passed_over(shop: Shop, name: str) -> None:
    shop.write(f"orders/{name}", HEADER + A)
    assert shop.load().files_found == 0


def test_a_link_out_of_landing_is_refused_and_one_inside_is_followed(shop: Shop, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(HEADER + A)
    (shop.landing / "orders").mkdir()
    (shop.landing / "orders" / "out.csv").symlink_to(secret)
    inside = shop.write("elsewhere/in.csv", HEADER + B)
    (shop.landing / "orders" / "in.csv").symlink_to(inside)
    report, _ = shop.ingest()
    assert [path for path, _ in report.refused] == ["orders/out.csv"]
    assert "out of landing" in report.refused[0][1]
    assert [row[3] for row in shop.core()] == ["bread"]


def test_a_changed_rule_judges_all_files_anew_without_reading_them(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.write("orders/a.csv", HEADER + A + B)
        shop.ingest()
        assert len(shop.core()) == 2
    with open_shop(tmp_path, ORDERS.replace("unit_price < 1000", "unit_price < 2")) as shop:
        report, _ = shop.ingest()
        assert report.files_loaded == 0
        assert [row[3] for row in shop.core()] == ["apple"]
        assert shop.quarantine() == [("orders/a.csv", 3, "cheap")]
        assert shop.is_conserved()


def test_a_changed_dialect_reads_all_files_anew(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.write("orders/a.csv", (HEADER + A).replace(",", ";"))
        shop.ingest()
        assert len(shop.core()) == 0
    text = ORDERS.replace("    columns:", '    csv: {delimiter: ";"}\n    columns:')
    with open_shop(tmp_path, text) as shop:
        shop.ingest()
        assert len(shop.core()) == 1


def test_numbers_of_files_sort_as_paths_do_even_when_the_gaps_are_full(shop: Shop) -> None:
    names = ["orders/m.csv", "orders/z.csv"]
    for name in names:
        shop.write(name, HEADER + A)
    shop.ingest()
    for number in range(14):  # each lands just above the first: the gap halves until it is full
        names.append(f"orders/m{chr(ord('z') - number)}.csv")
        shop.write(names[-1], HEADER + C)
        shop.ingest()
    ids = {path: row["file_id"] for path, row in shop.ledger().items()}
    assert sorted(names) == sorted(names, key=ids.__getitem__)
    assert shop.is_conserved()
    assert len({row[0] for row in shop.core()}) == 2  # C is kept in the first of its files only


def test_numbers_of_different_feeds_never_meet(shop: Shop) -> None:
    feeds = ("orders", "browse", "products", "promotions", "lookup_a", "lookup_b")
    given = assign(shop.warehouse, [(feed, f"{feed}/{letter}") for feed in feeds for letter in "abc"])
    assert len(set(given.values())) == 18
