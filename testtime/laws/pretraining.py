"""A table of training runs made into Hoffmann's law: parameters with errors, the compute-optimal
model, and the rows that the fit hangs on.

What was drawn independently is the run, not the row: checkpoints of one run err together, so whole
runs are resampled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.laws import figures, optimum
from testtime.laws.fit import fit
from testtime.laws.law import Floats
from testtime.laws.published import BESIROGLU, HOFFMANN
from testtime.laws.result import Fit
from testtime.laws.solver import Problem, graduated
from testtime.laws.study import read_source
from testtime.laws.training import HOFFMANN as FORM

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
    "k": ("samples", "n_samples"),
}
FEW = 0.02  # share of the rows, five at most, that may not decide a fit
MOVED = 2.0  # standard errors


@dataclass(frozen=True)
class PretrainingStudy:
    """A Hoffmann fit of training runs, with the compute-optimal line and approaches 1 and 2 where
    the runs allow them.

    N, D, loss: (rows,); dropped: rows that could not be used; leverage: sentences that name rows
    which move the fit.
    """

    fit: Fit
    N: Floats
    D: Floats
    loss: Floats
    dropped: int
    exponents: dict[str, optimum.PowerLaw]
    leverage: tuple[str, ...]
    source: str

    def report(self) -> str:
        """Parameters with errors, then what they say about the compute-optimal model, beside the
        published fits.
        """
        left = f", {self.dropped} left out" if self.dropped else ""
        lines = [f"training runs from {self.source}: {len(self.N)} rows used{left}"]
        lines += [self.fit.report(), *(f"warning      {said}" for said in self.leverage)]
        values = self.fit.params
        lines += ["", "compute-optimal N is proportional to C^a:"]
        exact = values["beta"] / (values["alpha"] + values["beta"])
        ends = self._interval(lambda v: v["beta"] / (v["alpha"] + v["beta"]), ".4f")
        lines.append(f"  parametric (approach 3)     a = {exact:.4f}{ends}")
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
                if name == "this fit" and self.fit.replicates is not None:
                    lines.append(self._intervals_at(C))
        return "\n".join([*lines, *self._published(top)])

    def _published(self, C: float) -> list[str]:
        """Whether this fit's interval holds the compute-optimal N of each published law."""
        drawn = self._drawn(lambda v: optimum.parametric(v, C).N)
        if drawn is None:
            return []
        lo, hi = self.fit.percentiles(drawn)
        said = []
        for law in (BESIROGLU, HOFFMANN):
            held = lo <= float(optimum.parametric(law.values, C).N) <= hi
            said.append(f"{law.name} {'within' if held else 'outside'}")
        return [
            "",
            f"optimal N at {C:.3g} of the published laws, by this fit's 95 %: {', '.join(said)}",
        ]

    def _drawn(self, of: Callable[[Mapping[str, Floats]], Floats]) -> Floats | None:
        """Replicates of a quantity of the parameters, each (resamples,)."""
        if self.fit.replicates is None:
            return None
        with np.errstate(all="ignore"):
            return of(dict(zip(self.fit.law.names, self.fit.replicates.T, strict=True)))

    def _intervals_at(self, C: float) -> str:
        size = self._interval(lambda v: optimum.parametric(v, C).N, ".4g")
        data = self._interval(lambda v: optimum.parametric(v, C).D, ".4g")
        ratio = self._interval(lambda v: optimum.parametric(v, C).ratio, ".3g")
        loss = self._interval(lambda v: optimum.parametric(v, C).loss, ".4f")
        return f"{'':9}95 %: N{size}, D{data}, D/N{ratio}, loss{loss}"

    def _interval(self, of: Callable[[Mapping[str, Floats]], Floats], digits: str) -> str:
        """95 % interval of a quantity of the parameters, in words."""
        drawn = self._drawn(of)
        if drawn is None:
            return ""
        lo, hi = self.fit.percentiles(drawn)
        return f" [{lo:{digits}}, {hi:{digits}}]"

    def figure(self, path: str | Path) -> None:
        """Loss against compute with the fitted envelope, and N* against compute."""
        figures.pretraining(self.fit, self.N, self.D, self.loss, Path(path))


