"""A hierarchical ridge regression of sales on what is known ahead: promotions, prices, holidays, weekday, season.

u_it = level_it + x_it' b_i + noise, with b_i = b_all + b_group(i) + b_own(i), each part shrunk towards zero (partial
pooling; Gelman and Hill 2007, ch. 12). Where series of several levels share one estimate they count by the precision of
their days (generalised least squares, Aitken 1936): a total whose days scatter little knows its own effects from few of
them, where a product has to borrow its group's. The slowly moving level is taken out by subtracting a centred moving
average from u and x alike (the within transformation). Inside the history, the effect at t comes from coefficients that
were estimated without the block of dates around t, so that a network trained on it meets errors as large as tomorrow's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

FOLDS = 4
GROUP_POOL = 3.0
POOL_GRID = (0.3, 1.5, 7.0, 30.0, 150.0)
"""Candidates for the strength of shrinkage of a series' own coefficients, in average series."""
CHUNK = 32
"""Series that are worked on at once: so few stay in the cache of a core (four times as fast as 1,024)."""
SELECTION_SERIES, SELECTION_POOL = 120, 30.0
"""Series that take part in the choice of covariates, and the shrinkage of their own coefficients in it."""
LARGEST_PRECISION = 100.0
"""Most that a day of one series counts, in average days; the inverse is the least."""
FIRST_POOL = 7.0
"""Shrinkage in the first fit, which only tells how much is noise."""
LEAST_NOISE = 1e-3
"""Share of a series' variance that is noise at least."""
FEWEST_RECORDS = 50
"""Records below which the noise of a series is not estimated: its standard error would be above a fifth."""
LEAST_HARM = 0.001
"""Share of what all covariates explain that a covariate must cost to be left out."""


@dataclass(frozen=True)
class Columns:
    """Which channels of the known covariates enter: of the day itself and the day before; of the day after."""

    now: tuple[int, ...]
    next: tuple[int, ...]


@dataclass(frozen=True)
class Observations:
    """What effects are estimated from: linked sales u (N, T) with weight (N, T) of 0 or 1, known (N, >= T, K), calendar
    (>= T, C), codes (N, S) of the groups, the columns that enter, and the span in dates of the moving average.

    by_precision: a day of a series counts by how little its days scatter; else all count alike.
    """

    u: np.ndarray
    weight: np.ndarray
    known: np.ndarray
    calendar: np.ndarray
    codes: np.ndarray
    columns: Columns
    span: int
    by_precision: bool = False

    def of(self, some: np.ndarray) -> "Observations":
        """That of some series (n,)."""
        return replace(self, u=self.u[some], weight=self.weight[some], known=self.known[some], codes=self.codes[some])


