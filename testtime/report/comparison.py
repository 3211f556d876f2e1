"""A comparison drawn and written: every model's equal-compute frontier, and where longer beats
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels, style
from testtime.compare.result import Comparison
from testtime.compare.text import describe
from testtime.labels import Level, row_level
from testtime.laws.figures import save
from testtime.report.drawing import board_height, draw_differences, draw_frontiers, of_selector
from testtime.storage import sheets
from testtime.storage.files import into
from testtime.style import CATEGORY, FONT, INK, MUTED, Chart, panels, plain_axis

if TYPE_CHECKING:
    import pandas as pd

WIDTH, TOP, LOW = 5.4, 3.7, 2.4  # inches


def figure(compared: Comparison, path: str | Path | None = None) -> Chart:
    """Every model's frontier, and where longer beats more; also written to a .png, .svg or .pdf
    file. Raises UserError for another suffix, or where it cannot be written.
    """
    with style.context():
        drawn = chart(compared.tables, compared.axis)
        if path is not None:
            save(drawn.figure, Path(path))
    return drawn


def write(compared: Comparison, folder: str | Path) -> list[Path]:
    """Write each table as CSV, the report as compare.txt and the figure as compare.png, .svg and
    .pdf into `folder`; returns the paths. Raises UserError where that is not possible.
    """
    target = Path(folder)
    with into(target):
        target.mkdir(parents=True, exist_ok=True)
        for name, table in compared.tables.items():
            sheets.write(table, target / f"{name}.csv")
        (target / "compare.txt").write_text(describe(compared) + "\n", encoding="utf-8")
        with style.context():
            drawn = chart(compared.tables, compared.axis).figure
            for kind in ("png", "svg", "pdf"):
                save(drawn, target / f"compare.{kind}")
    words = [target / f"compare.{kind}" for kind in ("txt", "png", "svg", "pdf")]
    return [*(target / f"{name}.csv" for name in compared.tables), *words]


def chart(tables: Mapping[str, pd.DataFrame], axis: str) -> Chart:
    """The figure from a comparison's tables: `frontiers` (by model) and, where there are any,
    `doublings`.

    With several models the lower panel has a row for each at the least n that votes; with one, a
    row for each n.
    """
    lines = {str(model): part for model, part in tables["frontiers"].groupby("model", sort=False)}
    rows, label, title = _rows(tables.get("doublings"))
    rivals = None if rows else _rivals(tables.get("selectors"))
    below = [board_height(len(rows)) + 0.3] if rows else [] if rivals is None else [LOW]
    figure, axes = panels(WIDTH, [TOP, *below])
    tips, _ = draw_frontiers(axes[0], lines, axis)
    above = "The best setting at each compute, 95% bands" if below else ""
    note = (
        f"Above: accuracy against {labels.axis(axis).title}, settings chosen on some problems and "
        "judged on others."
    )
    if rows:
        draw_differences(axes[1], rows, _levels(rows), label)
        note += (
            " Below: points gained by a doubled budget minus those gained by a doubled n; orange: "
            "longer is better, blue: more, uncoloured: undecided, all starting points judged "
            "together."
        )
    elif rivals is not None:
        title = _draw_rivals(axes[1], rivals)
        note += " Below: selectors paired on the same samples, each with its 95% interval."
    for part, told in zip(axes, (above, title), strict=False):
        part.set_title(told, loc="left", fontsize=FONT, color=INK)
    return Chart("compare", "Longer, more, or larger?", note, figure, tables["frontiers"], tips)


def _rivals(selectors: pd.DataFrame | None) -> pd.DataFrame | None:
    """The paired differences of selectors that one panel can hold: of one model at one level."""
    if selectors is None or selectors.empty:
        return None
    one = selectors[["model", "setting", "budget"]].drop_duplicates()
    return selectors if len(one) == 1 else None


def _draw_rivals(axes: Any, rivals: pd.DataFrame) -> str:
    """A line for each two selectors: their difference at each n; returns the panel's title."""
    counts = sorted(rivals["n"].unique())
    axes.axhline(0, color=MUTED, linewidth=1)
    pairs = rivals.groupby(["a_selector", "b_selector"], sort=False)
    for at, ((one, other), part) in enumerate(pairs):
        colour, shift = CATEGORY[at % len(CATEGORY)], 1 + 0.04 * at  # bars stand side by side
        value, lo, hi = (100 * part[c] for c in ("difference", "lo", "hi"))
        look = {"color": colour, "linewidth": 1.2, "marker": "o", "markersize": 4.2}
        name = f"{labels.selector(str(one))} minus {labels.selector(str(other))}"
        axes.errorbar(shift * part["n"], value, [value - lo, hi - value], label=name, **look)
    axes.set_xscale("log", base=2)
    plain_axis(axes, counts, [str(n) for n in counts], "samples n, log scale")
    axes.set_ylabel("points")
    if len(pairs) == 1:
        return f"{labels.sentence(name)}, points, 95%"
    under = {"loc": "upper left", "bbox_to_anchor": (0, -0.22)}
    axes.legend(frameon=False, fontsize=FONT - 1.5, **under)
    return "Selectors paired on the same samples, points, 95%"


def _rows(doublings: pd.DataFrame | None) -> tuple[dict[str, pd.DataFrame], str, str]:
    """The rows of the lower panel with their axis's label and the panel's title."""
    usable = (
        []
        if doublings is None
        else [s for s in doublings["selector"].unique() if s not in ("mean", "oracle")]
    )
    if doublings is None or not usable:
        return {}, "", ""
    table = of_selector(doublings, usable[0])
    several, least = table["model"].nunique() > 1, int(table["n"].min())
    part = table[table["n"] == least] if several else table
    by = "model" if several else "n"
    rows = {str(name): rows_of for name, rows_of in part.groupby(by, sort=not several)}
    how = labels.selector(usable[0], least) if several else labels.selector(usable[0])
    title = (
        f"Doubled budget minus doubled n, points (from {how})\norange: longer wins, blue: more "
        f"wins, plain: undecided"
    )
    return rows, "" if several else "samples n", title


def _levels(rows: Mapping[str, pd.DataFrame]) -> list[Level]:
    """The levels that the rows start from: by setting and budget; effort levels by what they
    cost.
    """
    import pandas as pd

    starts = pd.concat(rows.values()).sort_values("cost").drop_duplicates(["setting", "budget"])
    if starts["budget"].notna().any():
        starts = starts.sort_values(["setting", "budget"])
    return [row_level(row) for row in starts.to_dict("records")]
