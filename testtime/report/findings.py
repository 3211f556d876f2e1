"""The answer in three sentences, each with its interval, and the warnings where a run does not
support a claim.

A setting is chosen on some problems and judged on the others (`estimators.frontier`), so the
numbers quoted here are lower than the largest cell of the grid: that one was partly lucky.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from testtime.estimators import frontier
from testtime.estimators.cells import null_bounds
from testtime.report.grids import doublings
from testtime.report.results import Evidence, cell_name, level_name, row_level, selector_name
from testtime.report.style import SHORT, amount, interval_text, percent

FEW_PROBLEMS = 100  # below: the interval around 50 % is wider than 10 points either way
WIDE = 0.05  # half an interval
MANY = 0.05  # share of truncated, unparsed or unscored answers
STILL_FORCED = 0.2  # share of forced answers at the largest budget

Finding = tuple[str, str]  # (what it is about, the sentence)


def findings(evidence: Evidence) -> list[Finding]:
    """Best setting; cheapest within a point; longer or more."""
    if evidence.axis is None or evidence.problems < 2:
        deployable = evidence.cells[evidence.cells["selector"] != "oracle"]
        row = deployable.iloc[int(deployable["value"].to_numpy().argmax())]
        why = (
            "the table holds no costs"
            if evidence.axis is None
            else "one problem leaves no other to judge on"
        )
        value = interval_text(row["value"], row["lo"], row["hi"])
        said = f"{_upper(cell_name(row))}: {value}. Chosen and judged on the same problems; {why}."
        return [("Best setting", said)]
    table = frontier.recommend(evidence.sample, evidence.axis)
    best, cheap = (row for _, row in table.head(2).iterrows())
    return [
        ("Best setting", _best(best, evidence.axis)),
        ("Cheapest within a point", _cheapest(cheap, best, evidence.axis, evidence.problems)),
        ("Longer, or more samples?", _longer(evidence, evidence.axis)),
    ]


def _best(row: Any, axis: str) -> str:
    value = interval_text(row["out_of_bag"], row["lo"], row["hi"])
    rivals, others = row.get("rivals", math.nan), row.get("settings", math.nan) - 1
    sure = ""
    if others > 0:
        sure = (
            f" {rivals:.0f} of the other {others:.0f} settings may be the best instead."
            if rivals
            else f" The other {others:.0f} settings are behind it."
        )
    said = f"{_upper(cell_name(row))}: {value} for {amount(row['cost'])} {SHORT[axis]} a problem."
    return said + sure


def _cheapest(row: Any, best: Any, axis: str, problems: int) -> str:
    if not row["told"] and row["cost"] >= best["cost"] * 0.999:
        return "No cheaper setting looks to be within a point of the best."
    saving = 1 - row["cost"] / best["cost"]
    value = interval_text(row["out_of_bag"], row["lo"], row["hi"])
    said = (
        f"{cell_name(row)}: {value} for {amount(row['cost'])} {SHORT[axis]} a problem, "
        f"{saving:.0%} less than the best setting"
    )
    if "gap" not in row or math.isnan(row["gap"]):
        return f"{_upper(said)}."
    low, middle, high = (f"{100 * row[name]:+.1f}" for name in ("gap_lo", "gap", "gap_hi"))
    gap = f"{middle} points to the best [{low}, {high}]"
    if row["told"]:
        return f"{_upper(said)}; {gap}."
    needed = float(f"{row['needed']:.2g}")
    return (
        f"{problems} problems cannot tell one point; about {needed:,.0f} would, were the two "
        f"equal. It looks so for {said}; {gap}."
    )


def _longer(evidence: Evidence, axis: str) -> str:
    table = doublings(evidence, axis)
    if table.empty:
        return (
            "This run cannot tell: it needs a budget and its double, and a number of samples and "
            "its double, in one"
            " grid."
        )
    sides = {side: table[table["better"] == side] for side in ("longer", "more", "undecided")}
    if len(sides["undecided"]) == len(table):
        return (
            f"Undecided: all {len(table)} starting points taken together, a doubled budget differs "
            "from a doubled n at none beyond what chance does."
        )
    said = (
        f"Of {len(table)} starting points, a doubled compute is better spent thinking longer from"
        f" {len(sides['longer'])} and on more samples from {len(sides['more'])}; "
        f"{len(sides['undecided'])} are"
        " undecided."
    )
    clear = []
    for side, sign in (("longer", 1), ("more", -1)):
        if len(sides[side]):
            row = sides[side].iloc[int((sign * sides[side]["difference"]).to_numpy().argmax())]
            low, high = sorted((sign * row["difference_lo"], sign * row["difference_hi"]))
            where = level_name(row_level(row), unit=True)
            clear.append(
                f"{side} by {100 * sign * row['difference']:.1f} points (its own 95% interval "
                f"{100 * low:.1f} to"
                f" {100 * high:.1f}) from {where}, n = {row['n']}"
            )
    return f"{said} Most clearly: {'; '.join(clear)}."


def warnings(evidence: Evidence) -> list[str]:
    """What the run does not support, one sentence each; empty where there is nothing to warn of."""
    found, scores, sample_cells = [], evidence.scores, evidence.grid(evidence.selector)
    if evidence.problems == 1:
        found.append(
            "Only 1 problem: intervals are over problems, so there are none, and others may look "
            "quite different."
        )
    elif evidence.problems < FEW_PROBLEMS:
        found.append(
            f"Only {evidence.problems} problems: another {evidence.problems} like them could give "
            f"quite another"
            " picture. Intervals here are wide for good reason."
        )
    left_out = len((evidence.run.manifest.get("imported") or {}).get("left_out", []))
    if left_out:
        found.append(
            f"{left_out:,} problems of the log have no scored sample and are left out: unknown, "
            f"not wrong."
        )
    half = float(((sample_cells["hi"] - sample_cells["lo"]) / 2).max())
    if half > WIDE:
        needed = math.ceil(evidence.problems * (half / WIDE) ** 2)
        found.append(
            f"Intervals reach ±{100 * half:.0f} points. About {needed:,} problems would bring "
            f"them to"
            f" ±{100 * WIDE:.0f}."
        )
    if evidence.samples < 2:
        found.append(
            "One sample a problem: nothing can be said about voting, coverage, or the noise of "
            "sampling."
        )
    found += _answer_warnings(evidence)
    if "forced" in scores and len(evidence.levels) > 1:
        share = float(evidence.at(evidence.levels[-1])["forced"].fillna(False).astype(bool).mean())
        if share > STILL_FORCED:
            found.append(
                f"At the largest budget {share:.0%} of the chains are still cut: the curve has "
                f"not shown its plateau,"
                f" and lengths beyond {level_name(evidence.levels[-1], True)} are unknown."
            )
    return found


def _answer_warnings(evidence: Evidence) -> list[str]:
    scores, found = evidence.scores, []
    unscored = int(scores["score"].isna().sum())
    if "verdict" in scores:
        unparsed = float((scores["verdict"] == "unparsed").mean())
        if unparsed > MANY:
            found.append(
                f"{unparsed:.0%} of the answers hold nothing the grader could read. They score 0; "
                f"look at some below"
                " before believing the accuracy."
            )
        unknown = scores.loc[scores["score"].isna(), "verdict"].value_counts()
        kinds = ", ".join(f"{count:,} {name}" for name, count in unknown.items())
    else:
        kinds = f"{unscored:,} null"
    if unscored:
        share = unscored / len(scores)
        found.append(
            f"{unscored:,} answers ({percent(share)}%) have no score ({kinds}). Unknown is not "
            f"wrong: cells that need"
            f" them are absent.{_open(evidence)}"
        )
    if "truncated" in scores:
        truncated = float(scores["truncated"].fillna(False).astype(bool).mean())
        if truncated > MANY:
            found.append(
                f"{truncated:.0%} of the answers ran into the answer's own token limit. Raise "
                f"answer.max_tokens before"
                " trusting these accuracies."
            )
    flat = evidence.grid(evidence.selector)
    if len(flat) > 3 and float(np.ptp(flat["value"])) < 1e-9:
        found.append(
            f"Every cell of {selector_name(evidence.selector)} has the same accuracy: this model "
            f"or benchmark does not"
            " react to test compute."
        )
    return found


def _open(evidence: Evidence) -> str:
    """What the unscored answers leave open, where they leave most."""
    bounds = null_bounds(evidence.scores, [1], ["mean"])
    widest = bounds.iloc[int((bounds["upper"] - bounds["lower"]).to_numpy().argmax())]
    return (
        f" Were all of them wrong, or all right, one sample at "
        f"{level_name(row_level(widest), True)} would solve"
        f" {percent(widest['lower'])}% or {percent(widest['upper'])}%."
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
