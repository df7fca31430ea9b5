"""Models are data, not programs; the warehouse fetches nothing; settings hold no secrets."""

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from ecom_pipeline.forecasting.storage import ARRAYS
from ecom_pipeline.forecasting.storage import load as load_forecaster
from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import open_warehouse
from ecom_pipeline_tests.conftest import PublishedShop


class Intruder:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.trace,))


def poisoned(folder: Path, trace: Path) -> int:
    """Put a program into every array file of a model; how many files there were."""
    files = sorted(folder.rglob("*.npz"))
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        array = np.empty(1, dtype=object)
        array[0] = Intruder(trace)
        arrays |= dict.fromkeys(arrays, array)
        np.savez(file, **arrays)
    return len(files)


def test_the_intruder_would_work(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Intruder(tmp_path / "trace")))  # noqa: S301 - what must not happen elsewhere
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("model", ["sales_forecaster", "next_item"])
def test_loading_a_model_never_runs_code_from_its_files(
    published_shop: PublishedShop, tmp_path: Path, model: str
) -> None:
    versions = [one for one in (published_shop.home.models / model).iterdir() if not one.name.startswith(".")]
    folder = Path(shutil.copytree(versions[0], tmp_path / "version"))
    trace = tmp_path / "trace"
    assert poisoned(folder, trace) > 0
    loads: list[tuple[Callable[[Path], object], Path]] = [(load_forecaster, folder / "model" / "network")]
    if model == "next_item":
        loads = [(NextItemRecommender.load, folder / "model"), (PurchasePredictor.load, folder / "purchases")]
    for load, part in loads:
        if part.exists():
            with pytest.raises(Exception, match=r"(?i)pickle|object|not a saved"):
                load(part)
    assert not trace.exists()
    assert ARRAYS.endswith(".npz")


def test_the_warehouse_loads_no_extension_by_itself(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "w.duckdb", Settings(profile="sample")) as warehouse:
        for option in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
            assert warehouse.scalar(f"SELECT current_setting('{option}')") is False
        with pytest.raises(duckdb.Error):
            warehouse.rows("SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')")


def test_no_setting_is_a_secret() -> None:
    secret = re.compile(r"password|token|secret|key$|credential|url$", re.IGNORECASE)
    assert [name for name in Settings.model_fields if secret.search(name)] == []
