"""The published file is built from the one before where that can be, and has the rows of one that is built anew."""

import os
import random
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ecom_pipeline.contracts import PUBLISHED_TABLES, table
from ecom_pipeline.privacy.erasure import erase_from_tables
from ecom_pipeline.warehouse import PublishReport, Warehouse, WarehouseError, publish
from ecom_pipeline.warehouse.row_changes import PARTS_IN_A_ROW, note_days, note_rows

FIRST = date(2024, 3, 1)
KEEP = 4
RECOMMENDATIONS, EVENTS = table("recommendations"), table("feat_user_events")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "published" / "analytics.duckdb"


def published(warehouse: Warehouse, target: Path, **options: Any) -> PublishReport:
    return publish(warehouse, target=target, keep_nights=KEEP, **options)


def lists(night: date, *, users: int, item: str = "a") -> pa.Table:
    rows = [
        {"as_of": night, "user_id": f"u{user}", "rank": rank, "item_id": f"{item}{rank}", "score": 1.0 / rank}
        for user in range(users)
        for rank in (1, 2)
    ]
    columns = {column.name: [row.get(column.name) for row in rows] for column in RECOMMENDATIONS.columns}
    return pa.table({name: pa.nulls(len(rows)) if not any(values) else values for name, values in columns.items()})


def write_night(warehouse: Warehouse, number: int, *, users: int = 3, item: str = "a") -> None:
    night = FIRST + timedelta(days=number)
    warehouse.replace_night_from_arrow(RECOMMENDATIONS, night, lists(night, users=users, item=item))


def write_events(warehouse: Warehouse, user: str, *, position: int, item: str) -> None:
    """A user's events from a place on, as a night writes them."""
    who = {"user": user, "position": position, "item": item}
    warehouse.run("DELETE FROM feat_user_events WHERE user_id = :user AND position >= :position", who)
    warehouse.run(
        "INSERT INTO feat_user_events (user_id, position, event_date, item_id) "
        "SELECT :user, i, DATE '2024-03-01' + i, :item FROM (SELECT unnest([:position, :position + 1]) AS i)",
        who,
    )
    note_rows(warehouse, EVENTS, "SELECT :user AS user_id, DATE '2024-03-01' + :position AS since", who)


def write_scores(warehouse: Warehouse, day: int, *, nights: int, actual: float) -> None:
    """Scores of one day for the forecasts of the nights before it."""
    target = FIRST + timedelta(days=day)
    warehouse.run("DELETE FROM sales_forecast_accuracy WHERE target_date = :target", {"target": target})
    warehouse.run(
        "INSERT INTO sales_forecast_accuracy (as_of, level, series_id, measure, target_date, actual) "
        "SELECT CAST(:target AS DATE) - CAST(unnest(range(1, :nights + 1)) AS INTEGER), 'total', 'total', 'quantity', "
        "CAST(:target AS DATE), CAST(:actual AS DOUBLE)",
        {"target": target, "nights": nights, "actual": actual},
    )
    note_days(warehouse, table("sales_forecast_accuracy"), [target])


