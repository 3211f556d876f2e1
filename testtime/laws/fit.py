"""Fitting a law to points: from every start, with errors, and with the error of extrapolating.

Three kinds of points. Independent rows (training runs): least squares or Huber, errors by
resampling rows. Points with a covariance (cells of one pool): generalised least squares. Points
with replicates of both axes (cells resampled with their costs): the same, each replicate refitted,
so the noise of the compute axis is in the intervals too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats, Law
from testtime.laws.result import Fit
from testtime.laws.solver import Problem, best_start, graduated, minimise

SPARE = 3  # points a law needs beyond its parameters
CHEAP = 2 / 3  # share of the points, cheapest first, that the extrapolation test is fitted on


def fit(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    *,
    delta: float | None = None,
    resamples: int = 0,
    seed: int = 0,
    row_weights: Floats | None = None,
    covariance: Floats | None = None,
    replicates: tuple[Mapping[str, Floats], Floats] | None = None,
    cost: ArrayLike | None = None,
    spare: int = SPARE,
) -> Fit:
    """Fit a law.

    x: inputs by name, each (n,); y: (n,). delta: Huber's on the fitted scale; None for squares.
    resamples, seed: bootstrap of rows, for independent points; row_weights: such resamples already
    drawn, (resamples, n) counts. covariance: (n, n) of y. replicates: (inputs by name, y), each
    (resamples, n). cost: (n,), orders the points for the extrapolation test (default: the product
    of the inputs). Raises UserError where there are fewer than `spare` points more than parameters,
    values that are not finite, and non-positive values under a logarithm.
    """
    if delta is not None and not delta > 0:
        raise UserError(f"delta {delta:g}: Huber's must be above 0; Hoffmann et al. take 0.001")
    inputs, values = _checked(law, x, y, spare)
    whiten = None if covariance is None else whitening(covariance)
    problem = Problem(law, inputs, law.target(values), whiten=whiten, delta=delta)
    theta, objective = _solve(problem)
    if not np.isfinite(objective):
        raise UserError(
            f"law {law.name!r}: no starting point gives finite values on these {len(values)} points"
        )
    chi2, misfit = float("nan"), 0.0
    if covariance is not None:
        chi2 = 2 * objective
        problem, theta, misfit = _allow_misfit(problem, theta, chi2, covariance)
        objective = float(problem.objective(theta[None], np.zeros(1, dtype=np.intp))[0])
    natural = law.natural(theta)
    residuals = law.value(theta[None], inputs)[0] - problem.y
    drawn, share = _replicate(problem, theta, resamples, seed, row_weights, replicates)
    method = "least squares" if delta is None else f"Huber loss, delta {delta:g}"
    if covariance is not None:
        method = "generalised least squares"
    if drawn is not None:
        method += f", {len(drawn)} bootstrap resamples"
    result = Fit(
        law,
        natural,
        _curvature(problem, theta, objective, covariance is not None),
        drawn,
        objective,
        residuals,
        values,
        method,
        chi2=chi2,
        misfit=misfit,
        aicc=_aicc(residuals, len(natural), covariance, chi2) if delta is None else float("nan"),
        converged=share,
        notes=("intervals hold the points' noise, not the law's misfit",) if misfit > 0 else (),
    )
    return replace(result, heldout=_held_out(problem, _cost(cost, inputs)))


def whitening(covariance: Floats) -> Floats:
    """W with W' W = inverse covariance: multiplies residuals into independent ones of variance
    1.
    """
    spread = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
    values = np.maximum(values, 1e-10 * values.max())
    result: Floats = (vectors / np.sqrt(values)).T / spread
    return result


def shrunk_covariance(replicates: Floats, problems: int) -> Floats:
    """Covariance of cells from their bootstrap replicates (resamples, n), fit to be inverted.

    Nested cells are nearly equal, and the correlation of n cells seen on P problems is itself
    uncertain by n / P; inverted as it is, its smallest, noisiest directions would rule the fit. It
    is shrunk towards its diagonal by n / (n + P). A cell all problems agree on has no spread; its
    variance is taken as that of half a problem, 1 / (4 P^2).
    """
    matrix = np.atleast_2d(np.cov(replicates, rowvar=False))
    count = len(matrix)
    keep = problems / (problems + count)
    floor = np.maximum(np.diag(matrix), 0.25 / problems**2)
    shrunk: Floats = keep * matrix
    shrunk[range(count), range(count)] = floor
    return shrunk


def _checked(
    law: Law, x: Mapping[str, ArrayLike], y: ArrayLike, spare: int
) -> tuple[list[Floats], Floats]:
    values = np.asarray(y, dtype=np.float64)
    inputs = [np.asarray(x[name], dtype=np.float64) for name in law.inputs]
    size = len(law.parameters)
    need = size + spare
    if len(values) < need:
        raise UserError(
            f"law {law.name!r}: {len(values)} points are too few; its {size} parameters need at "
            f"least {need}"
        )
    for name, column in [*zip(law.inputs, inputs, strict=True), (law.output, values)]:
        if not np.isfinite(column).all():
            raise UserError(f"law {law.name!r}: {name} has values that are missing or infinite")
        if (name != law.output or law.log) and not (column > 0).all():
            raise UserError(
                f"law {law.name!r}: {name} must be above 0 everywhere, and the lowest is "
                f"{column.min():g}"
            )
    return inputs, values


def _solve(problem: Problem) -> tuple[Floats, float]:
    """Internal parameters (P,) and objective of the best minimum from all starts."""
    found = graduated(problem, best_start(problem, problem.law.starts()))
    at = int(np.argmin(found.objective))
    return found.theta[at], float(found.objective[at])


def _allow_misfit(
    problem: Problem, theta: Floats, chi2: float, covariance: Floats
) -> tuple[Problem, Floats, float]:
    """Add tau^2 to each variance, with tau the smallest that brings chi-square down to the degrees
    of freedom.

    No law is exact, and cells of one pool are so correlated that a law off by a point is worth a
    chi-square of hundreds: the fit then follows the smallest directions of the covariance, far from
    every point. With the misfit owned up to, it turns into ordinary least squares where that is
    large (as a random-effects regression does: Paule and Mandel 1982).
    """
    freedom = len(problem.y) - len(theta)
    if freedom < 1 or chi2 <= freedom:
        return problem, theta, 0.0
    low, high = 1e-6, 1.0
    for _ in range(24):
        tau = float(np.sqrt(low * high))
        wider = replace(problem, whiten=whitening(covariance + tau**2 * np.eye(len(covariance))))
        found = minimise(wider, theta[None])
        if 2 * found.objective[0] > freedom:
            low = tau
        else:
            high, problem, theta = tau, wider, found.theta[0]
    best, _ = _solve(problem)
    return problem, best, high


def _replicate(
    problem: Problem,
    theta: Floats,
    resamples: int,
    seed: int,
    row_weights: Floats | None,
    replicates: tuple[Mapping[str, Floats], Floats] | None,
) -> tuple[Floats | None, float]:
    """Natural parameters of every replicate (resamples, P), started from the fit; and the share
    that converged.
    """
    law, n = problem.law, len(problem.y)
    if replicates is not None:
        x = [np.asarray(replicates[0][name], dtype=np.float64) for name in law.inputs]
        whole = np.isfinite(replicates[1]).all(axis=1) & np.all(
            [np.isfinite(v).all(axis=1) for v in x], axis=0
        )
        batch = replace(problem, x=[v[whole] for v in x], y=law.target(replicates[1][whole]))
        count = int(whole.sum())
    elif row_weights is not None or resamples:
        if row_weights is None:
            rng = np.random.default_rng(seed)
            row_weights = np.stack(
                [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(resamples)]
            )
        batch = replace(problem, weights=np.asarray(row_weights, dtype=np.float64))
        count = len(row_weights)
    else:
        return None, 1.0
    found = minimise(batch, np.repeat(theta[None], count, axis=0))
    return law.natural(found.theta), float(found.converged.mean())


def _curvature(problem: Problem, theta: Floats, objective: float, known: bool) -> Floats:
    """Covariance of the natural parameters from the Gauss-Newton curvature; NaN for Huber's loss,
    whose curvature is not it.
    """
    size = len(theta)
    if problem.delta is not None:
        return np.full((size, size), np.nan)
    _, _, _, gram = problem.expand(theta[None], np.zeros(1, dtype=np.intp))
    freedom = max(len(problem.y) - size, 1)
    scale = 1.0 if known else 2 * objective / freedom
    slope = problem.law.slopes(problem.law.natural(theta))
    inverse: Floats = np.linalg.pinv(gram[0], rcond=1e-14, hermitian=True)
    return scale * inverse * np.outer(slope, slope)


def _aicc(residuals: Floats, parameters: int, covariance: Floats | None, chi2: float) -> float:
    """Akaike's criterion with its small-sample correction, for independent points: of one unknown
    variance, or each of its own known one. NaN for points that are not independent, and for too
    few.
    """
    n, k = len(residuals), parameters + (covariance is None)
    if n <= k + 1 or (
        covariance is not None and np.any(covariance != np.diag(np.diag(covariance)))
    ):
        return float("nan")
    lack = chi2 if covariance is not None else n * np.log(max(float(np.mean(residuals**2)), 1e-300))
    return float(lack + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def _cost(cost: ArrayLike | None, inputs: list[Floats]) -> Floats:
    return np.prod(inputs, axis=0) if cost is None else np.asarray(cost, dtype=np.float64)


def _held_out(problem: Problem, cost: Floats) -> float:
    """Root mean squared error on the dearer third of a fit to the cheaper two thirds, on the fitted
    scale.
    """
    order = np.argsort(cost, kind="stable")
    cut = round(len(order) * CHEAP)
    if cut < len(problem.law.parameters) + 1 or cut == len(order):
        return float("nan")
    near, far = order[:cut], order[cut:]
    whiten = problem.whiten
    if whiten is not None:
        inverse = np.linalg.inv(whiten)
        whiten = whitening((inverse @ inverse.T)[np.ix_(near, near)])
    cheap = replace(problem, x=[v[near] for v in problem.x], y=problem.y[near], whiten=whiten)
    theta, objective = _solve(cheap)
    if not np.isfinite(objective):
        return float("nan")
    with np.errstate(all="ignore"):
        miss = problem.law.value(theta[None], [v[far] for v in problem.x])[0] - problem.y[far]
    return float(np.sqrt(np.mean(miss**2)))
