"""Figures of fits: points with intervals, the curve and its band, in one plain style. Vector or
bitmap by the file's suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testtime.errors import UserError
from testtime.laws import optimum
from testtime.laws.curves import Curve
from testtime.laws.law import Floats
from testtime.laws.result import Fit
from testtime.storage.files import into

Band = Callable[[Floats], tuple[Floats, Floats] | None]
SUFFIXES = (".png", ".svg", ".pdf")
LABELS = {
    "flops": "test-time FLOPs a problem",
    "tokens": "tokens a problem",
    "thinking_tokens": "thinking tokens a problem",
    "usd": "dollars a problem",
    "seconds": "seconds a problem",
    "budget": "thinking budget (requested)",
    "n": "samples",
}


def testtime(panels: Sequence[tuple[Curve, Fit | None, Band]], path: Path) -> None:
    """One panel a curve: accuracy against log compute, the law chosen, and the band at any compute
    of all that were not rejected.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = _canvas(rows, columns)
    for axis, (curve, fit, band) in zip(axes, panels, strict=False):
        below = np.where(np.isnan(curve.lo), 0, curve.y - curve.lo)
        above = np.where(np.isnan(curve.hi), 0, curve.hi - curve.y)
        axis.errorbar(
            curve.x,
            curve.y,
            np.maximum([below, above], 0),
            fmt="o",
            ms=4,
            capsize=2,
            color="black",
            zorder=3,
        )
        x = np.geomspace(curve.x.min() / 1.2, curve.x.max() * 2, 200)
        ends = band(x) if fit is not None else None
        if fit is not None and ends is not None:
            beyond = x >= curve.x.max()
            axis.plot(x[~beyond], fit.predict(x=x[~beyond]), color="C0", label=fit.law.name)
            axis.plot(
                x[beyond], fit.predict(x=x[beyond]), color="C0", ls="--", label="extrapolated"
            )
            axis.fill_between(x, *ends, color="C0", alpha=0.2, lw=0)
            axis.axvspan(curve.x.max(), x[-1], color="0.95", zorder=0)
            axis.legend(frameon=False, fontsize=8)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter("")  # their labels collide over two decades or fewer
        axis.set_ylim(max(0, min(curve.y.min() - 0.1, 0.9)), min(1.02, curve.y.max() + 0.1))
        axis.set_title(curve.title, fontsize=9)
        axis.set_xlabel(LABELS.get(curve.axis, curve.axis))
        axis.set_ylabel("accuracy")
    _save(figure, axes[len(panels) :], path)


def pretraining(fit: Fit, N: Floats, D: Floats, loss: Floats, path: Path) -> None:
    """Loss against compute with the compute-optimal frontier; and compute-optimal N with the runs
    that were made.
    """
    figure, axes = _canvas(1, 2)
    C = 6 * N * D
    span = np.geomspace(C.min(), C.max() * 10, 200)
    best = optimum.parametric(fit.params, span)
    points = axes[0].scatter(C, loss, c=np.log10(N), s=8, cmap="viridis")
    figure.colorbar(points, ax=axes[0], label="log10 parameters")
    axes[0].plot(span, best.loss, color="C3", label="compute-optimal")
    if fit.replicates is not None:
        drawn = fit.replicates[:400]
        curves = np.array(
            [optimum.parametric(dict(zip(fit.law.names, v, strict=True)), span).N for v in drawn]
        )
        lo, hi = np.nanquantile(curves, [0.025, 0.975], axis=0)
        axes[1].fill_between(span, lo, hi, color="C3", alpha=0.2, lw=0)
    axes[1].scatter(C, N, s=8, color="0.6", label="runs")
    axes[1].plot(span, best.N, color="C3", label="compute-optimal N")
    axes[1].set_yscale("log")
    for axis, label in zip(axes, ("loss", "parameters"), strict=True):
        axis.set_xscale("log")
        axis.set_xlabel("training FLOPs")
        axis.set_ylabel(label)
        axis.legend(frameon=False, fontsize=8)
    _save(figure, [], path)


def _canvas(rows: int, columns: int) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, columns, squeeze=False)))


def _save(figure: Any, unused: Sequence[Any], path: Path) -> None:
    for axis in unused:
        axis.remove()
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
        figure.savefig(path, dpi=150)
