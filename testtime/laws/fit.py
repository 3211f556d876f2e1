"""Fitting a law to points: from every start, with errors, and with the error of extrapolating.

Three kinds of points. Independent rows, or rows in runs (training runs and their checkpoints):
least squares or Huber, errors by resampling runs. Points with a covariance (cells of one pool):
generalised least squares. Points with replicates of both axes (cells resampled with their costs):
the same, each replicate refitted, so the noise of the compute axis is in the intervals too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats, Law
from testtime.laws.misfit import lack_of_fit, whitening
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
    fixed: Mapping[str, float] | None = None,
    resamples: int = 0,
    seed: int = 0,
    runs: ArrayLike | None = None,
    row_weights: Floats | None = None,
    covariance: Floats | None = None,
    replicates: tuple[Mapping[str, Floats], Floats] | None = None,
    problems: tuple[Mapping[str, Floats], Floats] | None = None,
    cost: ArrayLike | None = None,
    spare: int = SPARE,
) -> Fit:
    """Fit a law.

    x: inputs by name, each (n,); y: (n,). delta: Huber's on the fitted scale; None for squares.
    fixed: natural values of parameters that are not fitted. resamples, seed: bootstrap of rows, or
    of `runs`, (n,) labels of rows that err together; row_weights: such resamples already drawn,
    (resamples, n) counts. covariance: (n, n) on the fitted scale: of y, or of log y for a law that
    is fitted on its logarithm (`Law.log`). replicates: (inputs by name, y), each (resamples, n).
    problems: (inputs by name, y) of each problem, each (problems, n), whose means the points are: a
    law of y itself is then tested by Hotelling's F (`misfit.lack_of_fit`). cost: (n,), orders the
    points for the extrapolation test (default: the product of the inputs). Raises UserError where
    there are fewer than `spare` points more than free parameters, values that are not finite, and
    non-positive values under a logarithm.
    """
    if delta is not None and not delta > 0:
        raise UserError(f"delta {delta:g}: Huber's must be above 0; Hoffmann et al. take 0.001")
    starts = law.starts(fixed)
    held = tuple(i for i, name in enumerate(law.names) if name in (fixed or {}))
    free = len(law.names) - len(held)
    inputs, values = _checked(law, x, y, free, spare)
    whiten = None if covariance is None else whitening(covariance)
    problem = Problem(law, inputs, law.target(values), whiten=whiten, delta=delta, held=held)
    theta, objective = _solve(problem, starts)
    if not np.isfinite(objective):
        raise UserError(
            f"law {law.name!r}: no starting point gives finite values on these {len(values)} points"
        )
    chi2, misfit, lack = float("nan"), 0.0, None
    if covariance is not None:
        chi2 = 2 * objective
        problem, theta, misfit = _allow_misfit(problem, theta, starts, chi2, covariance)
        objective = float(problem.objective(theta[None], np.zeros(1, dtype=np.intp))[0])
    if problems is not None and not law.log:
        each = [np.asarray(problems[0][name], dtype=np.float64) for name in law.inputs]
        lack = lack_of_fit(problem, theta, each, problems[1], starts)
    residuals = law.value(theta[None], inputs)[0] - problem.y
    label = np.arange(len(values)) if runs is None else _labels(runs)
    if resamples and row_weights is None and replicates is None:
        row_weights = _run_weights(label, resamples, seed)
    drawn, share = _replicate(problem, theta, row_weights, replicates)
    method = "least squares" if delta is None else f"Huber loss, delta {delta:g}"
    if covariance is not None:
        method = "generalised least squares"
    if drawn is not None:
        unit = "" if runs is None else f" of {label.max() + 1} runs"
        method += f", {len(drawn)} bootstrap resamples{unit}"
    result = Fit(
        problem,
        theta,
        _curvature(problem, theta, objective, covariance is not None),
        drawn,
        objective,
        residuals,
        values,
        method,
        chi2=chi2,
        misfit=misfit,
        lack=lack,
        units=_units(problems, replicates, drawn, label),
        aicc=_aicc(residuals, free, covariance, chi2) if delta is None else float("nan"),
        converged=share,
        notes=("intervals hold the points' noise, not the law's misfit",) if misfit > 0 else (),
    )
    return replace(result, heldout=_held_out(problem, starts, _cost(cost, inputs)))


def shrunk_covariance(replicates: Floats, problems: int) -> Floats:
    """Covariance of cells from their bootstrap replicates (resamples, n), fit to be inverted.

    Nested cells are nearly equal, and the correlation of n cells seen on P problems is itself
    uncertain by n / P; inverted as it is, its smallest, noisiest directions would rule the fit. It
    is shrunk towards its diagonal by n / (n + P). A cell all problems agree on has no spread; its
    variance is taken as that of half a problem, 1 / (4 P^2). For weighting a fit only: under it
    chi-square is far too small at few problems, so no law is tested by it.
    """
    matrix = np.atleast_2d(np.cov(replicates, rowvar=False))
    count = len(matrix)
    keep = problems / (problems + count)
    floor = np.maximum(np.diag(matrix), 0.25 / problems**2)
    shrunk: Floats = keep * matrix
    shrunk[range(count), range(count)] = floor
    return shrunk


def _checked(
    law: Law, x: Mapping[str, ArrayLike], y: ArrayLike, free: int, spare: int
) -> tuple[list[Floats], Floats]:
    values = np.asarray(y, dtype=np.float64)
    inputs = [np.asarray(x[name], dtype=np.float64) for name in law.inputs]
    need = free + spare
    if len(values) < need:
        raise UserError(
            f"law {law.name!r}: {len(values)} points are too few; its {free} parameters need at "
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


def _solve(problem: Problem, starts: Floats) -> tuple[Floats, float]:
    """Internal parameters (P,) and objective of the best minimum from all starts."""
    best = graduated(problem, best_start(problem, starts))
    at = int(np.argmin(best.objective))
    return best.theta[at], float(best.objective[at])


def _allow_misfit(
    problem: Problem, theta: Floats, starts: Floats, chi2: float, covariance: Floats
) -> tuple[Problem, Floats, float]:
    """Add tau^2 to each variance, with tau the smallest that brings chi-square down to the degrees
    of freedom.

    No law is exact, and cells of one pool are so correlated that a law off by a point is worth a
    chi-square of hundreds: the fit then follows the smallest directions of the covariance, far from
    every point. With the misfit owned up to, it turns into ordinary least squares where that is
    large (as a random-effects regression does: Paule and Mandel 1982).
    """
    freedom = len(problem.y) - len(theta) + len(problem.held)
    if freedom < 1 or chi2 <= freedom:
        return problem, theta, 0.0
    low, high = 1e-6, 1.0
    for _ in range(24):
        tau = float(np.sqrt(low * high))
        wider = replace(problem, whiten=whitening(covariance + tau**2 * np.eye(len(covariance))))
        tried = minimise(wider, theta[None])
        if 2 * tried.objective[0] > freedom:
            low = tau
        else:
            high, problem, theta = tau, wider, tried.theta[0]
    best, _ = _solve(problem, starts)
    return problem, best, high


def _labels(runs: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Runs numbered from 0, (n,)."""
    return np.unique(np.asarray(runs), return_inverse=True)[1].ravel()


