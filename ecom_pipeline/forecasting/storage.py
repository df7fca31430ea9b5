"""Saving and loading: a JSON manifest of names and settings beside one npz file of numbers.

No pickle: arrays are read with allow_pickle=False, and every array's shape is checked against the manifest's sizes.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ecom_pipeline.forecasting.calendar import Season
from ecom_pipeline.forecasting.calibration import Calibration
from ecom_pipeline.forecasting.combining import Combination, Combinations
from ecom_pipeline.forecasting.covariates import Encoders
from ecom_pipeline.forecasting.effects import Columns, Effects
from ecom_pipeline.forecasting.fitted import FittedModel
from ecom_pipeline.forecasting.preparation import Preparation
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.types import ForecastingError
from ecom_pipeline.forecasting.windows import Geometry

if TYPE_CHECKING:
    from ecom_pipeline.forecasting.forecaster import SalesForecaster

FORMAT = 6
MANIFEST, ARRAYS = "manifest.json", "weights.npz"


def offset_to_json(freq: "str | pd.offsets.BaseOffset") -> dict[str, Any]:
    """A frequency as plain values; business days keep their week and holidays."""
    if isinstance(freq, str):
        return {"alias": freq}
    if isinstance(freq, pd.offsets.CustomBusinessDay):
        return {"weekmask": freq.weekmask, "holidays": [str(day) for day in freq.holidays], "n": freq.n}
    return {"alias": freq.freqstr}


def offset_from_json(data: dict[str, Any]) -> "str | pd.offsets.BaseOffset":
    """Inverse of offset_to_json."""
    if "alias" in data:
        return str(data["alias"])
    return pd.offsets.CustomBusinessDay(n=data["n"], weekmask=data["weekmask"], holidays=data["holidays"])


def save(forecaster: "SalesForecaster", folder: Path) -> None:
    """Write manifest.json and weights.npz, replacing what is there."""
    model = forecaster._fitted()
    preparation = model.preparation
    combinations = [model.combinations.common, *model.combinations.groups.values()]
    arrays: dict[str, np.ndarray] = {
        "scale": preparation.scale,
        "cap": preparation.cap,
        "combination.mean": np.stack([combination.mean for combination in combinations]),
        "combination.median": np.stack([combination.median for combination in combinations]),
        "combination.factor": np.array([combination.factor for combination in combinations]),
        "calibration.scores": model.calibration.scores,
        "calibration.bucket": model.calibration.bucket,
        "calibration.batch": model.calibration.batch,
    }
    arrays |= _effect_arrays("effects", preparation.effects) | _effect_arrays("rates", preparation.rates)
    for k, member in enumerate(model.members):
        arrays |= {f"member.{k}.{name}": value for name, value in member.items()}
    manifest = {
        "format": FORMAT,
        "arguments": {
            "freq": offset_to_json(forecaster.freq),
            "horizon": forecaster.horizon,
            "known_future": list(forecaster.known_future),
            "past_only": list(forecaster.past_only),
            "static": list(forecaster.static),
            "cell": forecaster.cell,
            "seed": forecaster.seed,
            "time_budget_s": forecaster.time_budget_s,
            "allow_negative": forecaster.allow_negative,
            "group_by": forecaster.group_by,
        },
        "training": forecaster.settings.to_json(),
        "geometry": {**asdict(model.geometry)},
        "network": model.config.to_json(),
        "members": len(model.members),
        "ids": list(preparation.ids),
        "encoders": preparation.encoders.to_json(),
        "effects": _effect_facts(preparation.effects),
        "rates": _effect_facts(preparation.rates),
        "last": str(preparation.last),
        "embed_series": preparation.embed_series,
        "yearly": preparation.yearly,
        "combinations": list(model.combinations.groups),
        "report": model.report,
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / ARRAYS, **arrays)  # type: ignore[arg-type]
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _effect_arrays(name: str, effects: Effects) -> dict[str, np.ndarray]:
    tables = {f"{name}.group.{k}": table for k, table in enumerate(effects.groups)}
    return {f"{name}.common": effects.common, f"{name}.own": effects.own, **tables}


def _effect_facts(effects: Effects) -> dict[str, Any]:
    return {"pool": effects.pool, "columns": asdict(effects.columns), "groups": len(effects.groups)}


def _effects(name: str, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> Effects:
    """Inverse of `_effect_arrays` and `_effect_facts`."""
    facts = manifest[name]
    return Effects(
        common=arrays[f"{name}.common"],
        groups=[arrays[f"{name}.group.{k}"] for k in range(facts["groups"])],
        own=arrays[f"{name}.own"],
        pool=facts["pool"],
        columns=Columns(now=tuple(facts["columns"]["now"]), next=tuple(facts["columns"]["next"])),
    )


def load(folder: Path) -> "SalesForecaster":
    """Read a saved forecaster; raises ForecastingError if the folder is not one, or its parts do not fit together."""
    from ecom_pipeline.forecasting.forecaster import SalesForecaster
    from ecom_pipeline.forecasting.network import Network, NetworkConfig

    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ForecastingError(f"{folder}: not a saved forecaster ({error}).") from error
    if manifest.get("format") != FORMAT:
        raise ForecastingError(f"{folder}: format {manifest.get('format')!r}; this version reads {FORMAT}. Train anew.")
    arguments = dict(manifest["arguments"])
    arguments["freq"] = offset_from_json(arguments["freq"])
    forecaster = SalesForecaster(**arguments, settings=TrainingSettings(**manifest["training"]))
    config = NetworkConfig.from_json(manifest["network"])
    shapes = {name: tuple(v.shape) for name, v in Network(config, seed=0).weights.items()}
    members = []
    for k in range(manifest["members"]):
        member = {name: arrays.get(f"member.{k}.{name}") for name in shapes}
        wrong = [name for name, value in member.items() if value is None or value.shape != shapes[name]]
        if wrong:
            raise ForecastingError(f"{folder}/{ARRAYS}: weights {wrong} do not fit the manifest's network.")
        members.append({name: value for name, value in member.items() if value is not None})
    geometry = dict(manifest["geometry"])
    geometry["season"] = Season(**geometry["season"])
    preparation = Preparation(
        ids={name: k for k, name in enumerate(manifest["ids"])},
        encoders=Encoders.from_json(manifest["encoders"]),
        scale=arrays["scale"],
        cap=arrays["cap"],
        effects=_effects("effects", manifest, arrays),
        rates=_effects("rates", manifest, arrays),
        link=geometry["link"],
        season=geometry["season"],
        last=np.datetime64(manifest["last"]),
        embed_series=manifest["embed_series"],
        yearly=manifest["yearly"],
    )
    combinations = [
        Combination(mean=mean, median=median, factor=float(factor))
        for mean, median, factor in zip(
            arrays["combination.mean"], arrays["combination.median"], arrays["combination.factor"], strict=True
        )
    ]
    forecaster.model_ = FittedModel(
        geometry=Geometry(**geometry),
        preparation=preparation,
        config=config,
        members=members,
        combinations=Combinations(
            common=combinations[0], groups=dict(zip(manifest["combinations"], combinations[1:], strict=True))
        ),
        calibration=Calibration(
            scores=arrays["calibration.scores"],
            bucket=arrays["calibration.bucket"],
            batch=arrays["calibration.batch"],
        ),
        allow_negative=forecaster.allow_negative,
        group_by=forecaster.group_by,
        report=manifest["report"],
    )
    return forecaster
