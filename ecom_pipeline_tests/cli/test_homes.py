"""`init`, `status`, `models` and `generate`, and how commands fail."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.cli.failures import ExitCode
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline_tests.conftest import SMALL_SHOP, PublishedShop


def ecom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    for day in ("2011-01-04", "2011-01-05"):
        (folder / f"{day}.csv").write_text("InvoiceNo\n1\n", encoding="utf-8")
    (folder / "notes.txt").write_text("not an export", encoding="utf-8")
    return folder


def test_init_makes_a_home_with_every_setting_explained(tmp_path: Path) -> None:
    done = ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.DONE, done.output
    home = Home(tmp_path / "shop")
    text = home.settings_file.read_text(encoding="utf-8")
    assert home.settings() == Settings(profile="online_retail")
    told = [line.removeprefix("# ") for line in text.splitlines() if not line.startswith("#  ")]
    shown = yaml.safe_load("\n".join(line for line in told if line.partition(":")[0] in Settings.model_fields))
    assert shown.keys() == Settings.model_fields.keys()
    defaults = {name: value for name, value in shown.items() if value is not None}
    assert Settings.model_validate(defaults) == Settings(profile="online_retail")
    assert all(
        (field.description or "?") in text for field in Settings.model_fields.values() if not field.is_required()
    )
    assert (home.landing / "orders").is_dir()
    instance = yaml.safe_load((home.dagster_home / "dagster.yaml").read_text(encoding="utf-8"))
    assert instance["telemetry"] == {"enabled": False}
    assert instance["concurrency"]["pools"]["default_limit"] == 1
    assert instance["run_monitoring"]["free_slots_after_run_end_seconds"] <= 60


def test_init_brings_exports_into_landing_and_again_only_what_changed(tmp_path: Path, exports: Path) -> None:
    arguments = ("init", "--profile", "online_retail", "--home", tmp_path / "shop", "--exports", exports)
    assert "2 new or changed files" in ecom(*arguments).output
    landing = tmp_path / "shop" / "landing" / "orders"
    assert sorted(path.name for path in landing.iterdir()) == ["2011-01-04.csv", "2011-01-05.csv"]
    (exports / "2011-01-05.csv").write_text("InvoiceNo\n1\n2\n", encoding="utf-8")
    assert "1 new or changed files" in ecom(*arguments).output
    assert (landing / "2011-01-05.csv").read_text(encoding="utf-8") == "InvoiceNo\n1\n2\n"


def test_init_keeps_the_settings_of_a_home_that_is_there(tmp_path: Path) -> None:
    arguments = ("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    ecom(*arguments)
    settings = tmp_path / "shop" / "settings.yaml"
    settings.write_text("profile: online_retail\nseed: 5\n", encoding="utf-8")
    assert ecom(*arguments).exit_code == ExitCode.DONE
    assert settings.read_text(encoding="utf-8") == "profile: online_retail\nseed: 5\n"


def test_init_can_link_instead_of_copying(tmp_path: Path, exports: Path) -> None:
    ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop", "--exports", exports, "--link")
    landed = tmp_path / "shop" / "landing" / "orders" / "2011-01-04.csv"
    assert landed.samefile(exports / "2011-01-04.csv")


def test_init_takes_a_profile_of_ones_own_into_the_home(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(
        "name: mine\nshop: {time_zone: Europe/Paris}\n"
        "feeds:\n  browse:\n    columns: {user_id: u, item_id: i, event: e}\n"
        "    time: {value: t, formats: [iso]}\n",
        encoding="utf-8",
    )
    done = ecom("init", "--profile", own, "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.DONE, done.output
    assert Home(tmp_path / "shop").settings().profile == "mine.yaml"
    assert (tmp_path / "shop" / "mine.yaml").read_text(encoding="utf-8") == own.read_text(encoding="utf-8")
    assert (tmp_path / "shop" / "landing" / "browse").is_dir()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("init", "--profile", "no_such"), "no bundled profile is called 'no_such'"),
        (("init", "--profile", "lost.yaml"), "lost.yaml: no such profile file"),
        (("nightly",), "is not a shop home"),
        (("backfill", "--from", "2011-01-01", "--to", "2011-01-02"), "is not a shop home"),
        (("ui",), "is not a shop home"),
        (("status",), "is not a shop home"),
        (("models", "list"), "is not a shop home"),
    ],
)
def test_what_a_user_can_mend_is_told_in_one_paragraph(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = ecom(*arguments, "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.UNUSABLE
    assert told in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1


def test_init_refuses_exports_that_do_not_fit_the_profile(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop", "--exports", tmp_path / "empty")
    assert done.exit_code == ExitCode.UNUSABLE
    assert "no file there fits the profile" in done.stderr


def test_init_refuses_another_profile_for_the_same_home(tmp_path: Path) -> None:
    ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    done = ecom("init", "--profile", "tmall2014", "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.UNUSABLE
    assert "'online_retail', not 'tmall2014'" in done.stderr


def test_a_mistake_in_the_settings_is_told_with_its_line(tmp_path: Path) -> None:
    ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    (tmp_path / "shop" / "settings.yaml").write_text("profile: online_retail\nhorizont: 3\n", encoding="utf-8")
    done = ecom("nightly", "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.UNUSABLE
    assert "settings.yaml:2: horizont" in done.stderr


@pytest.mark.parametrize("night", ["2009-12-31", "2999-01-01"])
def test_a_night_that_cannot_be_is_refused(tmp_path: Path, night: str) -> None:
    ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    done = ecom("nightly", "--home", tmp_path / "shop", "--as-of", night)
    assert done.exit_code == ExitCode.USAGE
    assert "cannot be run: nights go from 2010-01-01 to " in done.stderr


def test_status_before_the_first_night_says_how_to_run_it(tmp_path: Path) -> None:
    ecom("init", "--profile", "online_retail", "--home", tmp_path / "shop")
    done = ecom("status", "--home", tmp_path / "shop")
    assert done.exit_code == ExitCode.DONE
    assert "No night was published yet" in done.output


def test_status_tells_what_came_in_and_when(published_shop: PublishedShop) -> None:
    told = json.loads(ecom("status", "--home", published_shop.home.root, "--json").stdout)
    assert told["last_night"] == str(SMALL_SHOP.last_day)
    assert {feed["feed"] for feed in told["feeds"]} == {"orders", "browse", "products", "promotions"}
    assert all(feed["rows"] > 0 for feed in told["feeds"])
    assert "last night " + str(SMALL_SHOP.last_day) in ecom("status", "--home", published_shop.home.root).output


def test_models_are_listed_with_what_they_saw(published_shop: PublishedShop) -> None:
    versions = json.loads(ecom("models", "list", "--home", published_shop.home.root, "--json").stdout)
    assert {version["model"] for version in versions} == {"sales_forecaster", "next_item"}
    assert {version["data_cutoff"] for version in versions} == {str(SMALL_SHOP.last_day)}
    assert all(version["decision"] in ("promoted", "rejected") for version in versions)


def test_a_version_is_promoted_by_hand_and_a_lone_champion_cannot_be_rolled_back(
    copy_of_shop: Callable[[], Home],
) -> None:
    home = copy_of_shop()
    (version,) = [
        version
        for version in json.loads(ecom("models", "list", "--home", home.root, "--json").stdout)
        if version["model"] == "next_item"
    ]
    promoted = ecom("models", "promote", "next_item", version["version"], "--home", home.root, "--reason", "looks good")
    assert promoted.exit_code == ExitCode.DONE, promoted.output
    assert "is champion" in promoted.output
    alone = ecom("models", "rollback", "next_item", "--home", home.root)
    assert alone.exit_code == ExitCode.UNUSABLE
    assert "no earlier champion to go back to" in alone.stderr
    unknown = ecom("models", "promote", "next_item", "no-such", "--home", home.root)
    assert unknown.exit_code == ExitCode.UNUSABLE
    assert "has no version 'no-such'" in unknown.stderr


def test_generate_writes_a_shop_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ("generate", tmp_path / "big", "--days", "3", "--users", "5", "--items", "4", "--visits-per-day", "2")
    done = ecom(*arguments)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "Synthetic data" in done.output
    assert "--as-of 2025-01-03" in done.output
    assert (tmp_path / "big" / "browse").is_dir()
    again = ecom(*arguments)
    assert again.exit_code == ExitCode.UNUSABLE
    assert "is not empty: name a new folder" in again.stderr


def test_guess_writes_a_profile_and_tells_what_it_understood(tmp_path: Path) -> None:
    export = tmp_path / "orders-2024-01.csv"
    export.write_text(
        "order_id,customer_id,sku,quantity,unit_price,created_at\n"
        + "".join(f"{n},{n % 3},A{n % 5},{1 + n % 2},2.50,2024-01-{1 + n % 28:02d} 10:00:00\n" for n in range(60)),
        encoding="utf-8",
    )
    done = ecom("guess", export, "--name", "mine")
    assert done.exit_code == ExitCode.DONE, done.output
    assert yaml.safe_load(done.stdout)["name"] == "mine"
    assert "orders-2024-01.csv: orders, csv" in done.stderr
    profile = tmp_path / "mine.yaml"
    assert ecom("guess", export, "--output", profile).exit_code == ExitCode.DONE
    assert ecom("init", "--profile", profile, "--home", tmp_path / "shop").exit_code == ExitCode.DONE
    again = ecom("guess", export, "--output", profile)
    assert again.exit_code == ExitCode.UNUSABLE
    assert "is there already" in again.stderr


def test_guess_says_why_a_file_cannot_be_used(tmp_path: Path) -> None:
    done = ecom("guess", tmp_path / "lost.csv")
    assert done.exit_code == ExitCode.UNUSABLE
    assert "lost.csv: no such file" in done.stderr
