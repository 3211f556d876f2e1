"""One style for every figure: colours, axes, numbers, labels.

Figures are drawn small, so that they stay legible at half a page's width. Colours are Okabe and
Ito's and a sequential ramp, both safe for colour-blind readers; lines are labelled where they end,
not in a legend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels

if TYPE_CHECKING:
    import pandas as pd

INK, MUTED, GRID, PAPER = "#1d2329", "#5a646e", "#dde1e6", "#fefefe"
# Ordered things (n = 1, 2, 4, ..., difficulty): light to dark on paper, dark to light at night
# (page.css).
RAMP = ("#5fb7a6", "#3a9fae", "#2b84ab", "#2c68a0", "#38498e", "#412b74", "#3b0f50")
# Unordered things (models, selectors): Okabe and Ito, the yellow left out because it is too light
# on paper.
CATEGORY = ("#0173b2", "#d55e01", "#029e73", "#b3589a", "#c98a00", "#3fa0dc", "#7a5c3e")
SIZE = (4.8, 3.3)  # inches; at half a page's width (3.25 inches) the text is still 6.5 points
FONT = 9.5
DPI = 300  # of bitmaps


@dataclass(frozen=True)
class Chart:
    """One figure of the report: the matplotlib figure, the table it draws, and the words around it.

    name: its file name; title: what it shows, as a sentence; note: how to read it; tips: gid of a
    drawn line -> a text for each of its points; legend: gid of a series -> its name and colour.
    What else belongs to a series has its gid, a dot and a word.
    """

    name: str
    title: str
    note: str
    figure: Any
    table: pd.DataFrame
    tips: Mapping[str, Sequence[str]] = field(default_factory=dict)
    legend: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@contextlib.contextmanager
def context() -> Iterator[None]:
    """The style of every figure: they are drawn and saved inside it."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def canvas(size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    """A figure with one pair of axes: no box, thin horizontal lines."""
    figure, (axes,) = panels(size[0], [size[1]])
    return figure, axes


def panels(width: float, heights: Sequence[float], columns: int = 1) -> tuple[Any, list[Any]]:
    """A figure with several such axes, one under another, or row by row in several columns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    every = list(figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).flat)
    for axes in every:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(MUTED)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", length=3, color=MUTED)
    return figure, every


def freeze(figure: Any) -> None:
    """Lay a figure out once. Any layout engine, even one that does nothing, makes each format draw
    the figure twice.
    """
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