def read(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def assert_all_is_there(
    warehouse: Warehouse, target: Path, report: PublishReport, left_out: tuple[date, ...] = ()
) -> None:
    filled = {name: declared for name, declared in PUBLISHED_TABLES.items() if report.rows[name]}
    assert len(filled) > 1, "nothing is compared"
    for name, declared in filled.items():
        rows = read(target, f"SELECT * FROM {name} ORDER BY ALL")
        assert len(rows) == report.rows[name]
        nights = ", ".join(f"DATE '{night}'" for night in report.nights)
        kept = f"WHERE as_of IN ({nights})" if declared.by_night and nights else ""
        if name == "sales_forecast_accuracy" and nights:
            out = ", ".join(f"DATE '{night}'" for night in left_out) or "DATE '1999-01-01'"
            kept = f"WHERE as_of >= DATE '{report.nights[0]}' AND as_of NOT IN ({out})"
        assert rows == warehouse.rows(f"SELECT * FROM {declared.name} {kept} ORDER BY ALL"), name
    comments = dict(read(target, "SELECT table_name, comment FROM duckdb_tables()"))
    assert comments == {name: declared.meaning for name, declared in PUBLISHED_TABLES.items()}


def test_a_night_more_writes_its_own_rows_in_the_order_of_the_key(warehouse: Warehouse, target: Path) -> None:
    for number in range(KEEP):
        write_night(warehouse, number)
    whole = published(warehouse, target)
    assert whole.written == sum(whole.rows.values())
    write_night(warehouse, KEEP)
    report = published(warehouse, target)
    assert report.written == 6 + report.rows["about"]
    assert_all_is_there(warehouse, target, report)
    key = ", ".join(RECOMMENDATIONS.key)
    assert read(target, f"SELECT {key} FROM recommendations") == read(
        target, f"SELECT {key} FROM recommendations ORDER BY ALL"
    )
    assert published(warehouse, target).written == report.rows["about"], "nothing was written since"


@pytest.mark.parametrize("seed", range(2))
def test_after_any_changes_the_file_has_the_rows_of_the_warehouse(
    warehouse: Warehouse, target: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    for user in range(8):
        write_events(warehouse, f"u{user}", position=1, item="a")
    in_part, number = 0, 1
    write_night(warehouse, number)
    for _ in range(18):
        what = chance.choice(("night", "again", "users", "events", "events", "days", "by hand", "left out", "none"))
        night = FIRST + timedelta(days=chance.randrange(max(1, number - KEEP), number + 1))
        left_out: tuple[date, ...] = ()
        if what == "night":
            number += 1
            write_night(warehouse, number, item=chance.choice("ab"))
        elif what == "again":
            write_night(warehouse, max(1, number - chance.randrange(KEEP)), users=chance.choice((2, 3)), item="c")
        elif what == "users":
            warehouse.run("DELETE FROM recommendations WHERE as_of = :night AND user_id = 'u1'", {"night": night})
            with_other_items = lists(night, users=2, item="d").slice(2)
            warehouse.append_from_arrow(RECOMMENDATIONS, with_other_items)
        elif what == "events":
            write_events(warehouse, f"u{chance.randrange(9)}", position=chance.randint(1, 3), item=chance.choice("abc"))
        elif what == "days":
            write_scores(
                warehouse, number + chance.randrange(-2, 2), nights=chance.randint(1, 4), actual=chance.random()
            )
        elif what == "by hand":
            name = chance.choice(("recommendations", "feat_user_events"))
            warehouse.run(f"DELETE FROM {name} WHERE user_id = 'u{chance.randrange(4)}'")
        elif what == "left out":
            left_out = (night,)
        if chance.random() < 0.3:
            continue
        report = published(warehouse, target, left_out=left_out)
        in_part += report.written < sum(report.rows.values())
        assert_all_is_there(warehouse, target, report, left_out)
    assert in_part >= 5, "little was compared"


@pytest.fixture
def one_night(warehouse: Warehouse, target: Path) -> Warehouse:
    write_night(warehouse, 0)
    write_events(warehouse, "u1", position=1, item="a")
    published(warehouse, target)
    return warehouse


def test_a_file_that_somebody_wrote_to_is_built_anew(one_night: Warehouse, target: Path) -> None:
    with duckdb.connect(str(target)) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 'mine' AS note")
        connection.execute("UPDATE recommendations SET item_id = 'mine'")
    report = published(one_night, target)
    assert report.written == sum(report.rows.values())
    assert_all_is_there(one_night, target, report)


def test_a_file_that_was_put_back_is_built_anew(one_night: Warehouse, target: Path, tmp_path: Path) -> None:
    shutil.copyfile(target, tmp_path / "yesterday")
    write_events(one_night, "u1", position=2, item="b")
    published(one_night, target)
    shutil.copyfile(tmp_path / "yesterday", target)
    report = published(one_night, target)
    assert report.written == sum(report.rows.values())
    assert_all_is_there(one_night, target, report)


def test_a_damaged_file_is_an_error_that_says_what_to_do(one_night: Warehouse, target: Path) -> None:
    found, whole = target.stat(), target.read_bytes()
    target.write_bytes(b"\0" * len(whole))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(WarehouseError, match=r"damaged.*move it away and publish again"):
        published(one_night, target)
    target.unlink()
    assert_all_is_there(one_night, target, published(one_night, target))


def test_a_file_that_is_gone_is_built_anew(one_night: Warehouse, target: Path) -> None:
    target.unlink()
    report = published(one_night, target)
    assert report.written == sum(report.rows.values())


def test_whoever_publishes_after_a_person_was_erased_writes_a_file_without_a_trace(
    one_night: Warehouse, target: Path
) -> None:
    write_events(one_night, "somebody", position=1, item="a")
    one_night.run("UPDATE recommendations SET reason = 'as bought by somebody' WHERE user_id = 'u1'")
    published(one_night, target)
    assert b"somebody" in target.read_bytes()
    erase_from_tables(one_night, "somebody")
    write_night(one_night, 1)
    assert_all_is_there(one_night, target, published(one_night, target))
    assert b"somebody" not in target.read_bytes()
    assert published(one_night, target).written == 1, "the next is built from it"


def test_hashed_ids_are_written_as_a_whole_and_so_is_what_follows(one_night: Warehouse, target: Path) -> None:
    for _ in range(2):
        report = published(one_night, target, hash_key=b"0123456789abcdef")
        assert report.written == sum(report.rows.values())
        assert read(target, "SELECT count(*) FROM user_events WHERE user_id LIKE 'u%'") == [(0,)]
    report = published(one_night, target)
    assert report.written == sum(report.rows.values())
    assert_all_is_there(one_night, target, report)


def test_a_publishing_that_failed_has_told_nobody(
    one_night: Warehouse, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(one_night, "u2", position=1, item="a")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk"):
        patch.setattr("ecom_pipeline.warehouse.publishing._sync", lambda _: (_ for _ in ()).throw(OSError("disk")))
        published(one_night, target)
    report = published(one_night, target)
    assert report.written == 2 + report.rows["about"]
    assert_all_is_there(one_night, target, report)


def test_users_who_changed_lie_with_the_others_again_after_some_nights(one_night: Warehouse, target: Path) -> None:
    write_events(one_night, "u9", position=1, item="a")
    orders = []
    for _ in range(PARTS_IN_A_ROW + 1):
        write_events(one_night, "u1", position=2, item="b")
        published(one_night, target)
        orders.append([user for (user,) in read(target, "SELECT user_id FROM user_events")])
    assert orders[-2] != sorted(orders[-2])
    assert orders[-1] == sorted(orders[-1])
