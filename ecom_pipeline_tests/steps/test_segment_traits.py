"""What sets a segment apart, on a shop small enough to check by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ecom_pipeline.steps import recommend_events
from ecom_pipeline.steps.segment_traits import LIKE_ALL, Traits, describe, read_traits, typical_items
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment

USERS = pa.array([f"u{n}" for n in range(8)])
TODAY = day(14)
BUYERS = 0
SEGMENT = np.repeat([BUYERS, 1], 4)
MIXED = np.array([0, 0, 1, 1, 0, 0, 1, 1])
"""Segments that are alike: each has two of those who buy and two of those who look."""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with empty_warehouse(tmp_path_factory.mktemp("traits")) as opened:
        yield opened


@pytest.fixture(scope="module")
def traits(warehouse: Warehouse) -> Traits:
    """Four users buy spades on three mornings; four look at a lamp each evening of a weekend and buy nothing."""
    shop = CoreRows(warehouse)
    shop.product("spade", category_path="Garden")
    shop.product("lamp", category_path="Home")
    shop.product("rake", category_path="Garden")
    for number in range(4):
        for n in (7, 8, 9):  # Monday to Wednesday
            shop.order(n, "spade", 2, 10.0, user_id=f"u{number}", at=moment(n, 7))
        for n in (12, 13):  # Saturday and Sunday, 18:30 in Berlin
            shop.event(n, "lamp", user_id=f"u{number + 4}", at=moment(n, 17, 30))
    for number in (0, 2, 4, 6):
        shop.event(2, "rake", user_id=f"u{number}")
    shop.event(20, "lamp", user_id="u0")
    shop.build(20)
    return traits_of(warehouse, SEGMENT)


def traits_of(
    warehouse: Warehouse, segment: np.ndarray, *, as_of: date = TODAY, days: int = 10, zone: str = "Europe/Berlin"
) -> Traits:
    return read_traits(warehouse, USERS, segment, segments=2, as_of=as_of, days=days, time_zone=zone)


def test_habits_are_those_of_the_days_asked_for(traits: Traits) -> None:
    habits = {name: values.tolist() for name, values in traits.habits.items()}
    assert habits["events"] == [3, 3, 3, 3, 2, 2, 2, 2]
    assert habits["purchase_days"] == [3, 3, 3, 3, 0, 0, 0, 0]
    assert habits["value"] == [60, 60, 60, 60, 0, 0, 0, 0]
    assert habits["days_since"] == [5, 5, 5, 5, 1, 1, 1, 1]
    assert habits["tenure"] == [12, 7, 12, 7, 12, 2, 12, 2]
    assert habits["weekend"] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert habits["evening"] == [0, 0, 0, 0, 1, 1, 1, 1]
    np.testing.assert_allclose(habits["variety"], [1 / 3] * 4 + [1 / 2] * 4)


def test_the_evening_is_that_of_the_shop(warehouse: Warehouse, traits: Traits) -> None:
    london = traits_of(warehouse, SEGMENT, zone="Europe/London")
    assert not london.habits["evening"].any()


def test_a_segment_is_told_by_what_differs_with_both_figures(traits: Traits) -> None:
    told = describe(traits, BUYERS).split("; ")
    assert "not seen lately (last seen 5 days before, others 1)" in describe(traits, BUYERS)
    assert describe(traits, BUYERS).endswith("mostly Garden (100% of the events, others 0%)")
    assert len(told) == 4  # three habits and a category, each with the figure of the others
    # what mostly goes together is told once
    assert sum(word in describe(traits, BUYERS) for word in ("does much", "buys often", "spends much")) == 1


def test_a_segment_like_all_others_is_said_to_be_so(warehouse: Warehouse, traits: Traits) -> None:
    assert describe(traits_of(warehouse, MIXED), 0) == LIKE_ALL


def test_a_segment_apart_by_its_products_alone_is_named_after_them(warehouse: Warehouse, traits: Traits) -> None:
    assert describe(traits_of(warehouse, MIXED), 0, typical="Jumbo bag") == (
        "turns to Jumbo bag and the like, with habits like everybody's"
    )
    assert describe(traits, BUYERS, typical="Jumbo bag") == describe(traits, BUYERS)


def test_typical_products_are_those_that_others_turn_to_less_often(traits: Traits) -> None:
    found = typical_items(traits, BUYERS)
    assert [traits.item_ids[item] for item in found.items] == ["spade"]
    assert (found.users.tolist(), found.share.tolist()) == ([4], [1.0])
    # four users where two are expected, and ten more on both sides
    assert found.lift.tolist() == pytest.approx([14 / 12])


def test_a_product_of_few_users_is_not_typical_by_chance() -> None:
    """Of 5,000 products that 1,000 users pick blindly none is typical; one that a segment likes is, and comes first."""
    rng = np.random.default_rng(1)
    members = np.arange(1000) < 250
    pairs = np.unique(rng.integers(0, 1000, 30_000) * 5001 + rng.integers(0, 5000, 30_000))
    user, item = np.divmod(pairs, 5001)
    blind = Traits(
        segment=np.where(members, 0, 1),
        habits={},
        category_shares=np.zeros((2, 0)),
        category_names=(),
        item_users=np.stack([np.bincount(item[side[user]], minlength=5001) for side in (members, ~members)]),
        item_ids=tuple(f"i{n}" for n in range(5001)),
        has_prices=False,
    )
    assert len(typical_items(blind, 0).items) == 0
    fans = np.zeros_like(blind.item_users)
    fans[:, 5000] = 60, 30
    found = typical_items(replace(blind, item_users=blind.item_users + fans), 0)
    assert (found.items.tolist(), found.users.tolist()) == ([5000], [60])
    assert found.lift.tolist() == pytest.approx([70 / 32.5])


def test_figures_do_not_depend_on_how_many_events_are_read_at_once(
    warehouse: Warehouse, traits: Traits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommend_events, "EVENTS_A_PART", 5)
    parts = traits_of(warehouse, SEGMENT)
    assert parts.habits.keys() == traits.habits.keys()
    for name, values in parts.habits.items():
        np.testing.assert_array_equal(values, traits.habits[name])
    assert (parts.category_names, parts.item_ids) == (traits.category_names, traits.item_ids)
    np.testing.assert_array_equal(parts.item_users, traits.item_users)
    np.testing.assert_allclose(parts.category_shares, traits.category_shares)
    assert parts.has_prices


def test_a_segment_that_nobody_is_in_now_has_no_typical_products(warehouse: Warehouse) -> None:
    assert len(typical_items(traits_of(warehouse, np.zeros(8, dtype=np.int64)), 1).items) == 0


def test_users_without_an_event_in_the_days_have_no_shares(warehouse: Warehouse, traits: Traits) -> None:
    quiet = traits_of(warehouse, SEGMENT, as_of=TODAY + timedelta(days=40), days=5, zone="UTC")
    assert quiet.habits["events"].tolist() == [0] * 8
    assert np.isnan(quiet.habits["weekend"]).all()
    assert len(typical_items(quiet, BUYERS).items) == 0
