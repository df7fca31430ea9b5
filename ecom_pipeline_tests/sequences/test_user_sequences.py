"""Flat sequences hold exactly what the long-form table says."""

from collections.abc import Iterator

import numpy as np
import pytest

from ecom_pipeline.sequences import EVENT_NAMES, load_user_sequences
from ecom_pipeline.sequences import user_sequences as module
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, empty_warehouse, moment


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("sequences")) as opened:
        yield opened


def test_users_follow_one_another_with_their_events_in_order(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    shop.event(1, "b", user_id="u2")
    shop.event(0, "c", "cart", user_id="u2")
    shop.event(0, "a", user_id="u1", at=moment(0, 9))
    shop.order(2, "c", 1, user_id="u1", at=moment(2, 9))
    shop.build(2)
    sequences = load_user_sequences(warehouse)
    assert sequences.users.to_pylist() == ["u1", "u2"]
    assert sequences.item_ids.to_pylist() == ["a", "b", "c"]
    assert sequences.offsets.tolist() == [0, 2, 4]
    assert sequences.items.tolist() == [0, 2, 2, 1]
    assert [EVENT_NAMES[code] for code in sequences.kinds] == ["view", "purchase", "cart", "view"]
    assert sequences.times.astype("datetime64[us]")[0] == np.datetime64(moment(0, 9))
    assert sequences.sessions.tolist() == [1, 2, 1, 2]
    assert sequences.owners.tolist() == [0, 0, 1, 1]
    assert (sequences.items.dtype, sequences.kinds.dtype, sequences.times.dtype) == (np.int32, np.int8, np.int64)


def test_no_events_make_empty_sequences(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    shop.build(0)
    sequences = load_user_sequences(warehouse)
    assert len(sequences) == 0
    assert sequences.offsets.tolist() == [0]
    assert sequences.items.shape == (0,)


def test_batches_smaller_than_a_user_change_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = CoreRows(warehouse)
    warehouse.run(
        """
        INSERT INTO core_events (user_id, item_id, event, event_ts, event_date, feed, file_id, line)
        SELECT 'u' || (i % 7), 'i' || (i * i % 101), 'view',
               TIMESTAMP '2026-01-05' + INTERVAL '1' MINUTE * (i * 7919 % 5000), DATE '2026-01-05', 'browse', 1, i
        FROM range(5000) AS r (i)
        """
    )
    shop.build(7)
    whole = load_user_sequences(warehouse)
    monkeypatch.setattr(module, "BATCH_ROWS", 100)
    batched = load_user_sequences(warehouse)
    expected = warehouse.arrow("SELECT item_id, event_ts FROM feat_user_events ORDER BY user_id, position")
    assert whole.item_ids.take(whole.items).to_pylist() == expected.column("item_id").to_pylist()
    assert (whole.items == batched.items).all()
    assert (whole.times == batched.times).all()


def test_positions_with_a_hole_are_refused(warehouse: Warehouse) -> None:
    shop = CoreRows(warehouse)
    for n in range(3):
        shop.event(n, "a")
    shop.build(3)
    warehouse.run("DELETE FROM feat_user_events WHERE position = 2")
    with pytest.raises(ValueError, match="positions are not 1, 2, 3"):
        load_user_sequences(warehouse)