@dataclass
class Effects:
    """Coefficients by fold (the last one uses all blocks).

    common: (F + 1, p); groups: one (F + 1, n_codes, p) a static column; own: (F + 1, N, p).
    """

    common: np.ndarray
    groups: list[np.ndarray]
    own: np.ndarray
    pool: float
    columns: Columns

    def coefficients(self, *, fold: int, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """(n, p) coefficients of series; rows of -1 are unknown to the fit and take those of their groups."""
        beta = np.repeat(self.common[fold][None, :], len(rows), axis=0)
        for k, table in enumerate(self.groups):
            beta = beta + table[fold][codes[:, k]]
        return beta + np.where(rows[:, None] >= 0, self.own[fold][np.maximum(rows, 0)], 0.0)


def design(known: np.ndarray, calendar: np.ndarray, columns: Columns) -> np.ndarray:
    """(n, T, p) float32: known covariates of the day, the day before and the day after, and the calendar's columns."""
    n, length, _ = known.shape
    now, ahead = known[:, :, list(columns.now)], known[:, :, list(columns.next)]
    before = np.concatenate([now[:, :1], now[:, :-1]], axis=1)
    after = np.concatenate([ahead[:, 1:], ahead[:, -1:]], axis=1)
    shared = np.broadcast_to(calendar[None], (n, length, calendar.shape[1]))
    return np.concatenate([now, before, after, shared], axis=2).astype(np.float32)


def moving_average(values: np.ndarray, weight: np.ndarray, span: int) -> np.ndarray:
    """Centred, weighted moving average along axis 1; values (n, T) or (n, T, p), weight (n, T)."""
    w = weight if values.ndim == 2 else weight[:, :, None]
    length = values.shape[1]
    total = np.zeros((len(values), length + 1, *values.shape[2:]))
    np.cumsum(values * w, axis=1, dtype=np.float64, out=total[:, 1:])
    count = np.zeros((len(w), length + 1, *w.shape[2:]))
    np.cumsum(w, axis=1, dtype=np.float64, out=count[:, 1:])
    low = np.maximum(np.arange(length) - span // 2, 0)
    high = np.minimum(np.arange(length) + span // 2 + 1, length)
    return ((total[:, high] - total[:, low]) / np.maximum(count[:, high] - count[:, low], 1e-9)).astype(np.float32)


def fold_of(length: int) -> np.ndarray:
    """Block of each observed position, (T,) int in 0 … FOLDS - 1."""
    return (np.arange(length) * FOLDS) // max(length, 1)


def fit_effects(data: Observations, *, pool: float | None = None) -> Effects:
    """Estimate coefficients. pool: strength of shrinkage; None chooses it on blocks of dates left out."""
    columns, codes = data.columns, data.codes
    count = len(data.u)
    gram, cross = _moments(data)
    width = cross.shape[2]
    if width == 0:
        empty = np.zeros((FOLDS + 1, 0), dtype=np.float32)
        groups = [np.zeros((FOLDS + 1, int(codes[:, k].max()) + 1, 0), np.float32) for k in range(codes.shape[1])]
        own = np.zeros((FOLDS + 1, count, 0), dtype=np.float32)
        return Effects(common=empty, groups=groups, own=own, pool=POOL_GRID[-1], columns=columns)
    total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
    penalty = penalty_of(total_gram)
    if data.by_precision:
        precision = _precision(data, total_gram, total_cross, penalty=penalty)
        gram, cross = gram * precision[:, None, None, None], cross * precision[:, None, None]
        total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
    if pool is None:
        pool = choose_pool(gram, cross, penalty=penalty, codes=codes)
    return by_fold(gram, cross, penalty, codes, pool, columns=columns)


def by_fold(
    gram: np.ndarray,
    cross: np.ndarray,
    penalty: np.ndarray,
    codes: np.ndarray,
    pool: float,
    *,
    columns: Columns,
    trust: np.ndarray | None = None,
) -> Effects:
    """Coefficients without each block of dates, and with all, from moments (N, FOLDS, …); otherwise as `solve`."""
    total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
    tables: list[tuple[np.ndarray, list[np.ndarray], np.ndarray]] = []
    for fold in range(FOLDS + 1):
        g = total_gram - gram[:, fold] if fold < FOLDS else total_gram
        c = total_cross - cross[:, fold] if fold < FOLDS else total_cross
        tables.append(solve(g, c, penalty, codes, pool, trust=trust))
    return Effects(
        common=np.stack([t[0] for t in tables]).astype(np.float32),
        groups=[np.stack([t[1][k] for t in tables]).astype(np.float32) for k in range(codes.shape[1])],
        own=np.stack([t[2] for t in tables]).astype(np.float32),
        pool=pool,
        columns=columns,
    )


def _precision(data: Observations, gram: np.ndarray, cross: np.ndarray, *, penalty: np.ndarray) -> np.ndarray:
    """(N,) float32: what a day of each series counts: the average noise by its own, from a fit where all count alike.

    gram (N, p, p), cross (N, p): of all blocks.
    """
    u, weight, codes, span = data.u, data.weight, data.codes, data.span
    records = weight.sum(axis=1)
    squares = np.empty(len(u))
    for low in range(0, len(u), CHUNK):
        part = slice(low, low + CHUNK)
        moved = (u[part] - moving_average(u[part], weight[part], span)) * weight[part]
        squares[part] = (moved.astype(np.float64) ** 2).sum(axis=1)
    common, groups, own = solve(gram, cross, penalty, codes, FIRST_POOL)
    beta = in_all(common, groups, own, codes)
    left = squares - 2 * (beta * cross).sum(axis=1) + np.einsum("ni,nij,nj->n", beta, gram, beta, optimize=True)
    noise = np.maximum(left, LEAST_NOISE * squares) / np.maximum(records, 1)
    known = (records >= FEWEST_RECORDS) & (noise > 0)
    if not known.any():
        return np.ones(len(u), dtype=np.float32)
    ratio = np.average(noise[known], weights=records[known]) / np.where(known, noise, 1.0)
    return np.where(known, np.clip(ratio, 1 / LARGEST_PRECISION, LARGEST_PRECISION), 1.0).astype(np.float32)


def choose_pool(
    gram: np.ndarray, cross: np.ndarray, *, penalty: np.ndarray, codes: np.ndarray, trust: np.ndarray | None = None
) -> float:
    """Shrinkage with the least squared error on blocks left out; at most 1,000 series take part. trust: see `solve`."""
    some = np.unique(np.linspace(0, len(gram) - 1, min(len(gram), 1000)).astype(int))
    errors = [
        _left_out_error(
            gram[some],
            cross[some],
            penalty,
            codes[some],
            pool,
            folds=range(0, FOLDS, 2),
            trust=None if trust is None else trust[some],
        )
        for pool in POOL_GRID
    ]
    return POOL_GRID[int(np.argmin(errors))]


def _left_out_error(
    gram: np.ndarray,
    cross: np.ndarray,
    penalty: np.ndarray,
    codes: np.ndarray,
    pool: float,
    *,
    folds: range,
    trust: np.ndarray | None = None,
) -> float:
    """Squared error on blocks left out, but for a constant."""
    total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
    error = 0.0
    for fold in folds:
        held, towards = gram[:, fold], cross[:, fold]
        common, groups, own = solve(total_gram - held, total_cross - towards, penalty, codes, pool, trust=trust)
        beta = in_all(common, groups, own, codes)
        error += float(np.einsum("ni,nij,nj->", beta, held, beta, optimize=True) - 2 * (beta * towards).sum())
    return error


def useful_columns(data: Observations, *, owners: np.ndarray, count: int) -> np.ndarray:
    """(count,) bool: which covariates earn their place, by backward elimination on blocks of dates left out.

    owners: (K,) the covariate (0 … count - 1) that each channel of `known` (N, T, K) belongs to. The most harmful
    covariate is left out first, until none costs more than it brings: with few dates, what says little about sales
    still tells a network which week it is, and that week is learnt by heart.
    """
    length = len(data.u)
    data = data.of(np.unique(np.linspace(0, length - 1, min(length, SELECTION_SERIES)).astype(int)))
    columns, codes = data.columns, data.codes
    gram, cross = _moments(data)
    now, ahead = owners[list(columns.now)], owners[list(columns.next)]
    owner = np.concatenate([now, now, ahead, np.full(data.calendar.shape[1], -1)])
    penalty = penalty_of(gram.sum(axis=1))

    def error_of(kept: np.ndarray) -> float:
        at = np.flatnonzero((owner < 0) | kept[np.maximum(owner, 0)])
        if len(at) == 0:
            return 0.0
        return _left_out_error(
            gram[:, :, at][:, :, :, at], cross[:, :, at], penalty[at], codes, SELECTION_POOL, folds=range(FOLDS)
        )

    kept = np.isin(np.arange(count), now)
    best = error_of(kept)
    while kept.sum() > 1:
        errors = {int(k): error_of(kept & (np.arange(count) != k)) for k in np.flatnonzero(kept)}
        worst = min(errors, key=errors.__getitem__)
        if errors[worst] > best - LEAST_HARM * abs(best):
            break
        kept[worst], best = False, errors[worst]
    return kept


def _moments(data: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Of each series and block of dates, moving averages taken out: x'x (N, FOLDS, p, p) and x'u (N, FOLDS, p)."""
    u, weight, columns, span = data.u, data.weight, data.columns, data.span
    count, length = u.shape
    width = 2 * len(columns.now) + len(columns.next) + data.calendar.shape[1]
    gram = np.zeros((count, FOLDS, width, width), dtype=np.float32)
    cross = np.zeros((count, FOLDS, width), dtype=np.float32)
    folds = fold_of(length)
    for low in range(0, count, CHUNK):
        part = slice(low, low + CHUNK)
        x = design(data.known[part], data.calendar, columns)[:, :length]
        w = weight[part]
        x = (x - moving_average(x, w, span)) * w[:, :, None]
        v = (u[part] - moving_average(u[part], w, span)) * w
        for fold in range(FOLDS):
            here = folds == fold
            xs = np.ascontiguousarray(x[:, here])
            gram[part, fold] = np.matmul(xs.transpose(0, 2, 1), xs)
            cross[part, fold] = np.matmul(xs.transpose(0, 2, 1), v[:, here, None])[:, :, 0]
    return gram, cross


def penalty_of(gram: np.ndarray) -> np.ndarray:
    """(p,) ridge penalty that shrinks as an average series of gram (N, p, p) does."""
    penalty = np.einsum("nii->i", gram.astype(np.float64)) / max(len(gram), 1)
    return np.maximum(penalty, 1e-6 * (penalty.max(initial=0.0) + 1e-6)) + 1e-6


def solve(
    gram: np.ndarray,
    cross: np.ndarray,
    penalty: np.ndarray,
    codes: np.ndarray,
    pool: float,
    *,
    trust: np.ndarray | None = None,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Coefficients common (p,), of groups (n_codes, p) a static column, and own (N, p), from N series' moments.

    trust: (N,) by how much less a series' own coefficients are shrunk than `pool` says.
    """
    pools = np.full(len(gram), pool) if trust is None else pool / trust
    ridge = np.diag(penalty)
    common = np.linalg.solve(gram.sum(axis=0, dtype=np.float64) + ridge, cross.sum(axis=0, dtype=np.float64))
    beta = np.repeat(common[None], len(gram), axis=0)
    groups: list[np.ndarray] = []
    for k in range(codes.shape[1]):
        levels = int(codes[:, k].max(initial=0)) + 1
        left = cross - np.einsum("nij,nj->ni", gram, beta)
        group_gram, group_cross = _sum_by(codes[:, k], gram, levels), _sum_by(codes[:, k], left, levels)
        table = np.linalg.solve(group_gram + GROUP_POOL * ridge, group_cross[:, :, None])[:, :, 0]
        table[0] = 0.0  # code 0 is "unknown": nothing may be learnt for it
        groups.append(table)
        beta = beta + table[codes[:, k]]
    left = cross - np.einsum("nij,nj->ni", gram, beta)
    own = np.empty_like(beta)
    for low in range(0, len(gram), CHUNK):
        part = slice(low, low + CHUNK)
        own[part] = np.linalg.solve(gram[part] + pools[part, None, None] * ridge, left[part][:, :, None])[:, :, 0]
    return common, groups, own


def in_all(common: np.ndarray, groups: list[np.ndarray], own: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(N, p) coefficients of each series, from what `solve` returns."""
    beta = common[None] + own
    for k, table in enumerate(groups):
        beta = beta + table[codes[:, k]]
    return beta


def _sum_by(codes: np.ndarray, values: np.ndarray, levels: int) -> np.ndarray:
    """(levels, …) float64 sums of the rows of each code."""
    order = np.argsort(codes, kind="stable")
    present, begins = np.unique(codes[order], return_index=True)
    result = np.zeros((levels, *values.shape[1:]))
    result[present] = np.add.reduceat(values[order], begins, axis=0)
    return result


def effect_values(
    parts: Sequence[Effects],
    *,
    known: np.ndarray,
    calendar: np.ndarray,
    rows: np.ndarray,
    codes: np.ndarray,
    folds: np.ndarray,
    observed: int,
) -> list[np.ndarray]:
    """(N, T + H) float32 values of each of `parts`, which have the same columns.

    `folds` gives for each position which coefficients apply (FOLDS: all blocks). Values are relative to the series'
    average day among the first `observed`, so that blocks join without a jump.
    """
    count, length = known.shape[:2]
    results = [np.empty((count, length), dtype=np.float32) for _ in parts]
    for low in range(0, count, CHUNK):
        part = slice(low, low + CHUNK)
        x = design(known[part], calendar, parts[0].columns)
        usual = x[:, :observed].mean(axis=1)
        for fold in np.unique(folds):
            here = folds == fold
            days = x if here.all() else x[:, here]
            for result, effects in zip(results, parts, strict=True):
                beta = effects.coefficients(fold=int(fold), rows=rows[part], codes=codes[part]).astype(np.float32)
                level = (usual * beta).sum(axis=1, keepdims=True)
                result[part, here] = np.matmul(days, beta[:, :, None])[:, :, 0] - level
    return results
