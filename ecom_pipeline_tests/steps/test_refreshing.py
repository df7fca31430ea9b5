"""A night that makes anew only what changed has the tables of one that makes everything anew."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ecom_pipeline.privacy.erasure import erase_from_tables
from ecom_pipeline.steps.features import FEATURE_INPUTS, build_feature
from ecom_pipeline.steps.parts import PARTS
from ecom_pipeline.steps.refreshing import made_of
from ecom_pipeline.steps.trajectories import build_trajectory
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment

USERS = tuple(f"u{number}" for number in range(150))
ITEMS = ("a", "b", "c", "d", "e")
NIGHTS = 9


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("refreshing")) as opened:
        yield opened


@pytest.fixture
def shop(warehouse: Warehouse) -> CoreRows:
    warehouse.run("DELETE FROM feature_days")
    return CoreRows(warehouse)


def visits(shop: CoreRows, chance: random.Random, n: int, *, users: int, file_id: int) -> None:
    """Browse events of some users on one day; some go on past midnight, some have times or sessions in common."""
    rows: list[dict[str, Any]] = []
    for user in chance.sample((*USERS, None), users):
        hour = chance.choice((0, 9, 20, 23))
        session = chance.choice((None, None, f"s{n}", f"s{n - 1}"))
        for step in range(chance.randint(1, 4)):
            row = {
                "user_id": user,
                "session_id": session,
                "item_id": chance.choice((*ITEMS, None)),
                "event": chance.choice(("view", "view", "cart", "purchase", "return", "favourite")),
                "quantity": chance.choice((None, 2.0)),
                "price": chance.choice((None, 3.5)),
                "channel": chance.choice((None, "web", "app")),
                "event_ts": moment(n, hour, chance.choice((0, 15 * step, 59))),
                "event_date": day(n),
                "feed": "browse",
                "file_id": file_id,
            }
            rows.append(row | {"event": "search"} if row["item_id"] is None else row)
    shop.add("core_events", rows)


def build(shop: CoreRows, n: int, **settings: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Bring the tables that are made in parts to day n; all their rows."""
    chosen = shop.settings.model_copy(update=settings)
    for name in ("feat_user_events", "feat_item_clicks", "feat_items", *tuple(PARTS)[2:]):
        step = build_feature if name in FEATURE_INPUTS else build_trajectory
        step(shop.warehouse, name, profile=shop.profile, settings=chosen, as_of=day(n))
    return {name: shop.features(name) for name in PARTS}


class UndoneError(Exception):
    """Takes back what was done to compare."""


def everything(shop: CoreRows, n: int, **settings: Any) -> dict[str, list[tuple[Any, ...]]]:
    """The tables as a full rebuild makes them; it is taken back."""
    rows = {}
    with suppress(UndoneError), shop.warehouse.transaction():
        shop.warehouse.run("DELETE FROM feature_nights")
        rows = build(shop, n, **settings)
        assert all(str(made_of(shop.warehouse, name)).startswith("everything: ") for name in PARTS)
        raise UndoneError
    return rows


Change = Callable[[CoreRows, random.Random, int], None]


def no_change(shop: CoreRows, chance: random.Random, n: int) -> None:
    """The same rows as the night before."""


def a_day(shop: CoreRows, chance: random.Random, n: int) -> None:
    visits(shop, chance, n, users=4, file_id=n + 1)


def late_rows(shop: CoreRows, chance: random.Random, n: int) -> None:
    visits(shop, chance, chance.randrange(max(1, n)), users=2, file_id=1000 + n)


def rows_of_the_future(shop: CoreRows, chance: random.Random, n: int) -> None:
    visits(shop, chance, n + 2, users=3, file_id=2000 + n)


def a_corrected_file(shop: CoreRows, chance: random.Random, n: int) -> None:
    file_id = chance.randint(1, max(1, n))
    shop.warehouse.run("DELETE FROM core_events WHERE file_id = :file_id", {"file_id": file_id})
    visits(shop, chance, file_id - 1, users=3, file_id=file_id)


def a_file_in_another_order(shop: CoreRows, chance: random.Random, n: int) -> None:
    """Equal times are ordered by file and line."""
    shop.warehouse.run(
        "UPDATE core_events SET line = 1000000 - line WHERE file_id = :file_id", {"file_id": chance.randint(1, n + 1)}
    )


def other_sessions(shop: CoreRows, chance: random.Random, n: int) -> None:
    shop.warehouse.run(
        "UPDATE core_events SET session_id = 'other' WHERE user_id = :user AND line % 2 = 0",
        {"user": chance.choice(USERS)},
    )


def a_value_changed_by_hand(shop: CoreRows, chance: random.Random, n: int) -> None:
    shop.warehouse.run("UPDATE core_events SET price = 99 WHERE user_id = :user", {"user": chance.choice(USERS)})


def a_person_erased(shop: CoreRows, chance: random.Random, n: int) -> None:
    erase_from_tables(shop.warehouse, chance.choice(USERS))


