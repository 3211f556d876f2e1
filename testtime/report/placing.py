"""Names beside points, each where neither another name nor a point (nor a line) is.

Places around a point are tried in the order that reads best, the nearest first; a name for which
none is free is not written. Which names find room depends on which come first, so some orders are
tried, and the one that writes most of the important ones nearest to their points is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.style import freeze

AROUND = 16  # directions
ORDERS = 16
ABOVE = 12  # points above the axes that a name may reach
Box = tuple[float, float, float, float]
Way = tuple[float, float]  # points to the right and upwards, from a point to its name


@dataclass(frozen=True)
class Name:
    """A name of the point (x, y) in data. look: of its text, as matplotlib takes it."""

    text: str
    x: float
    y: float
    look: dict[str, Any]


@dataclass
class _Places:
    """What is taken (pixels), and where names were put: name, its offset in points, whether a line
    leads to it.
    """

    taken: NDArray[np.float64]
    names: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    put: list[tuple[Name, Way, bool]] = field(default_factory=list)


def around(distances: Iterable[float]) -> list[Way]:
    """Ways in all directions at growing distances (points), to the right first."""
    turns = sorted(np.arange(AROUND) * 2 * np.pi / AROUND, key=lambda t: -np.cos(t))
    return [(far * float(np.cos(t)), far * float(np.sin(t))) for far in distances for t in turns]


class Room:
    """What is free in a figure that is drawn but for its names: neither one of its points (xs, ys,
    in data) nor one of some lines. Its layout is frozen: places are pixels, so nothing may move any
    more.
    """

    def __init__(self, axes: Any, xs: ArrayLike, ys: ArrayLike, lines: Iterable[Any]) -> None:
        freeze(axes.figure)
        self.axes, self.figure = axes, axes.figure
        self.pixel = self.figure.dpi / 72
        self.renderer = self.figure.canvas.get_renderer()
        self.window = axes.get_window_extent(self.renderer)
        points = np.column_stack([np.asarray(xs, float), np.asarray(ys, float)])
        self.points = axes.transData.transform(points)
        taken = [(x - 2, y - 2, x + 2, y + 2) for x, y in self.points]
        for line in lines:
            for start, end in pairwise(axes.transData.transform(line.get_xydata())):
                taken += _along(start, end)
        self.taken = np.array(taken)

    def write(self, names: Sequence[Name], ways: Sequence[Way], lined: float = np.inf) -> int:
        """Write names, the most important first, where there is room; returns how many. lined: the
        distance in points from which a thin line leads to the point.
        """
        weight = {id(name): 2 * len(names) - rank for rank, name in enumerate(names)}
        sizes = {id(name): self._size(name) for name in names}
        rng = np.random.default_rng(0)
        orders = [range(len(names)), *(rng.permutation(len(names)) for _ in range(ORDERS))]
        tried = [self._placed([names[i] for i in o], sizes, ways, lined) for o in orders]

        def worth(places: _Places) -> float:
            return sum(weight[id(name)] - _far(way) for name, way, _ in places.put)

        best = max(tried, key=worth)
        for name, place, led in best.put:
            thin = {"arrowstyle": "-", "color": name.look["color"], "linewidth": 0.6, "shrinkA": 1}
            arrow = {"arrowprops": thin} if led else {}
            offset = {"textcoords": "offset points", "va": "center"}
            self.axes.annotate(name.text, (name.x, name.y), place, **offset, **name.look, **arrow)
        self.taken = best.taken
        return len(best.put)

    def _size(self, name: Name) -> tuple[float, float]:
        text = self.axes.annotate(name.text, (name.x, name.y), va="center", **name.look)
        box = text.get_window_extent(self.renderer)
        text.remove()
        return float(box.width), float(box.height)

    def _placed(
        self,
        names: Iterable[Name],
        sizes: dict[int, tuple[float, float]],
        ways: Sequence[Way],
        lined: float,
    ) -> _Places:
        """The names put one after the other."""
        places = _Places(self.taken)
        for name in names:
            at, (width, height) = self._at(name), sizes[id(name)]
            for dx, dy in ways:
                share = 0.5 if abs(dx) < 1 else 0.0 if dx > 0 else 1.0
                left = at[0] + dx * self.pixel - width * share
                low = at[1] + dy * self.pixel - height / 2
                box = (left, low, left + width, low + height)
                if not self._inside(box) or _meet([box], places.taken):
                    continue
                nearest = np.clip(at, box[:2], box[2:])  # of the name to its point
                led = float(np.hypot(dx, dy)) >= lined
                if not led and self._nearer(box, float(np.hypot(*(nearest - at)))):
                    continue
                lead = _along(at, nearest) if led else []
                if led and _meet(lead, places.names):
                    continue
                places.taken = np.vstack([places.taken, [box, *lead]])
                places.names = np.vstack([places.names, [box]])
                places.put.append((name, ((left - at[0]) / self.pixel, dy), led))
                break
        return places

    def _at(self, name: Name) -> Any:
        return self.axes.transData.transform((name.x, name.y))

    def _nearer(self, box: Box, own: float) -> bool:
        """Whether another point lies nearer to a name than its own does: it would be misread."""
        away = self.points - np.clip(self.points, box[:2], box[2:])
        return bool((np.hypot(*away.T) < own - 0.5).any())

    def _inside(self, box: Box) -> bool:
        window, top = self.window, self.window.y1 + ABOVE * self.pixel
        sides = box[0] > window.x0 and box[2] < self.figure.bbox.x1
        return bool(sides and window.y0 < box[1] and box[3] < min(top, self.figure.bbox.y1))


def _along(start: ArrayLike, end: ArrayLike) -> list[Box]:
    """Small boxes from one place in pixels to another."""
    (x0, y0), (x1, y1) = np.asarray(start, float), np.asarray(end, float)
    steps = 1 + int(np.hypot(x1 - x0, y1 - y0) / 3)
    places = ((x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in np.linspace(0, 1, steps + 1))
    return [(x - 1, y - 1, x + 1, y + 1) for x, y in places]


def _meet(some: Sequence[Box], others: NDArray[np.float64]) -> bool:
    """Whether any of some boxes overlaps any other."""
    a, b = np.asarray(some)[:, None], others[None]
    beside = (a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:])
    return bool(beside.all(axis=-1).any())


def _far(way: Way) -> float:
    """What a name loses by lying away from its point: at most one, at the distance of a page."""
    return float(np.hypot(*way)) / 1000
