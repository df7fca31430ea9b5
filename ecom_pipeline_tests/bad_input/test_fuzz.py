"""The short form of the fuzzing: every target for some seconds."""

import pytest

from ecom_pipeline_tests.bad_input.fuzz import SHARES, fuzz, targets

EXAMPLES = {"headers": 40, "settings": 150, "profiles": 60, "expressions": 60, "rows": 2}


@pytest.mark.parametrize("name", SHARES)
def test_nothing_from_outside_breaks_it(name: str) -> None:
    with targets() as all_targets:
        target, strategy = all_targets[name]
        assert fuzz(target, strategy, examples=EXAMPLES[name], start=1) >= EXAMPLES[name]
