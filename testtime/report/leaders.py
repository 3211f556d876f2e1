"""The figure over the leaderboard: accuracy against cost, one line joining a model's levels, and
the frontier of them all. The best few are coloured, the others grey; labels never collide, so with
many models only those are named that there is room for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from testtime import labels
from testtime.errors import UserError
from testtime.laws.figures import save
from testtime.report.placing import Name, Room, around
from testtime.style import (
    CATEGORY,
    FONT,
    INK,
    MUTED,
    PAPER,
    Chart,
    canvas,
    context,
    log_axis,
    percent_axis,
)

if TYPE_CHECKING:
    import pandas as pd

SIZE = (6.4, 4.3)  # inches
NAMED = 14  # models that are named even where they are not on the frontier
FARTHER = (6.5, 11.7, 18.2, 27.3, 42.3, 58.5)  # points from a point to its name
NEAR = (6.5, 11)
CROWD = 40  # lines between which names find no room
LEVELS = 4  # models whose levels are written at their points
HEAD = 1.22  # of the axis, where many are best together: room for their names
DATE = re.compile(r"-20\d\d-?\d\d-?\d\d$")
LINED = 18  # from here on a thin line leads to the point


def write(rows: pd.DataFrame, path: Path) -> None:
    """The figure of `leaderboard.board` on the cost that most models have, as a file. Raises
    UserError where no cost is known, for another suffix, and where it cannot be written.
    """
    axis = axis_of(rows)
    if axis is None:
        raise UserError(f"{path}: nothing is drawn, no model's tokens, FLOPs or dollars are known")
    with context():
        save(figure(rows, axis).figure, path)


def axes(rows: pd.DataFrame) -> list[str]:
    """The costs that are known, by how many models can be placed; dollars before FLOPs before
    tokens.
    """
    one = rows[rows["n"] == 1]
    placed = {a: one.loc[one[a] > 0, "model"].nunique() for a in ("usd", "flops", "tokens")}
    return sorted((a for a, count in placed.items() if count), key=lambda a: -placed[a])


def axis_of(rows: pd.DataFrame) -> str | None:
    """The cost on which most models can be placed; None where none is known."""
    return next(iter(axes(rows)), None)


def figure(rows: pd.DataFrame, axis: str) -> Chart:
    """Accuracy of one sample against cost. rows: of `leaderboard.board`; models without that cost
    are not drawn, and counted in the note.
    """
    one = rows[(rows["n"] == 1) & (rows[axis] > 0)]
    lines = {str(m): part.sort_values("order") for m, part in one.groupby("model", sort=False)}
    by_best = sorted(lines, key=lambda m: -float(lines[m]["value"].max()))
    colours = dict(zip(by_best, CATEGORY, strict=False))
    scale, of = labels.axis(axis).scale, labels.axis(axis)
    frontier = _frontier(one, axis)
    drawing, axes = canvas(SIZE)
    wide = {"linewidth": 6, "alpha": 0.12, "solid_capstyle": "round", "zorder": 1}
    axes.plot(scale * frontier[axis], frontier["value"], color=INK, gid="frontier", **wide)
    series = {m: f"model{i}" if m in colours else f"others.{i}" for i, m in enumerate(by_best)}
    legend = {series[model]: (model, colour) for model, colour in colours.items()}
    if others := len(lines) - len(colours):
        legend["others"] = (labels.counted(others, "other"), MUTED)
    tips = {}
    for model in reversed(by_best):  # the best are drawn last, on top
        line, colour = lines[model], colours.get(model, MUTED)
        strong = model in colours
        x, gid = scale * line[axis], series[model]
        if strong:
            ends = [line["value"] - line["lo"], line["hi"] - line["value"]]
            bars = np.nan_to_num(np.maximum(ends, 0))
            thin = {"fmt": "none", "ecolor": colour, "elinewidth": 0.8, "alpha": 0.45}
            _, _, (drawn_bars,) = axes.errorbar(x, line["value"], bars, **thin)
            drawn_bars.set_gid(f"{gid}.bars")
        look = {"linewidth": 1.7 if strong else 0.8, "markersize": 5 if strong else 3.4}
        edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.6, "marker": "o"}
        faded = {"alpha": 1.0 if strong else 0.55, "zorder": 3 if strong else 2}
        axes.plot(x, line["value"], color=colour, gid=gid, **look, **edge, **faded)
        tips[gid] = [
            f"{model}, {row['setting']}: "
            f"{labels.interval(row['value'], row['lo'], row['hi'])} at "
            f"{labels.cost(axis, row[axis])}"
            for row in line.to_dict("records")
        ]
    percent_axis(axes, float(one[["value", "hi"]].max().max()))
    axes.set_ylim(top=axes.get_ylim()[1] * (HEAD if len(lines) > NAMED else 1.0))
    log_axis(axes, scale * one[axis], f"{of.title}, log scale")
    wanted = dict.fromkeys([*by_best[:NAMED], *frontier["model"]])
    named = [(m, lines[m].iloc[-1], colours.get(m, MUTED)) for m in wanted]
    small = {"color": MUTED, "fontsize": FONT - 2}
    joined = [line for line in axes.lines if len(line.get_xdata()) > 1]
    if len(joined) > CROWD:  # names on thin grey lines are better than none
        joined = [line for line in joined if line.get_color() != MUTED]
    room, short = Room(axes, scale * one[axis], one["value"], joined), _short(lines)
    bold = {"fontsize": FONT - 1, "fontweight": "bold"}
    names = [
        Name(short[model], scale * row[axis], row["value"], bold | {"color": c, "gid": gid})
        for model, row, c, gid in ((m, r, c, f"{series[m]}.name") for m, r, c in named)
    ]
    of_best = len(colours)  # the coloured ones first, with lines to their points if need be
    written = room.write(names[:of_best], around(FARTHER), LINED)
    written += room.write(names[of_best:], around(NEAR))
    if len(lines) <= LEVELS:
        levels = [
            Name(row["setting"].removeprefix("effort="), scale * row[axis], row["value"], small)
            for line in lines.values()
            for row in line.to_dict("records")
        ]
        room.write(levels, around(NEAR))
    missing = rows["model"].nunique() - len(lines)
    note = (
        "One sample a problem. A line joins the budgets or effort levels of a model, the broad "
        "grey line the best at each cost. Bars, of the coloured models, are 95% intervals over "
        "problems."
    )
    if written < len(lines):
        note += f" {len(lines) - written} models are not named; point at them, or read the table."
    if missing:
        note += (
            f" {labels.counted(missing, 'model')} whose {of.unit} are not known "
            f"{'is' if missing == 1 else 'are'} in the table alone."
        )
    drawn = (
        f"{len(lines)} of {len(lines) + missing} models"
        if missing
        else (labels.counted(len(lines), "model"))
    )
    title = f"{drawn}: accuracy against {of.unit}"
    table = one.drop(columns=["order"])
    return Chart(f"leaderboard-{axis}", title, note, drawing, table, tips, legend)


def _short(models: Iterable[str]) -> dict[str, str]:
    """Names without owners, and without dates where they are told apart without."""
    full = {model: labels.short_model(model) for model in models}
    plain = {model: DATE.sub("", name) for model, name in full.items()}
    seen = Counter(plain.values())
    return {model: name if seen[name] == 1 else full[model] for model, name in plain.items()}


def _frontier(one: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The points that no cheaper one reaches, along growing cost."""
    ordered = one.sort_values([axis, "value"], ascending=[True, False], kind="stable")
    before = ordered["value"].cummax().shift(fill_value=-1.0)
    return ordered[ordered["value"] > before]
