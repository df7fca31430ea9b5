"""How mean sales move with what is known ahead: a hierarchical Poisson regression, of factors instead of differences.

E z_it = level_it exp(x_it' c_i), with c_i = c_all + c_group(i) + c_own(i) as in effects.py. Effects there are
differences of linked sales, which say what a typical day does. Of a product that sells every tenth day the typical day
is zero, with or without a promotion, and the difference that makes its sales two and a half times as many is another
than that of a product that sells daily; factors of the mean are alike for both and can be learnt together. The Poisson
likelihood asks for nothing but the mean to be right (Gourieroux, Monfort and Trognon 1984); the slowly moving level is
taken out by a centred moving average, as a panel's conditional likelihood does (Hausman, Hall and Griliches 1984).
"""

import numpy as np

from ecom_pipeline.forecasting.effects import (
    CHUNK,
    FOLDS,
    LARGEST_PRECISION,
    Effects,
    Observations,
    by_fold,
    choose_pool,
    design,
    fold_of,
    in_all,
    moving_average,
    penalty_of,
    solve,
)

FIRST_SERIES, FIRST_STEPS, STEPS = 500, 4, 2
"""Newton's steps: from no effect to what some of the series have in common, and from there, with all of them."""
LEAST_DISPERSION = 1e-6
LEAST, LARGEST = -4.0, 2.0
"""Bounds of a factor of the mean, in logarithms, while it is estimated and where it is applied."""


def fit_rates(sales: np.ndarray, data: Observations, *, pool: float | None = None) -> Effects:
    """Logarithms of factors of the mean, by channel. pool: strength of shrinkage; None chooses it on blocks left out.

    sales: (N, T) in units of the scale, gaps and returns 0; data: as for `fit_effects`, its u is not looked at.
    """
    count, codes = len(sales), data.codes
    beta = np.repeat(_first(sales, data)[None], count, axis=0)
    for _ in range(STEPS):
        gram, cross, dispersion = _moments(sales, data, beta)
        trust = _trust(dispersion)
        total_gram, total_cross = gram.sum(axis=1), cross.sum(axis=1)
        penalty = penalty_of(total_gram)
        chosen = choose_pool(gram, cross, penalty=penalty, codes=codes, trust=trust) if pool is None else pool
        beta = in_all(*solve(total_gram, total_cross, penalty, codes, chosen, trust=trust), codes)
    return by_fold(gram, cross, penalty, codes, chosen, columns=data.columns, trust=trust)


def _first(sales: np.ndarray, data: Observations) -> np.ndarray:
    """(p,) coefficients that some of the series have in common."""
    some = np.unique(np.linspace(0, len(sales) - 1, min(len(sales), FIRST_SERIES)).astype(int))
    sales, data = sales[some], data.of(some)
    width = 2 * len(data.columns.now) + len(data.columns.next) + data.calendar.shape[1]
    common = np.zeros(width)
    for _ in range(FIRST_STEPS):
        gram, cross, _ = _moments(sales, data, np.repeat(common[None], len(sales), axis=0))
        gram, cross = gram.sum(axis=1), cross.sum(axis=1)
        common = np.linalg.solve(gram.sum(axis=0, dtype=np.float64) + np.diag(penalty_of(gram)), cross.sum(axis=0))
    return common


def _trust(dispersion: np.ndarray) -> np.ndarray:
    """(N,): the inverse of the dispersions (N,), the typical one being 1; NaN, where nothing was sold, is typical.

    What a series' days say of its own factors counts by it: ten sales of one unit say as much as one of ten does not.
    """
    known = np.isfinite(dispersion)
    if not known.any():
        return np.ones(len(dispersion))
    dispersion = np.maximum(np.where(known, dispersion, np.inf), LEAST_DISPERSION)
    ratio = np.median(dispersion[known]) / dispersion
    return np.where(known, np.clip(ratio, 1 / LARGEST_PRECISION, LARGEST_PRECISION), 1.0)


def _moments(sales: np.ndarray, data: Observations, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each series and block of dates, at coefficients beta (N, p): x' m x (N, FOLDS, p, p) for the mean m, and
    x' m x beta + x'(z - m) (N, FOLDS, p), whose solution is Newton's next step; and Pearson's dispersion (N,), the mean
    of (z - m)² / m, which is the size of a sale in units of the scale where sales are Poisson.
    """
    (count, length), width = sales.shape, beta.shape[1]
    gram = np.zeros((count, FOLDS, width, width), dtype=np.float32)
    cross = np.zeros((count, FOLDS, width), dtype=np.float32)
    dispersion = np.full(count, np.nan)
    folds = fold_of(length)
    for low in range(0, count, CHUNK):
        part = slice(low, low + CHUNK)
        w, z = data.weight[part], sales[part]
        x = design(data.known[part], data.calendar, data.columns)[:, :length]
        eta = np.matmul(x, beta[part][:, :, None].astype(np.float32))[:, :, 0]
        factor = np.exp(np.clip(eta - eta.mean(axis=1, keepdims=True), LEAST, LARGEST))
        usual = np.maximum(moving_average(factor, w, data.span), 1e-6)
        mean = w * factor * moving_average(z, w, data.span) / usual
        x = x - moving_average(x, w * factor, data.span)
        left = w * z - mean
        sold = mean.sum(axis=1)
        dispersion[part] = np.where(sold > 0, (left**2).sum(axis=1), np.nan) / np.maximum(sold, 1e-9)
        for fold in range(FOLDS):
            here = folds == fold
            xs = np.ascontiguousarray(x[:, here])
            weighted = xs * mean[:, here, None]
            gram[part, fold] = np.matmul(xs.transpose(0, 2, 1), weighted)
            cross[part, fold] = np.matmul(xs.transpose(0, 2, 1), left[:, here, None])[:, :, 0]
        cross[part] += np.einsum("nfij,nj->nfi", gram[part], beta[part], optimize=True)
    return gram, cross, dispersion
