"""Model versions on the terminal."""

import io

from rich.console import Console

from ecom_pipeline.cli.models import print_versions

VERSION = {
    "model": "sales_forecaster",
    "version": "2026-10-31-f92ad9eb",
    "data_cutoff": "2026-10-31",
    "decision": "promoted",
    "reason": "share of the seasonal profile's error saved: 0.05523 against 0 of the baseline [held out]",
}


def test_a_version_can_be_copied_and_its_reason_read_on_a_narrow_terminal() -> None:
    written = io.StringIO()
    print_versions(Console(file=written, width=60), [VERSION])
    first, *why = written.getvalue().splitlines()
    assert first == "sales_forecaster 2026-10-31-f92ad9eb  data up to 2026-10-31  promoted"
    assert all(len(line) <= 60 and line.startswith("    ") for line in why)
    assert " ".join(" ".join(why).split()) == VERSION["reason"]


def test_no_version_is_said_to_be_none() -> None:
    written = io.StringIO()
    print_versions(Console(file=written, width=60), [])
    assert written.getvalue() == "No model was trained yet.\n"
