"""The law of the one-sample line: the rivals that `laws.study` fits, the one that extrapolates best
drawn and named.
"""

from __future__ import annotations

import numpy as np

from testtime.errors import UserError
from testtime.laws.curves import from_sample
from testtime.laws.study import CurveStudy, study_curve
from testtime.report.results import Evidence
from testtime.report.style import SHORT

RESAMPLES = 400  # refits of a figure's law; `testtime laws` takes 2,000


def fitted(evidence: Evidence, axis: str) -> CurveStudy | None:
    """The laws of a model on one axis, or None with the reason kept in `evidence.left_out`."""
    return evidence.attempt("law of test compute", lambda: _study(evidence, axis))


def requested(evidence: Evidence, study: CurveStudy | None) -> list[tuple[str, str]]:
    """Where no law of what was spent is supported, the law of the budget that was given, in words:
    where chains end by themselves, spending stops growing while accuracy does not.
    """
    if study is None or study.supported:
        return []
    asked = evidence.attempt("law of requested budgets", lambda: _study(evidence, "budget"))
    if asked is None or asked.best is None or not asked.supported:
        return []
    said = f"{_upper(asked.verdict)}. {_tested(asked)}. Beyond: {asked.beyond}."
    return [("Against the budget given", said)]


def _tested(study: CurveStudy) -> str:
    if study.best is None or np.isnan(study.best.heldout):
        return "There are too few budgets to test its extrapolation"
    missed = 100 * study.best.heldout
    return f"Fitted on the cheaper two thirds, it misses the dearer third by {missed:.1f} points"


def _study(evidence: Evidence, axis: str) -> CurveStudy:
    if evidence.problems < 2:
        raise UserError("it needs at least 2 problems to know how sure its points are")
    sample, cells = evidence.sample, evidence.sample.grid.cells
    told = cells["budget"].isna()
    settings = cells.loc[~told, "setting"].unique()
    if len(settings) > 1 or (len(settings) == 0 and axis == "budget"):
        raise UserError("it needs budgets, or effort levels, along one path")
    line = (cells["selector"] == "mean") & (cells["n"] == 1) & (told if told.all() else ~told)
    if axis == "budget":  # there is no logarithm of none
        line &= cells["budget"] > 0
    columns = np.flatnonzero(line.to_numpy(dtype=bool))
    along = "effort levels" if told.all() else "budgets"
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
    last = [("Plateau", f"{_upper(str(study.plateau))}.")] if study.plateau is not None else []
    if not study.supported:
        return [("The law", f"{_upper(study.verdict)}. None is drawn."), *last]
    said = [
        ("The verdict", f"{_upper(study.verdict)}."),
        (
            "The law drawn",
            f"{best.law.name}, x in {SHORT[axis]}, one sample: {values}. {_tested(study)}.",
        ),
    ]
    rivals = ", ".join(
        f"{f.law.name} {100 * f.heldout:.1f}" for f in study.fits[1:] if np.isfinite(f.heldout)
    )
    if rivals:
        said.append(("Its rivals", f"They miss it, in points, by: {rivals}."))
    said.append(("Beyond the data", f"{_upper(study.beyond)}."))
    return [*said, *last]


def warnings(study: CurveStudy | None) -> list[str]:
    """Warns where the curve supports no law."""
    if study is None or study.supported:
        return []
    return [f"{_upper(study.verdict)}. Extrapolating this curve is not supported."]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
