"""Segments of users from the states of a sequence network: groups whose next steps the network expects to be alike.

What belongs here: grouping of states (arrays), and the choice of how many groups. What a group is like is told
elsewhere.

k-means (Lloyd, 1982) from k-means++ starts (Arthur and Vassilvitskii, 2007) on the directions of the states, reduced to
their first principal components. The number of groups is the one that is most stable (Ben-Hur, Elisseeff and Guyon, A
stability based method for discovering structure in clustered data, 2002): two halves of the users, grouped by
themselves, must agree on where everybody belongs. Agreement is the adjusted Rand index (Hubert and Arabie, 1985): 1 for
the same groups, 0 for what chance gives, whatever the number of groups.
"""

from dataclasses import dataclass

import numpy as np

FEWEST_SEGMENTS, MOST_SEGMENTS = 3, 8
FEWEST_USERS = 60
SMALLEST_SHARE = 0.03
"""Share of the users that every segment has at least; smaller groups are no segments to plan for."""
COMPONENTS = 4
"""Further ones of a state say what a single user is about, and groups are no longer found again."""
STARTS = 4
SPLITS = 6
ROUNDS = 40
MOST_USERS = 10_000
"""Users that centres are learnt from; all are assigned."""


@dataclass(frozen=True)
class Segmentation:
    """Centres of segments, numbered by size.

    mean float32 (width,), axes float32 (width, components): from states to what is grouped. centres float32 (segments,
    components). agreements: number of segments -> agreement of that many. stability float64 (segments,): the share of a
    segment's pairs of users that are together where others are grouped, too.
    """

    mean: np.ndarray
    axes: np.ndarray
    centres: np.ndarray
    agreements: dict[int, float]
    stability: np.ndarray

    def assign(self, states: np.ndarray) -> np.ndarray:
        """Index of the segment of each state, int64 (users,)."""
        return _nearest(_directions(states, self.mean) @ self.axes, self.centres)


def find_segments(states: np.ndarray, *, seed: int = 0) -> Segmentation | None:
    """Segments of states float32 (users, width); None for fewer than `FEWEST_USERS` users, where all states are alike,
    or where no number of segments leaves each a share of the users."""
    rng = np.random.default_rng(seed)
    if len(states) > MOST_USERS:
        states = states[np.sort(rng.choice(len(states), size=MOST_USERS, replace=False))]
    if len(states) < FEWEST_USERS or np.ptp(states, axis=0).max() < 1e-6:
        return None
    mean = _units(states).mean(axis=0)
    directions = _directions(states, mean)
    values, vectors = np.linalg.eigh((directions.T @ directions).astype(np.float64))
    order = np.argsort(-values, kind="stable")[:COMPONENTS]
    axes = _signed(vectors[:, order]).astype(np.float32)
    points = directions @ axes
    halves = _halves(points, seed)
    agreements: dict[int, float] = {}
    found: dict[int, np.ndarray] = {}
    for count in range(FEWEST_SEGMENTS, MOST_SEGMENTS + 1):
        centres = _k_means(points, count, np.random.default_rng(seed))
        sizes = np.bincount(_nearest(points, centres), minlength=count)
        if sizes.min() < SMALLEST_SHARE * len(points):
            continue
        found[count] = centres[np.argsort(-sizes, kind="stable")]
        agreements[count] = _agreement(points, halves, count, seed=seed)
    if not found:
        return None
    chosen = max(agreements, key=lambda count: (round(agreements[count], 6), -count))
    return Segmentation(
        mean=mean,
        axes=axes,
        centres=found[chosen],
        agreements=agreements,
        stability=_stability(points, halves, found[chosen], seed=seed),
    )


def _units(states: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(states / np.maximum(length, 1e-12), dtype=np.float32)


def _directions(states: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Directions float32 (users, width): how long a state is says how sure the network is, not of what."""
    return _units(states) - mean


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Axes whose largest entry is positive, so that they do not depend on the solver."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    distances = (centres**2).sum(axis=1) - 2.0 * points @ centres.T
    return np.asarray(distances.argmin(axis=1))


def _k_means(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Centres float32 (count, components): the best of several starts."""
    best, least = points[:count], np.inf
    for _ in range(STARTS):
        centres = _plus_plus(points, count, rng)
        for _ in range(ROUNDS):
            assigned = _nearest(points, centres)
            sizes = np.bincount(assigned, minlength=count)
            sums = np.stack([np.bincount(assigned, weights=column, minlength=count) for column in points.T], axis=1)
            moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres).astype(np.float32)
            if np.allclose(moved, centres, atol=1e-6):
                break
            centres = moved
        within = float(((points - centres[_nearest(points, centres)]) ** 2).sum())
        if within < least:
            best, least = centres, within
    return best


def _plus_plus(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    chosen = [int(rng.integers(len(points)))]
    away = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        total = float(away.sum())
        share = away / total if total > 0 else np.full(len(points), 1.0 / len(points))
        chosen.append(int(rng.choice(len(points), p=share.astype(np.float64) / share.astype(np.float64).sum())))
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return points[chosen].copy()


def _halves(points: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed + 1)
    shuffled = [rng.permutation(len(points)) for _ in range(SPLITS)]
    return [(points[order[: len(order) // 2]], points[order[len(order) // 2 :]]) for order in shuffled]


def _agreement(points: np.ndarray, halves: list[tuple[np.ndarray, np.ndarray]], count: int, *, seed: int) -> float:
    """Mean over splits of the adjusted Rand index of all points under the groups of either half."""
    found = []
    for first, second in halves:
        rng = np.random.default_rng(seed)
        one, other = (_nearest(points, _k_means(half, count, rng)) for half in (first, second))
        found.append(adjusted_rand_index(one, other))
    return float(np.mean(found))


def adjusted_rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """Agreement of two groupings int (points,): 1 where they are the same, about 0 where they know nothing of each
    other."""
    table = np.zeros((int(one.max(initial=0)) + 1, int(other.max(initial=0)) + 1))
    np.add.at(table, (one, other), 1.0)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1.0)).sum() / 2.0)

    both, in_one, in_other = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = pairs(np.array([float(len(one))]))
    by_chance = in_one * in_other / everything if everything else 0.0
    most = (in_one + in_other) / 2.0
    return 1.0 if most == by_chance else (both - by_chance) / (most - by_chance)


def _stability(
    points: np.ndarray, halves: list[tuple[np.ndarray, np.ndarray]], centres: np.ndarray, *, seed: int
) -> np.ndarray:
    """Of each segment, mean over splits of the share of its pairs of users that the groups of a half keep together."""
    grouped, count = _nearest(points, centres), len(centres)
    found = []
    for first, _ in halves:
        table = np.zeros((count, count))
        np.add.at(table, (grouped, _nearest(points, _k_means(first, count, np.random.default_rng(seed)))), 1.0)
        sizes = table.sum(axis=1)
        found.append((table * (table - 1.0)).sum(axis=1) / np.maximum(sizes * (sizes - 1.0), 1.0))
    return np.asarray(np.mean(found, axis=0))
