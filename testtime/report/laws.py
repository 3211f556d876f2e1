"""The law of the one-sample line: the rivals that `laws.study` fits, the one that extrapolates best
drawn and named.
"""

from __future__ import annotations

import numpy as np

from testtime import labels
from testtime.errors import UserError
from testtime.laws.curves import from_sample
from testtime.laws.study import CurveStudy, study_curve
from testtime.report.results import Results

RESAMPLES = 400  # refits of a figure's law; `testtime laws` takes 2,000


def fitted(results: Results, axis: str) -> CurveStudy | None:
    """The laws of a model on one axis, or None with the reason kept in `results.left_out`."""
    return results.attempt("law of test compute", lambda: _study(results, axis))


def _study(results: Results, axis: str) -> CurveStudy:
    if results.problems < 2:
        raise UserError("it needs at least 2 problems to know how sure its points are")
    sample, cells = results.sample, results.sample.grid.cells
    settings = cells.loc[cells["budget"].notna(), "setting"].unique()
    if len(settings) != 1:
        raise UserError(
            "it needs budgets along one path; here are several settings, or effort levels only"
        )
    line = (cells["selector"] == results.selector) & (cells["n"] == 1) & cells["budget"].notna()
    columns = np.flatnonzero(line.to_numpy())
    if len(columns) < 2:
        raise UserError("it needs budgets; here is one")
    study = study_curve(from_sample(sample, columns, axis, resamples=RESAMPLES))
    if study.best is None:
        raise UserError(study.verdict)
    return study


def drawn(study: CurveStudy | None) -> CurveStudy | None:
    """The study where its law may be drawn."""
    return study if study is not None and study.supported else None


def findings(study: CurveStudy | None, axis: str | None) -> list[tuple[str, str]]:
    """The law in words, for beside the main figure."""
    if study is None or study.best is None or axis is None:
        return []
    best = study.best
    intervals = best.interval()
    values = ", ".join(
        f"{k} {v:.3g} ({intervals[k][0]:.3g} to {intervals[k][1]:.3g})"
        for k, v in best.params.items()
    )
    tested = (
        f"Fitted on the cheaper two thirds, it misses the dearer third by "
        f"{100 * best.heldout:.1f} points"
        if np.isfinite(best.heldout)
        else "There are too few budgets to test its extrapolation"
    )
    if not study.supported:
        return [("The law", f"{labels.sentence(study.verdict)}. None is drawn.")]
    said = [
        ("The verdict", f"{labels.sentence(study.verdict)}."),
        (
            "The law drawn",
            f"{best.law.name}, x in {labels.axis(axis).unit}, one sample: {values}. {tested}.",
        ),
    ]
    rivals = ", ".join(
        f"{f.law.name} {100 * f.heldout:.1f}" for f in study.fits[1:] if np.isfinite(f.heldout)
    )
    if rivals:
        said.append(("Its rivals", f"They miss it, in points, by: {rivals}."))
    said.append(("Beyond the data", f"{labels.sentence(study.beyond)}."))
    said.append(("Plateau", f"{labels.sentence(str(study.plateau))}."))
    return said


def warnings(study: CurveStudy | None) -> list[str]:
    """Warns where the curve supports no law."""
    if study is None or study.supported:
        return []
    return [f"{labels.sentence(study.verdict)}. Extrapolating this curve is not supported."]