def pretraining(
    source: str | Path | pd.DataFrame,
    *,
    delta: float = 1e-3,
    fixed: Mapping[str, float] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    skip: int = 0,
) -> PretrainingStudy:
    """Fit Hoffmann's law to training runs.

    source: CSV, Parquet or table with columns for N (parameters) and loss, and for D (tokens) or C
    (training FLOPs, D = C / 6N); common names are understood. A column `run` says which rows are
    checkpoints of one run; without it, rows of one N are taken as one. delta: Huber's, on log
    residuals. fixed: parameters that are not fitted. skip: leading rows to leave out. Raises
    UserError for absent columns and too few runs.
    """
    table, name = read_source(source)
    columns = {key: column(table, key) for key in ("N", "D", "C", "loss")}
    for key in ("N", "loss"):
        if columns[key] is None:
            near = suggest(key, map(str, table.columns))
            raise UserError(
                f"{name}: needs a column for {key} ({', '.join((key, *ALIASES[key]))}){near}"
            )
    if columns["D"] is None and columns["C"] is None:
        has = ", ".join(map(str, table.columns))
        raise UserError(
            f"{name}: needs a column D (training tokens) or C (training FLOPs); it has {has}"
        )
    data = {k: numbers(table, c, name)[skip:] for k, c in columns.items() if c is not None}
    N, loss = data["N"], data["loss"]
    D = data["D"] if "D" in data else data["C"] / (6.0 * N)
    usable = np.isfinite(N) & np.isfinite(D) & np.isfinite(loss) & (N > 0) & (D > 0) & (loss > 0)
    C = data["C"][usable] if "C" in data else None
    rows = np.arange(skip, len(table))[usable] + 1
    run = table["run"].to_numpy()[skip:][usable] if "run" in table else N[usable]
    N, D, loss = N[usable], D[usable], loss[usable]
    for key, values in (("N", N), ("D", D)):
        if len(np.unique(values)) == 1:
            raise UserError(
                f"{name}: every run has {key} = {values[0]:g}; a law of N and D needs runs at "
                f"several"
            )
    result = fit(
        FORM,
        {"N": N, "D": D},
        loss,
        delta=delta,
        fixed=fixed,
        runs=run,
        resamples=resamples,
        seed=seed,
    )
    exponents = _exponents(N, D, loss, C)
    moved = leverage(result, rows) if resamples else ()
    return PretrainingStudy(result, N, D, loss, len(table) - len(N), exponents, moved, name)


def _exponents(N: Floats, D: Floats, loss: Floats, C: Floats | None) -> dict[str, optimum.PowerLaw]:
    """Approaches 1 and 2, where the runs allow them. C: noted FLOPs, else 6 N D."""
    exponents: dict[str, optimum.PowerLaw] = {}
    lowest = optimum.envelope(N, D, loss, bins=max(4, min(20, len(N) // 10)))
    if len(lowest.C) > 2:
        exponents["lowest runs (approach 1)"] = optimum.power_law(lowest.C, lowest.N)
    noted = 6 * N * D if C is None else np.where(np.isfinite(C), C, 6 * N * D)
    budget = optimum.budgets(noted)
    _, member, count = np.unique(budget, return_inverse=True, return_counts=True)
    if (count[member] >= 3).mean() > 0.5:  # made in budgets; of others, a few meet by chance
        with contextlib.suppress(UserError):  # no budget has a minimum
            best = optimum.isoflop(N, budget, loss)
            if len(best.C) > 2:
                exponents["IsoFLOP parabolas (approach 2)"] = optimum.power_law(best.C, best.N)
    return exponents


def leverage(fitted: Fit, rows: NDArray[np.intp]) -> tuple[str, ...]:
    """Sentences that name the few rows without which an exponent moves by more than MOVED standard
    errors of what is left.

    rows: (n,), numbers to name them by. For each exponent and direction, the rows whose removal
    should move it most, by the influence function, are left out together (Broderick et al. 2020),
    and the law is fitted again.
    """
    problem, law, said = fitted.problem, fitted.law, []
    few = max(1, min(5, round(FEW * len(rows))))
    pull = _influence(problem, fitted.theta)
    for name in ("alpha", "beta"):
        at = law.names.index(name)
        for side in (1, -1) if at not in problem.held else ():
            kept = np.ones(len(rows))
            kept[np.argsort(-side * pull[at], kind="stable")[:few]] = 0.0
            less = replace(problem, weights=kept)
            theta = graduated(less, fitted.theta[None]).theta[0]
            moved = abs(law.natural(theta)[at] - fitted.values[at])
            if moved > MOVED * np.sqrt((_influence(less, theta)[at] ** 2).sum()):
                named = ", ".join(map(str, np.sort(rows[kept == 0])))
                said.append(
                    f"{few} of {len(rows)} rows ({named}) move {name} from "
                    f"{law.natural(theta)[at]:.3f} without them to {fitted.values[at]:.3f}"
                )
    return tuple(said)


def _influence(problem: Problem, theta: Floats) -> Floats:
    """By how much the removal of each row would move each internal parameter, to first order:
    (P, n).
    """
    residual, slope = problem.residuals(theta[None], np.zeros(1, dtype=np.intp))
    delta = problem.delta or np.inf
    weight = np.ones_like(residual[0]) if problem.weights is None else problem.weights
    bend = slope[0] * (weight * (np.abs(residual[0]) <= delta)) @ slope[0].T
    pull: Floats = np.linalg.pinv(bend) @ (slope[0] * weight * np.clip(residual[0], -delta, delta))
    return pull


def column(table: pd.DataFrame, key: str) -> str | None:
    """The column that is called `key` or one of its aliases; case and the difference of space and _
    do not matter.
    """
    if key in table.columns:
        return key
    names = {str(c).strip().lower(): str(c) for c in table.columns}
    return next((names[a] for a in (key.lower(), *ALIASES[key]) if a in names), None)


def numbers(table: pd.DataFrame, name: str, source: str) -> Floats:
    """A column as floats. Raises UserError for text."""
    import pandas as pd

    values = pd.to_numeric(table[name], errors="coerce")
    wrong = values.isna() & table[name].notna()
    if wrong.any():
        raise UserError(
            f"{source}: column {name!r} holds {table[name][wrong].iloc[0]!r}, which is not a number"
        )
    return values.to_numpy(dtype=np.float64)
