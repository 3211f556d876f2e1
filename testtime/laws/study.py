"""What the command line calls for test compute: point at a table of numbers, get laws with errors,
rivals, diagnostics and a figure.

`testtime` takes a scores or cells table and returns an object with `.report()` (text) and
`.figure(path)`. No model is needed, and nothing here knows where the numbers come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testtime.errors import UserError
from testtime.estimators.table import read_table
from testtime.laws import curves, endings, figures, s1
from testtime.laws import test_compute as forms
from testtime.laws.fit import SPARE, fit
from testtime.laws.law import Floats, Law
from testtime.laws.result import Fit

if TYPE_CHECKING:
    import pandas as pd

INDEPENDENT = (
    "cells are taken as independent; those of one pool share problems and chains, and then these "
    "intervals are not to be trusted"
)
BEYOND = (2.0, 4.0)  # times the largest compute measured


@dataclass(frozen=True)
class CurveStudy:
    """One curve with every law that could be fitted to it, best first (`Fit.rank`)."""

    curve: curves.Curve
    fits: tuple[Fit, ...]
    plateau: forms.Plateau | None
    too_few: tuple[str, ...]

    @property
    def best(self) -> Fit | None:
        return self.fits[0] if self.fits else None

    @property
    def supported(self) -> bool:
        """Whether the verdict calls for a law, so that it may be drawn."""
        return self.best is not None and not self.verdict.startswith("no law")

    @property
    def verdict(self) -> str:
        """One line: the law this curve supports, or why it supports none."""
        best = self.best
        if best is None:
            least = min(len(law.parameters) for law in forms.laws(self.curve.x)) + SPARE
            return f"too few budgets: {len(self.curve.x)} points; the smallest law needs {least}"
        if best.rejected:
            return (
                f"no law fits: the best, {best.law.name}, is {100 * best.rmse:.1f} accuracy points "
                f"off, more than noise explains (p = {best.p_value:.2g})"
            )
        if np.ptp(self.curve.y) == 0:
            return f"no law is called for: accuracy is {self.curve.y[0]:.4g} at every point"
        # by the straight line where it stands: more parameters find growth in anything
        line = next((f for f in self.fits if f.law.name == "linear" and not f.rejected), best)
        lo, hi = (100 * end for end in self._rise(line))
        if not (lo > 0 or hi < 0):
            return (
                "no law is called for: growth cannot be told from none (from the first to the last "
                f"point {lo:.1f} to {hi:.1f} points)"
            )
        untested = best.lack is not None and np.isnan(best.p_value)
        note = " (untested: too little changes between the points)" if untested else ""
        return f"{best.law.name}: {best.law.formula}{note}"

    def _rise(self, law: Fit) -> tuple[float, float]:
        """Interval of what a law gains between the first and the last point."""
        drawn = law.values[None] if law.replicates is None else law.replicates
        with np.errstate(all="ignore"):
            ends = law.law(drawn, x=self.curve.x[[0, -1]])
        lo, hi = law.percentiles(ends[:, 1] - ends[:, 0])
        return float(lo), float(hi)

    def band(self, x: Floats, level: float = 0.95) -> tuple[Floats, Floats] | None:
        """(lower, upper) accuracy at compute x (m,) that no law left standing excludes; None where
        none is.

        The union of the bands of all laws that were not rejected, so that it holds the choice among
        them, within [0, 1]; beyond the last point also of that point's own interval, since that the
        curve ends there is excluded by none.
        """
        if not self.supported:
            return None
        bands = [f.band(level, x=x) for f in self.fits if not f.rejected]
        lo, hi = (np.clip(ends, 0.0, 1.0) for ends in zip(*bands, strict=True))
        beyond = x > self.curve.x[-1]
        low = np.fmin(lo.min(axis=0), np.where(beyond, self.curve.lo[-1], np.nan))
        high = np.fmax(hi.max(axis=0), np.where(beyond, self.curve.hi[-1], np.nan))
        return low, high

    @property
    def beyond(self) -> str:
        """What can be said beyond the data, in words."""
        far = self.curve.x[-1] * np.array(BEYOND)
        band = self.band(far)
        if band is None:
            return "no law supports extrapolation"
        said = [
            f"{100 * lo:.1f} to {100 * hi:.1f} % at {k:g} times"
            for k, lo, hi in zip(BEYOND, *band, strict=True)
        ]
        left = [f.law.name for f in self.fits if not f.rejected]
        what = "budget" if self.curve.axis == "budget" else "compute"
        return f"{', '.join(said)} the largest {what} (all of {', '.join(left)})"

    def report(self) -> str:
        curve = self.curve
        lines = [f"== {curve.title} (compute axis: {curve.axis}, {len(curve.x)} points)"]
        span = s1.measure(curve.x, curve.y, curve.control)
        tokens = f" ({span.points_per_thousand:.4g} points a thousand tokens)"
        unit = tokens if "tokens" in curve.axis else ""
        kept = "" if np.isnan(span.control) else f", control {100 * span.control:.1f} %"
        lines.append(
            f"accuracy {curve.y[0]:.4f} to {curve.y[-1]:.4f}, highest {span.performance:.4f}; "
            f"{100 * span.doubling:+.2f} points a doubling; s1 scaling {span.scaling:.4g}{unit}"
            f"{kept}"
        )
        lines.append(f"verdict      {self.verdict}")
        if self.fits:
            lines.append(f"rivals       {'law':<18}{'held out':>10}{'AICc':>9}{'p':>10}{'rmse':>9}")
            lines += [
                f"             {f.law.name:<18}{_known(f.heldout, '>10.4g')}"
                f"{_known(f.aicc, '>9.2f')}{_known(f.p_value, '>10.2g')}{_known(f.rmse, '>9.3g')}"
                for f in self.fits
            ]
            lines.append(f"beyond       {self.beyond}")
        if curve.left_out:
            lines.append(f"left out     {'; '.join(curve.left_out)}: no {curve.axis} above 0")
        if self.too_few:
            lines.append(f"not tried    {', '.join(self.too_few)}: too few budgets")
        if self.plateau is not None:
            lines.append(f"plateau      {self.plateau}")
        if self.best is not None:
            lines.append(self.best.report())
        return "\n".join(lines)


@dataclass(frozen=True)
class TesttimeStudy:
    """Every curve of a table."""

    curves: tuple[CurveStudy, ...]
    source: str
    notes: tuple[str, ...]

    def report(self) -> str:
        notes = [f"note: {n}" for n in self.notes]
        return "\n\n".join(
            [f"test-time curves from {self.source}", *notes, *(c.report() for c in self.curves)]
        )

    def figure(self, path: str | Path) -> None:
        """Points with intervals, and where one is supported the best law with the band of all that
        were not rejected, one panel a curve.
        """
        drawn = [(c.curve, c.best if c.supported else None, c.band) for c in self.curves]
        figures.testtime(drawn, Path(path))


def testtime(
    source: str | Path | pd.DataFrame,
    *,
    axis: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> TesttimeStudy:
    """Fit the test-time laws to a scores or a cells table.

    Scores (columns problem_id, sample, score): generalised least squares with the cells' bootstrap
    covariance, every replicate refitted. Cells (a column value, and a compute axis): taken as
    independent, with a note. axis: of `curves.AXES`, or budget, as requested: where chains end by
    themselves what they spend comes to a stop while accuracy grows, and no law of it fits. Raises
    UserError for a table that is neither, and where no curve has
    two points; models without one are noted.
    """
    table, name = read_source(source)
    notes: tuple[str, ...] = ()
    if {"problem_id", "sample", "score"} <= set(table.columns):
        votes = "answer_key" in table and table["answer_key"].notna().any()
        selectors = ("majority", "oracle") if votes else ("oracle",)
        lines = curves.from_scores(table, selectors, axis=axis, resamples=resamples, seed=seed)
    elif "value" in table.columns:
        lines = curves.from_cells(table, axis)
        notes = (INDEPENDENT,)
    else:
        raise UserError(
            f"{name}: is neither a scores table (problem_id, sample, score) nor a cells table "
            f"(value and a compute column); it has {', '.join(map(str, table.columns[:12]))}"
        )
    where = f"points at two computes, by one of the columns {', '.join(curves.AXES)}, or budget"
    if not lines:
        raise UserError(f"{name}: no curve: a law needs {where}")
    models = set(table["model"].dropna().astype(str)) if "model" in table else set()
    lacking = sorted(models - {c.model for c in lines})
    notes = (*notes, *(f"{model}: no curve, for lack of {where}" for model in lacking))
    return TesttimeStudy(tuple(study_curve(c, seed=seed) for c in lines), name, notes)


def study_curve(curve: curves.Curve, *, resamples: int = 1000, seed: int = 0) -> CurveStudy:
    """Fit every law that the curve has points for. resamples: of rows, used only where the curve
    brings no replicates.
    """
    fits: list[Fit] = []
    too_few: list[str] = []
    laws, x0 = forms.laws(curve.x), forms.reference(curve.x)
    if curve.selector == "oracle":
        laws = (*laws, forms.coverage(x0))
    if curve.spent is not None and endings.some_end(curve.x, curve.spent):
        laws = (*laws, endings.chains_end(curve.x, curve.spent, x0))
    for law in laws:
        size = len(law.parameters)
        if len(curve.x) < size + SPARE or len(np.unique(curve.x)) < size + 1:
            too_few.append(law.name)
            continue
        fits.append(_fit_curve(law, curve, resamples, seed))
    fits.sort(key=lambda f: f.rank)
    problems = None if curve.problems is None else curve.problems[1]
    many = len(curve.x) > 1
    stopped = forms.plateau(fits, curve.x, curve.y, problems) if many else None
    return CurveStudy(curve, tuple(fits), stopped, tuple(too_few))


def _fit_curve(law: Law, curve: curves.Curve, resamples: int, seed: int) -> Fit:
    """With the curve's own replicates; without, with draws around the fit from its noise (a
    parametric bootstrap).
    """
    x = {"x": curve.x}
    if curve.replicates is not None and curve.problems is not None:
        return fit(
            law,
            x,
            curve.y,
            covariance=curve.covariance,
            replicates=({"x": curve.replicates[0]}, curve.replicates[1]),
            problems=({"x": curve.problems[0]}, curve.problems[1]),
        )
    first = fit(law, x, curve.y, covariance=curve.covariance)
    noise = curve.covariance
    if noise is None:
        noise = np.eye(first.points) * (first.residuals**2).sum() / first.freedom
    center = first.predict(x=curve.x)
    drawn = np.random.default_rng(seed).multivariate_normal(center, noise, size=resamples)
    again = ({"x": np.broadcast_to(curve.x, drawn.shape)}, drawn)
    drawn_fit = fit(law, x, curve.y, covariance=curve.covariance, replicates=again)
    return (
        drawn_fit if curve.covariance is not None else replace(drawn_fit, units=first.freedom + 1)
    )


def _known(value: float, form: str) -> str:
    """A number as a table has it; `-` for one that is not known."""
    return format(value, form) if np.isfinite(value) else format("-", form.split(".")[0])


def read_source(source: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A file or a table, and what to call it. Raises UserError as `read_table`."""
    if isinstance(source, (str, Path)):
        return read_table(source), str(source)
    return source, "the table"
