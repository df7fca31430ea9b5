"""Promotion and rollback as jobs of the UI, launched as they stand."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from ecom_pipeline.definitions import build_defs
from ecom_pipeline.registry import Decision, Manifest, Registry
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.steps.model_shop import SETTINGS, new_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two champions, and a challenger that the gate rejected."""
    made = new_home(tmp_path)
    made.settings_file.write_text("profile: sample\n", encoding="utf-8")
    made.warehouse_file.parent.mkdir()
    registry = Registry(made, SETTINGS)
    decisions: tuple[Decision, ...] = ("promoted", "promoted", "rejected")
    for day, decision in enumerate(decisions, start=1):
        registry.register(manifest(day, decision), _weights(f"{day}"))
    return made


def manifest(day: int, decision: Decision) -> Manifest:
    return Manifest(
        model="next_item",
        data_cutoff=date(2026, 1, day),
        data_fingerprint="f",
        code_version="0.1.0",
        seed=0,
        settings={},
        decision=decision,
        reason="figures",
    )


def _weights(text: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        (folder / "weights").write_text(text)

    return save


def run(home: Home, job: str, config: dict[str, object] | None = None) -> dg.ExecuteInProcessResult:
    definition = build_defs(home.root).resolve_job_def(job)
    (op,) = definition.nodes
    return definition.execute_in_process(
        run_config={"ops": {op.name: {"config": config}}} if config else None, raise_on_error=False
    )


def champion(home: Home) -> date:
    found = Registry(home, SETTINGS).champion("next_item", date.max)
    assert found is not None
    return found.data_cutoff


def test_the_newest_version_is_promoted_and_rolled_back_without_a_word_of_configuration(home: Home) -> None:
    assert champion(home) == date(2026, 1, 2)
    done = run(home, "promote_next_item")
    assert done.success
    assert champion(home) == date(2026, 1, 3)
    assert run(home, "roll_back_next_item").success
    assert champion(home) == date(2026, 1, 2)


def test_another_version_is_promoted_by_its_name(home: Home) -> None:
    registry = Registry(home, SETTINGS)
    oldest = registry.versions("next_item")[0]
    registry.rollback("next_item")
    registry.reject("next_item", oldest.name, reason="not this one")
    assert run(home, "promote_next_item", {"version": oldest.name, "reason": "after all"}).success
    found = registry.champion("next_item", date.max)
    assert found is not None
    assert (found.name, found.reason) == (oldest.name, "after all")


def test_a_decision_that_cannot_be_fails_and_changes_nothing(home: Home) -> None:
    failed = run(home, "roll_back_sales_forecaster")
    assert not failed.success
    assert not run(home, "promote_sales_forecaster").success
    assert champion(home) == date(2026, 1, 2)
