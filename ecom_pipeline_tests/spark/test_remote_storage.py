"""A storage root in a file system that is no folder of this machine: only Spark's own client for it reaches it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from ecom_pipeline.cli.failures import ExitCode
from ecom_pipeline.settings import Home
from ecom_pipeline.spark.storage import Entry, Storage, StorageError, storage_at
from ecom_pipeline_tests.conftest import SMALL_SHOP
from ecom_pipeline_tests.spark.conftest import ON_A_CLUSTER, OPTIONS
from ecom_pipeline_tests.spark.shops import exports_by_feed, on_cluster, shop_of
from ecom_pipeline_tests.spark.webhdfs import WebHdfs, webhdfs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [*ON_A_CLUSTER]
MADE_THERE = (
    "feat_user_events",
    "feat_item_clicks",
    "feat_items",
    "feat_sessions",
    "session_paths",
    "path_sequences",
)
"""In the order in which they are made from each other; whole tables, and rows of the night."""


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[WebHdfs]:
    with webhdfs(tmp_path / "remote") as server:
        yield server


def test_the_sample_shop_has_the_same_tables_from_a_remote_root(
    spark: "SparkSession", small_exports: Path, tmp_path: Path, remote: WebHdfs
) -> None:
    files = exports_by_feed(small_exports)
    with (
        shop_of(tmp_path, profile_name="sample", files=files, as_of=SMALL_SHOP.last_day) as shop,
        on_cluster(shop, spark, f"{remote.url}/shop/tables/") as warehouse,
    ):
        assert shop.differences(warehouse, MADE_THERE) == []
        assert {"CREATE", "RENAME", "OPEN", "LISTSTATUS", "DELETE"} <= remote.asked
        events = warehouse.storage.entry("core_events")
        assert len(events.paths) > 1, "a file a month"
        user_events = warehouse.storage.entry("feat_user_events")

        last = max(events.partitions)
        warehouse.connection.execute(
            f"DELETE FROM core_events WHERE strftime(event_date, '%Y-%m') = '{last}' AND line % 2 = 0"
        )
        assert shop.differences(warehouse, MADE_THERE[:1]) == []
        again = warehouse.storage.entry("core_events")
        assert {month for month in events.partitions if again.partitions[month] != events.partitions[month]} == {last}
        assert user_events.paths[0].rpartition("/")[2] not in warehouse.storage.files.names(
            f"{warehouse.storage.root}/feat_user_events"
        )

        shown = warehouse.frame("SELECT user_id, item_id FROM feat_user_events WHERE position <= :most", {"most": 2})
        warehouse.storage.files.write(warehouse.storage.new_path("ranked_items"), "what a dead driver left")
        with warehouse.written(shown, "ranked_items") as parts:
            rows = pa.concat_tables(parts)
        assert rows.num_rows == shop.warehouse.scalar("SELECT count(*) FROM feat_user_events WHERE position <= 2") > 0
        assert warehouse.storage.files.names(f"{warehouse.storage.root}/ranked_items") == []


def test_a_writing_that_was_interrupted_leaves_a_remote_table_as_it_was(spark: "SparkSession", remote: WebHdfs) -> None:
    storage = storage_at(f"{remote.url}/tables", lambda: spark)
    assert storage.entry("feat_items").paths == []
    first = put(storage, "1")
    files = storage.files
    files.write(storage.new_path("feat_items"), "what a dead driver left")
    assert storage.entry("feat_items") == Entry({"": ("1", first)})
    assert files.read(first) == "rows 1"
    with pytest.raises(ZeroDivisionError), files.writing(storage.new_path("feat_items")) as here:
        here.write_text("half")
        raise ZeroDivisionError
    second = put(storage, "2")
    assert files.names(f"{storage.root}/feat_items") == sorted(["manifest-00000002.json", second.rpartition("/")[2]])
    files.write(f"{remote.url}/tables/of_somebody_else/notes.txt", "stay")
    storage.clear()
    assert files.names(storage.root) == ["of_somebody_else"]


def put(storage: Storage, stamp: str) -> str:
    path = storage.new_path("feat_items")
    storage.files.write(path, f"rows {stamp}")
    storage.put("feat_items", Entry({"": (stamp, path)}))
    return path


def test_a_person_is_forgotten_at_a_remote_root_or_the_command_says_why_not(
    extra_spark: None, copy_of_shop: Callable[[], Home], remote: WebHdfs
) -> None:
    home = copy_of_shop()
    held = f"SELECT count(*) FROM core_events WHERE user_id = '{busiest_user(home)}'"
    unreachable = forget(home, "nonsense://shop/tables")
    assert unreachable.returncode == ExitCode.UNUSABLE
    assert 'No FileSystem for scheme "nonsense"' in unreachable.stderr
    assert "Traceback" not in unreachable.stderr
    assert rows_of(home, held) > 0, "nothing was done by halves"

    table_there = remote.file("/tables/core_events")
    table_there.mkdir(parents=True)
    (table_there / "manifest-00000001.json").write_text("{}")
    done = forget(home, f"{remote.url}/tables")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows_of(home, held) == 0
    assert not table_there.exists()


def busiest_user(home: Home) -> str:
    return str(rows_of(home, "SELECT mode(user_id) FROM core_events"))


def rows_of(home: Home, sql: str) -> Any:
    with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
        ((value,),) = connection.execute(sql).fetchall()
    return value


def forget(home: Home, root: str) -> subprocess.CompletedProcess[str]:
    """Forget the busiest user in a process of its own, which starts a driver of its own."""
    settings = yaml.safe_load(home.settings_file.read_text(encoding="utf-8"))
    settings |= {"spark_storage": root, "spark_options": OPTIONS}
    home.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "ecom_pipeline", "forget-user", busiest_user(home), "--home", str(home.root)]
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("webhdfs://127.0.0.1:1/shop", "Connection refused"),
        ("s3a://shop/tables", "org.apache.hadoop.fs.s3a.S3AFileSystem not found.*hadoop-aws"),
        ("nonsense://shop/tables", 'No FileSystem for scheme "nonsense"'),
    ],
)
def test_a_root_that_cannot_be_reached_is_told(spark: "SparkSession", root: str, words: str) -> None:
    with pytest.raises(StorageError, match=words):
        storage_at(root, lambda: spark).entry("feat_items")
