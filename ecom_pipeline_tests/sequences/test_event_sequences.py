"""Flat sequences hold exactly what the long tables say, and are cut as plain slices would be."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline.sequences.event_sequences import SHORTEST
from ecom_pipeline.steps import recommend_events
from ecom_pipeline.steps.recommend_events import events_of_night
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.recommending.shops import visiting_shop
from ecom_pipeline_tests.recommending.test_counting import log_of, sequences
from ecom_pipeline_tests.steps.core_rows import CoreRows, empty_warehouse, moment


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("sequences")) as opened:
        yield opened


def test_users_of_a_night_follow_one_another_with_their_events_in_order(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    shop.event(1, "b", user_id="u2")
    shop.event(0, "c", "cart", user_id="u2")
    shop.event(0, "a", user_id="u1", at=moment(0, 9))
    shop.event(1, "b", "remove", user_id="u1")
    shop.order(2, "c", 1, user_id="u1", at=moment(2, 9))
    shop.build(2)
    log, vocabulary = read_events(events_of_night(warehouse), name="events")
    assert log.users.to_pylist() == ["u1", "u2"]
    assert log.offsets.tolist() == [0, 2, 4]
    assert vocabulary.decode(log.items).to_pylist() == ["a", "c", "c", "b"]
    assert log.kinds is not None
    assert log.times is not None
    assert [log.kind_names[code] for code in log.kinds] == ["view", "purchase", "cart", "view"]
    assert log.times[0] == pd.Timestamp(moment(0, 9)).timestamp()
    assert log.owners.tolist() == [0, 0, 1, 1]
    assert (log.items.dtype, log.kinds.dtype, log.offsets.dtype) == (np.int32, np.int8, np.int64)


def test_of_a_large_shop_whole_histories_of_some_users_are_read(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = CoreRows(warehouse)
    for user in range(20):
        for number in range(1 + user % 3):
            shop.event(number, "abc"[number], user_id=f"u{user:02}")
    shop.build(2)
    everything = events_of_night(warehouse).to_pylist()
    assert events_of_night(warehouse, most=len(everything)).to_pylist() == everything
    for part in (recommend_events.EVENTS_A_PART, 5):
        monkeypatch.setattr(recommend_events, "EVENTS_A_PART", part)
        for most in (len(everything) - 1, 12, 1):
            drawn, again, other = (events_of_night(warehouse, most=most, seed=seed).to_pylist() for seed in (0, 0, 1))
            assert 0 < len(drawn) <= max(most, 3)
            users = {row["user_id"] for row in drawn}
            assert drawn == again == [row for row in everything if row["user_id"] in users]
            assert most > 12 or users != {row["user_id"] for row in other}


def test_a_night_without_events_makes_empty_sequences(warehouse: Warehouse) -> None:
    CoreRows(warehouse).build(0)
    log, vocabulary = read_events(events_of_night(warehouse), name="events")
    assert (len(log), len(vocabulary), log.offsets.tolist()) == (0, 0, [0])


def test_the_newest_events_are_the_last_in_time_or_the_last_of_every_user() -> None:
    shop = visiting_shop(users=20, items=30, days=20)
    timed, _ = read_events(shop, name="events")
    newest = timed.newest(100)
    assert timed.times is not None
    assert newest.times is not None
    assert newest.times.min() >= np.sort(timed.times)[-110]
    assert len(newest.items) >= 100
    plain, _ = read_events(shop.assign(position=range(len(shop))).drop(columns="event_ts"), name="events")
    last = plain.newest(15 * len(plain))
    assert len(last.items) <= 15 * len(plain)
    assert last.lengths.max() - last.lengths.min() <= 1
    few = plain.newest(100)
    assert len(few) < len(plain)
    assert 60 <= len(few.items) <= 140
    assert few.lengths.max() == SHORTEST
    assert plain.newest(10**9) is plain


@settings(max_examples=30, deadline=None)
@given(rows=sequences, length=st.integers(1, 5))
def test_windows_and_last_events_equal_plain_slices(rows: list[list[int]], length: int) -> None:
    log = log_of(rows)
    last = log.last(length)
    padded = log.padded(length)
    for user in range(len(log)):
        items = log.items[log.offsets[user] : log.offsets[user + 1]]
        np.testing.assert_array_equal(last.items[last.offsets[user] : last.offsets[user + 1]], items[-length:])
        newest = items[::-1][:length]
        np.testing.assert_array_equal(padded[user][: len(newest)], newest)
        assert (padded[user][len(newest) :] == -1).all()
