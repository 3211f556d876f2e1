"""The answer in three sentences, each with its interval, and the warnings where a run does not
support a claim.

A setting is chosen on some problems and judged on the others (`estimators.frontier`), so the
numbers quoted here are lower than the largest cell of the grid: that one was partly lucky.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from testtime import labels
from testtime.estimators import frontier
from testtime.estimators.cells import null_bounds
from testtime.report.grids import doublings
from testtime.report.results import Results

FEW_PROBLEMS = 100  # below: the interval around 50 % is wider than 10 points either way
WIDE = 0.05  # half an interval
MANY = 0.05  # share of truncated, unparsed or unscored answers
STILL_FORCED = 0.2  # share of forced answers at the largest budget


@dataclass(frozen=True)
class Finding:
    """A sentence on one question; number: what of it stands large on the page."""

    about: str
    text: str
    number: str = ""


def findings(results: Results) -> list[Finding]:
    """Best setting; cheapest within a point; longer or more."""
    axis = results.axis
    if axis is None or results.problems < 2:
        deployable = results.cells[results.cells["selector"] != "oracle"]
        row = deployable.iloc[int(deployable["value"].to_numpy().argmax())]
        one = "one problem leaves no other to judge on"
        why = "the table holds no costs" if axis is None else one
        value = labels.interval(row["value"], row["lo"], row["hi"])
        cell = labels.sentence(labels.cell(row))
        return [
            Finding(
                "Best setting",
                f"{cell}: {value}. Chosen and judged on the same problems; {why}.",
                f"{labels.percent(row['value'])}%",
            )
        ]
    table = frontier.recommend(results.sample, axis)
    best, cheap = (row for _, row in table.head(2).iterrows())
    return [
        Finding(
            "Best setting",
            f"{labels.sentence(_chosen(best, axis))}.{_luck(best)}{_rivals(best)}",
            f"{labels.percent(best['out_of_bag'])}%",
        ),
        Finding("Cheapest within a point", _cheapest(cheap, best, axis, results.problems)),
        Finding("Longer, or more samples?", _longer(results, axis)),
    ]


def _chosen(row: Any, axis: str) -> str:
    value = labels.interval(row["out_of_bag"], row["lo"], row["hi"])
    return f"{labels.cell(row)}: {value} for {labels.cost(axis, row['cost'])}"


def _luck(row: Any) -> str:
    """Why the same setting has another number in the grid."""
    grid = labels.percent(row["value"])
    if grid == labels.percent(row["out_of_bag"]):
        return ""
    return f" The grid's {grid}% for it is judged on the problems that chose it, so partly luck."


def _rivals(row: Any) -> str:
    """How many settings may as well be the best."""
    rivals, others = row.get("rivals", math.nan), row.get("settings", math.nan) - 1
    if not others > 0:
        return ""
    if others == 1:
        return f" The other setting {'may be the best instead' if rivals else 'is behind it'}."
    if rivals:
        return f" {rivals:.0f} of the other {others:.0f} settings may be the best instead."
    return f" The other {others:.0f} settings are behind it."


def _cheapest(row: Any, best: Any, axis: str, problems: int) -> str:
    """The cheapest setting that is surely good enough, or what it would take to tell."""
    if not row["told"] and row["cost"] >= best["cost"] * 0.999:
        return "No cheaper setting looks to be within a point of the best."
    saving = 1 - row["cost"] / best["cost"]
    said = f"{_chosen(row, axis)}, {saving:.0%} less than the best setting"
    if "gap" not in row or math.isnan(row["gap"]):
        return f"{labels.sentence(said)}."
    gap = f"{labels.points(row['gap'], row['gap_lo'], row['gap_hi'])} points to the best"
    if row["told"]:
        return f"{labels.sentence(said)}; {gap}."
    needed = float(f"{row['needed']:.2g}")
    would = f"; about {needed:,.0f} would, were the two equal" if math.isfinite(needed) else ""
    return f"{problems} problems cannot tell one point{would}. It looks so for {said}; {gap}."


def _longer(results: Results, axis: str) -> str:
    table = doublings(results, axis)
    if table.empty:
        return (
            "This run cannot tell: it needs a budget and its double, and a number of samples and "
            "its double, in one grid."
        )
    sides = {side: table[table["better"] == side] for side in ("longer", "more", "undecided")}
    if len(sides["undecided"]) == len(table):
        return (
            f"Undecided: all {len(table)} starting points taken together, a doubled budget differs "
            "from a doubled n at none beyond what chance does."
        )
    clear = []
    for side, sign in (("longer", 1), ("more", -1)):
        if len(sides[side]):
            row = sides[side].iloc[int((sign * sides[side]["difference"]).to_numpy().argmax())]
            low, high = sorted((sign * row["difference_lo"], sign * row["difference_hi"]))
            start = labels.level(labels.row_level(row), unit=True)
            clear.append(
                f"{side} by {100 * sign * row['difference']:.1f} points (its own 95% interval "
                f"{100 * low:.1f} to {100 * high:.1f}) from {start}, n = {row['n']}"
            )
    return (
        f"Of {labels.counted(len(table), 'starting point')}, a doubled compute is better spent "
        f"thinking longer from {len(sides['longer'])} and on more samples from "
        f"{len(sides['more'])}; {len(sides['undecided'])} are undecided. Most clearly: "
        f"{'; '.join(clear)}."
    )


def warnings(results: Results) -> list[str]:
    """What the run does not support, one sentence each; empty where there is nothing to warn of."""
    said, problems = [], results.problems
    if problems == 1:
        said.append(
            "Only 1 problem: intervals are over problems, so there are none, and others may look "
            "quite different."
        )
    elif problems < FEW_PROBLEMS:
        said.append(
            f"Only {problems} problems: another {problems} like them could give quite another "
            "picture. Intervals here are wide for good reason."
        )
    if left_out := results.run.manifest.left_out:
        said.append(
            f"{labels.counted(len(left_out), 'problem')} left out, unknown and not wrong, such as "
            f"{left_out[0]}."
        )
    if own := sorted(set(results.run.manifest.problems) - set(results.scores["problem_id"])):
        said.append(
            f"{labels.counted(len(own), 'problem')} that other models have left out of this one, "
            f"unknown and not wrong, such as {own[0]}."
        )
    grid = results.grid(results.selector)
    half = float(((grid["hi"] - grid["lo"]) / 2).max())
    if half > WIDE:
        needed = math.ceil(problems * (half / WIDE) ** 2)
        said.append(
            f"Intervals reach ±{100 * half:.0f} points. About {needed:,} problems would bring them "
            f"to ±{100 * WIDE:.0f}."
        )
    if results.samples < 2:
        said.append(
            "One sample a problem: nothing can be said about voting, coverage, or the noise of "
            "sampling."
        )
    said += _answer_warnings(results)
    if "forced" in results.scores and len(results.levels) > 1:
        top = results.levels[-1]
        share = float(results.flag("forced", top).mean())
        if share > STILL_FORCED:
            said.append(
                f"At the largest budget {share:.0%} of the chains are still cut: the curve has not "
                f"shown its plateau, and lengths beyond {labels.level(top, True)} are unknown."
            )
    return said


def _answer_warnings(results: Results) -> list[str]:
    scores, said = results.scores, []
    unscored = int(scores["score"].isna().sum())
    kinds = f"{unscored:,} null"
    if "verdict" in scores:
        unparsed = float((scores["verdict"] == "unparsed").mean())
        if unparsed > MANY:
            said.append(
                f"{unparsed:.0%} of the answers hold nothing the grader could read. They score 0; "
                "look at some below before believing the accuracy."
            )
        unknown = scores.loc[scores["score"].isna(), "verdict"].value_counts()
        kinds = ", ".join(f"{count:,} {name}" for name, count in unknown.items()) or kinds
    if unscored:
        share = labels.percent(unscored / len(scores))
        said.append(
            f"{labels.counted(unscored, 'answer')} ({share}%) have no score ({kinds}). Unknown is "
            f"not wrong: cells that need them are absent.{_open(results)}"
        )
    if "truncated" in scores:
        truncated = float(results.flag("truncated").mean())
        if truncated > MANY:
            said.append(
                f"{truncated:.0%} of the answers ran into the answer's own token limit. Raise "
                "answer.max_tokens before trusting these accuracies."
            )
    flat = results.grid(results.selector)
    if len(flat) > 3 and float(np.ptp(flat["value"])) < 1e-9:
        said.append(
            f"Every cell of {labels.selector(results.selector)} has the same accuracy: this model "
            "or benchmark does not react to test compute."
        )
    return said


def _open(results: Results) -> str:
    """What the unscored answers leave open, where they leave most."""
    bounds = null_bounds(results.scores, [1], ["mean"])
    widest = bounds.iloc[int((bounds["upper"] - bounds["lower"]).to_numpy().argmax())]
    low, high = (labels.percent(widest[end]) for end in ("lower", "upper"))
    return (
        " Were all of them wrong, or all right, one sample at "
        f"{labels.level(labels.row_level(widest), True)} would solve {low}% or {high}%."
    )
