"""What a better selector could still reach (coverage, pass@n), and for whom thinking helps
(difficulty).
"""

from __future__ import annotations

import numpy as np

from testtime.errors import UserError
from testtime.estimators.binned import cells_by_difficulty
from testtime.report.results import Evidence, at_level, level_name, selector_name, short_name
from testtime.report.style import (
    CATEGORY,
    INK,
    Plate,
    canvas,
    interval_text,
    label_ends,
    percent_axis,
    plain_axis,
    ramp,
    trace,
)

BINS = 5


def coverage(evidence: Evidence) -> Plate | None:
    """pass@n and every selector against n, at the largest budget; the gap between them is
    shaded.
    """
    if "oracle" not in evidence.selectors or len(evidence.counts) < 2:
        evidence.left_out["coverage"] = (
            "it needs the oracle among the selectors and more than one sample a problem"
        )
        return None
    level = evidence.levels[-1]
    figure, axes = canvas()
    tips, ends, lines = {}, [], {}
    deployed = [s for s in evidence.selectors if s != "oracle" and len(evidence.cells_at(level, s))]
    for selector in ["oracle", *deployed]:
        line = evidence.cells_at(level, selector)
        colour = INK if selector == "oracle" else CATEGORY[deployed.index(selector) % len(CATEGORY)]
        name = selector.replace(":", "-")
        dashes = "--" if selector == "oracle" else "-"
        trace(axes, line["n"], line["value"], line["lo"], line["hi"], colour, name, dashes)
        tips[name] = [
            f"{selector_name(selector)}, n = {r['n']}: "
            f"{interval_text(r['value'], r['lo'], r['hi'])}"
            for r in line.to_dict("records")
        ]
        kind = selector.partition(":")[0]
        alone = sum(s.startswith(kind) for s in deployed) == 1
        short = {
            "oracle": "pass@n",
            "majority": "vote",
            "weighted": "weighted vote",
            "best": "best of n",
        }[kind]
        label = short if alone or kind == "oracle" else selector_name(selector)
        ends.append((float(line["n"].iloc[-1]), float(line["value"].iloc[-1]), label, colour))
        lines[selector] = line
    best = max(deployed, key=lambda s: lines[s]["value"].iloc[-1]) if deployed else "oracle"
    gap = float(lines["oracle"]["value"].iloc[-1] - lines[best]["value"].iloc[-1])
    top = int(lines["oracle"]["n"].iloc[-1])
    axes.set_xscale("log", base=2)
    plain_axis(axes, evidence.counts, [str(n) for n in evidence.counts], "samples n, log scale")
    axes.set_xlim(evidence.counts[0] / 1.1, top * (top / evidence.counts[0]) ** 0.02)
    percent_axis(axes, float(lines["oracle"]["hi"].max()), "problems solved, %")
    label_ends(axes, ends)
    note = (
        f"At budget {level_name(level, unit=True)}. pass@n: at least one of n samples is right, "
        f"which only a perfect"
        " verifier could pick. The distance to the other lines is what a better selector could "
        "gain."
    )
    title = f"A perfect verifier would gain {100 * gap:.0f} points at n = {top}"
    table = evidence.cells[evidence.cells["selector"].isin(lines) & at_level(evidence.cells, level)]
    return Plate(
        "coverage",
        title,
        note,
        figure,
        table[["setting", "budget", "n", "selector", "value", "lo", "hi"]],
        tips,
    )


def by_difficulty(evidence: Evidence) -> Plate | None:
    """Accuracy against budget in fifths of the problems, one sample each; bins decided on other
    samples than scored.
    """
    if len(evidence.levels) < 2 or evidence.problems < 4 * BINS:
        evidence.left_out["by difficulty"] = (
            f"it needs two budgets or settings and {4 * BINS} problems"
        )
        return None
    try:
        config = evidence.run.manifest["config"]
        found = cells_by_difficulty(
            evidence.scores,
            [1],
            ["mean"],
            bins=BINS,
            resamples=config["resamples"],
            seed=config["seed"],
        )
    except UserError as error:
        evidence.left_out["by difficulty"] = str(error)
        return None
    if not all(at_level(found, level).any() for level in evidence.levels):
        evidence.left_out["by difficulty"] = (
            "unscored answers leave a half of the samples without some budget's cells"
        )
        return None
    figure, axes = canvas()
    x, ticks, names, label = budget_axis(evidence)
    tips, ends = {}, []
    names_of = {1: "easiest fifth", BINS: "hardest fifth"}
    for number, colour in enumerate(ramp(BINS), 1):
        line = found[found["difficulty"] == number]
        ordered = [line[at_level(line, level)].iloc[0] for level in evidence.levels]
        value = [r["value"] for r in ordered]
        low, high = [r["lo"] for r in ordered], [r["hi"] for r in ordered]
        trace(axes, x, value, low, high, colour, f"bin{number}")
        tips[f"bin{number}"] = [
            f"{names_of.get(number, f'fifth {number}')}, {level_name(level, True)}:"
            f" {interval_text(r['value'], r['lo'], r['hi'])}"
            for level, r in zip(evidence.levels, ordered, strict=True)
        ]
        ends.append((x[-1], value[-1], names_of.get(number, str(number)), colour))
    percent_axis(
        axes, float(np.nanmax(found[["value", "hi"]].to_numpy(float)))
    )  # a bin of one problem has no interval
    plain_axis(axes, ticks, names, label)
    label_ends(axes, ends)
    note = (
        "One sample. Problems are sorted by how often this model solves them, on other samples "
        "than those scored here."
        " Bands are 95% intervals."
    )
    return Plate(
        "difficulty",
        "Whom thinking helps: accuracy by difficulty",
        note,
        figure,
        found.drop(columns=["model"]),
        tips,
    )


def budget_axis(evidence: Evidence) -> tuple[list[float], list[float], list[str], str]:
    """Positions of the levels on x, and the ticks and label: equal steps, because budgets are
    doubled or named.
    """
    x = [float(i) for i in range(len(evidence.levels))]
    told = all(np.isnan(budget) for _, budget in evidence.levels)
    names = [short_name(level) for level in evidence.levels]
    return x, x, names, "setting" if told else "thinking budget, tokens"
