"""When training is due, and who becomes champion."""

from datetime import date
from pathlib import Path

import pytest

from ecom_pipeline.registry import Decision, Manifest, Registry, decide, version_in_force
from ecom_pipeline.settings import Home, Settings

CELL: dict[str, str | int | float | bool | None] = {"cell": "lstm"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(Home(tmp_path_factory.mktemp("gate")), Settings(profile="sample"))
    add(registry, "2020-01-01", "promoted")
    add(registry, "2020-01-08", "rejected")
    add(registry, "2020-01-20", "rejected", usable=False)
    return registry


def add(registry: Registry, cutoff: str, decision: Decision, *, usable: bool = True) -> None:
    manifest = Manifest(
        model="next_item",
        data_cutoff=date.fromisoformat(cutoff),
        data_fingerprint="f",
        code_version="1",
        seed=0,
        settings=CELL,
        decision=decision,
        reason="",
    )

    def save(folder: Path) -> None:
        (folder / "weights").write_text("w")

    registry.register(manifest, save if usable else None)


@pytest.mark.parametrize(
    ("night", "stands"),
    [
        ("2019-12-31", None),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-07", "2020-01-01"),
        ("2020-01-08", "2020-01-08"),
        ("2020-01-14", "2020-01-08"),
        ("2020-01-15", None),
        ("2020-01-20", None),
    ],
)
def test_training_is_due_when_the_last_one_with_a_model_is_too_old_whatever_was_decided(
    registry: Registry, night: str, stands: str | None
) -> None:
    version = version_in_force(
        registry, "next_item", as_of=date.fromisoformat(night), retrain_after_days=7, settings=CELL, seed=0
    )
    assert (version.data_cutoff.isoformat() if version else None) == stands


def test_training_is_due_when_settings_or_seed_have_changed(registry: Registry) -> None:
    night = date(2020, 1, 9)
    assert version_in_force(registry, "next_item", as_of=night, retrain_after_days=7, settings=CELL, seed=1) is None
    other = version_in_force(registry, "next_item", as_of=night, retrain_after_days=7, settings={"cell": "gru"}, seed=0)
    assert other is None


@pytest.mark.parametrize(
    ("challenger", "champion", "decision"),
    [
        (0.2, None, "promoted"),
        (0.2, 0.1, "promoted"),
        (0.2, 0.2, "rejected"),
        (0.2, 0.3, "rejected"),
        (-0.1, None, "rejected"),
        (0.0, None, "rejected"),
        (-0.1, -0.2, "rejected"),
        (float("nan"), None, "rejected"),
        (float("inf"), 0.1, "rejected"),
        (0.2, float("nan"), "promoted"),
    ],
)
def test_only_a_challenger_that_beats_baseline_and_champion_is_promoted(
    challenger: float, champion: float | None, decision: str
) -> None:
    verdict = decide(challenger=challenger, champion=champion, baseline=0.0, measure="gain")
    assert verdict.decision == decision
    assert f"gain: {challenger:.4g} against 0 of the baseline" in verdict.reason
    assert (champion is not None) == ("of the champion" in verdict.reason)
