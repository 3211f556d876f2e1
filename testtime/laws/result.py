"""What a fit gives back: parameters with errors, correlation, goodness, a band, and a report a
person can read.

Shaped as lmfit's results are. Errors come from bootstrap replicates where there are any (they carry
every source of noise that was resampled, and make no assumption about the shape), from the
curvature otherwise, or from the profile of the objective (`Fit.profile`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError, suggest
from testtime.laws.law import Floats, Law
from testtime.laws.misfit import Lack
from testtime.laws.solver import Problem, minimise

SELDOM = 0.05  # a law is rejected where noise alone would seldom miss the points so far


@dataclass(frozen=True)
class Fit:
    """A fitted law.

    problem: what was minimised; theta: internal parameters (P,); covariance: of the natural ones
    (P, P), NaN where unknown; replicates: natural parameters of bootstrap fits (resamples, P), or
    None; units: how many independent units (problems, runs) were resampled, 0 unknown; objective:
    at the minimum; residuals: (n,), on the fitted scale (log for losses); chi2: whitened sum of
    squares, NaN unless a covariance was given; misfit: standard deviation that each point needs
    beyond its noise for the law to hold, on the fitted scale; lack: the test on the problems behind
    the points; heldout: root mean squared error on the dearer part of the points of a fit to the
    cheaper part, NaN where there were too few; aicc: for independent points.
    """

    problem: Problem = field(repr=False)
    theta: Floats
    covariance: Floats
    replicates: Floats | None
    objective: float
    residuals: Floats
    y: Floats
    method: str
    chi2: float = float("nan")
    misfit: float = 0.0
    lack: Lack | None = None
    units: int = 0
    aicc: float = float("nan")
    heldout: float = float("nan")
    converged: float = 1.0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def law(self) -> Law:
        return self.problem.law

    @property
    def values(self) -> Floats:
        """Natural parameters (P,)."""
        return self.law.natural(self.theta)

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parameters that were held where they are."""
        return tuple(self.law.names[i] for i in self.problem.held)

    @property
    def p_value(self) -> float:
        """Chance that noise alone misses a true law so far: Hotelling's where the problems are
        known, chi-square's where only variances are; NaN where there is too little to test.
        """
        from scipy.special import gammaincc

        if self.lack is not None:
            return self.lack.p_value
        if self.freedom < 1:
            return float("nan")
        return float(gammaincc(self.freedom / 2, self.chi2 / 2))

    @property
    def rejected(self) -> bool:
        """Whether the points speak against the law. False where there is nothing to test it by."""
        return self.p_value < SELDOM

    @property
    def rank(self) -> tuple[bool, float, int, float]:
        """To sort rivals by, best first: those not rejected, then by held-out error; of errors
        equal to two digits, the law with fewer parameters.
        """
        held = float("inf") if np.isnan(self.heldout) else float(f"{self.heldout:.1e}")
        return self.rejected, held, len(self.theta), self.heldout

    @property
    def points(self) -> int:
        return len(self.residuals)

    @property
    def freedom(self) -> int:
        """Points less free parameters."""
        return self.points - len(self.theta) + len(self.problem.held)

    @property
    def params(self) -> dict[str, float]:
        return dict(zip(self.law.names, self.values.tolist(), strict=True))

    @property
    def se(self) -> dict[str, float]:
        """Standard errors."""
        drawn = self.replicates
        spread = np.sqrt(np.diag(self.covariance)) if drawn is None else drawn.std(axis=0)
        return dict(zip(self.law.names, spread.tolist(), strict=True))

    @property
    def correlation(self) -> Floats:
        """(P, P)"""
        matrix = (
            self.covariance
            if self.replicates is None
            else np.cov(self.replicates.T).reshape(self.covariance.shape)
        )
        spread = np.sqrt(np.diag(matrix))
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Floats = matrix / np.outer(spread, spread)
        return result

    @property
    def rmse(self) -> float:
        """Root mean squared residual, on the fitted scale."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    @property
    def r2(self) -> float:
        """Share of the variance explained, on the fitted scale."""
        total = len(self.y) * float(self.law.target(self.y).var())
        return 1 - float((self.residuals**2).sum()) / total if total > 0 else float("nan")

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """By parameter: percentiles of replicates, or Student's interval with `freedom` degrees."""
        if self.replicates is not None:
            lo, hi = self.percentiles(self.replicates, level)
        else:
            from scipy.special import stdtrit

            t = float(stdtrit(max(self.freedom, 1), (1 + level) / 2))
            reach = t * np.array(list(self.se.values()))
            lo, hi = self.values - reach, self.values + reach
        return dict(zip(self.law.names, zip(lo.tolist(), hi.tolist(), strict=True), strict=True))

    def percentiles(self, drawn: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
        """(lower, upper) of anything computed from each replicate, (resamples, ...).

        Plain percentiles are as narrow as a normal quantile with the biased variance, so with few
        units their tails are Student's (the expanded percentile interval, Hesterberg 2015, section
        3.5.2).
        """
        from scipy.special import ndtr, stdtrit

        tail = (1 - level) / 2
        if self.units > 1:
            tail = float(
                ndtr(np.sqrt(self.units / (self.units - 1)) * stdtrit(self.units - 1, tail))
            )
        with np.errstate(all="ignore"):
            lo, hi = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
        return lo, hi

    def profile(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Profile likelihood interval of a parameter, as lmfit's conf_interval: all values at which
        the other parameters, fitted again, keep the objective within what is allowed.

        Known covariance: chi-square with one degree; unknown variance: F with (1, freedom). An end
        that is not found within 40 standard errors is infinite, or the bound of the kind. Raises
        UserError for Huber's loss, which is no likelihood, and for an unknown or fixed name.
        """
        from scipy.special import fdtri, ndtri

        if self.problem.delta is not None:
            raise UserError("a profile needs a likelihood: fit by least squares, without Huber's")
        if name not in self.law.names or name in self.fixed:
            near = suggest(name, self.law.names)
            raise UserError(f"law {self.law.name!r}: no fitted parameter {name!r}{near}")
        at = self.law.names.index(name)
        if self.problem.whiten is not None:
            most = self.objective + float(ndtri((1 + level) / 2)) ** 2 / 2
        else:
            more = float(fdtri(1, max(self.freedom, 1), level)) / max(self.freedom, 1)
            most = self.objective * (1 + more)
        slope = float(self.law.slopes(self.values)[at])
        unit = float(np.sqrt(self.covariance[at, at])) / slope
        ends = [self._crossing(at, side * unit, most) for side in (-1, 1)]
        return ends[0], ends[1]

    def _crossing(self, at: int, unit: float, most: float) -> float:
        """Natural value of parameter `at`, in the direction of `unit`, where the profile reaches
        `most`.
        """
        held = replace(self.problem, held=(*self.problem.held, at))
        near, far = 0.0, 40.0
        for steps in (np.linspace(0, 1, 161) ** 2, *[np.linspace(0, 1, 9)] * 6):
            tried = near + steps * (far - near)
            start = np.repeat(self.theta[None], len(tried), axis=0)
            start[:, at] += tried * unit
            above = minimise(held, start).objective > most
            if not above.any():
                end = np.full_like(self.theta, np.inf * np.sign(unit))
                return float(self.law.natural(end)[at])
            first = max(int(np.argmax(above)), 1)
            near, far = float(tried[first - 1]), float(tried[first])
        end = self.theta.copy()
        end[at] += unit * (near + far) / 2
        return float(self.law.natural(end)[at])

    def predict(self, **inputs: ArrayLike) -> Floats:
        """The fitted curve at inputs given by name."""
        return self.law(self.values, **inputs)

    def band(self, level: float = 0.95, **inputs: ArrayLike) -> tuple[Floats, Floats]:
        """(lower, upper) of the curve at the inputs: percentiles over replicates, or the delta
        method.
        """
        x = {k: np.atleast_1d(np.asarray(v, dtype=np.float64)) for k, v in inputs.items()}
        if self.replicates is not None:
            with np.errstate(all="ignore"):
                curves = self.law(self.replicates, **x)
            return self.percentiles(curves, level)
        from scipy.special import ndtri

        center = self.law(self.values, **x)
        _, slope = self.law.evaluate(
            self.law.internal(self.values[None]), [x[name] for name in self.law.inputs]
        )
        scale = self.law.slopes(self.values)[
            :, None
        ]  # 0 at a bound, where the parameter does not vary either
        by_value = np.divide(slope[0], scale, out=np.zeros_like(slope[0]), where=scale != 0)
        reach = float(ndtri((1 + level) / 2)) * np.sqrt(
            np.einsum("pn,pq,qn->n", by_value, self.covariance, by_value)
        )
        if self.law.log:
            return center * np.exp(-reach), center * np.exp(reach)
        return center - reach, center + reach

    def report(self, level: float = 0.95) -> str:
        """The fit as text: law, goodness, parameters with errors and intervals, strong
        correlations, notes.
        """
        log = " (log)" if self.law.log else ""
        lines = [
            f"law          {self.law.name}: {self.law.formula}",
            f"source       {self.law.source}",
            f"method       {self.method}",
            f"points       {self.points}, parameters {len(self.values) - len(self.fixed)}",
            f"objective    {self.objective:.6g}",
            f"residuals    rmse {self.rmse:.4g}{log}, R2 {self.r2:.4f}",
        ]
        lines += self._tested()
        if np.isfinite(self.aicc):
            lines.append(f"AICc         {self.aicc:.2f} (independent points)")
        held = f"{self.heldout:.4g}{log}" if np.isfinite(self.heldout) else "too few points"
        lines.append(f"held out     {held} (fitted on the cheaper part, tested on the dearer)")
        lines.append(f"parameters   {'value':>12} {'std. error':>12}   {level:.0%} interval")
        interval, se = self.interval(level), self.se
        for name, value in self.params.items():
            lo, hi = interval[name]
            shown = (
                "   fixed" if name in self.fixed else f" {se[name]:>12.3g}   [{lo:.6g}, {hi:.6g}]"
            )
            lines.append(f"  {name:<10} {value:>12.6g}{shown}")
        strong = self._strong_correlations()
        if strong:
            lines.append(f"correlation  {', '.join(strong)}")
        lines += [f"note         {note}" for note in self.notes]
        return "\n".join(lines)

    def _tested(self) -> list[str]:
        """The test of the law, in words."""
        if self.lack is not None and np.isnan(self.p_value):
            return ["test         too little changes between the points to test the law"]
        if self.lack is not None:
            return [
                f"test         T-squared {self.lack.t2:.2f} on {self.lack.contrasts} contrasts of "
                f"{self.lack.problems} problems (Hotelling: p = {self.p_value:.3g})"
            ]
        if not np.isfinite(self.chi2) or self.freedom < 1:
            return []
        return [
            f"chi-square   {self.chi2:.3f} on {self.freedom} degrees of freedom (p = "
            f"{self.p_value:.3g})",
            f"misfit       {self.misfit:.4g} beyond the points' noise",
        ]

    def _strong_correlations(self) -> list[str]:
        names, matrix = self.law.names, self.correlation
        pairs = [(i, j) for i in range(len(names)) for j in range(i) if abs(matrix[i, j]) > 0.1]
        pairs.sort(key=lambda ij: -abs(matrix[ij]))
        return [f"{names[j]}-{names[i]} {matrix[i, j]:+.3f}" for i, j in pairs]
