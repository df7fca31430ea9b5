"""Flat sequences hold exactly what the long tables say, and are cut as plain slices would be."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline.sequences.event_sequences import SHORTEST
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


def test_only_the_newest_days_are_read_whose_events_come_to_so_many(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    for day, events in ((0, 2), (1, 3), (2, 1)):
        for number in range(events):
            shop.event(day, "abc"[number], user_id="u1", at=moment(day, 9 + number))
    shop.build(2)
    for most, expected in ((100, 6), (6, 6), (5, 6), (4, 4), (2, 4), (1, 1)):
        newest = events_of_night(warehouse, most=most)
        assert newest.num_rows == expected
        assert newest.column("position").to_pylist() == list(range(7 - expected, 7))


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
