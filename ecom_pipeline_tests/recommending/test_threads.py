"""Blocks of users on several threads: the same results, in the same order, errors where they belong."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.threads import MOST_THREADS, in_order, threads
from ecom_pipeline_tests.recommending.shops import visiting_shop


def test_results_come_in_the_order_of_the_parts_whichever_is_ready_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    seen = set()

    def work(part: int) -> int:
        seen.add(threading.current_thread().name)
        time.sleep(0.02 * (part % 3 == 0))
        return part * part

    assert list(in_order(work, range(12))) == [part * part for part in range(12)]
    assert len(seen) == 3


@pytest.mark.parametrize("n", ["1", "4"])
def test_an_error_is_raised_in_its_place_and_what_comes_later_is_not_taken_up(
    n: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", n)
    taken = []

    def parts() -> Iterator[int]:
        for part in range(100):
            taken.append(part)
            yield part

    results = in_order(lambda part: 10 // (3 - part), parts())
    assert [next(results), next(results), next(results)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(taken) <= 4 + int(n) + 1


def test_there_are_as_many_threads_as_numerical_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, expected in (("2", 2), ("3,2", 3), ("0", 1), ("999", MOST_THREADS)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert threads() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= threads() <= MOST_THREADS


def test_several_threads_fit_and_recommend_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = visiting_shop()
    monkeypatch.setattr(Ranker, "blocks", lambda self, n: (range_of(first, n) for first in range(0, n, 16)))
    found = []
    for n in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", n)
        recommender = NextItemRecommender(networks=()).fit(shop)
        found.append((recommender.recommend(shop, 10), recommender.report()["validation"]))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def range_of(first: int, n: int) -> np.ndarray:
    """The indices of a block of sixteen users."""
    return np.arange(first, min(first + 16, n))
