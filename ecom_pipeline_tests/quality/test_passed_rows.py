"""Of tables by user the rows that were written since all rules held are asked; results are those of asking all."""

import random
from typing import Any

import pytest

from ecom_pipeline import contracts
from ecom_pipeline.privacy.erasure import erase_from_tables
from ecom_pipeline.quality import TableValidation, gx, validate
from ecom_pipeline.steps.parts import PARTS
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.row_changes import note_days, note_everything, note_rows
from ecom_pipeline_tests.quality.test_validation import of_rule
from ecom_pipeline_tests.steps.core_rows import CoreRows, day
from ecom_pipeline_tests.steps.test_refreshing import USERS, build, late_rows, visits

BY_USER = tuple(contracts.table(name) for name in PARTS if contracts.table(name).along is not None)
SESSIONS, EVENTS = contracts.table("feat_sessions"), contracts.table("feat_user_events")
KEY = "user_id, position together are unique"
ORDER = "a session does not end before it starts"


@pytest.fixture
def shop(warehouse: Warehouse) -> CoreRows:
    return CoreRows(warehouse)


@pytest.fixture
def asked(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many rows of a table its last check has asked."""
    found: dict[str, int] = {}
    run_suite = gx.run_suite

    def counting(
        connection: Any, table: contracts.Table, suite: Any, *, rows: str | None = None, **options: Any
    ) -> Any:
        found[table.name] = warehouse.scalar(f"SELECT count(*) FROM {rows or table.name}")
        return run_suite(connection, table, suite, rows=rows, **options)

    monkeypatch.setattr(gx, "run_suite", counting)
    return found


def checked(warehouse: Warehouse, declared: contracts.Table, n: int) -> TableValidation:
    return validate(warehouse, declared, as_of=day(n), run_id="run-1")


def test_nights_ask_few_rows_and_find_what_asking_all_would(shop: CoreRows, asked: dict[str, int]) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    visits(shop, chance, 0, users=120, file_id=1)
    for n in range(5):
        visits(shop, chance, n, users=5, file_id=n + 2)
        if n == 2:
            late_rows(shop, chance, n)
        build(shop, n)
        for table in BY_USER:
            found = checked(shop.warehouse, table, n)
            of_them, all_rows = asked[table.name], shop.warehouse.scalar(f"SELECT count(*) FROM {table.name}")
            assert not found.failures
            if n in (0, 4):
                assert (of_them < 0.3 * all_rows) if n else (of_them == all_rows), table.name
            checked(shop.warehouse, table, n)
            assert not asked[table.name], "nothing was written since"
            note_everything(shop.warehouse, table)
            assert checked(shop.warehouse, table, n).results == found.results
            assert asked[table.name] == all_rows


def test_an_erased_id_that_looks_like_a_place_in_a_history_spoils_no_account(shop: CoreRows) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    visits(shop, chance, 0, users=40, file_id=1)
    build(shop, 0)
    checked(shop.warehouse, SESSIONS, 0)
    visits(shop, chance, 1, users=10, file_id=2)
    build(shop, 1)
    assert shop.warehouse.scalar("SELECT count(*) FROM row_changes WHERE table_name = 'feat_sessions' AND since = '1'")
    erase_from_tables(shop.warehouse, "1")
    assert not checked(shop.warehouse, SESSIONS, 1).failures


@pytest.fixture
def checked_shop(shop: CoreRows) -> Warehouse:
    visits(shop, random.Random(0), 0, users=120, file_id=1)  # noqa: S311 - no secret
    build(shop, 0)
    for table in BY_USER:
        assert not checked(shop.warehouse, table, 0).failures
    return shop.warehouse


def written(warehouse: Warehouse, table: contracts.Table, user: str, since: Any) -> None:
    note_rows(warehouse, table, "SELECT :user AS user_id, :since AS since", {"user": user, "since": since})


def test_a_written_row_that_breaks_a_rule_is_found_until_it_is_mended(
    checked_shop: Warehouse, asked: dict[str, int]
) -> None:
    rows = checked_shop.scalar("SELECT count(*) FROM feat_sessions")
    user, number = checked_shop.rows("SELECT user_id, session_number FROM feat_sessions ORDER BY ALL LIMIT 1")[0]
    one = "WHERE user_id = :user AND session_number = :number"
    who = {"user": user, "number": number}
    checked_shop.run(f"UPDATE feat_sessions SET ended_at = started_at - INTERVAL 1 DAY {one}", who)
    assert not checked(checked_shop, SESSIONS, 0).failures, "nobody was told"
    written(checked_shop, SESSIONS, user, number)
    for _ in range(2):
        found = of_rule(checked(checked_shop, SESSIONS, 0), ORDER)
        assert (found.rows_checked, found.rows_unexpected) == (rows, 1)
        assert found.examples[0]["user_id"] == user
        assert 1 <= asked["feat_sessions"] < 5
    checked_shop.run(f"UPDATE feat_sessions SET ended_at = started_at {one}", who)
    assert not checked(checked_shop, SESSIONS, 0).failures


def test_a_written_row_with_the_key_of_one_that_was_not_is_found(checked_shop: Warehouse) -> None:
    user, first, last = checked_shop.rows(
        "SELECT user_id, min(position), max(position) FROM feat_user_events GROUP BY user_id "
        "HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    )[0]
    checked_shop.run(
        "UPDATE feat_user_events SET event_date = event_date + 1, position = :first "
        "WHERE user_id = :user AND position = :last",
        {"user": user, "first": first, "last": last},
    )
    written(checked_shop, EVENTS, user, day(1))
    found = of_rule(checked(checked_shop, EVENTS, 0), KEY)
    assert (found.success, found.rows_unexpected) == (False, 2)
    assert found.examples == ({"user_id": user, "position": first, "copies": 2},)


@pytest.mark.parametrize("column", ["user_id", "position"])
def test_a_written_row_without_its_key_is_found(checked_shop: Warehouse, column: str) -> None:
    checked_shop.run(f"UPDATE feat_user_events SET {column} = NULL WHERE position = 1 AND user_id = '{USERS[1]}'")
    user = "NULL" if column == "user_id" else f"'{USERS[1]}'"
    note_rows(checked_shop, EVENTS, f"SELECT CAST({user} AS VARCHAR) AS user_id, DATE '2026-01-01' AS since")
    found = of_rule(checked(checked_shop, EVENTS, 0), f"{column} is never null")
    assert found.rows_unexpected == 1


def test_rows_that_somebody_added_or_took_out_have_all_asked(checked_shop: Warehouse, asked: dict[str, int]) -> None:
    checked_shop.run("INSERT INTO feat_sessions SELECT * FROM feat_sessions ORDER BY ALL LIMIT 1")
    found = of_rule(checked(checked_shop, SESSIONS, 0), "user_id, session_number together are unique")
    assert found.rows_unexpected == 2
    assert asked["feat_sessions"] == checked_shop.scalar("SELECT count(*) FROM feat_sessions")
    checked_shop.run("ALTER TABLE feat_sessions DROP session_date")
    assert checked(checked_shop, SESSIONS, 0).blocks


def test_of_a_table_by_day_the_days_that_were_written_are_asked(warehouse: Warehouse) -> None:
    scores = contracts.table("sales_forecast_accuracy")
    error = "abs_error is at least 0"
    values = {
        "level": "'total'",
        "series_id": "'total'",
        "measure": "'quantity'",
        "model": "'lstm'",
        "model_version": "'v'",
    }
    columns = ", ".join(column.name for column in scores.columns)
    row = ", ".join(
        {
            **values,
            "as_of": "CAST(:day AS DATE) - n",
            "target_date": "CAST(:day AS DATE)",
            "horizon": "n",
            "in_80": "TRUE",
        }.get(column.name, "1.0")
        for column in scores.columns
    )
    for n in range(6):
        warehouse.run(
            f"INSERT INTO {scores.name} ({columns}) SELECT {row} FROM (SELECT unnest([1, 2, 3]) AS n)", {"day": day(n)}
        )
        note_days(warehouse, scores, [day(n)])
        found = checked(warehouse, scores, n)
        assert not found.failures
        assert of_rule(found, error).rows_checked == 3 * (n + 1)
    warehouse.run(f"UPDATE {scores.name} SET abs_error = -1 WHERE target_date = :day AND horizon = 2", {"day": day(2)})
    assert not checked(warehouse, scores, 5).failures, "nobody was told"
    note_days(warehouse, scores, [day(2), day(3)])
    found = checked(warehouse, scores, 5)
    assert (of_rule(found, error).rows_checked, of_rule(found, error).rows_unexpected) == (18, 1)
    assert checked(warehouse, scores, 5).blocks, "what broke a rule is asked until it holds"
