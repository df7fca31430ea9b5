"""What sets a segment apart, on a shop small enough to check by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from ecom_pipeline.steps.segment_traits import LIKE_ALL, Traits, describe, read_traits, typical_items
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, empty_warehouse, moment

USERS = pa.array([f"u{n}" for n in range(8)])
BUYERS = np.arange(8) < 4


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
    return read_traits(warehouse, USERS, as_of=day(14), days=10, time_zone="Europe/Berlin")


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
    london = read_traits(warehouse, USERS, as_of=day(14), days=10, time_zone="Europe/London")
    assert not london.habits["evening"].any()


def test_a_segment_is_told_by_what_differs_with_both_figures(traits: Traits) -> None:
    told = describe(traits, BUYERS).split("; ")
    assert "not seen lately (last seen 5 days before, others 1)" in describe(traits, BUYERS)
    assert describe(traits, BUYERS).endswith("mostly Garden (100% of the events, others 0%)")
    assert len(told) == 4  # three habits and a category, each with the figure of the others
    # what mostly goes together is told once
    assert sum(word in describe(traits, BUYERS) for word in ("does much", "buys often", "spends much")) == 1


def test_a_segment_like_all_others_is_said_to_be_so(traits: Traits) -> None:
    assert describe(traits, np.isin(np.arange(8), [0, 1, 4, 5])) == LIKE_ALL


def test_a_segment_apart_by_its_products_alone_is_named_after_them(traits: Traits) -> None:
    alike = np.isin(np.arange(8), [0, 1, 4, 5])
    assert describe(traits, alike, typical="Jumbo bag") == (
        "turns to Jumbo bag and the like, with habits like everybody's"
    )
    assert describe(traits, BUYERS, typical="Jumbo bag") == describe(traits, BUYERS)


def test_typical_products_are_those_that_others_turn_to_less_often(traits: Traits) -> None:
    found = typical_items(traits, BUYERS)
    assert traits.item_ids.take(pa.array(found.items)).to_pylist() == ["spade"]
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
        habits={},
        categories=np.zeros((1000, 0)),
        category_names=(),
        item_user=user,
        item=item,
        item_ids=pa.array([f"i{n}" for n in range(5001)]),
        has_prices=False,
    )
    assert len(typical_items(blind, members).items) == 0
    fans = np.concatenate([np.arange(60), np.arange(900, 930)])
    liked = replace(blind, item_user=np.append(user, fans), item=np.append(item, np.full(90, 5000)))
    found = typical_items(liked, members)
    assert (found.items.tolist(), found.users.tolist()) == ([5000], [60])
    assert found.lift.tolist() == pytest.approx([70 / 32.5])


def test_users_without_an_event_in_the_days_have_no_shares(warehouse: Warehouse, traits: Traits) -> None:
    quiet = read_traits(warehouse, USERS, as_of=day(14) + timedelta(days=40), days=5, time_zone="UTC")
    assert quiet.habits["events"].tolist() == [0] * 8
    assert np.isnan(quiet.habits["weekend"]).all()
    assert len(typical_items(quiet, BUYERS).items) == 0
