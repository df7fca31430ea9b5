"""The corpus of bad input: every case is loaded, in one shop beside all the others, and must end as it says.

What is good is in core, what is bad is in quarantine under its rule, or the file is refused whole with an error that
names it and says what to do. Nothing raises, and no row is lost or counted twice.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from ecom_pipeline_tests.bad_input.cases import PROFILE
from ecom_pipeline_tests.bad_input.files import file_cases
from ecom_pipeline_tests.bad_input.rows import row_cases
from ecom_pipeline_tests.sources.shop import Shop, open_shop

CASES = [*row_cases(), *file_cases()]
NAMES = [f"{case.kind}: {case.name}" for case in CASES]


def path_of(number: int) -> str:
    return f"{CASES[number].folder}/{number:04d}{CASES[number].suffix}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All cases, loaded together."""
    with open_shop(tmp_path_factory.mktemp("corpus"), PROFILE) as opened:
        for number, case in enumerate(CASES):
            opened.write(path_of(number), case.written(f"n{number}-"))
        opened.ingest()
        yield opened


def test_there_are_enough_cases_and_each_is_a_case_of_its_own() -> None:
    assert len(CASES) >= 300
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_bad_input_ends_as_it_should(shop: Shop, number: int) -> None:
    case = CASES[number]
    entry = shop.ledger()[path_of(number)]
    assert (entry["error"] or "") == "" or case.refused is not None, entry["error"]
    if case.refused is not None:
        assert entry["status"] == "refused"
        assert entry["error"].startswith(path_of(number)), "the error names the file"
        assert case.refused in entry["error"]
    stands_for = f"n{number}-"
    where = f"WHERE file_id = {entry['file_id']} ORDER BY line"
    core = shop.rows(f"SELECT order_id, line FROM core_order_lines {where}")
    assert core == [(stands_for + order, line) for order, line in case.good]
    bad = shop.rows(f"SELECT line, rule FROM quarantine_orders {where}")
    assert bad == list(case.bad)
    for order, (column, value) in case.values.items():
        found = shop.rows(f"SELECT {column} FROM core_order_lines WHERE order_id = '{stands_for}{order}'")
        assert found == [(value,)]


def test_no_row_of_the_corpus_is_lost_or_counted_twice(shop: Shop) -> None:
    assert shop.is_conserved()
    said = shop.rows("SELECT count(*) FROM quarantine_orders WHERE reason IS NULL OR reason = '' OR raw IS NULL")
    assert said == [(0,)]


def test_loading_the_corpus_again_changes_nothing(shop: Shop) -> None:
    before = (shop.core(), shop.quarantine())
    shop.ingest()
    assert (shop.core(), shop.quarantine()) == before
