"""Ids as codes: dictionaries say what their texts say, and nothing that no row has."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_pipeline.recommending import FrameError, PurchasePredictor, global_temporal_split, purchase
from ecom_pipeline.recommending.frames import encoded_ids, is_among
from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline.registry.fingerprint import fingerprint
from ecom_pipeline_tests.recommending.shops import START, as_text_ids, visiting_shop

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=12)


def encoded(table: pa.Table, *, chunks: int = 3) -> pa.Table:
    """The table in chunks, each with dictionaries of its own for texts."""
    size = -(-max(table.num_rows, 1) // chunks)
    parts = []
    for start in range(0, max(table.num_rows, 1), size):
        part = table.slice(start, size)
        columns = [c.dictionary_encode() if pa.types.is_string(c.type) else c for c in part.itercolumns()]
        parts.append(pa.table(columns, names=table.column_names))
    return pa.concat_tables(parts)


def as_arrow(shop: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(as_text_ids(shop), preserve_index=False)
    return pa.table(
        {
            n: c.cast(pa.string()) if pa.types.is_large_string(c.type) else c
            for n, c in zip(table.column_names, table.itercolumns(), strict=True)
        }
    )


@settings(max_examples=50, deadline=None)
@given(rows=rows, kept=st.integers(0, 9))
def test_a_log_is_the_same_from_dictionaries_and_from_texts(rows: list[tuple[int, int, int]], kept: int) -> None:
    table = pa.table(
        {
            "user_id": [f"u{user}" for user, _, _ in rows],
            "item_id": [f"i{item}" for _, item, _ in rows],
            "event_ts": [when for _, _, when in rows],
            "event": [("view", "cart")[when % 2] for _, _, when in rows],
        }
    )
    mask = pa.array([when >= kept for _, _, when in rows])
    plain, vocabulary = read_events(table.filter(mask), name="events")
    coded, its_vocabulary = read_events(encoded(table).filter(mask), name="events")
    assert its_vocabulary.ids.to_pylist() == vocabulary.ids.to_pylist()
    assert coded.users.to_pylist() == plain.users.to_pylist()
    for name in ("items", "offsets", "times", "kinds"):
        np.testing.assert_array_equal(getattr(coded, name), getattr(plain, name))
    assert (coded.n_items, coded.kind_names) == (plain.n_items, plain.kind_names)


def test_an_item_of_rows_that_were_left_out_is_not_known() -> None:
    table = encoded(pa.table({"user_id": ["u", "u"], "item_id": ["early", "late"], "event_ts": [1, 9]}), chunks=1)
    past = table.filter(pa.array([True, False]))
    assert past.column("item_id").combine_chunks().dictionary.to_pylist() == ["early", "late"]
    assert encoded_ids(past, "item_id", name="events")[1].to_pylist() == ["early"]
    assert read_events(past, name="events")[1].ids.to_pylist() == ["early"]


def test_a_null_among_codes_is_an_error_with_its_row_or_allowed() -> None:
    table = pa.table({"item_id": pa.array(["a", None, "b"]).dictionary_encode()})
    with pytest.raises(FrameError, match=r"events.item_id: row 1 is null"):
        encoded_ids(table, "item_id", name="events")
    codes, ids = encoded_ids(table, "item_id", name="events", nulls=True)
    assert (codes.tolist(), ids.to_pylist()) == ([0, -1, 1], ["a", "b"])
    assert is_among(table, "item_id", pa.array(["b"]), name="events", nulls=True).tolist() == [False, False, True]


def test_a_split_of_codes_is_that_of_texts_and_draws_so_many_users() -> None:
    table = as_arrow(visiting_shop())
    cutoff = START + pd.Timedelta(days=30)
    splits: list[Any] = [global_temporal_split(one, cutoff) for one in (table, encoded(table))]
    plain, coded = splits
    for name in ("next_event", "next_purchase"):
        assert getattr(coded, name).to_pylist() == getattr(plain, name).to_pylist()
    for name in ("train", "histories"):
        assert getattr(coded, name).to_pylist() == getattr(plain, name).to_pylist()
    draws: list[Any] = [global_temporal_split(encoded(table), cutoff, most_users=10, seed=s) for s in (0, 0, 1)]
    drawn, again, other = draws
    assert drawn.next_event.num_rows == drawn.next_purchase.num_rows == 10
    assert drawn.next_event.to_pylist() == again.next_event.to_pylist() != other.next_event.to_pylist()
    whole = {row["user_id"]: row["item_id"] for row in plain.next_event.to_pylist()}
    assert all(whole[row["user_id"]] == row["item_id"] for row in drawn.next_event.to_pylist())
    shown = set(drawn.histories.column("user_id").to_pylist())
    assert shown == {row["user_id"] for row in (*drawn.next_event.to_pylist(), *drawn.next_purchase.to_pylist())}
    assert drawn.train.num_rows == plain.train.num_rows


def test_purchases_are_predicted_alike_from_codes_and_a_few_users_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    table = as_arrow(visiting_shop())
    users = table.column("user_id").unique().to_pylist()
    # every user's pairs, users and ranks in no order, and one who never did anything
    pairs = pd.DataFrame({"user_id": [*users, "nobody"] * 3}).assign(rank=lambda rows: 1 + rows.index % 7)
    pairs["item_id"] = "i" + (pairs.index % 60).astype(str)
    pairs = pairs.sample(frac=1.0, random_state=0, ignore_index=True)
    found = []
    for events, block in ((table, 10**6), (encoded(table), 10**6), (encoded(table), 5)):
        monkeypatch.setattr(purchase, "PAIRS_A_BLOCK", block)
        predicted = PurchasePredictor().fit(events).predict(events, pairs)
        assert isinstance(predicted, pd.DataFrame)
        found.append(predicted)
    assert found[0]["probability"].nunique() > 10
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)


def test_a_fingerprint_follows_from_the_rows_and_not_from_how_they_are_stored() -> None:
    table = as_arrow(visiting_shop(users=20))
    same = {fingerprint(table), fingerprint(encoded(table)), fingerprint(encoded(table, chunks=7))}
    assert len(same) == 1
    assert fingerprint(table.slice(1)) not in same
    assert fingerprint(table.rename_columns(["user", *table.column_names[1:]])) not in same
