"""Versions are kept whole, a night sees no later version, and decisions can be taken back."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ecom_pipeline.registry import Decision, Manifest, Metric, Registry, RegistryError
from ecom_pipeline.settings import Home, Settings

SETTINGS = Settings(profile="sample")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: creating its tables takes a second, copying them nothing."""
    home = Home(tmp_path_factory.mktemp("template"))
    assert Registry(home, SETTINGS).versions("next_item") == ()
    return home.models / "mlflow.db"


@pytest.fixture
def registry(template: Path, tmp_path: Path) -> Registry:
    home = Home(tmp_path)
    home.models.mkdir()
    (home.models / "mlflow.db").write_bytes(template.read_bytes())
    return Registry(home, SETTINGS)


def manifest(cutoff: str, decision: Decision = "promoted", *, fingerprint: str = "f") -> Manifest:
    return Manifest(
        model="sales_forecaster",
        data_cutoff=date.fromisoformat(cutoff),
        data_fingerprint=fingerprint,
        code_version="0.1.0",
        seed=3,
        settings={"cell": "lstm", "budget": 60, "limit": None},
        metrics=(Metric(dataset="quantity, total", metric="wape", value=0.2, baseline_value=0.3, n=56),),
        decision=decision,
        reason="0.2 against 0.3",
    )


def weights(text: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(text)

    return save


def test_a_registered_version_is_found_again_with_all_that_was_said_of_it(registry: Registry, tmp_path: Path) -> None:
    registered = registry.register(manifest("2011-12-09"), weights("w"))

    (found,) = Registry(Home(tmp_path), SETTINGS).versions("sales_forecaster")

    assert found == registered
    assert found.manifest.metrics == manifest("2011-12-09").metrics
    assert (registry.folder(found) / "model" / "weights").read_text() == "w"
    assert list(found.manifest.files) == ["model/weights"]


def test_the_same_training_has_the_same_name_everywhere_and_other_data_another(registry: Registry) -> None:
    first = registry.register(manifest("2011-12-09"), weights("w"))
    again = registry.register(manifest("2011-12-09", "rejected"), weights("never written"))

    assert again == first
    assert (registry.folder(again) / "model" / "weights").read_text() == "w"
    assert first.name.startswith("2011-12-09-")
    assert manifest("2011-12-09", fingerprint="g").version != first.name


def test_a_night_gets_the_latest_promoted_version_that_saw_nothing_after_it(registry: Registry) -> None:
    newest = registry.register(manifest("2011-12-09"), weights("c"))
    oldest = registry.register(manifest("2011-11-25"), weights("a"))
    registry.register(manifest("2011-12-02", "rejected"), weights("b"))

    def champion(night: str) -> object:
        return registry.champion("sales_forecaster", date.fromisoformat(night))

    assert champion("2011-11-24") is None
    assert champion("2011-11-25") == champion("2011-12-08") == oldest
    assert champion("2011-12-09") == champion("2012-01-01") == newest
    assert registry.champion("next_item", date(2012, 1, 1)) is None
    last_trained = registry.latest("sales_forecaster", date(2011, 12, 3))
    assert last_trained is not None and last_trained.data_cutoff == date(2011, 12, 2)


def test_mlflows_alias_champion_follows_promotion_and_rollback(registry: Registry) -> None:
    registry.register(manifest("2011-11-25"), weights("a"))
    registry.register(manifest("2011-12-02"), weights("b"))

    def alias() -> str:
        return str(registry._client.get_model_version_by_alias("sales_forecaster", "champion").tags["version"])

    assert alias() == manifest("2011-12-02").version
    registry.rollback("sales_forecaster")
    assert alias() == manifest("2011-11-25").version


def test_rollback_goes_to_the_version_before_and_says_so(registry: Registry) -> None:
    first = registry.register(manifest("2011-11-25"), weights("a"))
    second = registry.register(manifest("2011-12-02"), weights("b"))

    assert registry.rollback("sales_forecaster") == first

    assert registry.champion("sales_forecaster", date(2011, 12, 9)) == first
    taken_back = registry.find("sales_forecaster", second.name)
    assert taken_back is not None
    assert taken_back.decision == "rolled_back"
    assert first.name in taken_back.reason
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("sales_forecaster")


def test_a_rejected_version_can_be_promoted_by_hand_unless_a_newer_one_stands(registry: Registry) -> None:
    registry.register(manifest("2011-11-25"), weights("a"))
    rejected = registry.register(manifest("2011-12-02", "rejected"), weights("b"))

    promoted = registry.promote("sales_forecaster", rejected.name, reason="the promotion week was odd")
    assert registry.champion("sales_forecaster", date(2011, 12, 9)) == promoted

    with pytest.raises(RegistryError, match="later data"):
        registry.promote("sales_forecaster", manifest("2011-11-25").version, reason="older")
    registry.reject("sales_forecaster", rejected.name, reason="odd after all")
    champion = registry.champion("sales_forecaster", date(2011, 12, 9))
    assert champion is not None and champion.data_cutoff == date(2011, 11, 25)


def test_a_training_without_a_model_is_recorded_and_cannot_be_promoted(registry: Registry) -> None:
    attempt = registry.register(manifest("2011-12-02", "rejected"), None)

    assert not attempt.usable
    with pytest.raises(RegistryError, match="without a model"):
        registry.promote("sales_forecaster", attempt.name, reason="why not")


def test_a_crash_while_saving_leaves_nothing_registered_and_the_next_training_works(registry: Registry) -> None:
    def crash(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        registry.register(manifest("2011-12-02"), crash)

    assert registry.versions("sales_forecaster") == ()
    assert [path.name for path in (registry.root / "sales_forecaster").iterdir()] == []
    assert registry.register(manifest("2011-12-02"), weights("b")).usable


def test_a_folder_placed_by_a_process_that_died_before_registering_is_replaced(registry: Registry) -> None:
    folder = registry.root / "sales_forecaster" / manifest("2011-12-02").version
    folder.mkdir(parents=True)
    (folder / "stale").write_text("x")
    (folder.parent / ".incoming-dead").mkdir()

    version = registry.register(manifest("2011-12-02"), weights("b"))

    assert not (registry.folder(version) / "stale").exists()
    assert [path.name for path in folder.parent.iterdir()] == [version.name]


def test_a_file_cut_short_is_found_before_it_is_used(registry: Registry) -> None:
    version = registry.register(manifest("2011-12-02"), weights("long enough"))
    (registry.folder(version) / "model" / "weights").write_text("long")

    with pytest.raises(RegistryError, match=r"weights: missing or damaged.*rollback"):
        registry.folder(version)


def test_an_unknown_version_or_model_is_named_in_the_error(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="has no version 'x'"):
        registry.reject("sales_forecaster", "x", reason="")
    with pytest.raises(RegistryError, match="no model is called 'prices'"):
        registry.versions("prices")  # type: ignore[arg-type]


def test_versions_on_a_shared_store_bring_their_files_along_and_stay_apart_by_shop(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared.db").write_bytes(template.read_bytes())
    settings = SETTINGS.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'shared.db'}"})
    registry = Registry(Home(tmp_path / "one"), settings)
    version = registry.register(manifest("2011-12-02"), weights("b"))

    elsewhere = Registry(Home(tmp_path / "other machine"), settings)
    assert (elsewhere.folder(version) / "model" / "weights").read_text() == "b"

    other_shop = settings.model_copy(update={"profile": "profiles/other shop.yaml"})
    assert Registry(Home(tmp_path / "other"), other_shop).versions("sales_forecaster") == ()
