"""Accuracy against test compute: a line for each n with its band, the frontier, the law; and
several models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels
from testtime.estimators import frontier
from testtime.labels import row_level
from testtime.report.drawing import draw_frontiers
from testtime.report.placing import Name, Room
from testtime.report.results import Results, at_level, names
from testtime.style import (
    FONT,
    INK,
    MUTED,
    Chart,
    badge,
    canvas,
    label_ends,
    log_axis,
    percent_axis,
    ramp,
    trace,
)

if TYPE_CHECKING:
    from testtime.laws.result import Fit
    from testtime.laws.study import CurveStudy

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
HERO = (5.4, 3.6)  # inches
BESIDE = ((-6, 0), (-5, 7), (0, 9), (0, -9), (5, -7), (6, 0), (5, 7), (0, 13))  # a level's name
BEYOND = 2  # times the largest budget: how far its law is drawn


def accuracy(results: Results, axis: str, law: CurveStudy | None = None) -> Chart:
    """The main figure on one compute axis: lines by n of the main selector, 95 % bands, and the
    frontier. A line joins its points in the order of the budgets, wherever they lie.
    """
    figure, axes = canvas(HERO)
    cells, scale = results.grid(results.selector), labels.axis(axis).scale
    best = results.attempt("frontier", lambda: frontier.path(results.sample, axis))
    if best is not None:
        wide = {"linewidth": 5, "alpha": 0.13, "solid_capstyle": "round", "zorder": 1.5}
        axes.plot(scale * best["cost"], best["value"], color=INK, gid="frontier", **wide)
    known = {(int(row["n"]), row_level(row)): row for row in cells.to_dict("records")}
    tips, ends, series, legend = {}, [], [], {}
    for n, colour in zip(results.counts, ramp(len(results.counts)), strict=True):
        legend[f"n{n}"] = (labels.counted(n, "sample"), colour)
        for path, (setting, levels) in enumerate(results.paths.items()):
            rows = [known[n, level] for level in levels if (n, level) in known]
            if not rows:
                continue
            gid, x = f"n{n}.{path}", [scale * row[axis] for row in rows]
            value, low, high = ([row[c] for row in rows] for c in ("value", "lo", "hi"))
            trace(axes, x, value, low, high, colour, gid, DASHES[path % 4])
            tips[gid] = [
                f"{labels.cell(row)}: {labels.interval(row['value'], row['lo'], row['hi'])} at "
                f"{labels.cost(axis, row[axis])}"
                for row in rows
            ]
            badge(axes, x[-1], value[-1], str(n), colour, gid)
            if n == results.counts[-1]:
                label = "samples" if len(results.paths) == 1 else setting or "as it comes"
                ends.append((x[-1], value[-1], label, colour))
                series.append(gid)
    percent_axis(axes, float(cells["hi"].max()))
    log_axis(axes, scale * cells[axis], labels.axis(axis).title + ", log scale")
    fit = law.best if law is not None else None
    if law is not None and fit is not None:
        _draw_law(axes, fit, law.curve.x, scale)
    label_ends(axes, ends, offset=9, series=series)
    _name_levels(axes, results, cells, axis)
    along = (
        "the thinking budget grows"
        if results.levels[0][1] == results.levels[0][1]
        else ("the effort grows")
    )
    note = (
        f"Each line is a number of samples n joined by {labels.selector(results.selector)}; along "
        f"it {along}. The number at a line's end is its n. Bands are 95% intervals over problems."
    )
    if best is not None:
        note += (
            " The broad grey line joins the settings that are best for their compute, with "
            "any selector."
        )
    if fit is not None:
        note += f" {_law_note(fit)}"
    title = f"Accuracy against {labels.axis(axis).unit}, by number of samples"
    table = cells[["setting", "budget", "n", "selector", axis, "value", "lo", "hi"]]
    return Chart(f"accuracy-{axis}", title, note, figure, table, tips, legend)


def requested(law: CurveStudy) -> Chart:
    """One sample against the budget that was given, with the law of it and the band of all laws
    that were not rejected.
    """
    import pandas as pd

    figure, axes = canvas(HERO)
    curve, fit, colour = law.curve, law.best, ramp(1)[0]
    assert fit is not None  # a law that may be drawn was fitted
    ends = [np.maximum(curve.y - curve.lo, 0), np.maximum(curve.hi - curve.y, 0)]
    look = {"linestyle": "none", "marker": "o", "markersize": 4.2, "elinewidth": 1.2}
    axes.errorbar(curve.x, curve.y, ends, color=colour, gid="one", **look)
    log_axis(axes, [*curve.x, BEYOND * curve.x[-1]], "thinking budget given, tokens, log scale")
    percent_axis(axes, float(max(curve.hi.max(), fit.predict(x=curve.x).max())))
    _draw_law(axes, fit, curve.x, 1.0)
    x = np.geomspace(curve.x[0], axes.get_xlim()[1], 60)
    band = law.band(x)
    if band is not None:
        axes.fill_between(x, *band, color=MUTED, alpha=0.13, linewidth=0, gid="law.band")
    tips = [
        f"budget {x:,.0f} tokens: {labels.interval(y, lo, hi)}"
        for x, y, lo, hi in zip(curve.x, curve.y, curve.lo, curve.hi, strict=True)
    ]
    table = {"budget": curve.x, "value": curve.y, "lo": curve.lo, "hi": curve.hi}
    frame = pd.DataFrame({**table, fit.law.name: fit.predict(x=curve.x)})
    title = f"Against the budget given, a law fits: {fit.law.name}"
    note = (
        "One sample, 95% intervals over problems. What chains spend stops growing once they end "
        f"by themselves, so no law of it fits; the budget does not stop. {_law_note(fit)} The "
        "band holds all laws that were not refused."
    )
    return Chart("accuracy-budget", title, note, figure, frame, {"one": tips})


def _law_note(fit: Fit) -> str:
    """How the law is drawn, and how well it extrapolated."""
    miss = f" (held-out error {100 * fit.heldout:.1f} points)" if np.isfinite(fit.heldout) else ""
    return f"Dotted: the {fit.law.name} law of one sample, dashed where it extrapolates{miss}."


def _name_levels(axes: Any, results: Results, cells: Any, axis: str) -> None:
    """The budget or effort level is written beside the points of the fewest samples, where there is
    room; a budget without its setting, which is at its line's end.
    """
    scale, least = labels.axis(axis).scale, cells[cells["n"] == results.counts[0]]
    look, names = {"color": MUTED, "fontsize": FONT - 1.5}, []
    for level in reversed(results.levels):  # the largest matter most
        told = level if level[1] != level[1] else ("", level[1])
        text = labels.short_level(told).removeprefix("effort=")
        for row in least[at_level(least, level)].to_dict("records"):
            names.append(Name(text, scale * row[axis], row["value"], look))
    Room(axes, scale * cells[axis], cells["value"], axes.lines).write(names, BESIDE)


def _draw_law(axes: Any, fit: Fit, points: Any, scale: float) -> None:
    """The fitted law: dotted over its points, dashed up to the right edge."""
    low, high, edge = float(points.min()), float(points.max()), axes.get_xlim()[1] / scale
    for start, end, style, name in (
        (low, high, (0, (1, 1.6)), "law"),
        (high, edge, (0, (5, 2.5)), "law-beyond"),
    ):
        x = np.geomspace(start, end, 40)
        y = fit.predict(x=x)
        shown = (y >= 0) & (y <= min(axes.get_ylim()[1], 1.0))
        line = {"color": MUTED, "linewidth": 1.3, "linestyle": style, "zorder": 1.8}
        axes.plot(scale * x[shown], y[shown], gid=name, **line)


def models(every: list[Results], axis: str) -> Chart:
    """The frontier of several models on one axis: value of the best setting at each compute, judged
    out of bag.
    """
    import pandas as pd

    figure, axes = canvas(HERO)
    told = zip(names(every), every, strict=True)
    lines = {name: frontier.path(one.sample, axis) for name, one in told}
    tips, legend = draw_frontiers(axes, lines, axis)
    table = pd.concat([line.assign(model=name) for name, line in lines.items()], ignore_index=True)
    note = (
        "The best setting of each model at each compute, chosen on some problems and judged on "
        "others. Bands are 95% intervals over problems."
    )
    title = "Which model is best for the compute"
    return Chart(f"models-{axis}", title, note, figure, table, tips, legend)
