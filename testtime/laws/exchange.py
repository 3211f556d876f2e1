"""Train more, or think more, on one's own models: accuracy over (training FLOPs, test FLOPs),
fitted to a scores table.

The points are the budgets of several models on the same problems, so all of them are correlated;
they are resampled together, accuracy and cost, and the surface is refitted to every resample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testtime.errors import UserError
from testtime.estimators.grid import build
from testtime.laws import joint
from testtime.laws.fit import fit, shrunk_covariance
from testtime.laws.law import Floats
from testtime.laws.result import Fit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExchangeStudy:
    """points: model, budget, n, train (FLOPs), test (FLOPs a problem), value; fits: surfaces, the
    chosen one first; rate: its rate.
    """

    points: pd.DataFrame
    fits: tuple[Fit, ...]
    rate: joint.ExchangeRate

    @property
    def best(self) -> Fit:
        return self.fits[0]

    def report(self) -> str:
        models, points = self.points["model"].nunique(), len(self.points)
        lines = [f"accuracy over training and test compute: {models} models, {points} points"]
        lines.append(str(self.rate))
        if self.best.rejected:
            lines.append(
                f"not to be trusted: no law fits, the best is {100 * self.best.misfit:.1f} points "
                f"off beyond noise"
            )
        lines += [
            f"rival {f.law.name}: held out {f.heldout:.4g}, misfit {f.misfit:.3g}"
            for f in self.fits
        ]
        return "\n".join([*lines, self.best.report()])


def exchange(
    scores: pd.DataFrame,
    train_flops: Mapping[str, float],
    *,
    selector: str = "mean",
    factor: float = 10.0,
    resamples: int = 1000,
    seed: int = 0,
) -> ExchangeStudy:
    """Fit accuracy surfaces to a scores table of several models and read off the exchange rate.

    train_flops: by model name; models without one are left out. selector: "mean" takes each budget
    at one sample, others every n too. factor: the rate makes up for 1/factor of the training
    compute. Raises UserError for fewer than two models with training FLOPs, a table without test
    FLOPs, and too few points.
    """
    known = {m: float(v) for m, v in train_flops.items() if v and np.isfinite(v) and v > 0}
    part = scores[scores["model"].isin(known)] if "model" in scores else scores.iloc[:0]
    if part.empty or part["model"].nunique() < 2:
        raise UserError(
            f"an exchange rate needs scores of two models with known training FLOPs; known: "
            f"{sorted(known) or 'none'}"
        )
    sample = build(part, [1] if selector == "mean" else None, [selector], seed=seed).bootstrap(
        resamples, seed
    )
    grid = sample.grid
    test: Floats = grid.means(grid.cost("flops"))
    if not (np.isfinite(test).all() and np.all(test > 0)):
        raise UserError("an exchange rate needs a column 'flops' above 0 on every sample")
    train: Floats = np.array([known[m] for m in grid.cells["model"]], dtype=np.float64)
    value = grid.means(grid.value)
    covariance = shrunk_covariance(sample.value, int(grid.problem_count.min()))
    drawn = ({"T": np.tile(train, (resamples, 1)), "I": sample.cost("flops")}, sample.value)
    fits = [
        fit(
            joint.accuracy_surface(train, test, plateau=p),
            {"T": train, "I": test},
            value,
            covariance=covariance,
            replicates=drawn,
        )
        for p in (False, True)
        if len(value) >= 3 + p + 3
    ]
    if not fits:
        raise UserError(
            f"an exchange rate needs six points over models and budgets at least, got {len(value)}"
        )
    fits.sort(key=lambda f: f.rank)
    points = grid.cells.assign(train=train, test=test, value=value)
    return ExchangeStudy(points, tuple(fits), joint.exchange_rate(fits[0], factor=factor))