def _run_weights(label: np.ndarray[tuple[int], np.dtype[np.intp]], count: int, seed: int) -> Floats:
    """How often each row is drawn in `count` resamples of whole runs: (count, n)."""
    runs, rng = int(label.max()) + 1, np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(0, runs, runs), minlength=runs) for _ in range(count)]
    return np.array(drawn, dtype=np.float64)[:, label]


def _units(
    problems: tuple[Mapping[str, Floats], Floats] | None,
    replicates: tuple[Mapping[str, Floats], Floats] | None,
    drawn: Floats | None,
    label: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> int:
    """How many independent units were resampled; 0 where that is not known."""
    if problems is not None:
        return len(problems[1])
    return 0 if drawn is None or replicates is not None else int(label.max()) + 1


def _replicate(
    problem: Problem,
    theta: Floats,
    row_weights: Floats | None,
    replicates: tuple[Mapping[str, Floats], Floats] | None,
) -> tuple[Floats | None, float]:
    """Natural parameters of every replicate (resamples, P), started from the fit; and the share
    that converged.
    """
    law = problem.law
    if replicates is not None:
        x = [np.asarray(replicates[0][name], dtype=np.float64) for name in law.inputs]
        whole = np.isfinite(replicates[1]).all(axis=1) & np.all(
            [np.isfinite(v).all(axis=1) for v in x], axis=0
        )
        batch = replace(problem, x=[v[whole] for v in x], y=law.target(replicates[1][whole]))
        count = int(whole.sum())
    elif row_weights is not None:
        batch = replace(problem, weights=np.asarray(row_weights, dtype=np.float64))
        count = len(row_weights)
    else:
        return None, 1.0
    refit = minimise(batch, np.repeat(theta[None], count, axis=0))
    return law.natural(refit.theta), float(refit.converged.mean())


def _curvature(problem: Problem, theta: Floats, objective: float, known: bool) -> Floats:
    """Covariance of the natural parameters from the Gauss-Newton curvature; NaN for Huber's loss,
    whose curvature is not it.
    """
    size = len(theta)
    if problem.delta is not None:
        return np.full((size, size), np.nan)
    _, _, _, gram = problem.expand(theta[None], np.zeros(1, dtype=np.intp))
    freedom = max(len(problem.y) - size + len(problem.held), 1)
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


def _held_out(problem: Problem, starts: Floats, cost: Floats) -> float:
    """Root mean squared error on the dearer third of a fit to the cheaper two thirds, on the fitted
    scale.
    """
    order = np.argsort(cost, kind="stable")
    cut = round(len(order) * CHEAP)
    if cut < starts.shape[1] - len(problem.held) + 1 or cut == len(order):
        return float("nan")
    near, far = order[:cut], order[cut:]
    whiten = problem.whiten
    if whiten is not None:
        inverse = np.linalg.inv(whiten)
        whiten = whitening((inverse @ inverse.T)[np.ix_(near, near)])
    cheap = replace(
        problem,
        law=problem.law.learnt_from(near),
        x=[v[near] for v in problem.x],
        y=problem.y[near],
        whiten=whiten,
    )
    theta, objective = _solve(cheap, starts)
    if not np.isfinite(objective):
        return float("nan")
    with np.errstate(all="ignore"):
        miss = cheap.law.value(theta[None], [v[far] for v in problem.x])[0] - problem.y[far]
    return float(np.sqrt(np.mean(miss**2)))
