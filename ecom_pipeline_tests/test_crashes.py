"""The short form of the harness that kills nights: few moments, in a home of its own and in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecom_pipeline_tests.real_data import shared_data

MOMENTS = 2
LONGEST_SECONDS = 1500
"""On a machine that is busy with other things; alone it takes about one minute."""


@pytest.mark.timeout(LONGEST_SECONDS + 60)
def test_a_killed_night_loses_nothing_and_the_next_one_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    source = shared_data("online_retail", "by-day")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.crashes", "--source", str(source), "--work", str(tmp_path / "work")),
            *("--moments", str(MOMENTS), "--chain", str(MOMENTS), "--weeks", "3", "--one-in", "60", "--seed", "3"),
            *("--nights", "1", "--no-control"),
        ],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    moments = [json.loads(line) for line in (tmp_path / "work" / "moments.jsonl").read_text().splitlines()]
    assert len(moments) == MOMENTS
    assert any(moment["killed"] for moment in moments)
    assert [moment["lost"] for moment in moments] == [[]] * MOMENTS
