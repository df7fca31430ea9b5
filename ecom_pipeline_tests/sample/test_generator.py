"""The synthetic shop: the same for the same plan, and its dirt is where the ledger says."""

import csv
import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ecom_pipeline.sample import SAMPLE_SHOP, ShopPlan, generate_shop
from ecom_pipeline.sample.generator import Exports, Shop
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import load_landing, read_profile, update_core
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.real_data import CHECKOUT

SMALL = ShopPlan(
    seed=3,
    first_day=date(2026, 3, 20),
    days=25,
    users=120,
    items=44,
    visits_per_day=60,
    archive_until=date(2026, 3, 31),
    dirt=0.02,
)
FEEDS = ("orders", "browse", "products", "promotions")


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> text of every file, unpacked: how gzip packs differs between its versions."""
    return {
        path.relative_to(folder).as_posix(): gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    generate_shop(folder, SMALL)
    return folder


def test_the_bundled_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    bundled = contents(CHECKOUT / "data" / "sample")
    del bundled["README.md"]
    generate_shop(tmp_path, SAMPLE_SHOP)
    made = contents(tmp_path)
    assert made.keys() == bundled.keys()
    assert [name for name in made if made[name] != bundled[name]] == []


def test_the_bundled_sample_is_small_and_says_that_it_is_synthetic() -> None:
    folder = CHECKOUT / "data" / "sample"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5 * 2**20
    assert "synthetic" in (folder / "README.md").read_text(encoding="utf-8")
    assert "synthetic" in json.loads((folder / "shop.json").read_text(encoding="utf-8"))


def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(small: Path, tmp_path: Path) -> None:
    generate_shop(tmp_path / "again", SMALL)
    generate_shop(tmp_path / "other", replace(SMALL, seed=4))
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").rglob("*.gz")}
    assert again == {path.name: path.read_bytes() for path in small.rglob("*.gz")}
    assert (
        contents(tmp_path / "other")["orders/orders_2026-03.csv.gz"] != contents(small)["orders/orders_2026-03.csv.gz"]
    )


def test_archived_months_are_one_file_and_later_days_one_each(small: Path) -> None:
    names = sorted(path.name for path in (small / "browse").iterdir())
    assert names == ["browse_2026-03.csv.gz", *(f"browse_2026-04-{n:02}.csv.gz" for n in range(1, 14))]


def test_formats_hold_the_same_rows(small: Path, tmp_path: Path) -> None:
    clean = replace(SMALL, dirt=0.0)
    for file_format in ("csv", "csv.gz", "parquet"):
        generate_shop(tmp_path / file_format, replace(clean, file_format=file_format))
    for feed in FEEDS:
        names = [path.name.removesuffix(".csv") for path in sorted((tmp_path / "csv" / feed).iterdir())]
        for name in names:
            text = (tmp_path / "csv" / feed / f"{name}.csv").read_bytes()
            assert gzip.decompress((tmp_path / "csv.gz" / feed / f"{name}.csv.gz").read_bytes()) == text
            table = pq.read_table(tmp_path / "parquet" / feed / f"{name}.parquet")
            as_text = pyarrow.csv.ConvertOptions(
                column_types=table.schema, strings_can_be_null=True, quoted_strings_can_be_null=True
            )
            assert pyarrow.csv.read_csv(tmp_path / "csv" / feed / f"{name}.csv", convert_options=as_text).equals(table)


def test_a_generated_folder_is_never_written_over(small: Path) -> None:
    with pytest.raises(FileExistsError, match="generate a shop into an empty folder"):
        generate_shop(small, SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"days": 0}, "days must be at least 1"), ({"dirt": 0.9}, "dirt is a share"), ({"visits_per_day": -1}, "visits")],
)
def test_an_impossible_plan_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_every_dirty_row_meets_the_fate_that_the_ledger_tells(small: Path, tmp_path: Path) -> None:
    with (small / "dirt.csv").open(encoding="utf-8", newline="") as stream:
        ledger = list(csv.DictReader(stream))
    fates = {
        outcome: sorted((row["file"], int(row["line"])) for row in ledger if row["outcome"] == outcome)
        for outcome in ("quarantine", "duplicate", "core")
    }
    kinds = Counter(row["kind"] for row in ledger)
    assert kinds["duplicate"] > 0
    assert kinds["late"] > 0
    assert kinds["cut_off"] == 1
    assert len(kinds) >= 10
    with open_warehouse(tmp_path / "w.duckdb", Settings(profile="sample", threads=2)) as warehouse:
        profile = read_profile("sample", base=tmp_path)
        load_landing(warehouse, landing=small, profile=profile, run_id="r")
        update_core(warehouse, profile=profile, run_id="r")

        def lines(kind: str) -> list[tuple[str, int]]:
            return sorted(
                found
                for feed in FEEDS
                for found in warehouse.rows(
                    f"SELECT f.path, r.line FROM {kind}_{feed} AS r JOIN ingest_files AS f ON r.file_id = f.file_id"
                )
            )

        assert lines("quarantine") == fates["quarantine"]
        assert lines("duplicates") == fates["duplicate"]
        in_core = {
            found
            for table_name, feed in (("core_order_lines", "orders"), ("core_events", "browse"))
            for found in warehouse.rows(
                f"SELECT f.path, c.line FROM {table_name} AS c JOIN ingest_files AS f "
                f"ON c.file_id = f.file_id AND f.feed = '{feed}'"
            )
        }
        assert set(fates["core"]) <= in_core


def test_rows_grow_with_visits(tmp_path: Path) -> None:
    few = generate_shop(tmp_path / "few", replace(SMALL, dirt=0.0, visits_per_day=20))
    many = generate_shop(tmp_path / "many", replace(SMALL, dirt=0.0, visits_per_day=200))
    assert 7 < many.rows["browse"] / few.rows["browse"] < 13


def test_what_the_shop_remembers_does_not_grow_with_the_days(tmp_path: Path) -> None:
    plan = replace(SMALL, days=110, visits_per_day=100, archive_until=None, file_format="csv")
    remembered = []
    with Exports(tmp_path, plan) as exports:
        shop = Shop(plan, exports)
        for day in range(plan.days):
            shop.live(day)
            remembered.append(shop.remembered)
    # What people plan to buy again reaches six weeks ahead; from then on a day forgets as much as it learns.
    assert remembered[10] < remembered[50]
    assert max(remembered[80:]) < 1.5 * max(remembered[40:70])


# What makes the shop worth forecasting


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    """Rows of a clean shop of ten weeks, by feed."""
    folder = tmp_path_factory.mktemp("clean")
    generate_shop(
        folder, replace(SMALL, dirt=0.0, days=70, users=400, visits_per_day=250, archive_until=None, file_format="csv")
    )
    rows: dict[str, list[dict[str, str]]] = {}
    for feed in FEEDS:
        rows[feed] = []
        for path in sorted((folder / feed).iterdir()):
            with path.open(encoding="utf-8", newline="") as stream:
                rows[feed].extend(csv.DictReader(stream))
    return rows


def test_promoted_products_sell_more(shop: dict[str, list[dict[str, str]]]) -> None:
    promoted = {
        (row["sku"], (date.fromisoformat(row["starts"]) + timedelta(days=n)).isoformat())
        for row in shop["promotions"]
        if row["sku"] and row["kind"] == "discount"
        for n in range((date.fromisoformat(row["ends"]) - date.fromisoformat(row["starts"])).days + 1)
    }
    sold = Counter((row["sku"], row["ordered_at"][:10]) for row in shop["orders"] if row["status"] == "paid")
    days = [(SMALL.first_day + timedelta(days=n)).isoformat() for n in range(70)]
    ratios = []
    for sku in {sku for sku, _ in promoted}:
        on = [sold[sku, day] for day in days if (sku, day) in promoted]
        off = [sold[sku, day] for day in days if (sku, day) not in promoted]
        if len(on) >= 3 and sum(off) > 0:
            ratios.append(np.mean(on) / np.mean(off))
    assert len(ratios) > 5
    assert np.median(ratios) > 1.3


def test_a_look_tells_more_of_the_next_one_than_popularity_does(shop: dict[str, list[dict[str, str]]]) -> None:
    views: dict[str, list[str]] = {}
    for row in shop["browse"]:
        if row["event"] == "view_item":
            views.setdefault(row["session"], []).append(row["sku"])
    pairs = [pair for items in views.values() for pair in pairwise(items) if pair[0] != pair[1]]
    half = len(pairs) // 2
    popular = {sku for sku, _ in Counter(after for _, after in pairs[:half]).most_common(5)}
    follows: dict[str, Counter[str]] = {}
    for before, after in pairs[:half]:
        follows.setdefault(before, Counter())[after] += 1
    by_popularity = np.mean([after in popular for _, after in pairs[half:]])
    by_last = np.mean(
        [after in {sku for sku, _ in follows.get(before, Counter()).most_common(5)} for before, after in pairs[half:]]
    )
    assert by_last > 1.5 * by_popularity


def test_nothing_is_sold_while_it_is_out_of_stock_or_off_sale(shop: dict[str, list[dict[str, str]]]) -> None:
    sold: dict[str, Counter[str]] = {}
    for row in shop["orders"]:
        if row["status"] == "paid":
            sold.setdefault(row["sku"], Counter())[row["ordered_at"][:10]] += int(row["quantity"])
    states: dict[str, list[dict[str, str]]] = {}
    for row in shop["products"]:
        states.setdefault(row["sku"], []).append(row)
    out_of_stock_days = 0
    for sku, known in states.items():
        assert min(sold.get(sku, {"9999": 0})) >= known[0]["on_sale_from"]
        if known[-1]["on_sale_to"]:
            assert max(sold.get(sku, {"0": 0})) <= known[-1]["on_sale_to"]
        in_order = sorted(known, key=lambda row: row["valid_from"])
        for state, following in pairwise(in_order):
            day, until = date.fromisoformat(state["valid_from"]), date.fromisoformat(following["valid_from"])
            while state["stock"] == "0" and day < until:
                out_of_stock_days += 1
                assert sold.get(sku, Counter())[day.isoformat()] == 0
                day += timedelta(days=1)
    assert out_of_stock_days > 0


def test_promotions_beyond_the_last_day_are_known(shop: dict[str, list[dict[str, str]]]) -> None:
    last_day = (SMALL.first_day + timedelta(days=69)).isoformat()
    assert sum(row["starts"] > last_day for row in shop["promotions"]) >= 3


def test_guests_returns_cancellations_and_shipping_occur(shop: dict[str, list[dict[str, str]]]) -> None:
    statuses = Counter(row["status"] for row in shop["orders"])
    assert min(statuses["returned"], statuses["cancelled"]) > 0
    assert any(not row["customer"] for row in shop["orders"])
    assert any(row["sku"] == "SHIPPING" for row in shop["orders"])
    assert all(int(row["quantity"]) < 0 for row in shop["orders"] if row["status"] != "paid")
