"""Who has read a table and then reads what was written since knows all of it."""

import random
from contextlib import suppress
from typing import Any

import pytest

from ecom_pipeline import contracts
from ecom_pipeline.contracts import Table
from ecom_pipeline.steps.parts import PARTS
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.row_changes import (
    PARTS_IN_A_ROW,
    Reader,
    forget_reading,
    is_followed,
    note_days,
    note_everything,
    note_reading,
    note_rows,
    unread,
)
from ecom_pipeline_tests.steps.core_rows import CoreRows, day
from ecom_pipeline_tests.steps.test_refreshing import (
    FOLLOWED,
    NIGHTS,
    NOT_FOLLOWED,
    UndoneError,
    build,
    shop,
    visits,
    warehouse,
)

__all__ = ["shop", "warehouse"]

BY_USER = tuple(contracts.table(name) for name in PARTS if contracts.table(name).along is not None)
EVENTS, SIMILAR = contracts.table("feat_user_events"), contracts.table("similar_items")


def read_on(warehouse: Warehouse, table: Table) -> bool:
    """Bring what a reader knows, the table seen_…, to what is there; whether in part."""
    found = unread(warehouse, table, "publishing", read_with="it")
    seen = f"temp.seen_{table.name}"
    if found is None:
        warehouse.run(f"CREATE OR REPLACE TEMP TABLE seen_{table.name} AS FROM {table.name}")
    else:
        warehouse.run(found.deletion(seen))
        if table.name == "session_paths":  # nobody is told of days that a table gives up as they grow old
            warehouse.run(f"DELETE FROM {seen} WHERE date < (SELECT min(date) FROM {table.name})")
        warehouse.run(f"INSERT INTO {seen} {found.rows(table.name)}")
    note_reading(warehouse, table, "publishing", read_with="it", after=found)
    return found is not None


