"""Approximate retrieval beside exact scoring, by size of the catalogue: recall of the exact top 20, users a second.

    python -m venv benchmarks/.envs/approximate
    benchmarks/.envs/approximate/bin/pip install faiss-cpu==1.15.1 usearch==2.26.6 numpy
    benchmarks/.envs/approximate/bin/python -m benchmarks.recommending.approximate --items 1e5 3e5 1e6

faiss and usearch are compared with, never depended on. No public catalogue is that large, so that the vectors are
generated: items of a category and a kind in it lie together, a fourth to a half of their squared length is their own,
lengths grow with popularity, and a user is the mean of some items of few kinds, with noise. `--vectors FILE` takes real
ones: an .npz with `items` and `users`. One thread; users a second are of CPU seconds, so that they hardly depend on who
else is busy.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

TOP = 20
WIDTH = 128
CATEGORIES, KINDS_OF_ITEMS = 200, 50
PROBES = (4, 16, 64)
CANDIDATES = (64, 128, 512)


def generated(items: int, users: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of items and of users, float32 of width 128."""
    rng = np.random.default_rng(seed)
    kinds = max(1, items // KINDS_OF_ITEMS)
    category = rng.integers(0, CATEGORIES, kinds)
    centres = rng.standard_normal((CATEGORIES, WIDTH), dtype=np.float32)
    of_kind = centres[category] + rng.standard_normal((kinds, WIDTH), dtype=np.float32)
    kind = np.sort(rng.integers(0, kinds, items))
    vectors = of_kind[kind]
    vectors += rng.standard_normal((items, WIDTH), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= (1 + 0.15 * np.log1p(rng.pareto(1.2, items)))[:, None].astype(np.float32)
    first = np.searchsorted(kind, kind[rng.integers(0, items, (users, 3))])  # three kinds, by how many items they have
    last = np.searchsorted(kind, kind[first], side="right")
    seen = first[:, :, None] + (rng.random((users, 3, 4)) * (last - first)[:, :, None]).astype(np.int64)
    states = vectors[seen.reshape(users, -1)].mean(axis=1)
    states += 0.3 * np.linalg.norm(states, axis=1, keepdims=True) / WIDTH**0.5 * rng.standard_normal(states.shape)
    return vectors, states.astype(np.float32)


def searched(search: Callable[[], np.ndarray], users: int, exact: np.ndarray | None) -> tuple[np.ndarray, float, float]:
    """What was found, its recall of the exact lists, and users a second of CPU."""
    began = time.process_time()
    found = search()
    rate = users / (time.process_time() - began)
    if exact is None:
        return found, 1.0, rate
    hits = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
    return found, float(np.mean(hits)) / TOP, rate


def compare(items: np.ndarray, users: np.ndarray, *, lists: int, with_graph: bool) -> None:
    """Print a row for every index."""
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(1)
    count, width = items.shape

    def row(name: str, built: float, recall: float, rate: float) -> None:
        print(f"| {count:,} | {name} | {built:,.0f} | {recall:.3f} | {rate:,.0f} |", flush=True)

    flat = faiss.IndexFlatIP(width)
    flat.add(items)
    exact, recall, rate = searched(lambda: flat.search(users, TOP)[1], len(users), None)
    row("exact", 0, recall, rate)
    began = time.process_time()
    inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
    inverted.cp.niter, inverted.cp.max_points_per_centroid = 10, 64
    inverted.train(items)
    inverted.add(items)
    built = time.process_time() - began
    for probes in PROBES:
        inverted.nprobe = probes
        _, recall, rate = searched(lambda: inverted.search(users, TOP)[1], len(users), exact)
        row(f"IVF, {lists:,} lists, {probes} looked at", built, recall, rate)
    if not with_graph:
        return
    from usearch.index import Index  # type: ignore[import-not-found]

    # Inner product as distance, by one more dimension (Bachrach et al. 2014): a graph needs a metric.
    squared = (items**2).sum(axis=1)
    longer = np.concatenate([items, np.sqrt(squared.max() - squared)[:, None]], axis=1)
    asked = np.concatenate([users, np.zeros((len(users), 1), np.float32)], axis=1)
    graph = Index(ndim=width + 1, metric="l2sq", dtype="f32", connectivity=32, expansion_add=100)
    began = time.process_time()
    graph.add(np.arange(count), longer, threads=1)
    built = time.process_time() - began
    for candidates in CANDIDATES:
        graph.expansion_search = candidates
        _, recall, rate = searched(lambda: graph.search(asked, TOP, threads=1).keys, len(users), exact)
        row(f"HNSW (usearch), {candidates} candidates", built, recall, rate)


def shops(file: Path | None, sizes: Sequence[float], users: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors of items and of users: those of the file, or generated ones of each size."""
    if file is None:
        for items in sizes:
            yield generated(int(items), users)
        return
    with np.load(file) as arrays:
        yield arrays["items"].astype(np.float32), arrays["users"].astype(np.float32)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=float, nargs="+", default=[1e5, 3e5, 1e6])
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--vectors", type=Path, help="an .npz with real ones: items and users")
    parser.add_argument("--lists", type=int, help="of the inverted file; else twice the root of the items")
    parser.add_argument("--with-graph", action="store_true", help="HNSW too, whose building takes minutes")
    given = parser.parse_args()
    print(f"| items | index | CPU s to build | recall of {TOP} | users a CPU second |\n|---|---|---|---|---|")
    for items, users in shops(given.vectors, given.items, given.users):
        lists = given.lists or int(2 * len(items) ** 0.5)
        compare(items, users, lists=lists, with_graph=given.with_graph)


if __name__ == "__main__":
    main()
