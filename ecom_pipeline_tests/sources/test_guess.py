"""Guessing a profile: from real files with and without their names, and from formats that shops export."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_pipeline.documents import DocumentError
from ecom_pipeline.sources import Guess, guess_profile, render_profile
from ecom_pipeline_tests.real_data import shared_data
from ecom_pipeline_tests.sources.shop import open_shop

RETAIL = {
    "order_id": "InvoiceNo",
    "user_id": "CustomerID",
    "item_id": "StockCode",
    "item_name": "Description",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
    "channel": "Country",
}
RETAIL_POSITIONS = {
    name: position
    for position, name in enumerate(
        ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"],
        start=1,
    )
}


def rows_of(tmp_path: Path, guess: Guess, file: Path) -> list[tuple[Any, ...]]:
    """What a shop with the guessed profile makes of the file: rows in, in core and in quarantine."""
    with open_shop(tmp_path / "home", _profile(guess)) as shop:
        shop.write(f"{guess.feed}/{file.name}", file.read_bytes())
        shop.ingest()
        return shop.rows("SELECT rows_in, rows_core, rows_quarantined FROM ingest_files")


def _profile(guess: Guess) -> str:
    return render_profile(guess, name="guessed")


def test_a_day_of_orders_is_understood_by_its_names(tmp_path: Path) -> None:
    file = shared_data("online_retail", "by-day", "2010-12-01.csv")
    guess = guess_profile(file)
    assert (guess.feed, guess.columns) == ("orders", RETAIL)
    assert guess.time == {"value": "InvoiceDate", "formats": ["%Y-%m-%d %H:%M:%S"]}
    ((rows_in, core, _),) = rows_of(tmp_path, guess, file)
    assert rows_in == 3_108 and core > 3_000


def test_a_day_of_orders_is_understood_by_what_is_in_it(tmp_path: Path) -> None:
    text = shared_data("online_retail", "by-day", "2010-12-01.csv").read_text()
    file = tmp_path / "export.csv.gz"
    file.write_bytes(gzip.compress(text.split("\n", 1)[1].replace("\t", " ").encode()))
    guess = guess_profile(file)
    assert guess.columns == {name: f"column_{RETAIL_POSITIONS[raw]}" for name, raw in RETAIL.items()}
    assert any("no header" in note for note in guess.notes)
    ((rows_in, core, _),) = rows_of(tmp_path, guess, file)
    assert rows_in == 3_108 and core > 3_000


@pytest.mark.parametrize("named", [True, False])
def test_a_browse_log_of_codes_and_dates_without_a_year_is_understood(tmp_path: Path, named: bool) -> None:
    text = shared_data("tmall2014", "t_alibaba_data.csv").read_text()
    file = tmp_path / "log.csv"
    file.write_text("".join(text.splitlines(keepends=True)[0 if named else 1 : 5_000]))
    guess = guess_profile(file)
    assert guess.feed == "browse"
    first, second = ("user_id", "brand_id") if named else ("column_1", "column_2")
    assert (guess.columns["user_id"], guess.columns["item_id"]) == (first, second)
    assert guess.events == {"0": "view", "1": "purchase", "2": "favourite", "3": "cart"}
    assert any("no year" in note for note in guess.notes) and any("codes" in note for note in guess.notes)
    assert rows_of(tmp_path, guess, file) == [(4_999, 4_999, 0)]


def test_semicolons_decimal_commas_and_german_dates_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "Bestellungen 2024-01.csv"
    rows = [f"{900 + i};K{i % 7};A-{i % 11};{1 + i % 3};{i},50;{1 + i % 28:02}.01.2024 10:00" for i in range(40)]
    file.write_text("\n".join(["OrderID;CustomerID;SKU;Qty;UnitPrice;OrderDate", *rows]), encoding="latin-1")
    guess = guess_profile(file)
    assert guess.csv == {"delimiter": ";"}
    assert guess.columns["unit_price"] == "replace(replace(UnitPrice, '.', ''), ',', '.')"
    assert guess.time == {"value": "OrderDate", "formats": ["%d.%m.%Y %H:%M"]}
    assert rows_of(tmp_path, guess, file) == [(40, 40, 0)]
    assert "files: Bestellungen *.csv" in _profile(guess)


def test_json_lines_of_events_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    kinds = ["page_view", "add_to_cart", "purchase", "hover"]
    lines = [
        json.dumps(
            {
                "visitor": f"v{i % 5}",
                "sku": f"s{i % 9}",
                "event": kinds[i % 4],
                "ts": 1_700_000_000_000 + i,
                "timestamp": 1_700_000_000_000 + i,
            }
        )
        for i in range(40)
    ]
    file.write_text("\n".join(lines))
    guess = guess_profile(file)
    assert (guess.feed, guess.format) == ("browse", "jsonl")
    assert guess.columns == {"user_id": "visitor", "item_id": "sku", "event": "event"}
    assert guess.events == {"page_view": "view", "add_to_cart": "cart", "purchase": "purchase"}
    assert guess.time == {"value": "timestamp", "formats": "epoch_ms"}
    assert any("hover" in note for note in guess.notes)
    assert rows_of(tmp_path, guess, file) == [(40, 30, 10)]


def test_parquet_with_times_is_understood(tmp_path: Path) -> None:
    import datetime as dt

    file = tmp_path / "lines.parquet"
    at = [dt.datetime(2024, 1, 1, 10, i) for i in range(30)]
    columns = {"order_id": list(range(30)), "user_id": [1] * 30, "product_id": [i % 4 for i in range(30)]}
    pq.write_table(pa.table(columns | {"quantity": [2] * 30, "price": [1.5] * 30, "created_at": at}), file)
    guess = guess_profile(file)
    assert (guess.feed, guess.format) == ("orders", "parquet")
    assert rows_of(tmp_path, guess, file) == [(30, 30, 0)]


def test_products_become_a_feed_to_paste(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.csv"
    file.write_text("sku,title,category,price\n" + "".join(f"s{i},Thing {i},Toys > Small,{i}.5\n" for i in range(20)))
    guess = guess_profile(file)
    assert guess.feed == "products"
    assert guess.columns == {"item_id": "sku", "name": "title", "category_path": "category", "price": "price"}
    assert _profile(guess).startswith("feeds:\n  products:")


@pytest.mark.parametrize("text", ["", "a,b\n", "colour,size\nred,1\nblue,2\n"])
def test_what_is_no_feed_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(DocumentError) as error:
        guess_profile(file)
    assert str(file) in str(error.value)


def test_what_was_understood_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "user_id,item_id,event,time,ip\n" + "".join(f"u{i},i{i},view,2024-01-01,10.0.0.1\n" for i in range(9))
    )
    shown = "\n".join(guess_profile(file).lines())
    assert "a.csv: browse, csv" in shown
    assert "user_id      <- user_id" in shown
    assert "not used     ip (10.0.0.1)" in shown
