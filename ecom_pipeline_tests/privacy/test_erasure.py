"""A person is taken out of a home after a night, stays out, and is found in no file of it."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.operations.doctor import examine
from ecom_pipeline.privacy.forgotten import forgotten_of
from ecom_pipeline.privacy.traces import files_with
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home
from ecom_pipeline.sources import load_landing, read_profile, update_core
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

PERSON = "erika-mustermann-4711"


def ecom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def busiest_user(home: Home) -> str:
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        ((user,),) = connection.execute(
            "SELECT user_id FROM recommendations GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1"
        ).fetchall()
    return str(user)


def named(home: Home, user: str) -> None:
    """Give a user of the generated exports a name that stands for nothing else."""
    for file in home.landing.rglob("*.csv"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(f'"{user}"', f'"{PERSON}"'), encoding="utf-8")


def columns_with_user_ids(home: Home) -> list[str]:
    """Columns of the published file in which any id that the warehouse knows stands, by itself or in a list."""
    found = []
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{home.warehouse_file}' AS warehouse (READ_ONLY)")
        connection.execute(f"ATTACH '{home.published_file}' AS published (READ_ONLY)")
        connection.execute(
            "CREATE TEMP TABLE ids AS SELECT user_id FROM warehouse.core_events WHERE user_id IS NOT NULL "
            "UNION SELECT user_id FROM warehouse.core_order_lines WHERE user_id IS NOT NULL"
        )
        assert connection.execute("SELECT count(*) > 50 FROM ids").fetchall() == [(True,)]
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'published' "
            "AND data_type LIKE '%VARCHAR%' ORDER BY ALL"
        ).fetchall()
        for name, column in columns:
            words = f"string_split_regex(CAST({column} AS VARCHAR), '[^0-9A-Za-z_-]+')"
            hits = connection.execute(
                f"SELECT count(*) FROM (SELECT DISTINCT unnest({words}) AS word FROM published.{name}) "
                "WHERE word IN (SELECT user_id FROM ids)"
            ).fetchall()
            found += [f"{name}.{column}"] if hits != [(0,)] else []
    return found


def bytes_anywhere(root: Path, text: str) -> list[str]:
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".gz":
                data += gzip.decompress(data)
            if text.encode() in data or text.encode("utf-16-le") in data:
                found.append(path.relative_to(root).as_posix())
    return found


def test_a_forgotten_person_is_in_no_file_and_does_not_come_back(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    named(home, busiest_user(home))
    orders = sorted((home.landing / "orders").iterdir())
    kept_outside = home.root.parent / "as-it-came"
    shutil.copytree(home.landing, kept_outside)
    night = ("nightly", "--home", home.root, "--as-of", str(SMALL_SHOP.last_day), "--quiet")
    assert ecom(*night).exit_code == 0
    assert len(files_with(home.root, PERSON)) >= 3
    published = "SELECT count(*) FROM user_events WHERE user_id = ?"
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        assert connection.execute(published, [PERSON]).fetchall()[0][0] > 0
        others = connection.execute("SELECT count(DISTINCT user_id) FROM user_events").fetchall()[0][0]

    at_the_cluster = home.root.parent / "storage"
    with home.settings_file.open("a", encoding="utf-8") as settings:
        settings.write(f"\nspark_storage: {at_the_cluster}\n")
    (at_the_cluster / "core_events").mkdir(parents=True)
    (at_the_cluster / "core_events" / "manifest-00000001.json").write_text("{}", encoding="utf-8")

    done = ecom("forget-user", PERSON, "--home", home.root, "--json")
    assert done.exit_code == 0, done.output
    assert list(at_the_cluster.iterdir()) == []
    receipt = json.loads(done.stdout)
    assert receipt["rows_in_landing"]
    assert receipt["remaining"] == []
    assert len(receipt["models"]) >= 1
    assert PERSON not in done.stdout
    assert bytes_anywhere(home.root, PERSON) == []
    assert files_with(home.root, PERSON) == []
    assert [finding for finding in examine(home) if finding.level == "damaged"] == []
    assert len(orders) == len(list((home.landing / "orders").iterdir()))

    for file in kept_outside.rglob("*.csv"):  # the old files come again, the person in them
        shutil.copy(file, home.landing / file.relative_to(kept_outside))
    assert bytes_anywhere(home.landing, PERSON) != []
    again = ecom(*night)
    assert again.exit_code == 0, again.output
    assert bytes_anywhere(home.root, PERSON) == []
    assert files_with(home.root, PERSON) == []
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        assert connection.execute("SELECT count(DISTINCT user_id) FROM user_events").fetchall() == [(others - 1,)]
    registry = Registry(home, home.settings())
    assert all(version.usable for version in (registry.versions("next_item")[-1],)), "the night trained anew"


def test_a_person_nobody_knows_is_entered_in_the_list(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    before = home.landing.stat().st_mtime_ns
    done = ecom("forget-user", PERSON, "--home", home.root, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows_in_landing"] == {}
    assert json.loads(done.stdout)["models"] == []
    assert home.landing.stat().st_mtime_ns == before
    listed = forgotten_of(home)
    assert listed is not None
    assert listed.among([PERSON, "x"]) == {PERSON}
    assert (home.root / "privacy" / "forgotten.json").stat().st_mode & 0o077 == 0


ROWS = [
    f"1,{PERSON},apple,2,1.50,2024-01-05",
    "2,bob,bread,1,3.00,2024-01-05",
    f'3,{PERSON},"corn\nred",1,1,2024-01-06',
]
TEXT = HEADER + "\n".join(ROWS) + "\n4,bob,dates,1,2,2024-01-07\n"
JSON_LINE = '{"order": "%s", "customer": "%s", "item": "%s", "qty": 1, "price": 1, "at": "2024-01-05"}\n'


def load_and_forget(shop: Shop) -> None:
    load_landing(
        shop.warehouse,
        landing=shop.landing,
        profile=shop.profile,
        run_id="r",
        forgotten_among=lambda ids: frozenset(ids) & {PERSON},
    )
    update_core(shop.warehouse, profile=shop.profile, run_id="r")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_rows_of_the_forgotten_are_taken_out_of_new_files_before_they_are_loaded(
    tmp_path: Path, end: str, suffix: str
) -> None:
    with open_shop(tmp_path) as shop:
        text = TEXT.replace("\n", end).encode()
        file = shop.write(f"orders/a{suffix}", gzip.compress(text) if suffix.endswith("gz") else text)
        load_and_forget(shop)
        left = gzip.decompress(file.read_bytes()) if suffix.endswith("gz") else file.read_bytes()
        rows = [line for line in text.decode().split(end) if "bob" in line]
        assert left.decode() == end.join([HEADER.strip(), *rows, ""])
        assert [(row[2], row[3]) for row in shop.core()] == [("bob", "bread"), ("bob", "dates")]
        assert shop.is_conserved()
        before = shop.core()
        load_and_forget(shop)
        assert shop.core() == before


def test_the_forgotten_are_taken_out_of_files_with_mixed_line_ends(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        file = shop.write("orders/a.csv", TEXT.replace("\n", "\r\n", 2))
        load_and_forget(shop)
        assert PERSON.encode() not in file.read_bytes()
        assert [row[3] for row in shop.core()] == ["bread", "dates"]


def test_the_forgotten_are_taken_out_of_json_lines_and_parquet(tmp_path: Path) -> None:
    jsonl = ORDERS.replace("    columns:", "    format: jsonl\n    columns:")
    with open_shop(tmp_path / "jsonl", jsonl) as shop:
        file = shop.write("orders/a.jsonl", JSON_LINE % ("1", PERSON, "apple") + JSON_LINE % ("2", "bob", "bread"))
        load_and_forget(shop)
        assert file.read_text() == JSON_LINE % ("2", "bob", "bread")
        assert [row[3] for row in shop.core()] == ["bread"]
    parquet = ORDERS.replace("    columns:", "    format: parquet\n    columns:")
    with open_shop(tmp_path / "parquet", parquet) as shop:
        (shop.landing / "orders").mkdir()
        columns = {"order": ["1", "2"], "customer": [PERSON, "bob"], "item": ["apple", "bread"], "qty": [1, 1]}
        columns |= {"price": [1, 1], "at": ["2024-01-05"] * 2}
        pq.write_table(pa.table(columns), shop.landing / "orders" / "a.parquet")
        load_and_forget(shop)
        assert pq.read_table(shop.landing / "orders" / "a.parquet").column("customer").to_pylist() == ["bob"]
        assert [row[3] for row in shop.core()] == ["bread"]


def test_published_ids_are_hashes_with_a_key_of_the_environment(
    copy_of_shop: Callable[[], Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_of_shop()
    user = busiest_user(home)
    named(home, user)
    with home.settings_file.open("a", encoding="utf-8") as file:
        file.write("hash_user_ids: true\n")
    night = ("nightly", "--home", home.root, "--as-of", str(SMALL_SHOP.last_day), "--quiet")
    monkeypatch.delenv("ECOM_PIPELINE_HASH_KEY", raising=False)
    assert "user_events.user_id" in columns_with_user_ids(home), "they are found where they stand"
    before = home.published_file.read_bytes()
    refused = ecom(*night)
    assert refused.exit_code == 1
    assert "ECOM_PIPELINE_HASH_KEY" in refused.stderr
    assert home.published_file.read_bytes() == before
    key = "correct horse battery staple 0815"
    monkeypatch.setenv("ECOM_PIPELINE_HASH_KEY", key)
    assert ecom(*night).exit_code == 0
    assert files_with(home.published_file.parent, PERSON) == []
    with duckdb.connect(str(home.published_file), read_only=True) as connection:
        for name in ("user_events", "sessions", "recommendations", "purchase_predictions", "user_rfm"):
            lengths = connection.execute(f"SELECT DISTINCT length(user_id) FROM {name}").fetchall()
            assert lengths in ([(32,)], [])
        joined = "SELECT count(*) FROM recommendations WHERE user_id NOT IN (SELECT user_id FROM user_events)"
        assert connection.execute(joined).fetchall() == [(0,)]
    assert columns_with_user_ids(home) == []
    assert files_with(home.root, key) == [], "the key is kept nowhere"
    assert key in os.environ["ECOM_PIPELINE_HASH_KEY"]


def test_an_id_that_is_a_short_number_is_taken_out_of_rows_and_other_peoples_texts_stay(
    copy_of_shop: Callable[[], Home],
) -> None:
    home = copy_of_shop()
    user = busiest_user(home)
    for file in home.landing.rglob("*.csv"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(f'"{user}"', '"42"'), encoding="utf-8")
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        profile = read_profile(home.settings().profile, base=home.root)
        load_landing(warehouse, landing=home.landing, profile=profile, run_id="r")
        update_core(warehouse, profile=profile, run_id="r")
        others = "SELECT * FROM raw_browse WHERE customer IS DISTINCT FROM '42' ORDER BY ALL"
        before = warehouse.rows(others)
        assert warehouse.scalar("SELECT count(*) FROM core_events WHERE user_id = '42'") > 0
        assert warehouse.scalar("SELECT count(*) FROM raw_browse WHERE contains(at_utc, ':42:')") > 0
    history = {path: path.read_bytes() for path in home.dagster_home.rglob("*.db")}

    done = ecom("forget-user", "42", "--home", home.root, "--json")
    assert done.exit_code == 0, done.output
    receipt = json.loads(done.stdout)
    assert receipt["rows_in_landing"]
    assert any("a number as times and prices are" in told for told in receipt["not_covered"])
    with open_warehouse(home.warehouse_file, home.settings()) as warehouse:
        for name in ("core_events", "core_order_lines", "feat_user_events", "feat_sessions", "recommendations"):
            assert warehouse.scalar(f"SELECT count(*) FROM {name} WHERE user_id = '42'") == 0, name
        assert [row[2:] for row in warehouse.rows(others)] == [row[2:] for row in before]
    assert {path: path.read_bytes() for path in home.dagster_home.rglob("*.db")} == history
