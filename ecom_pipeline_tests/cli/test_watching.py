"""The live display of a run, at the widths of people's terminals."""

import io
import re

import pytest
from rich.console import Console

from ecom_pipeline.cli.watching import watched

STAGE = "gru: training before the held-out days"


@pytest.mark.parametrize("width", [60, 80, 132])
def test_how_much_is_done_and_for_how_long_are_never_cut(width: int) -> None:
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    with watched(console, steps=68, title="night of 2026-10-31") as observer:
        observer.step_started("core")
        observer.step_finished("core", seconds=1.0, rows=5, succeeded=True)
        observer.step_started("next_item")
        observer.step_progress("next_item", STAGE, 0.4)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n").splitlines()
    night = [line for line in lines if "1 of 68" in line][-1]
    step = [line for line in lines if "40 %" in line][-1]
    for line in (night, step):
        assert re.search(r" \d:\d\d:\d\d ", line), line
        assert len(line) <= width
    assert "next_item" in step
    assert "━━━" in step
    assert (STAGE in step) == (width > 120)
