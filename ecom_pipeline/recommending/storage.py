"""Saving and loading a fitted recommender: NumPy arrays, Parquet and one JSON manifest; nothing in the folder is code.

What belongs here: the layout of the folder. Arrays are read with `allow_pickle=False`, so loading never runs what a
file holds.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.content import NewItems
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.reranker import Reranker
from ecom_pipeline.recommending.sources import (
    CoVisitationSource,
    HistorySource,
    NeighbourSource,
    NewItemSource,
    PopularitySource,
    Source,
    SpectralSource,
)
from ecom_pipeline.recommending.sparse_rows import narrow
from ecom_pipeline.recommending.spectral import Spectral

FORMAT_VERSION = 2
MANIFEST = "manifest.json"


class ModelFolderError(ValueError):
    """A folder does not hold a recommender that this version can read."""


def save_ranker(ranker: Ranker, items: pa.Table, manifest: dict[str, Any], folder: Path) -> None:
    """Write a ranker, its items and its manifest into `folder`, which is made where it is absent."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Any] = {}
    for name, source in ranker.sources.items():
        kind, settings, arrays = _parts(source)
        kinds[name] = {"kind": kind, "settings": settings}
        np.savez(folder / f"source_{name}.npz", allow_pickle=False, **arrays)
    popularity = {field.name: getattr(ranker.popularity, field.name) for field in fields(Popularity)}
    np.savez(folder / "popularity.npz", allow_pickle=False, **popularity)
    if ranker.reranker is not None:
        np.savez(folder / "reranker.npz", allow_pickle=False, **ranker.reranker.arrays())
    pq.write_table(items, folder / "items.parquet")
    content = {
        **manifest,
        "format_version": FORMAT_VERSION,
        "sources": kinds,
        "reranker": ranker.reranker is not None,
        "repeats_allowed": ranker.repeats_allowed,
        "candidates": ranker.candidates,
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_ranker(folder: Path) -> tuple[Ranker, pa.Table, dict[str, Any]]:
    """Ranker, items and manifest of a folder that `save_ranker` wrote.

    Raises:
        ModelFolderError: when the manifest is absent or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelFolderError(f"{folder}: no {MANIFEST}; is this the folder of a saved recommender?")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ModelFolderError(
            f"{path}: format_version {manifest.get('format_version')}, this version reads {FORMAT_VERSION}; fit again"
        )
    popularity = Popularity(**_arrays(folder / "popularity.npz"))
    sources = {
        name: _source(entry["kind"], entry["settings"], _arrays(folder / f"source_{name}.npz"))
        for name, entry in manifest["sources"].items()
    }
    reranker = Reranker.from_arrays(_arrays(folder / "reranker.npz")) if manifest["reranker"] else None
    ranker = Ranker(
        # JSON keeps keys sorted; the order of the sources is that of their features
        sources={name: sources[name] for name in manifest["source_order"]},
        popularity=popularity,
        reranker=reranker,
        repeats_allowed=manifest["repeats_allowed"],
        candidates=manifest["candidates"],
    )
    return ranker, pq.read_table(folder / "items.parquet"), manifest


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _sparse_arrays(matrix: sparse.csr_array, prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}_data": matrix.data,
        f"{prefix}_indices": matrix.indices,
        f"{prefix}_indptr": matrix.indptr,
        f"{prefix}_shape": np.array(matrix.shape),
    }


def _sparse(arrays: dict[str, np.ndarray], prefix: str) -> sparse.csr_array:
    parts = tuple(arrays[f"{prefix}_{part}"] for part in ("data", "indices", "indptr"))
    return narrow(sparse.csr_array(parts, shape=tuple(int(n) for n in arrays[f"{prefix}_shape"])))


def _parts(source: Source) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Kind, settings and arrays of a source."""
    if isinstance(source, CoVisitationSource):
        return "co_visitation", vars(source.model.settings), _sparse_arrays(source.model.matrix, "matrix")
    if isinstance(source, NeighbourSource):
        arrays = _sparse_arrays(source.model.by_item, "by_item")
        arrays |= _sparse_arrays(source.model.by_sequence, "by_sequence")
        return "neighbours", vars(source.model.settings), arrays
    if isinstance(source, NewItemSource):
        arrays = _sparse_arrays(source.model.traits, "traits") | _sparse_arrays(source.model.new, "new")
        return "new_items", {"history_decay": source.model.history_decay}, arrays
    if isinstance(source, SpectralSource):
        arrays = {"source": source.model.source, "target": source.model.target}
        return "spectral", {"history_decay": source.model.history_decay}, arrays
    if isinstance(source, HistorySource | PopularitySource):
        return _plain_parts(source)
    from ecom_pipeline.recommending.network_source import NetworkSource

    if not isinstance(source, NetworkSource):
        raise TypeError(f"cannot save a source of type {type(source).__name__}")
    return "network", source.network.describe(), {"seen": source.seen, **source.network.arrays()}


def _plain_parts(source: HistorySource | PopularitySource) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    if isinstance(source, HistorySource):
        return "history", vars(source), {}
    return "popularity", {}, {"scores": source.scores}


def _source(kind: str, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Source:
    if kind == "co_visitation":
        model = CoVisitation(matrix=_sparse(arrays, "matrix"), settings=CoVisitationSettings(**settings))
        return CoVisitationSource(model)
    if kind == "neighbours":
        near = Neighbours(
            by_item=_sparse(arrays, "by_item"),
            by_sequence=_sparse(arrays, "by_sequence"),
            settings=NeighbourSettings(**{"events": 30, **settings}),  # absent in folders of before
        )
        return NeighbourSource(near)
    if kind == "new_items":
        return NewItemSource(NewItems(traits=_sparse(arrays, "traits"), new=_sparse(arrays, "new"), **settings))
    if kind == "spectral":
        return SpectralSource(Spectral(source=arrays["source"], target=arrays["target"], **settings))
    if kind in ("history", "popularity"):
        return HistorySource(**settings) if kind == "history" else PopularitySource(arrays["scores"])
    if kind != "network":
        raise ModelFolderError(f"unknown kind of source {kind!r}")
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.network_source import NetworkSource

    network = SequenceNetwork(settings["n_items"], NetworkSettings(**settings["settings"]), seed=0)
    network.assign(arrays)
    return NetworkSource(network, arrays["seen"])
