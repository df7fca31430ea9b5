"""What the registry knows of a model, as tables: its figures for the night, and all its versions."""

from datetime import date

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.registry import ModelName, ModelVersion, Registry
from ecom_pipeline.warehouse import Warehouse


def record_model(warehouse: Warehouse, registry: Registry, model: ModelName, *, as_of: date) -> None:
    """Replace the model's rows of the night in `model_metrics`, and its rows in `model_versions`.

    The night's figures are those of the champion and of the version trained last; a night run again has the same.
    """
    champion = registry.champion(model, as_of)
    latest = registry.latest(model, as_of)
    known = {version.name: version for version in (champion, latest) if version is not None}
    metrics = [
        {
            "as_of": as_of,
            "model": model,
            "model_version": version.name,
            "is_champion": champion is not None and version.name == champion.name,
            **metric.model_dump(),
        }
        for version in known.values()
        for metric in version.manifest.metrics
    ]
    with warehouse.transaction():
        warehouse.run(
            "DELETE FROM model_metrics WHERE as_of = :as_of AND model = :model", {"as_of": as_of, "model": model}
        )
        _append(warehouse, contracts.table("model_metrics"), metrics)
        warehouse.run("DELETE FROM model_versions WHERE model = :model", {"model": model})
        rows = [_version_row(version) for version in registry.versions(model)]
        _append(warehouse, contracts.table("model_versions"), rows)


def _version_row(version: ModelVersion) -> dict[str, object]:
    manifest = version.manifest
    return {
        "model": manifest.model,
        "model_version": version.name,
        "data_cutoff": version.data_cutoff,
        "data_fingerprint": manifest.data_fingerprint,
        "decision": version.decision,
        "reason": version.reason,
        "seed": manifest.seed,
        "code_version": manifest.code_version,
    }


def _append(warehouse: Warehouse, table: contracts.Table, rows: list[dict[str, object]]) -> None:
    if rows:
        columns = {name: [row[name] for row in rows] for name in table.column_names}
        if "baseline_value" in columns:
            columns["baseline_value"] = pa.array(columns["baseline_value"], pa.float64())
        warehouse.append_from_arrow(table, pa.table(columns))
