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


def requested(results: Results, study: CurveStudy | None) -> CurveStudy | None:
    """The law of the budget that was given, where none of what was spent is supported: where chains
    end by themselves, spending stops growing while accuracy does not.
    """
    if study is None or study.supported:
        return None
    return drawn(results.attempt("law of requested budgets", lambda: _study(results, "budget")))


def against_requested(asked: CurveStudy) -> list[tuple[str, str]]:
    """That law in words."""
    said = f"{labels.sentence(asked.verdict)}. {_tested(asked)}. Beyond: {asked.beyond}."
    return [("Against the budget given", said)]


def _tested(study: CurveStudy) -> str:
    if study.best is None or np.isnan(study.best.heldout):
        return "There are too few budgets to test its extrapolation"
    missed = 100 * study.best.heldout
    return f"Fitted on the cheaper two thirds, it misses the dearer third by {missed:.1f} points"


def _study(results: Results, axis: str) -> CurveStudy:
    if results.problems < 2:
        raise UserError("it needs at least 2 problems to know how sure its points are")
    sample, cells = results.sample, results.sample.grid.cells
    told = cells["budget"].isna()
    settings = cells.loc[~told, "setting"].unique()
    if len(settings) > 1 or (len(settings) == 0 and axis == "budget"):
        raise UserError("it needs budgets, or effort levels, along one path")
    line = (cells["selector"] == "mean") & (cells["n"] == 1) & (told if told.all() else ~told)
    if axis == "budget":  # there is no logarithm of none
        line &= cells["budget"] > 0
    columns = np.flatnonzero(line.to_numpy(dtype=bool))
    along = "effort levels" if told.all() else "budgets"
    if len(columns) < 2:
        raise UserError("it needs budgets; here is one")
    study = study_curve(from_sample(sample, columns, axis, along, RESAMPLES))
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
    last = []
    if study.plateau is not None:
        last.append(("Plateau", f"{labels.sentence(str(study.plateau))}."))
    if not study.supported:
        return [("The law", f"{labels.sentence(study.verdict)}. None is drawn."), *last]
    said = [
        ("The verdict", f"{labels.sentence(study.verdict)}."),
        (
            "The law drawn",
            f"{best.law.name}, x in {labels.axis(axis).unit}, one sample: {values}. "
            f"{_tested(study)}.",
        ),
    ]
    rivals = ", ".join(
        f"{f.law.name} {100 * f.heldout:.1f}" for f in study.fits[1:] if np.isfinite(f.heldout)
    )
    if rivals:
        said.append(("Its rivals", f"They miss it, in points, by: {rivals}."))
    said.append(("Beyond the data", f"{labels.sentence(study.beyond)}."))
    return [*said, *last]


def warnings(study: CurveStudy | None) -> list[str]:
    """Warns where the curve supports no law."""
    if study is None or study.supported:
        return []
    said = f"{labels.sentence(study.verdict)}. Extrapolating accuracy along what was spent is not"
    return [f"{said} supported."]
