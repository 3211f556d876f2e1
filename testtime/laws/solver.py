"""The one fitting core: damped Newton steps on a whole batch of fits at once, in float64.

A batch is every starting point, or every bootstrap resample, of one law on one table. Each member
keeps its own damping and leaves when it has converged, so a batch costs little more than its
slowest members. Residuals are squared, or Huber's with a small delta (Hoffmann et al. 2022), whose
objective is nearly a sum of absolute values: there curvature lives only in the few points within
delta, where Newton is fast but fragile, while weights delta/|r| on the others (iteratively
reweighted least squares) always descend but crawl. The damping slides between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from testtime.laws.law import Floats, Law

Rows = NDArray[np.intp]
CACHE = 1 << 15  # residuals worked on at once: a block's arrays stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Problem:
    """What a batch of fits minimises: sum over points of weight * rho(law - y), rho(r) = r^2 / 2 or
    Huber's.

    x: inputs, each (n,) for all or (batch, n); y: fitted scale, (n,) or (batch, n); weights:
    (batch, n), (n,) or None; whiten: (m, n) matrix that multiplies residuals before they are
    squared (generalised least squares), or None; delta: Huber's, None for squares; held: indices of
    parameters that stay where they start.
    """

    law: Law
    x: Sequence[Floats]
    y: Floats
    weights: Floats | None = None
    whiten: Floats | None = None
    delta: float | None = None
    held: tuple[int, ...] = ()

    def residuals(self, theta: Floats, rows: Rows) -> tuple[Floats, Floats]:
        """Residuals (b, n) and their derivatives (b, P, n) for batch members `rows`."""
        value, slope = self.law.evaluate(theta, [_take(v, rows) for v in self.x])
        slope[:, self.held] = 0.0  # no step can gain by them, so the damping keeps them in place
        r = value - _take(self.y, rows)
        if self.whiten is not None:
            r, slope = r @ self.whiten.T, slope @ self.whiten.T
        return r, slope

    def objective(self, theta: Floats, rows: Rows) -> Floats:
        """(b,)"""
        r = self.law.value(theta, [_take(v, rows) for v in self.x]) - _take(self.y, rows)
        if self.whiten is not None:
            r = r @ self.whiten.T
        return self._total(r, rows)

    def _total(self, r: Floats, rows: Rows) -> Floats:
        size = np.abs(r)
        rho = (
            r * r / 2
            if self.delta is None
            else np.where(size <= self.delta, r * r / 2, self.delta * (size - self.delta / 2))
        )
        total: Floats = (
            rho.sum(axis=1)
            if self.weights is None
            else np.einsum("bn,bn->b", rho, self._w(r, rows))
        )
        return np.where(np.isfinite(total), total, np.inf)

    def _w(self, r: Floats, rows: Rows) -> Floats:
        assert self.weights is not None
        return np.broadcast_to(_take(self.weights, rows), r.shape)

    def expand(self, theta: Floats, rows: Rows) -> tuple[Floats, Floats, Floats, Floats]:
        """(objective (b,), gradient (b, P), sharp curvature, safe curvature (b, P, P))."""
        r, slope = self.residuals(theta, rows)
        total = self._total(r, rows)
        w = None if self.weights is None else self._w(r, rows)
        if self.delta is None:
            safe = _gram(slope, w)
            return total, _project(slope, r, w), safe, safe
        size = np.abs(r)
        inside = (size <= self.delta).astype(np.float64)
        reweighted = self.delta / np.maximum(size, self.delta)
        if w is not None:
            inside, reweighted = inside * w, reweighted * w
        return total, _project(slope, r, reweighted), _gram(slope, inside), _gram(slope, reweighted)


@dataclass(frozen=True, slots=True)
class Minimum:
    """theta: (batch, P) internal parameters; objective: (batch,); converged: (batch,)."""

    theta: Floats
    objective: Floats
    converged: NDArray[np.bool_]


def minimise(
    problem: Problem, start: Floats, *, iterations: int = 200, tolerance: float = 1e-11
) -> Minimum:
    """Minimise every member of a batch from its own start (batch, P), given as internal parameters.

    A member stops when a step promises to lower its objective by less than `tolerance` of it.
    Members whose start gives no finite objective come back unconverged, with infinity.
    """
    theta = np.array(start, dtype=np.float64)
    best = np.full(len(theta), np.inf)
    converged = np.zeros(len(theta), dtype=bool)
    block = max(1, CACHE // max(problem.y.shape[-1], 1))
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), block):
            _minimise(
                problem,
                np.arange(first, min(first + block, len(theta))),
                theta,
                best,
                converged,
                iterations,
                tolerance,
            )
    return Minimum(theta, best, converged)


def _minimise(
    problem: Problem,
    active: Rows,
    theta: Floats,
    best: Floats,
    converged: NDArray[np.bool_],
    iterations: int,
    tolerance: float,
) -> None:
    """Minimise members `active` in place."""
    damping = np.full(len(theta), 0.01)
    best[active], *state = problem.expand(theta[active], active)
    usable = np.isfinite(best[active]) & np.isfinite(state[0]).all(axis=1)
    active, state = active[usable], [s[usable] for s in state]
    for _ in range(iterations):
        step, promise = _step(state[0], state[1], state[2], damping[active])
        done = promise <= tolerance * np.abs(best[active]) + 1e-300
        done |= damping[active] > 1e12  # no step lowers it any more: a minimum, to rounding
        converged[active[done]] = True
        active, step, state = active[~done], step[~done], [s[~done] for s in state]
        if not len(active):
            return
        trial = theta[active] + step
        value, *new = problem.expand(trial, active)
        good = (value < best[active]) & np.isfinite(new[0]).all(axis=1)
        moved = active[good]
        theta[moved], best[moved] = trial[good], value[good]
        for old, fresh in zip(state, new, strict=True):
            old[good] = fresh[good]
        damping[moved] = np.maximum(damping[moved] / 8, 1e-12)
        damping[active[~good]] *= 6


def _gram(slope: Floats, w: Floats | None) -> Floats:
    """Weighted products of the derivatives: (b, P, P)."""
    weighted = slope if w is None else slope * w[:, None, :]
    gram: Floats = weighted @ slope.swapaxes(1, 2)
    return gram


def _project(slope: Floats, r: Floats, w: Floats | None) -> Floats:
    gradient: Floats = (slope @ (r if w is None else r * w)[..., None])[..., 0]
    return gradient


def _step(gradient: Floats, sharp: Floats, safe: Floats, damping: Floats) -> tuple[Floats, Floats]:
    """Damped Newton steps (b, P), and by how much each promises to lower the objective (b,)."""
    slide = np.minimum(damping, 1.0)[:, None, None]
    matrix = sharp + slide * (safe - sharp)
    diagonal = np.einsum("bpp->bp", safe)
    scale = np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300))
    matrix = matrix / (scale[:, :, None] * scale[:, None, :])
    matrix[:, range(matrix.shape[1]), range(matrix.shape[1])] += (damping + 1e-14)[:, None]
    scaled = gradient / scale
    try:
        step = -np.linalg.solve(matrix, scaled[..., None])[..., 0]
    except np.linalg.LinAlgError:
        step = -scaled / (1 + damping[:, None])
    promise = -(scaled * step).sum(axis=1)
    broken = ~np.isfinite(promise) | (promise < 0)
    step[broken] = -scaled[broken] / (1 + damping[broken, None])
    promise = np.where(broken, (scaled**2).sum(axis=1), promise)
    return step / scale, promise / 2


def best_start(problem: Problem, starts: Floats, *, keep: int = 64) -> Floats:
    """The `keep` natural starting points (starts, P) with the lowest objective, as internal
    parameters (at most keep, P).
    """
    theta = problem.law.internal(starts)
    rows = np.zeros(len(theta), dtype=np.intp)
    with np.errstate(all="ignore"):
        value = problem.objective(theta, rows)
    order = np.argsort(np.where(np.isfinite(value), value, np.inf), kind="stable")[:keep]
    return theta[order]


def graduated(problem: Problem, start: Floats, **options: float) -> Minimum:
    """`minimise`, with Huber's delta lowered by steps of ten from 0.1: each solution starts the
    next, sharper problem.
    """
    if problem.delta is None:
        return minimise(problem, start)
    delta, theta = 0.1, start
    while delta > problem.delta * 1.5:
        softer = replace(problem, delta=delta)
        theta = minimise(softer, theta, iterations=60, tolerance=1e-9).theta
        delta /= 10
    return minimise(problem, theta)


def _take(values: Floats, rows: Rows) -> Floats:
    return values if values.ndim == 1 else values[rows]
