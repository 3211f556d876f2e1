"""What the command line calls: point at a table of numbers, get laws with errors, rivals,
diagnostics and a figure.

`pretraining` takes a table of training runs; `testtime` a scores or cells table. Both return an
object with `.report()` (text) and `.figure(path)`. No model is needed, and nothing here knows where
the numbers come from.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testtime.errors import UserError, suggest
from testtime.estimators.table import read_table
from testtime.laws import curves, figures, optimum
from testtime.laws import s1 as forcing
from testtime.laws import test_compute as accuracy
from testtime.laws import training as forms
from testtime.laws.fit import fit
from testtime.laws.law import Floats, Law
from testtime.laws.published import BESIROGLU, HOFFMANN
from testtime.laws.result import Fit

if TYPE_CHECKING:
    import pandas as pd

ALIASES = {
    "N": ("n", "params", "parameters", "model size", "n_params", "model_size"),
    "D": ("d", "tokens", "train_tokens", "training_tokens", "n_tokens"),
    "C": (
        "c",
        "flops",
        "compute",
        "training flop",
        "training_flop",
        "train_flops",
        "training_flops",
    ),
    "loss": ("l", "val_loss", "final_loss", "eval_loss"),
}
INDEPENDENT = (
    "cells are taken as independent; those of one pool share problems and chains, and then these "
    "intervals are "
    "not to be trusted"
)


@dataclass(frozen=True)
class PretrainingStudy:
    """A Hoffmann fit of training runs, with the compute-optimal line and approaches 1 and 2 where
    the runs allow them.
    """

    fit: Fit
    N: Floats
    D: Floats
    loss: Floats
    dropped: int
    exponents: dict[str, optimum.PowerLaw]
    source: str

    def report(self) -> str:
        """Parameters with errors, then what they say about the compute-optimal model, beside the
        published fits.
        """
        lines = [
            f"training runs from {self.source}: {len(self.N)} used"
            + (f", {self.dropped} left out" if self.dropped else "")
        ]
        lines += [self.fit.report(), "", "compute-optimal N is proportional to C^a:"]
        values = self.fit.params
        lines.append(
            f"  parametric (approach 3)     a = "
            f"{values['beta'] / (values['alpha'] + values['beta']):.4f}"
        )
        lines += [
            f"  {name:<27} a = {law.slope:.4f} +- {law.se:.4f}"
            for name, law in self.exponents.items()
        ]
        lines += ["", f"{'compute-optimal at':<22}{'N':>12}{'D':>12}{'D/N':>8}{'loss':>8}"]
        top = float((6 * self.N * self.D).max())
        for C in (top, 10 * top, 5.76e23):
            for name, constants in (
                ("this fit", values),
                (BESIROGLU.name, BESIROGLU.values),
                (HOFFMANN.name, HOFFMANN.values),
            ):
                best = optimum.parametric(constants, C)
                lines.append(
                    f"{C:8.3g} {name:<13}{float(best.N):>12.4g}{float(best.D):>12.4g}"
                    f"{float(best.D / best.N):>8.3g}{float(best.loss):>8.4f}"
                )
        return "\n".join(lines)

    def figure(self, path: str | Path) -> None:
        """Loss against compute with the fitted envelope, and N* against compute."""
        figures.pretraining(self.fit, self.N, self.D, self.loss, Path(path))


def pretraining(
    source: str | Path | pd.DataFrame,
    *,
    delta: float = 1e-3,
    resamples: int = 1000,
    seed: int = 0,
    skip: int = 0,
) -> PretrainingStudy:
    """Fit Hoffmann's law to training runs.

    source: CSV, Parquet or table with columns for N (parameters) and loss, and for D (tokens) or C
    (training FLOPs, D = C / 6N); common names are understood. delta: Huber's, on log residuals.
    skip: leading rows to leave out. Raises UserError for absent columns and too few runs.
    """
    table, name = _table(source)
    found = {key: _column(table, key) for key in ALIASES}
    for key in ("N", "loss"):
        if found[key] is None:
            near = suggest(key, map(str, table.columns))
            raise UserError(
                f"{name}: needs a column for {key} ({', '.join((key, *ALIASES[key]))}){near}"
            )
    if found["D"] is None and found["C"] is None:
        columns = ", ".join(map(str, table.columns))
        raise UserError(
            f"{name}: needs a column D (training tokens) or C (training FLOPs); it has {columns}"
        )
    data = {k: _numbers(table, c, name)[skip:] for k, c in found.items() if c is not None}
    N, loss = data["N"], data["loss"]
    D = data["D"] if "D" in data else data["C"] / (6.0 * N)
    usable = np.isfinite(N) & np.isfinite(D) & np.isfinite(loss) & (N > 0) & (D > 0) & (loss > 0)
    N, D, loss = N[usable], D[usable], loss[usable]
    for key, values in (("N", N), ("D", D)):
        if len(np.unique(values)) == 1:
            raise UserError(
                f"{name}: every run has {key} = {values[0]:g}; a law of N and D needs runs at "
                f"several"
            )
    result = fit(
        forms.HOFFMANN, {"N": N, "D": D}, loss, delta=delta, resamples=resamples, seed=seed
    )
    exponents: dict[str, optimum.PowerLaw] = {}
    lowest = optimum.envelope(N, D, loss, bins=max(4, min(20, len(N) // 10)))
    if len(lowest.C) > 2:
        exponents["lowest runs (approach 1)"] = optimum.power_law(lowest.C, lowest.N)
    C = data["C"][usable] if "C" in data else 6 * N * D
    C = optimum.budgets(np.where(np.isfinite(C), C, 6 * N * D))
    _, member, count = np.unique(C, return_inverse=True, return_counts=True)
    if (count[member] >= 3).mean() > 0.5:  # made in budgets; of others, a few meet by chance
        with contextlib.suppress(UserError):  # no budget has a minimum
            best = optimum.isoflop(N, C, loss)
            if len(best.C) > 2:
                exponents["IsoFLOP parabolas (approach 2)"] = optimum.power_law(best.C, best.N)
    return PretrainingStudy(result, N, D, loss, len(table) - len(N), exponents, name)


@dataclass(frozen=True)
class CurveStudy:
    """One curve with every law that could be fitted to it, best first (`Fit.rank`)."""

    curve: curves.Curve
    fits: tuple[Fit, ...]
    plateau: accuracy.Plateau | None
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
            return f"too few budgets: {len(self.curve.x)} points; the smallest law needs {2 + 3}"
        growth = (
            "doubling"
            if best.law.name == "linear"
            else "slope"
            if "slope" in best.law.names
            else "exponent"
        )
        lo, hi = best.interval()[growth]
        if best.rejected:
            return (
                f"no law fits: the best, {best.law.name}, is {100 * best.misfit:.1f} accuracy "
                f"points off beyond noise "
                f"(p = {best.p_value:.2g})"
            )
        if np.ptp(self.curve.y) == 0:
            return f"no law is called for: accuracy is {self.curve.y[0]:.4g} at every point"
        if not (lo > 0 or hi < 0):
            return (
                f"no law is called for: growth cannot be told from none ({growth} [{lo:.3g}, "
                f"{hi:.3g}])"
            )
        return f"{best.law.name}: {best.law.formula}"

    def report(self) -> str:
        lines = [
            f"== {self.curve.title} (compute axis: {self.curve.axis}, {len(self.curve.x)} points)"
        ]
        span = forcing.measure(self.curve.x, self.curve.y)
        unit = (
            f" ({span.points_per_thousand:.4g} points a thousand tokens)"
            if "tokens" in self.curve.axis
            else ""
        )
        lines.append(
            f"accuracy {self.curve.y[0]:.4f} to {self.curve.y[-1]:.4f}, highest "
            f"{span.performance:.4f}; "
            f"{100 * span.doubling:+.2f} points a doubling; s1 scaling {span.scaling:.4g}{unit}"
        )
        lines.append(f"verdict      {self.verdict}")
        if self.fits:
            lines.append(
                f"rivals       "
                f"{'law':<18}{'held out':>10}{'AICc':>9}{'chi2/dof':>10}{'p':>10}{'misfit':>9}"
            )
            for f in self.fits:
                ratio = f.chi2 / f.freedom if f.freedom else float("nan")
                p = f.p_value if np.isfinite(f.chi2) else float("nan")
                scores = f"{f.heldout:>10.4g}{f.aicc:>9.2f}{ratio:>10.3g}{p:>10.2g}{f.misfit:>9.3g}"
                lines.append(f"             {f.law.name:<18}{scores}")
        if self.curve.left_out:
            lines.append(
                f"left out     {'; '.join(self.curve.left_out)}: no {self.curve.axis} above 0"
            )
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
        """Points with intervals, and where one is supported the best law with its band, one panel a
        curve.
        """
        figures.testtime(
            [(c.curve, c.best if c.supported else None) for c in self.curves], Path(path)
        )


def testtime(
    source: str | Path | pd.DataFrame, *, resamples: int = 2000, seed: int = 0
) -> TesttimeStudy:
    """Fit the test-time laws to a scores or a cells table.

    Scores (columns problem_id, sample, score): generalised least squares with the cells' bootstrap
    covariance, every replicate refitted. Cells (a column value, and a compute axis): taken as
    independent, with a note. Raises UserError for a table that is neither, and where no curve has
    two points; models without one are noted.
    """
    table, name = _table(source)
    notes: tuple[str, ...] = ()
    if {"problem_id", "sample", "score"} <= set(table.columns):
        selectors = (
            ("majority", "oracle")
            if "answer_key" in table and table["answer_key"].notna().any()
            else ("oracle",)
        )
        found = curves.from_scores(table, selectors, resamples=resamples, seed=seed)
    elif "value" in table.columns:
        found = curves.from_cells(table)
        notes = (INDEPENDENT,)
    else:
        raise UserError(
            f"{name}: is neither a scores table (problem_id, sample, score) nor a cells table "
            f"(value and a compute "
            f"column); it has {', '.join(map(str, table.columns[:12]))}"
        )
    where = f"points at two computes, by one of the columns {', '.join(curves.AXES)}, or budget"
    if not found:
        raise UserError(f"{name}: no curve: a law needs {where}")
    models = set(table["model"].dropna().astype(str)) if "model" in table else set()
    lacking = sorted(models - {c.model for c in found})
    notes = (*notes, *(f"{model}: no curve, for lack of {where}" for model in lacking))
    return TesttimeStudy(tuple(study_curve(c, seed=seed) for c in found), name, notes)


def study_curve(curve: curves.Curve, *, resamples: int = 1000, seed: int = 0) -> CurveStudy:
    """Fit every law that the curve has points for. resamples: of rows, used only where the curve
    brings no replicates.
    """
    fits: list[Fit] = []
    too_few: list[str] = []
    laws = accuracy.laws(curve.x)
    if curve.selector == "oracle":
        laws = (*laws, accuracy.coverage(accuracy.reference(curve.x)))
    for law in laws:
        if (
            len(curve.x) < len(law.parameters) + 3
            or len(np.unique(curve.x)) < len(law.parameters) + 1
        ):
            too_few.append(law.name)
            continue
        fits.append(_fit_curve(law, curve, resamples, seed))
    fits.sort(key=lambda f: f.rank)
    by_name = {f.law.name: f for f in fits}
    stopped = None
    for free, fixed in (("logistic-plateau", "logistic"), ("power-plateau", "power")):
        if free in by_name and stopped is None:
            stopped = accuracy.plateau(by_name[free], by_name.get(fixed), curve.x)
    return CurveStudy(curve, tuple(fits), stopped, tuple(too_few))


def _fit_curve(law: Law, curve: curves.Curve, resamples: int, seed: int) -> Fit:
    """With the curve's own replicates; without, with draws around the fit from its noise (a
    parametric bootstrap).
    """
    if curve.replicates is not None:
        drawn = ({"x": curve.replicates[0]}, curve.replicates[1])
        return fit(law, {"x": curve.x}, curve.y, covariance=curve.covariance, replicates=drawn)
    first = fit(law, {"x": curve.x}, curve.y, covariance=curve.covariance)
    noise = curve.covariance
    if noise is None:
        noise = np.eye(first.points) * (first.residuals**2).sum() / first.freedom
    center = first.predict(x=curve.x)
    drawn_y = np.random.default_rng(seed).multivariate_normal(center, noise, size=resamples)
    x = np.broadcast_to(curve.x, drawn_y.shape)
    return fit(
        law, {"x": curve.x}, curve.y, covariance=curve.covariance, replicates=({"x": x}, drawn_y)
    )


def _table(source: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    if isinstance(source, (str, Path)):
        return read_table(source), str(source)
    return source, "the table"


def _column(table: pd.DataFrame, key: str) -> str | None:
    """The column that is called `key` or one of its aliases; case and the difference of space and _
    do not matter.
    """
    if key in table.columns:
        return key
    names = {str(c).strip().lower(): str(c) for c in table.columns}
    return next((names[a] for a in (key.lower(), *ALIASES[key]) if a in names), None)


def _numbers(table: pd.DataFrame, column: str, name: str) -> Floats:
    import pandas as pd

    values = pd.to_numeric(table[column], errors="coerce")
    wrong = values.isna() & table[column].notna()
    if wrong.any():
        raise UserError(
            f"{name}: column {column!r} holds {table[column][wrong].iloc[0]!r}, which is not a "
            f"number"
        )
    return values.to_numpy(dtype=np.float64)
