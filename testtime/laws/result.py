"""What a fit gives back: parameters with errors, correlation, goodness, a band, and a report a
person can read.

Shaped as lmfit's results are. Errors come from bootstrap replicates where there are any (they carry
every source of noise that was resampled, and make no assumption about the shape), from the
curvature otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from testtime.laws.law import Floats, Law

# a law that misses the points by more than this, beyond their noise, does not describe the curve
MISFIT = 0.02
SELDOM = 0.05  # if noise alone would seldom miss them so far


@dataclass(frozen=True)
class Fit:
    """A fitted law.

    values: natural parameters (P,); covariance: (P, P), NaN where unknown; replicates: natural
    parameters of bootstrap fits (resamples, P), or None; objective: what was minimised; residuals:
    (n,), on the fitted scale (log for losses); chi2: whitened sum of squares, NaN unless a
    covariance was given; misfit: standard deviation that each point needs beyond its noise for the
    law to hold, on the fitted scale; heldout: root mean squared error on the dearer part of the
    points of a fit to the cheaper part, NaN where there were too few; aicc: for independent points.
    """

    law: Law
    values: Floats
    covariance: Floats
    replicates: Floats | None
    objective: float
    residuals: Floats
    y: Floats
    method: str
    chi2: float = float("nan")
    misfit: float = 0.0
    aicc: float = float("nan")
    heldout: float = float("nan")
    converged: float = 1.0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def rejected(self) -> bool:
        """Whether the points speak against the law: by more than a hair (`misfit`) and more than
        chance (`p_value`).
        """
        return self.misfit > MISFIT and self.p_value < SELDOM

    @property
    def rank(self) -> tuple[bool, float, int, float]:
        """To sort rivals by, best first: those not rejected, then by held-out error; of errors
        equal to two digits, the law with fewer parameters.
        """
        held = float("inf") if np.isnan(self.heldout) else float(f"{self.heldout:.1e}")
        return self.rejected, held, len(self.values), self.heldout

    @property
    def points(self) -> int:
        return len(self.residuals)

    @property
    def freedom(self) -> int:
        """Points less parameters."""
        return self.points - len(self.values)

    @property
    def params(self) -> dict[str, float]:
        return dict(zip(self.law.names, self.values.tolist(), strict=True))

    @property
    def se(self) -> dict[str, float]:
        """Standard errors."""
        spread = (
            np.sqrt(np.diag(self.covariance))
            if self.replicates is None
            else self.replicates.std(axis=0)
        )
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
        fitted = self.law.target(self.y)
        total = float(((fitted - fitted.mean()) ** 2).sum())
        return 1 - float((self.residuals**2).sum()) / total if total > 0 else float("nan")

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Percentiles of the replicates, or Student's interval with `freedom` degrees."""
        if self.replicates is not None:
            lo, hi = np.quantile(self.replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
        else:
            from scipy.special import stdtrit

            reach = float(stdtrit(max(self.freedom, 1), (1 + level) / 2)) * np.array(
                list(self.se.values())
            )
            lo, hi = self.values - reach, self.values + reach
        return {
            name: (float(a), float(b)) for name, a, b in zip(self.law.names, lo, hi, strict=True)
        }

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
            lo, hi = np.nanquantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
            return lo, hi
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
        lines = [
            f"law          {self.law.name}: {self.law.formula}",
            f"source       {self.law.source}",
            f"method       {self.method}",
            f"points       {self.points}, parameters {len(self.values)}",
            f"objective    {self.objective:.6g}",
            f"residuals    rmse {self.rmse:.4g}{' (log)' if self.law.log else ''}, R2 "
            f"{self.r2:.4f}",
        ]
        if np.isfinite(self.chi2) and self.freedom > 0:
            lines.append(
                f"chi-square   {self.chi2:.3f} on {self.freedom} degrees of freedom (p = "
                f"{self.p_value:.3g})"
            )
            lines.append(f"misfit       {self.misfit:.4g} beyond the points' noise")
        if np.isfinite(self.aicc):
            lines.append(f"AICc         {self.aicc:.2f} (independent points)")
        held = (
            f"{self.heldout:.4g}{' (log)' if self.law.log else ''}"
            if np.isfinite(self.heldout)
            else "too few points"
        )
        lines.append(f"held out     {held} (fitted on the cheaper part, tested on the dearer)")
        lines.append(f"parameters   {'value':>12} {'std. error':>12}   {level:.0%} interval")
        interval, se = self.interval(level), self.se
        for name, value in self.params.items():
            lo, hi = interval[name]
            lines.append(f"  {name:<10} {value:>12.6g} {se[name]:>12.3g}   [{lo:.6g}, {hi:.6g}]")
        strong = self._strong_correlations()
        if strong:
            lines.append(f"correlation  {', '.join(strong)}")
        lines += [f"note         {note}" for note in self.notes]
        return "\n".join(lines)

    @property
    def p_value(self) -> float:
        """Chance of a larger chi-square were the law true; NaN without a covariance."""
        from scipy.special import gammaincc

        return (
            float(gammaincc(self.freedom / 2, self.chi2 / 2)) if self.freedom > 0 else float("nan")
        )

    def _strong_correlations(self) -> list[str]:
        names, matrix = self.law.names, self.correlation
        pairs = [(i, j) for i in range(len(names)) for j in range(i) if abs(matrix[i, j]) > 0.1]
        pairs.sort(key=lambda ij: -abs(matrix[ij]))
        return [f"{names[j]}-{names[i]} {matrix[i, j]:+.3f}" for i, j in pairs]
