"""Models that older code wrote: loading one says what to do, and a night's steps train anew instead of asking it."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecom_pipeline.forecasting import ForecastingError, SalesForecaster
from ecom_pipeline.operations.doctor import examine
from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.recommending.storage import ModelFolderError
from ecom_pipeline.registry import ModelVersion, Registry
from ecom_pipeline.registry.manifest import MANIFEST_FILE, MODEL_NAMES
from ecom_pipeline.settings import Home
from ecom_pipeline.steps.forecast import forecast_sales, train_forecaster
from ecom_pipeline.steps.recommend import recommend
from ecom_pipeline.steps.recommend_training import train_recommender
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.conftest import SMALL_SHOP

OLD_MODELS = Path(__file__).parent / "old_models"
"""Small models of generated shops, as the code that had these formats saved them."""
FORMAT_KEYS = ("format", "format_version")


def as_older_code_wrote_it(home: Home) -> None:
    """Give every version the format before this one, in its files, its manifest and the registry."""
    for model in MODEL_NAMES:
        (folder,) = [one for one in (home.models / model).iterdir() if not one.name.startswith(".")]
        for file in folder.rglob("*.json"):
            written = json.loads(file.read_text(encoding="utf-8"))
            _lower(written)
            _lower(written.get("settings"))
            file.write_text(json.dumps(written), encoding="utf-8")
        kept = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        kept["decision"] = "promoted"
        kept["files"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in kept["files"]
            if name != MANIFEST_FILE
        }
        (folder / MANIFEST_FILE).write_text(json.dumps(kept), encoding="utf-8")
        with sqlite3.connect(home.models / "mlflow.db") as connection:
            of_model = "WHERE name = ? AND key = ?"
            for key, value in (("manifest", json.dumps(kept)), ("decision", "promoted")):
                connection.execute(f"UPDATE model_version_tags SET value = ? {of_model}", (value, model, key))
        connection.close()


def _lower(written: Any) -> None:
    for key in FORMAT_KEYS:
        if isinstance(written, dict) and isinstance(written.get(key), int):
            written[key] -= 1


def versions(home: Home) -> dict[str, list[ModelVersion]]:
    registry = Registry(home, home.settings())
    return {model: list(registry.versions(model)) for model in MODEL_NAMES}


@pytest.fixture
def older(copy_of_shop: Callable[[], Home]) -> Home:
    home = copy_of_shop()
    as_older_code_wrote_it(home)
    return home


def test_loading_a_model_of_older_code_says_that_it_must_be_trained_anew(older: Home) -> None:
    (forecaster,) = (older.models / "sales_forecaster").glob("*/model/network")
    with pytest.raises(ForecastingError, match=r"format \d+; this version reads \d+\. Train anew"):
        SalesForecaster.load(forecaster)
    (recommender,) = (older.models / "next_item").glob("*/model")
    with pytest.raises(ModelFolderError, match=r"format_version \d+, this version reads \d+; fit again"):
        NextItemRecommender.load(recommender)


@pytest.mark.parametrize(
    ("load", "stored", "error", "says"),
    [
        (SalesForecaster.load, "sales_forecaster_format_4", ForecastingError, r"format 4; .*reads \d+\. Train anew"),
        (NextItemRecommender.load, "next_item_format_1", ModelFolderError, r"version 1, .*reads \d+; fit again"),
    ],
)
def test_a_model_that_an_older_version_of_the_code_saved_says_that_it_must_be_trained_anew(
    load: Callable[[Path], object], stored: str, error: type[Exception], says: str
) -> None:
    assert len(list((OLD_MODELS / stored).glob("*.npz"))) >= 1
    with pytest.raises(error, match=says):
        load(OLD_MODELS / stored)


def test_a_model_whose_files_are_not_those_of_any_version_is_named(older: Home, tmp_path: Path) -> None:
    for load, error in ((SalesForecaster.load, ForecastingError), (NextItemRecommender.load, ModelFolderError)):
        with pytest.raises(error, match=r"not a saved|no manifest"):
            load(Path(shutil.copytree(older.landing, tmp_path / error.__name__)))


def test_the_steps_of_a_night_with_models_of_older_code_train_anew_and_never_ask_them(older: Home) -> None:
    assert {model: [one.decision for one in found] for model, found in versions(older).items()} == {
        "sales_forecaster": ["promoted"],
        "next_item": ["promoted"],
    }
    settings, night = older.settings(), SMALL_SHOP.last_day
    with open_warehouse(older.warehouse_file, settings) as warehouse:
        for train, publish in (
            (partial(train_forecaster, country=None), forecast_sales),
            (train_recommender, recommend),
        ):
            train(warehouse, home=older, settings=settings, as_of=night)
            publish(warehouse, home=older, settings=settings, as_of=night)
        spoke = {
            model: warehouse.rows(f"SELECT DISTINCT model_version FROM {name}")
            for model, name in (("sales_forecaster", "sales_forecasts"), ("next_item", "recommendations"))
        }
    for model, (before, after) in versions(older).items():
        assert before.name != after.name, model
        assert after.usable
        assert "champion" not in after.reason, "it met the baseline alone"
        assert spoke[model] == [(after.name,)]
    assert [found for found in examine(older) if found.level == "damaged"] == []
