"""Odd shops and sudden changes, one whole night each: published, sound, and told. The tests run three that are mixed.

python -m ecom_pipeline_tests.operations.odd_nights [--only NAME ...]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecom_pipeline.settings import Home
from ecom_pipeline_tests.operations.odd_shops import (
    Order,
    View,
    ask,
    change,
    land,
    losses_become_nan,
    night,
    open_home,
    robot,
    sold,
    trade,
    warned,
)

LAST = 69


@dataclass(frozen=True, slots=True)
class OddNight:
    """What lands beside ten usual weeks (or alone), the day of the night, and the warnings that must be among those."""

    rows: Callable[[], list[Order | View]]
    n: int = LAST
    beside_usual: bool = True
    warns: frozenset[str] = frozenset()
    with_nan: bool = False


def usual() -> list[Order | View]:
    """Ten weeks of a usual shop."""
    return trade(0, LAST)


CASES = {
    "ten times the volume": OddNight(
        lambda: trade(LAST + 1, LAST + 1, a_day=150, seed=1), n=LAST + 1, warns=frozenset({"volume_is_usual"})
    ),
    "a tenth of the volume": OddNight(
        lambda: trade(LAST + 1, LAST + 1, a_day=1.5, seed=1), n=LAST + 1, warns=frozenset({"volume_is_usual"})
    ),
    "all users new": OddNight(lambda: trade(LAST + 1, LAST + 1, seed=2, prefix="new"), n=LAST + 1),
    "both feeds have stopped": OddNight(list, n=LAST + 6, warns=frozenset({"feed_is_fresh"})),
    "one day of history": OddNight(
        lambda: trade(0, 0), n=0, beside_usual=False, warns=frozenset({"trainings_ended_with_a_model"})
    ),
    "one product": OddNight(lambda: trade(0, LAST, items=1), beside_usual=False),
    "one user": OddNight(lambda: trade(0, LAST, users=1), beside_usual=False),
    "no purchases": OddNight(
        lambda: [row for row in usual() if isinstance(row, View)],
        beside_usual=False,
        warns=frozenset({"trainings_ended_with_a_model"}),
    ),
    "orders alone": OddNight(lambda: [row for row in usual() if isinstance(row, Order)], beside_usual=False),
    "20,000 events of one user": OddNight(lambda: list(robot(20_000, first=0, last=LAST))),
    "losses that are no numbers": OddNight(list, warns=frozenset({"trainings_ended_with_a_model"}), with_nan=True),
}


def main() -> None:
    """Run each night, and print what it gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    failed = 0
    names = parser.parse_args().only
    for name in names:
        with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
            used = time.process_time()
            try:
                said = run(CASES[name], Path(scratch) / "home", patch)
            except AssertionError as error:
                failed += 1
                said = f"FAILED {error}"
            print(f"{name:27s} {time.process_time() - used:4.0f} s of the processor  {said}", flush=True)
    print(f"nights: {len(names)}; failed: {failed}")
    sys.exit(1 if failed else 0)


def run(case: OddNight, root: Path, patch: pytest.MonkeyPatch) -> str:
    """The night of the case; what was published, in words.

    Raises:
        AssertionError: if it was not published, is not sound, or was not told.
    """
    home = open_home(root)
    rows = case.rows()
    if case.beside_usual:
        land(home, "usual", usual())
    land(home, "odd", rows)
    if case.with_nan:
        change(home, next_item_model="gru")
        losses_become_nan(patch)
    night(home, case.n)
    told = warned(home, case.n)
    assert case.warns <= told, f"told: {told}"
    expected = sum(row.quantity for row in rows if isinstance(row, Order))
    expected += sum(row.quantity for row in usual() if isinstance(row, Order)) if case.beside_usual else 0
    assert sold(home) == expected, f"sold {sold(home)}, not {expected}"
    shown = [_published(home, name) for name in ("sales_forecasts", "recommendations")]
    if case.with_nan:
        assert all("fallback 100 %" in one for one in shown), shown
    return f"{'; '.join(shown)}; told: {', '.join(sorted(told)) or 'nothing'}"


def _published(home: Home, name: str) -> str:
    ((rows, share),) = ask(home, f"SELECT count(*), coalesce(avg(CAST(fallback AS INTEGER)), 0) FROM {name}")
    return f"{name} {rows}, fallback {share:.0%}".replace("%", " %")


if __name__ == "__main__":
    main()