_RC = {
    "font.size": FONT,
    "font.family": "DejaVu Sans",
    "axes.labelsize": FONT,
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a model may be called $\\frac$
    "svg.hashsalt": "testtime",
    "pdf.fonttype": 3,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def ramp(count: int) -> list[str]:
    """`count` ordered colours spread over the ramp (repeating neighbours where there are more than
    it has).
    """
    return (
        [RAMP[round(i * (len(RAMP) - 1) / max(count - 1, 1))] for i in range(count)]
        if count > 1
        else [RAMP[3]]
    )


def ramp_map() -> Any:
    """The ramp as a continuous colour map, from nearly white."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("testtime", ["#f0f4ef", "#b5dccf", *RAMP])


def percent_axis(axes: Any, top: float, label: str = "accuracy, %", bottom: float = 0.0) -> None:
    """A y axis in round numbers of percent that holds `top` (a fraction; NaN: unknown), from 0.

    bottom: where all lines lie above this, in the upper half of the axis, it begins near them
    instead.
    """
    limit = next((t for t in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if top <= t * 1.0001), 1.0)
    step = next(s for s in (0.02, 0.05, 0.1, 1.0) if limit - bottom <= 6 * s)
    start = step * np.floor(bottom / step) if bottom > limit / 2 else 0.0
    if start > 0:
        limit = min(1.0, step * np.ceil(top / step - 1e-9))
        ticks = np.arange(start, limit + step / 2, step)
    else:
        ticks = np.linspace(0, limit, 6 if limit in (0.05, 0.1, 1.0) else 5)
    axes.set_ylim(start, limit + 0.02 * (limit - start))
    axes.set_yticks(ticks, [f"{100 * t:g}" for t in np.round(ticks, 4)])
    axes.set_ylabel(label)


def log_axis(axes: Any, values: Iterable[float], label: str) -> None:
    """A logarithmic x axis with few, plainly written ticks, wide enough for labels at the right
    end.
    """
    known = [v for v in values if v > 0 and np.isfinite(v)]
    low, high = min(known), max(known)
    axes.set_xscale("log")
    axes.set_xlim(low / (high / low) ** 0.04 / 1.02, high * (high / low) ** 0.1 * 1.05)
    decades = np.log10(high / low)
    steps = (1,) if decades > 3 else (1, 3) if decades > 1.6 else (1, 2, 5)
    ticks = [
        s * 10.0**e
        for e in range(int(np.floor(np.log10(low))), int(np.log10(high)) + 2)
        for s in steps
    ]
    ticks = [t for t in ticks if low * 0.9 <= t <= high * 1.1] or [low, high]
    ticks = ticks[:: max(1, -(-len(ticks) // 7))]
    axes.set_xticks(ticks, tick_labels(ticks))
    axes.minorticks_off()
    axes.set_xlabel(label)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Ticks of one axis in one notation: powers of ten for all where one of them needs it."""
    powers = [t for t in ticks if t and not 1e-4 <= abs(t) < 0.9995e9]
    if not powers:
        return [labels.amount(t) for t in ticks]
    return [labels.power_of_ten(t) for t in ticks]


def plain_axis(axes: Any, ticks: Sequence[float], labels: Sequence[str], label: str) -> None:
    """An x axis with exactly these ticks."""
    axes.set_xticks(list(ticks), list(labels))
    axes.minorticks_off()
    axes.set_xlabel(label)


def trace(
    axes: Any, x: Any, y: Any, lo: Any, hi: Any, colour: str, gid: str, dashes: Any = "-"
) -> None:
    """A line through points in their order, with its band; `gid` names it for tool tips and tests.

    Where x turns back, as dollars do where a cut chain costs more than a finished one, a band would
    cross itself: then each point has a bar of its own.
    """
    band = f"{gid}.band"
    if np.all(np.diff(np.asarray(x, float)) > 0):
        axes.fill_between(x, lo, hi, color=colour, alpha=0.10, linewidth=0, gid=band)
    else:
        axes.vlines(x, lo, hi, color=colour, alpha=0.35, linewidth=1, gid=band)
    look = {"linewidth": 1.7, "linestyle": dashes, "marker": "o", "markersize": 4.2}
    edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.6}
    axes.plot(x, y, color=colour, gid=gid, **look, **edge)


def badge(axes: Any, x: float, y: float, text: str, colour: str, gid: str) -> None:
    """A short label in a disc on a point: what stays legible where lines run close together; gid:
    of its series.
    """
    axes.plot(
        [x],
        [y],
        marker="o",
        markersize=12.5,
        color=colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.8,
        zorder=4,
        gid=f"{gid}.badge",
    )
    size = FONT - 1.5 if len(text) < 3 else FONT - 3
    axes.annotate(
        text,
        (x, y),
        ha="center",
        va="center_baseline",
        color=PAPER,
        fontsize=size,
        fontweight="bold",
        zorder=5,
        gid=f"{gid}.number",
    )


def label_ends(
    axes: Any,
    ends: Sequence[tuple[float, float, str, str]],
    gap: float = 0.066,
    offset: float = 5,
    series: Sequence[str] = (),
) -> None:
    """Labels at the right of line ends (x, y, text, colour), moved apart where they would overlap.
    series: the gid of each one's line.

    gap: least vertical distance as a share of the axis. Ends a tenth of the axis apart on x do not
    push each other.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [tuple(to_axes.transform((x, y))) for x, y, _, _ in ends]
    order = sorted(range(len(ends)), key=lambda i: places[i][1])
    y = [min(max(places[i][1], 0.02), 0.985) for i in range(len(ends))]
    for _ in range(60):
        for a, b in pairwise(order):
            short = gap - (y[b] - y[a])
            if short > 0 and abs(places[a][0] - places[b][0]) < 0.1:
                y[a], y[b] = y[a] - short / 2, min(y[b] + short / 2, 0.985)
    for i, (x, _, text, colour) in enumerate(ends):
        axes.annotate(
            text,
            (x, y[i]),
            (offset, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=FONT,
            fontweight="bold",
            annotation_clip=False,
            gid=f"{series[i]}.label" if series else None,
        )