def rows_of(warehouse: Warehouse, name: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(f"SELECT * FROM {name} ORDER BY ALL")


@pytest.mark.parametrize("seed", range(2))
def test_after_any_changes_a_reader_of_what_was_written_knows_every_row(shop: CoreRows, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    for table in BY_USER:
        note_everything(shop.warehouse, table)
    visits(shop, chance, 0, users=120, file_id=1)
    in_part = dict.fromkeys((table.name for table in BY_USER), 0)
    for n in range(NIGHTS):
        visits(shop, chance, n, users=3, file_id=n + 1)
        chance.choice(FOLLOWED)(shop, chance, n)
        if chance.random() < 0.1:
            chance.choice(NOT_FOLLOWED)(shop, chance, n)
        build(shop, n if chance.random() < 0.8 else chance.randrange(n + 1), trajectory_days=6)
        if chance.random() < 0.3:
            continue  # what is written is kept until it is read
        for table in BY_USER:
            in_part[table.name] += read_on(shop.warehouse, table)
            assert rows_of(shop.warehouse, f"temp.seen_{table.name}") == rows_of(shop.warehouse, table.name), (
                f"{table.name}, seed {seed}, night {n}"
            )
    assert min(in_part.values()) >= 2, f"little was read in part, so that little was compared: {in_part}"


def test_tables_by_user_and_results_by_night_are_followed() -> None:
    followed = {table.name for table in contracts.ALL_TABLES.values() if is_followed(table)}
    assert {
        "feat_user_events",
        "feat_sessions",
        "session_paths",
        "recommendations",
        "sales_forecast_accuracy",
    } <= followed
    assert not followed & {"feat_sales_daily", "user_rfm", "validation_results", "runs"}
    for table in BY_USER:
        assert "user_id" in table.key, "no key reaches over two users"


@pytest.fixture
def read(shop: CoreRows) -> Warehouse:
    """Of two tables a reader has read everything."""
    for table in (EVENTS, SIMILAR):
        note_everything(shop.warehouse, table)
        assert unread(shop.warehouse, table, "checks", read_with="a") is None, "nobody has read it"
        note_reading(shop.warehouse, table, "checks", read_with="a", after=None)
    return shop.warehouse


def test_a_reader_is_told_of_what_is_written_after_it_read(read: Warehouse) -> None:
    read.run("DELETE FROM feat_user_events")
    for user in ("u1", "u2", "u3"):
        read.run(
            "INSERT INTO feat_user_events (user_id, position, event_date) SELECT :user, i, DATE '2026-01-05' + i "
            "FROM (SELECT CAST(unnest([1, 2, 3]) AS INTEGER) AS i)",
            {"user": user},
        )
    nothing = unread(read, EVENTS, "checks", read_with="a")
    assert nothing is not None
    assert read.rows(nothing.rows("feat_user_events")) == []
    note_rows(read, EVENTS, "SELECT 'u1' AS user_id, DATE '2026-01-07' AS since UNION ALL SELECT 'u2', '2026-01-08'")
    note_rows(read, EVENTS, "SELECT 'u2' AS user_id, DATE '2026-01-06' AS since")
    found = unread(read, EVENTS, "checks", read_with="a")
    assert found is not None
    wanted = f"SELECT user_id, position FROM ({found.rows('feat_user_events')}) ORDER BY ALL"
    assert read.rows(wanted) == [("u1", 2), ("u1", 3), ("u2", 1), ("u2", 2), ("u2", 3)]
    read.run(found.deletion("feat_user_events"))
    assert read.rows("SELECT user_id, position FROM feat_user_events ORDER BY ALL") == [
        ("u1", 1), ("u3", 1), ("u3", 2), ("u3", 3)
    ]  # fmt: skip
    note_reading(read, EVENTS, "checks", read_with="a", after=found)
    note_rows(read, EVENTS, "SELECT NULL AS user_id, DATE '2026-01-07' AS since")
    found = unread(read, EVENTS, "checks", read_with="a")
    assert found is not None
    assert read.rows(f"SELECT user_id, position FROM ({found.rows('feat_user_events')}) ORDER BY ALL") == [
        ("u3", 2), ("u3", 3)
    ]  # fmt: skip


def test_nights_that_are_written_are_told_and_those_alone(read: Warehouse) -> None:
    row = "SELECT :as_of AS as_of, 'a' AS item_id, CAST(1 AS INTEGER) AS rank, 'b' AS similar_item_id, "
    row += "CAST(1 AS DOUBLE) AS score, 'v1' AS model_version"
    read.replace_night(SIMILAR, day(1), sql=row)
    read.append_from_arrow(SIMILAR, read.arrow(row, {"as_of": day(2)}))
    note_days(read, SIMILAR, [day(1)])
    found = unread(read, SIMILAR, "checks", read_with="a")
    assert found is not None
    assert found.days == {day(1), day(2)}
    note_reading(read, SIMILAR, "checks", read_with="a", after=found)
    found = unread(read, SIMILAR, "checks", read_with="a")
    assert found is not None
    assert not found.days


def test_everything_is_read_by_who_read_with_something_else_or_was_not_told(read: Warehouse) -> None:
    assert unread(read, EVENTS, "checks", read_with="b") is None
    assert unread(read, EVENTS, "publishing", read_with="a") is None
    with suppress(UndoneError), read.transaction():
        read.rebuild(EVENTS, sql="SELECT * FROM feat_user_events WHERE FALSE")
        assert unread(read, EVENTS, "checks", read_with="a") is None
        raise UndoneError
    assert unread(read, EVENTS, "checks", read_with="a") is not None, "a rebuild that is taken back is none"
    read.rebuild(EVENTS, sql="SELECT * FROM feat_user_events WHERE FALSE")
    assert unread(read, EVENTS, "checks", read_with="a") is None
    forget_reading(read, SIMILAR, "checks")
    assert unread(read, SIMILAR, "checks", read_with="a") is None


def test_checks_and_what_is_published_by_user_read_everything_now_and_then(read: Warehouse) -> None:
    of_readers: list[tuple[Table, Reader]] = [(EVENTS, "checks"), (SIMILAR, "checks"), (EVENTS, "publishing")]
    for table, reader in of_readers:
        note_reading(read, table, reader, read_with="a", after=None)
        for _ in range(PARTS_IN_A_ROW):
            found = unread(read, table, reader, read_with="a")
            assert found is not None
            note_reading(read, table, reader, read_with="a", after=found)
        assert unread(read, table, reader, read_with="a") is None
        note_reading(read, table, reader, read_with="a", after=None)
        assert unread(read, table, reader, read_with="a") is not None
    for _ in range(PARTS_IN_A_ROW + 1):
        note_reading(
            read, SIMILAR, "publishing", read_with="a", after=unread(read, SIMILAR, "publishing", read_with="a")
        )
        assert unread(read, SIMILAR, "publishing", read_with="a") is not None, "nights lie as they are written"
