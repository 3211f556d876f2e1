"""Figures of fits in the house style: points with intervals, the curve and its band. Vector or
bitmap by the file's suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testtime import labels, style
from testtime.errors import UserError
from testtime.laws import optimum
from testtime.laws.curves import Curve
from testtime.laws.law import Floats
from testtime.laws.published import BESIROGLU, HOFFMANN
from testtime.laws.result import Fit
from testtime.storage.files import into
from testtime.style import CATEGORY, DPI, FONT, INK, MUTED, RAMP

Band = Callable[[Floats], tuple[Floats, Floats] | None]
SUFFIXES = (".png", ".svg", ".pdf")
WIDTH, HEIGHT = 4.8, 3.5  # inches of a panel
BEYOND = 2  # times the largest compute measured
ROOM = 1.15  # between the lowest and the highest point and the edge of an axis of ratios


def testtime(panels: Sequence[tuple[Curve, Fit | None, Band]], path: Path) -> None:
    """One panel a curve: accuracy against log compute, the law chosen, and the band at any compute
    of all that were not rejected.
    """
    columns = min(3, len(panels))
    with style.context():
        rows = -(-len(panels) // columns)
        figure, every = style.panels(columns * WIDTH, rows * [HEIGHT], columns)
        for axes, panel in zip(every, panels, strict=False):
            _curve(axes, *panel)
        for axes in every[len(panels) :]:
            axes.remove()
        save(figure, path)


def _curve(axes: Any, curve: Curve, fit: Fit | None, band: Band) -> None:
    colour, scale = RAMP[3], labels.axis(curve.axis).scale
    x = np.geomspace(curve.x.min(), curve.x.max() * BEYOND, 200)
    ends = band(x) if fit is not None else None
    if fit is not None and ends is not None:
        within = x <= curve.x.max()
        axes.plot(scale * x[within], fit.predict(x=x[within]), color=colour, label=fit.law.name)
        beyond = {"color": colour, "linestyle": "--", "label": "extrapolated"}
        axes.plot(scale * x[~within], fit.predict(x=x[~within]), **beyond)
        axes.fill_between(scale * x, *ends, color=colour, alpha=0.15, linewidth=0)
        axes.legend(frameon=False, fontsize=FONT - 1, loc="lower right")
    bars = np.nan_to_num(np.maximum([curve.y - curve.lo, curve.hi - curve.y], 0))
    points = {"fmt": "o", "markersize": 4.2, "elinewidth": 1.2, "color": INK, "zorder": 3}
    axes.errorbar(scale * curve.x, curve.y, bars, **points)
    for at, value, name in zip(scale * curve.x, curve.y, _short(curve.names), strict=True):
        beside = {"textcoords": "offset points", "ha": "right", "fontsize": FONT - 2}
        axes.annotate(name, (at, value), (-5, 3), color=MUTED, **beside)
    style.percent_axis(axes, float(np.nanmax([curve.y, curve.hi])))
    style.log_axis(axes, scale * x, _axis_title(curve.axis))
    axes.set_title(curve.title, loc="left", fontsize=FONT, color=INK)


def _short(names: Sequence[str]) -> list[str]:
    """What tells the points of a curve apart: `96` of `budget 96, n=1`, or `n=4` where n grows."""
    parts = [name.rpartition(", ") for name in names]
    if len({count for _, _, count in parts}) > 1:
        return [count for _, _, count in parts]
    return [level.removeprefix("budget ").rpartition("=")[2] for level, _, _ in parts]


def _axis_title(axis: str) -> str:
    words = {"budget": "thinking budget given, tokens", "n": "samples n"}
    return words.get(axis, labels.axis(axis).title) + ", log scale"


def _power(value: float, _: int) -> str:
    """The words of a tick at a power of ten."""
    return labels.power_of_ten(value)


def pretraining(fit: Fit, N: Floats, D: Floats, loss: Floats, path: Path) -> None:
    """Loss against compute with the compute-optimal line, and compute-optimal N with the runs that
    were made: one's own fit beside Hoffmann's and Besiroglu's.
    """
    from matplotlib.colors import LogNorm

    C = 6 * N * D
    span = np.geomspace(C.min(), C.max() * 10, 200)
    lines = (
        ("this fit", fit.params, CATEGORY[0], "-"),
        ("Hoffmann et al. 2022", HOFFMANN.values, CATEGORY[1], "--"),
        ("Besiroglu et al. 2024", BESIROGLU.values, CATEGORY[2], ":"),
    )
    with style.context():
        figure, (left, right) = style.panels(2 * WIDTH, [HEIGHT], 2)
        runs = {"c": N, "s": 8, "cmap": style.ramp_map(), "norm": LogNorm(N.min(), N.max())}
        points = left.scatter(C, loss, **runs)
        bar = figure.colorbar(points, ax=left, label="parameters N", format=_power)
        bar.outline.set_visible(False)
        right.scatter(C, N, s=8, color=MUTED, alpha=0.6, label="runs")
        if fit.replicates is not None:
            drawn = [dict(zip(fit.law.names, v, strict=True)) for v in fit.replicates[:400]]
            sizes = np.array([optimum.parametric(params, span).N for params in drawn])
            ends = np.nanquantile(sizes, [0.025, 0.975], axis=0)
            right.fill_between(span, *ends, color=CATEGORY[0], alpha=0.15, linewidth=0)
        sizes_drawn: list[Floats] = []
        for name, params, colour, dashes in lines:
            best, look = optimum.parametric(params, span), {"color": colour, "linestyle": dashes}
            left.plot(span, best.loss, label=name, **look)
            right.plot(span, best.N, label=name, **look)
            sizes_drawn.append(best.N)
        for axes, values in ((left, loss), (right, np.concatenate([N, *sizes_drawn]))):
            axes.set_yscale("log")
            axes.set_ylim(float(values.min()) / ROOM, float(values.max()) * ROOM)
            style.log_axis(axes, span, "training FLOPs, log scale")
        left.legend(frameon=False, fontsize=FONT - 1, loc="upper right")
        right.legend(frameon=False, fontsize=FONT - 1, loc="lower right")
        ticks = np.unique(np.round(np.geomspace(loss.min(), loss.max(), 5), 1))
        left.set_yticks(ticks, [f"{t:g}" for t in ticks])
        right.yaxis.set_major_formatter(_power)
        for axes in (left, right):
            axes.minorticks_off()
        left.set_ylabel("loss, log scale")
        right.set_ylabel("compute-optimal parameters N")
        save(figure, path)


def check(path: Path) -> None:
    """Raises UserError for a file whose suffix is of no figure."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: a figure's name ends in one of {', '.join(SUFFIXES)}")


def save(figure: Any, path: Path) -> None:
    """Write a figure in the format of the file's suffix. Raises UserError for another suffix, or
    where it cannot be written.
    """
    check(path)
    with into(path, "another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI)
