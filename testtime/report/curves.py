"""Accuracy against test compute: a line for each n with its band, the frontier, the law; and
several models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime.estimators import frontier
from testtime.laws.result import Fit
from testtime.laws.study import CurveStudy
from testtime.report.results import Evidence, cell_name, names, selector_name
from testtime.report.style import (
    AXES,
    CATEGORY,
    INK,
    MUTED,
    SHORT,
    Plate,
    amount,
    axis_name,
    badge,
    canvas,
    interval_text,
    label_ends,
    log_axis,
    percent_axis,
    ramp,
    trace,
)

if TYPE_CHECKING:
    import pandas as pd

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))


def accuracy(evidence: Evidence, axis: str, law: CurveStudy | None = None) -> Plate:
    """The main figure on one compute axis: lines by n of the main selector, 95 % bands, and the
    frontier.
    """
    figure, axes = canvas((5.4, 3.6))
    cells, colours = evidence.grid(evidence.selector), ramp(len(evidence.counts))
    told = cells["budget"].isna()
    paths = list(dict.fromkeys(cells["setting"].where(~told, "")))
    best = evidence.attempt("frontier", lambda: _frontier(evidence, axis))
    if best is not None:
        axes.plot(
            best["cost"],
            best["value"],
            color=INK,
            linewidth=5,
            alpha=0.13,
            solid_capstyle="round",
            gid="frontier",
            zorder=1.5,
        )
    tips, ends = {}, []
    for index, n in enumerate(evidence.counts):
        for path, setting in enumerate(paths):
            line = cells[(cells["n"] == n) & (told | (cells["setting"] == setting))].sort_values(
                axis
            )
            if line.empty:
                continue
            gid, colour = f"n{n}-{path}", colours[index]
            trace(
                axes,
                line[axis],
                line["value"],
                line["lo"],
                line["hi"],
                colour,
                gid,
                DASHES[path % 4],
            )
            tips[gid] = [
                f"{cell_name(row)}: {interval_text(row['value'], row['lo'], row['hi'])} at "
                f"{amount(row[axis])}"
                f" {SHORT[axis]}"
                for row in line.to_dict("records")
            ]
            last = line.iloc[-1]
            badge(axes, float(last[axis]), float(last["value"]), str(n), colour)
            if n == evidence.counts[-1]:
                label = "samples" if len(paths) == 1 else setting or "as it comes"
                ends.append((float(last[axis]), float(last["value"]), label, colour))
    percent_axis(axes, float(cells["hi"].max()))
    log_axis(axes, cells[axis], AXES[axis] + ", log scale")
    fit = law.best if law is not None else None
    if law is not None and fit is not None:
        _draw_law(axes, fit, law.curve.x)
    label_ends(axes, ends, offset=9)
    note = (
        f"Each line is a number of samples n joined by {selector_name(evidence.selector)}; along "
        f"it the thinking budget"
        " grows. The number at a line's end is its n. Bands are 95% intervals over problems."
    )
    if best is not None:
        note += (
            " The broad grey line joins the settings that are best for their compute, with "
            "any selector."
        )
    if fit is not None:
        note += f" Dotted: the {fit.law.name} law of one sample, dashed where it extrapolates"
        note += (
            f" (held-out error {100 * fit.heldout:.1f} points)."
            if np.isfinite(fit.heldout)
            else "."
        )
    table = cells[["setting", "budget", "n", "selector", axis, "value", "lo", "hi"]]
    return Plate(
        f"accuracy-{axis}",
        f"Accuracy against {SHORT[axis]}, by number of samples",
        note,
        figure,
        table,
        tips,
    )


def _draw_law(axes: Any, fit: Fit, points: Any) -> None:
    """The fitted law: dotted over its points, dashed up to the right edge."""
    low, high, edge = float(points.min()), float(points.max()), axes.get_xlim()[1]
    top = axes.get_ylim()[1]
    for start, end, style, name in (
        (low, high, (0, (1, 1.6)), "law"),
        (high, edge, (0, (5, 2.5)), "law-beyond"),
    ):
        x = np.geomspace(start, end, 40)
        y = fit.predict(x=x)
        shown = (y >= 0) & (y <= min(top, 1.0))
        axes.plot(
            x[shown], y[shown], color=MUTED, linewidth=1.3, linestyle=style, gid=name, zorder=1.8
        )


def _frontier(evidence: Evidence, axis: str) -> pd.DataFrame:
    return frontier.path(evidence.sample, axis)


def models(all_evidence: list[Evidence], axis: str) -> Plate:
    """The frontier of several models on one axis: value of the best setting at each compute, judged
    out of bag.
    """
    import pandas as pd

    figure, axes = canvas((5.4, 3.6))
    lines = {
        name: _frontier(e, axis) for name, e in zip(names(all_evidence), all_evidence, strict=True)
    }
    tips = draw_models(axes, lines, axis)
    table = pd.concat(
        [line.assign(model=model) for model, line in lines.items()], ignore_index=True
    )
    note = (
        "The best setting of each model at each compute, chosen on some problems and judged on "
        "others. Bands are 95%"
        " intervals over problems."
    )
    return Plate(f"models-{axis}", "Which model is best for the compute", note, figure, table, tips)


def draw_models(axes: Any, lines: Mapping[str, pd.DataFrame], axis: str) -> dict[str, list[str]]:
    """A line with its band for each model's frontier (a table of `frontier.path`); returns the tips
    of the points.
    """
    colours = ramp(len(lines)) if len(lines) > len(CATEGORY) else list(CATEGORY)
    tips, ends = {}, []
    for index, (model, line) in enumerate(lines.items()):
        gid, colour = f"model{index}", colours[index]
        trace(axes, line["cost"], line["out_of_bag"], line["lo"], line["hi"], colour, gid)
        tips[gid] = [
            f"{model}, {cell_name(r)}: {interval_text(r['out_of_bag'], r['lo'], r['hi'])}"
            for r in line.to_dict("records")
        ]
        last = line.iloc[-1]
        name = model if len(model) <= 12 else re.sub("^[^ ]*/", "", model)
        ends.append((float(last["cost"]), float(last["out_of_bag"]), name, colour))
    percent_axis(axes, max(float(line["hi"].max()) for line in lines.values()))
    costs = np.concatenate([line["cost"] for line in lines.values()])
    log_axis(axes, costs, axis_name(axis) + ", log scale")
    label_ends(axes, ends)
    return tips
