"""Settings: defaults that work, values that are refused with the line, and where the files of a home lie."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ecom_pipeline.documents import DocumentError
from ecom_pipeline.settings import Home, Settings


def write(home: Path, text: str) -> Home:
    (home / "settings.yaml").write_text(text, encoding="utf-8")
    return Home(home)


def test_a_profile_is_all_that_a_shop_must_name(tmp_path: Path) -> None:
    settings = write(tmp_path, "profile: sample\n").settings()
    assert settings == Settings(profile="sample")
    assert (settings.horizon_days, settings.forecast_cell, settings.keep_nights) == (28, "lstm", 90)


def test_every_setting_has_a_description_and_all_but_the_profile_a_default_that_is_valid() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.is_required() == (name == "profile")
    Settings.model_validate(Settings(profile="sample").model_dump())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("horizon_days: 0", "settings.yaml:2: horizon_days: Input should be greater than 0"),
        ("horizon_days: many", "settings.yaml:2: horizon_days: "),
        ("max_bad_row_share: 5", "settings.yaml:2: max_bad_row_share: Input should be less than or equal to 1"),
        ("max_bad_row_share: .nan", "settings.yaml:2: max_bad_row_share: "),
        ("forecast_cell: rnn", "settings.yaml:2: forecast_cell: "),
        ("training_precision: float16", "settings.yaml:2: training_precision: "),
        ("schedule_time: 2am", "settings.yaml:2: schedule_time: "),
        ("memory_limit: lots", "settings.yaml:2: memory_limit: "),
        ("memory_limit: 8GB'; ATTACH 'x", "settings.yaml:2: memory_limit: "),
        ("threads: 0", "settings.yaml:2: threads: "),
        ("horizon: 14", "settings.yaml:2: horizon: no such key here; did you mean horizon_days?"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DocumentError) as error:
        write(tmp_path, f"profile: sample\n{line}\n").settings()
    assert message in str(error.value)


def test_a_cluster_needs_its_url_and_its_storage(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="engine: spark needs spark_storage as well"):
        write(tmp_path, "profile: sample\nengine: spark\nspark_master: spark://host:7077\n").settings()


def test_workers_that_train_need_what_they_share(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="training_hosts needs training_storage as well"):
        write(tmp_path, "profile: sample\ntraining_hosts: [a:7000, b:7000]\n").settings()
    with pytest.raises(DocumentError, match="spark_training_workers needs engine: spark"):
        write(tmp_path, "profile: sample\nspark_training_workers: 2\n").settings()
    cluster = "profile: sample\nengine: spark\nspark_master: spark://host:7077\nspark_training_workers: 2\n"
    with pytest.raises(DocumentError, match="needs training_storage as well, as spark_storage is a URL"):
        write(tmp_path, f"{cluster}spark_storage: hdfs://host:8020/shop\n").settings()
    named = write(tmp_path, f"{cluster}spark_storage: hdfs://host:8020/shop\ntraining_storage: /mnt/training\n")
    assert named.settings().folder_of_training == Path("/mnt/training")
    mounted = write(tmp_path, f"{cluster}spark_storage: file:///mnt/shop\n").settings()
    assert mounted.folder_of_training == Path("/mnt/shop/training")


def test_an_unquoted_time_is_understood_or_refused_but_never_another_time(tmp_path: Path) -> None:
    assert write(tmp_path, 'profile: sample\nschedule_time: "02:30"\n').settings().schedule_time == "02:30"
    with pytest.raises(DocumentError, match="schedule_time"):
        write(tmp_path, "profile: sample\nschedule_time: 12:30\n").settings()  # YAML 1.1 reads 750


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        Settings(profile="sample").seed = 1  # type: ignore[misc]


def test_a_home_without_settings_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"settings\.yaml: no such file"):
        Home(tmp_path).settings()


def test_everything_of_a_shop_lies_in_its_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "shops" / ".." / "mine")
    places = [home.landing, home.warehouse_file, home.models, home.published_file, home.dagster_home]
    assert all(place.is_relative_to(tmp_path / "mine") for place in places)
    assert len(set(places)) == len(places)
