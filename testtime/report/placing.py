"""Names beside points, each where neither another name nor a point (nor a line) is.

The places around a point are tried in the order that reads best, the nearest first; a name for
which none is free is not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from testtime.style import freeze

AROUND = 16  # directions
Box = tuple[float, float, float, float]
Way = tuple[float, float]  # points to the right and upwards, from a point to its name


def around(distances: Iterable[float]) -> list[Way]:
    """Ways in all directions at growing distances (points), to the right first."""
    turns = sorted(np.arange(AROUND) * 2 * np.pi / AROUND, key=lambda t: -np.cos(t))
    return [(far * float(np.cos(t)), far * float(np.sin(t))) for far in distances for t in turns]


class Room:
    """What is free in a figure that is drawn but for its names. Its layout is frozen: places are
    pixels, so nothing may move any more.
    """

    def __init__(self, axes: Any, xs: ArrayLike, ys: ArrayLike) -> None:
        """xs, ys: the points that no name may cover, in data."""
        freeze(axes.figure)
        self.axes, self.figure = axes, axes.figure
        self.pixel = self.figure.dpi / 72
        self.renderer = self.figure.canvas.get_renderer()
        self.window = axes.get_window_extent(self.renderer)
        self.taken: list[Box] = []
        self.avoid(np.column_stack([np.asarray(xs, float), np.asarray(ys, float)]))

    def avoid(self, points: Any) -> None:
        """Keep names from points (x, y) in data."""
        for x, y in self.axes.transData.transform(points):
            self.taken.append((x - 2, y - 2, x + 2, y + 2))

    def avoid_lines(self) -> None:
        """Keep names from the lines drawn so far: all along them."""
        for line in self.axes.lines:
            path = self.axes.transData.transform(np.asarray(line.get_xydata(), float))
            for (x0, y0), (x1, y1) in pairwise(path):
                steps = 1 + int(np.hypot(x1 - x0, y1 - y0) / 3)
                for t in np.linspace(0, 1, steps + 1):
                    x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
                    self.taken.append((x - 1, y - 1, x + 1, y + 1))

    def write(
        self, name: str, x: float, y: float, ways: Iterable[Way], lined: float = np.inf, **look: Any
    ) -> bool:
        """Write a name by a point where there is room; says whether there was. lined: the distance
        from which a thin line leads to the point.
        """
        at = self.axes.transData.transform((x, y))
        text = self.axes.annotate(name, (x, y), (0, 0), textcoords="offset points", **look)
        size = text.get_window_extent(self.renderer)
        text.remove()
        for dx, dy in ways:
            share = 0.5 if abs(dx) < 1 else 0.0 if dx > 0 else 1.0
            left = at[0] + dx * self.pixel - size.width * share
            low = at[1] + dy * self.pixel - size.height / 2
            box = (left, low, left + size.width, low + size.height)
            if not self._inside(box) or any(_meet(box, other) for other in self.taken):
                continue
            lead = {"arrowstyle": "-", "color": look["color"], "linewidth": 0.6, "shrinkA": 1}
            arrow = {"arrowprops": lead} if np.hypot(dx, dy) >= lined else {}
            place = ((left - at[0]) / self.pixel, dy)
            self.axes.annotate(
                name, (x, y), place, textcoords="offset points", va="center", **look, **arrow
            )
            self.taken.append(box)
            return True
        return False

    def _inside(self, box: Box) -> bool:
        window = self.window
        return bool(
            box[0] > window.x0
            and box[2] < self.figure.bbox.x1
            and window.y0 < box[1]
            and box[3] < window.y1 + 12
        )


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
