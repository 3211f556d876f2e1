"""What a better selector could still reach (coverage, pass@n), and for whom thinking helps
(difficulty).
"""

from __future__ import annotations

import numpy as np

from testtime import labels
from testtime.estimators.binned import cells_by_difficulty
from testtime.report.drawing import level_axis
from testtime.report.results import Results, at_level
from testtime.style import (
    CATEGORY,
    INK,
    Chart,
    canvas,
    label_ends,
    percent_axis,
    plain_axis,
    ramp,
    trace,
)

BINS = 5
ENDS = {"oracle": "pass@n", "majority": "vote", "weighted": "weighted vote", "best": "best of n"}


def coverage(results: Results) -> Chart | None:
    """pass@n and every selector against n, at the largest budget; the gap between them is what a
    verifier could gain.
    """
    level = results.levels[-1]
    lines = {s: results.cells_at(level, s) for s in results.selectors}
    lines = {s: line for s, line in lines.items() if len(line)}
    if len(lines.get("oracle", ())) < 2:
        results.left_out["coverage"] = (
            "the oracle is not among the selectors"
            if "oracle" not in results.selectors
            else "it needs more than one scored sample of every problem"
        )
        return None
    counts = [int(n) for n in lines["oracle"]["n"]]
    figure, axes = canvas()
    tips, ends, legend = {}, [], {}
    deployed = [s for s in lines if s != "oracle"]
    for selector in ["oracle", *deployed]:
        line, kind, name = lines[selector], selector.partition(":")[0], selector.replace(":", "-")
        ceiling = selector == "oracle"
        colour = INK if ceiling else CATEGORY[deployed.index(selector) % len(CATEGORY)]
        dashes = "--" if ceiling else "-"
        trace(axes, line["n"], line["value"], line["lo"], line["hi"], colour, name, dashes)
        tips[name] = [
            f"{labels.selector(selector, int(r['n']))}: "
            f"{labels.interval(r['value'], r['lo'], r['hi'])}"
            for r in line.to_dict("records")
        ]
        alone = ceiling or sum(s.startswith(kind) for s in deployed) == 1
        label = ENDS[kind] if alone and kind in ENDS else labels.selector(selector)
        ends.append((float(line["n"].iloc[-1]), float(line["value"].iloc[-1]), label, colour))
        legend[name] = (label, colour)
    most = {s: float(lines[s]["value"].iloc[-1]) for s in lines}
    single = float(lines["oracle"]["value"].iloc[0])  # where nothing votes
    gap = most["oracle"] - max((most[s] for s in deployed), default=single)
    axes.set_xscale("log", base=2)
    plain_axis(axes, counts, [str(n) for n in counts], "samples n, log scale")
    axes.set_xlim(counts[0] / 1.1, counts[-1] * (counts[-1] / counts[0]) ** 0.02)
    every = np.concatenate([line[["lo", "hi"]].to_numpy(float).ravel() for line in lines.values()])
    bottom = float(np.nanmin(every)) if np.isfinite(every).any() else 0.0
    percent_axis(axes, float(np.nanmax([*every, 0])), "problems solved, %", bottom)
    label_ends(axes, ends, series=list(legend))
    note = (
        f"At {labels.where(level)}. pass@n: at least one of n samples is right, which only a "
        "perfect verifier could pick. "
    )
    note += (
        "The distance to the other lines is what a better selector could gain."
        if deployed
        else "No answers were stored that could vote."
    )
    if axes.get_ylim()[0] > 0:
        note += f" The axis begins at {100 * axes.get_ylim()[0]:.0f}%."
    points = f"{100 * gap:.0f} point{'' if round(100 * gap) == 1 else 's'}"
    title = f"A perfect verifier would gain {points} at n = {counts[-1]}"
    title += "" if deployed else " over one sample"
    rows = results.cells[results.cells["selector"].isin(lines) & at_level(results.cells, level)]
    table = rows[["setting", "budget", "n", "selector", "value", "lo", "hi"]]
    return Chart("coverage", title, note, figure, table, tips, legend)


def by_difficulty(results: Results) -> Chart | None:
    """Accuracy against budget in fifths of the problems, one sample each; bins decided on other
    samples than scored.
    """
    what = "by difficulty"
    if len(results.levels) < 2 or results.problems < 4 * BINS:
        results.left_out[what] = f"it needs two budgets or settings and {4 * BINS} problems"
        return None
    config = results.run.manifest.config
    drawn = {"resamples": config["resamples"], "seed": config["seed"]}
    cells = results.attempt(
        what, lambda: cells_by_difficulty(results.graded, [1], ["mean"], bins=BINS, **drawn)
    )
    if cells is None:
        return None
    if not all(at_level(cells, level).any() for level in results.levels):
        results.left_out[what] = (
            "unscored answers leave a half of the samples without some budget's cells"
        )
        return None
    figure, axes = canvas()
    tips, ends, told = {}, [], {1: "easiest fifth", BINS: "hardest fifth"}
    legend = {}
    for number, colour in enumerate(ramp(BINS), 1):
        fifth = cells[cells["difficulty"] == number]
        for path, levels in enumerate(results.paths.values()):
            rows = [fifth[at_level(fifth, level)].iloc[0].to_dict() for level in levels]
            at = [results.levels.index(level) for level in levels]
            value, low, high = ([r[c] for r in rows] for c in ("value", "lo", "hi"))
            trace(axes, at, value, low, high, colour, f"bin{number}.{path}")
            tips[f"bin{number}.{path}"] = [
                f"{told.get(number, f'fifth {number}')}, {labels.level(level, True)}: "
                f"{labels.interval(r['value'], r['lo'], r['hi'])}"
                for level, r in zip(levels, rows, strict=True)
            ]
        last = float(fifth.loc[at_level(fifth, results.levels[-1]), "value"].iloc[0])
        ends.append((len(results.levels) - 1.0, last, told.get(number, str(number)), colour))
        legend[f"bin{number}"] = (told.get(number, f"fifth {number}"), colour)
    top = float(np.nanmax(cells[["value", "hi"]].to_numpy(float)))  # one problem: no interval
    percent_axis(axes, top)
    level_axis(axes, results.levels)
    label_ends(axes, ends, series=list(legend))
    note = (
        "One sample. Problems are sorted by how often this model solves them, on other samples "
        "than those scored here. Bands are 95% intervals."
    )
    title, table = "Whom thinking helps: accuracy by difficulty", cells.drop(columns=["model"])
    return Chart("difficulty", title, note, figure, table, tips, legend)