def a_person_erased_from_core(shop: CoreRows, chance: random.Random, n: int) -> None:
    shop.warehouse.run("DELETE FROM core_events WHERE user_id = :user", {"user": chance.choice(USERS)})


def the_first_order_lines(shop: CoreRows, chance: random.Random, n: int) -> None:
    """Purchases of the browse log count no more."""
    shop.order(n, "a", user_id="u1")


def another_category(shop: CoreRows, chance: random.Random, n: int) -> None:
    shop.product(chance.choice(ITEMS), category_path=chance.choice(("K", "L > x", None)), valid_from=day(n))


def no_more_order_lines(shop: CoreRows, chance: random.Random, n: int) -> None:
    shop.warehouse.run("DELETE FROM core_events WHERE feed = 'orders'")


FOLLOWED: tuple[Change, ...] = (
    no_change,
    a_day,
    late_rows,
    rows_of_the_future,
    a_corrected_file,
    a_file_in_another_order,
    other_sessions,
    a_value_changed_by_hand,
    a_person_erased_from_core,
    another_category,
)
NOT_FOLLOWED: tuple[Change, ...] = (a_person_erased, the_first_order_lines, no_more_order_lines)


@pytest.mark.parametrize("seed", range(2))
def test_nights_after_any_changes_have_the_tables_of_a_full_rebuild(shop: CoreRows, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    in_part = dict.fromkeys(PARTS, 0)
    first = seed * 23  # day 27 begins a month
    visits(shop, chance, first, users=120, file_id=1)
    for n in range(first, first + NIGHTS):
        visits(shop, chance, n, users=3, file_id=n + 1)
        for change in chance.sample(FOLLOWED, 2):
            change(shop, chance, n)
        if chance.random() < 0.15:
            chance.choice(NOT_FOLLOWED)(shop, chance, n)
        night = n if chance.random() < 0.8 else chance.randrange(first, n + 1)
        settings = {
            "session_gap_minutes": chance.choice((30,) * 20 + (5,)),
            "conversion_window_days": chance.choice((3,) * 20 + (1,)),
            "trajectory_days": chance.choice((6,) * 20 + (9,)),
        }
        found = build(shop, night, **settings)
        for name in PARTS:
            in_part[name] += not str(made_of(shop.warehouse, name)).startswith("everything")
        for name, rows in everything(shop, night, **settings).items():
            assert found[name] == rows, f"{name}, seed {seed}, night {night} after {n}"
    assert min(in_part.values()) >= NIGHTS // 3, f"few nights were made in part, so that little was compared: {in_part}"


def test_a_day_more_makes_anew_the_users_of_that_day(shop: CoreRows) -> None:
    for n in range(4):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(n, "a", user_id=user)
    build(shop, 3)
    shop.event(4, "b", user_id="u1")
    shop.event(4, "b", user_id="somebody new")
    build(shop, 4)
    assert made_of(shop.warehouse, "feat_user_events") == "2 rows of 2 users in place of 0, as rows of 1 days changed"
    # a session may end on the day after the one that its last time says in UTC, so users of the day before may be in it
    assert 2 <= int(str(made_of(shop.warehouse, "feat_sessions")).split()[3]) <= 7
    assert made_of(shop.warehouse, "funnel_daily") == f"days from {day(3 - 7)} on"
    assert made_of(shop.warehouse, "session_paths") == f"days from {day(3)} on"
    for name in ("conversions_daily", "cohort_retention"):
        assert made_of(shop.warehouse, name) == f"days from {day(4)} on"
    build(shop, 4)
    for name in ("feat_user_events", "feat_sessions"):
        assert made_of(shop.warehouse, name) == "nothing, as no row changed"
    assert made_of(shop.warehouse, "funnel_daily") == f"days from {day(5 - 7)} on"
    assert made_of(shop.warehouse, "transitions_daily") == f"days from {day(5)} on"


def test_what_cannot_be_followed_makes_everything_anew_and_says_why(shop: CoreRows) -> None:
    for n in range(4):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(n, "a", user_id=user)
    build(shop, 3)
    build(shop, 3, session_gap_minutes=7)
    for name in PARTS:
        assert made_of(shop.warehouse, name) == "everything: settings, SQL, columns or engine are others than last time"
    shop.warehouse.run("DELETE FROM feat_sessions WHERE user_id = 'u1'")
    build(shop, 3, session_gap_minutes=7)
    assert made_of(shop.warehouse, "feat_sessions") == "everything: rows were added or taken out since it was made"
    shop.warehouse.run("DELETE FROM feat_sessions WHERE user_id = 'u1'")
    build_trajectory(shop.warehouse, "funnel_daily", profile=shop.profile, settings=shop.settings, as_of=day(3))
    assert made_of(shop.warehouse, "funnel_daily") == (
        "everything: rows of feat_sessions were added or taken out since it was made"
    )
    shop.warehouse.run("UPDATE core_events SET price = 1 WHERE event_date <= :day", {"day": day(2)})
    build(shop, 3, session_gap_minutes=7)
    assert made_of(shop.warehouse, "feat_user_events") == "everything: 15 of 20 rows are touched by changes"
    build(shop, 2, session_gap_minutes=7)
    assert made_of(shop.warehouse, "session_paths") == "everything: days of an earlier night were given up"


def test_a_late_row_makes_anew_its_users_history_from_its_day_on(shop: CoreRows) -> None:
    for n in range(6):
        for user in ("u1", "u2", "u3"):
            shop.event(n, "a", user_id=user)
            shop.event(n, "b", "cart", user_id=user, at=moment(n, 20))
    build(shop, 5)
    shop.event(3, "c", user_id="u2", at=moment(3, 13))
    found = build(shop, 5)
    assert made_of(shop.warehouse, "feat_user_events") == "7 rows of 1 users in place of 6, as rows of 1 days changed"
    assert made_of(shop.warehouse, "session_paths") == f"days from {day(2)} on"
    assert found == everything(shop, 5)


def test_a_session_that_loses_its_last_day_is_made_anew_where_it_began(shop: CoreRows) -> None:
    for n in range(6):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(n, "a", user_id=user)
    shop.event(0, "a", user_id="u1", session_id="long")
    shop.event(5, "a", "purchase", user_id="u1", session_id="long")
    build(shop, 5, conversion_window_days=0)
    shop.warehouse.run("DELETE FROM core_events WHERE event = 'purchase'")
    found = build(shop, 5, conversion_window_days=0)
    assert made_of(shop.warehouse, "funnel_daily") == f"days from {day(0)} on"
    assert found == everything(shop, 5, conversion_window_days=0)


def test_the_first_price_gives_periods_without_purchases_a_value_of_zero(shop: CoreRows) -> None:
    for n in range(4):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(7 * n, "a", "purchase", user_id=user)
    build(shop, 21)
    shop.event(22, "a", "purchase", user_id="u1", price=3.5)
    found = build(shop, 22)
    assert str(made_of(shop.warehouse, "feat_user_events")).startswith("1 rows of 1 users")
    assert str(made_of(shop.warehouse, "cohort_retention")).startswith("everything: settings")
    assert found == everything(shop, 22)
    assert 0 in {row[8] for row in found["cohort_retention"]}


def test_nights_without_events_close_the_windows_of_days_before(shop: CoreRows) -> None:
    for n in range(4):
        shop.event(n, "a")
    for night in (3, 8, 11, 9):
        assert build(shop, night) == everything(shop, night)


def test_days_out_of_order_make_everything_anew(shop: CoreRows) -> None:
    """What happened before a day says nothing of the days after it then."""
    for n in range(4):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(n, "a", user_id=user)
    shop.event(2, "a", user_id="u1")
    build(shop, 3)
    shop.event(1, "a", user_id="u1", at=moment(3))
    for _ in range(2):
        build(shop, 3)
        assert made_of(shop.warehouse, "feat_user_events") == (
            "everything: a day has events that are not after those of the day before it"
        )
        assert made_of(shop.warehouse, "funnel_daily") == (
            "everything: of feat_user_events it is not known what it was made from"
        )
    shop.warehouse.run(
        "DELETE FROM core_events WHERE event_ts = :at AND event_date = :day", {"at": moment(3), "day": day(1)}
    )
    for _ in range(2):
        found = build(shop, 3)
    assert made_of(shop.warehouse, "feat_user_events") == "nothing, as no row changed"
    assert found == everything(shop, 3)


def test_a_night_that_fails_half_way_leaves_stamps_and_rows_that_fit(
    shop: CoreRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        for user in USERS[n * 5 : n * 5 + 5]:
            shop.event(n, "a", user_id=user)
    build(shop, 3)
    before = shop.features("feat_user_events"), shop.warehouse.rows("SELECT * FROM feature_days ORDER BY ALL")
    shop.event(2, "b", user_id="u1")

    def full(*_: object, **__: object) -> int:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(shop.warehouse, "insert", full)
        with pytest.raises(OSError, match="disk full"):
            build(shop, 3)
    assert (shop.features("feat_user_events"), shop.warehouse.rows("SELECT * FROM feature_days ORDER BY ALL")) == before
    assert build(shop, 3) == everything(shop, 3)


def test_a_table_of_another_version_is_made_anew(tmp_path: Path) -> None:
    """A warehouse of a version without stamps has none, and its `feature_nights` no fingerprint."""
    with empty_warehouse(tmp_path) as opened:
        shop = CoreRows(opened)
        shop.event(0, "a")
        build(shop, 0)
        opened.run("ALTER TABLE feature_nights DROP COLUMN made")
        opened.run("ALTER TABLE feature_nights DROP COLUMN made_with")
        opened.run("DROP TABLE feature_days")
        before = shop.features("feat_sessions")
    with empty_warehouse(tmp_path) as opened:
        night: list[tuple[date]] = opened.rows("SELECT as_of FROM feature_nights WHERE table_name = 'feat_sessions'")
        assert night == [(day(0),)]
        assert made_of(opened, "feat_sessions") is None
        shop.warehouse = opened
        build(shop, 0)
        assert str(made_of(opened, "feat_sessions")).startswith("everything")
        assert shop.features("feat_sessions") == before
