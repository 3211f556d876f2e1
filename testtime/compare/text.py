"""A comparison in words: each finding with its interval, the strongest of many, and what stays
undecided.

The tables hold every cell; a person reads the few lines that answer the question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from testtime import labels
from testtime.compare import paired
from testtime.compare.result import Comparison
from testtime.compare.words import (
    Row,
    difference,
    level_name,
    limited,
    percent,
    pool_name,
    rounded,
)
from testtime.estimators.equal_cost import contests
from testtime.estimators.frontier import points
from testtime.labels import scaled

SIDES = ("longer", "more", "undecided")


def describe(compared: Comparison) -> str:
    """The report of a comparison, for a terminal."""
    tables: dict[str, list[Row]] = {
        name: [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
        for name, table in compared.tables.items()
    }
    deployable = {
        name: [r for r in rows if r.get("selector") != "oracle"] for name, rows in tables.items()
    }
    # a majority of two gains nothing over one
    for name in ("doublings", "crossovers", "by_difficulty_crossovers"):
        deployable[name] = [
            r for r in deployable.get(name, []) if (r["selector"], r["n"]) != ("majority", 1)
        ]
    axis, level = compared.axis, f"{100 * compared.level:g} %"
    lines = [
        f"{compared.problems} problems; compute in {labels.axis(axis).title}; {level} intervals "
        f"over problems",
        "settings are chosen and judged on different problems (in-bag, out-of-bag): where a "
        "table's number for the same setting is higher, that is the luck of being chosen",
        *(f"note: {note}" for note in compared.notes),
    ]

    def section(title: str, told: list[str]) -> None:
        if told:
            lines.extend(["", title, *(f"  {line}" for line in told)])

    section("Recommended settings", _recommendations(tables.get("recommended", []), compared))
    section("On each benchmark by itself", _one_by_one(tables))
    section(
        "The best setting at each compute",
        [_best(row, axis) for row in tables.get("frontier", [])],
    )
    section(
        "What it takes to reach another model's least setting with one sample",
        limited([_catching_up(row, axis) for row in tables.get("catching_up", [])], "catching_up"),
    )
    section(
        "Longer or more? Points gained by a doubled budget minus points gained by a doubled n; a "
        f"win is one that holds at {level} over all starting cells together",
        _doublings(deployable["doublings"]),
    )
    for title, name in (
        ("Where the better one changes, along growing budgets", "crossovers"),
        ("The same by difficulty (1 is easiest)", "by_difficulty_crossovers"),
    ):
        section(title, limited([_crossover(row, axis) for row in deployable[name]], name))
    equal = compared.tables.get("equal_cost")
    if equal is not None:
        section(
            "What settings buy at equal cost, in points: at each compute every budget takes the "
            "most samples that it affords, and a setting wins where one of its budgets beats all "
            "of the other's",
            paired.equal_cost(contests(equal), axis, len(equal), level),
        )
    section(
        "Paired differences, in points, each with its own interval and the one without pairing",
        paired.differences(deployable.get("differences", []), level),
    )
    section(
        "The same by difficulty (1 is easiest), at the largest budget",
        paired.by_difficulty(deployable.get("by_difficulty_differences", []), level),
    )
    section(
        "Selectors against each other on the same samples, paired, in points",
        paired.selectors(tables.get("selectors", []), level),
    )
    return "\n".join(lines)


def _recommendations(rows: list[Row], compared: Comparison) -> list[str]:
    best = next((row for row in rows if row["rule"] == "best"), None)
    lines = []
    for row in rows:
        if row["n"] != row["n"]:
            lines.append(f"{row['rule']}: no cell is that cheap")
        elif row["rule"].startswith("cheapest") and best is not None:
            lines.append(f"{row['rule']}: {_cheapest(row, best, compared)}")
        else:
            lines.append(f"{row['rule']}: {_chosen(row, compared.axis)}{_rivals(row)}")
    return lines


def _cheapest(row: Row, best: Row, compared: Comparison) -> str:
    """The cheapest setting that is surely good enough, or what it would take to tell."""
    if not row["told"] and row["cost"] >= best["cost"]:
        return "no cheaper setting looks so"
    said = _chosen(row, compared.axis)
    if row.get("gap", math.nan) != row.get("gap", math.nan):
        return said
    gap = f"{difference(row, 'gap')} points to the best"
    if row["told"]:
        return f"{said}; {gap}"
    needed = row["needed"]
    would = f"; about {rounded(needed)} would, were the two equal" if math.isfinite(needed) else ""
    return (
        f"{compared.problems} problems cannot tell {points(compared.tolerance)}{would}. It looks "
        f"so for {said}; {gap}"
    )


def _rivals(row: Row) -> str:
    """How many settings may as well be the best."""
    rivals = row.get("rivals", math.nan)
    if rivals != rivals or row["settings"] < 2:
        return ""
    if row["settings"] == 2:
        return f"; the other one {'may be the best instead' if rivals else 'is behind it'}"
    if rivals == 0:
        return f"; the other {row['settings'] - 1:.0f} settings are behind it"
    return f"; {rivals:.0f} of the other {row['settings'] - 1:.0f} settings may be the best instead"


def _one_by_one(tables: Mapping[str, list[Row]]) -> list[str]:
    """What the recommended settings score on each of several pooled benchmarks."""
    alone = tables.get("by_benchmark", [])
    cell = ("model", "setting", "budget", "n", "selector")
    lines: list[str] = []
    for row in tables.get("recommended", []):
        where = [_key(row, cell)] if row["n"] == row["n"] else []
        each = [r for r in alone if _key(r, cell) in where]
        said = ", ".join(f"{r['benchmark']} {percent(r, 'value')}" for r in each)
        lines += [f"{row['rule']}: {said}"] if said else []
    return lines


def _key(row: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Comparable values of some columns; NaN and null are alike."""
    return tuple(
        None if row[name] is None or row[name] != row[name] else row[name] for name in names
    )


def _best(row: Row, axis: str) -> str:
    return f"up to {labels.spent(axis, row['compute'])}: {_chosen(row, axis)}{_rivals(row)}"


def _chosen(row: Row, axis: str) -> str:
    selector = labels.selector(row["selector"], int(row["n"]))
    value = percent(row, "out_of_bag")
    path = row.get("latency", math.nan)
    longest = f" ({labels.spent('tokens', path)} on the longest path)" if path == path else ""
    where = pool_name(row["model"], row["setting"], row["budget"])
    return f"{where}, {selector}: {value} for {labels.spent(axis, row['cost'])}{longest}"


def _doublings(rows: list[Row]) -> list[str]:
    """For each model, setting and selector: how often which side wins, and its clearest case."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        told = (
            row["setting"]
            if row["budget"] == row["budget"] and row["budget"] is not None
            else "levels"
        )
        groups.setdefault((row["model"], told, row["selector"]), []).append(row)
    lines = [f"all: {_tally(rows)}"] if len(groups) > 1 else []
    for (model, setting, selector), group in groups.items():
        count = {side: [r for r in group if r["better"] == side] for side in SIDES}
        lines.append(f"{pool_name(model, setting, None)}, {selector}: {_tally(group)}")
        for side, pick in (("longer", max), ("more", min)):
            if count[side]:
                row = pick(count[side], key=lambda r: r["difference"])
                start = f"{level_name(row['setting'], row['budget'])}, n {row['n']:g}"
                lines.append(f"  {side} most clearly from {start}: {difference(row, 'difference')}")
    return lines


def _tally(rows: list[Row]) -> str:
    found = [row["better"] for row in rows]
    counts = {side: found.count(side) for side in SIDES}
    return (
        f"of {len(rows)} starting cells longer wins from {counts['longer']}, more from "
        f"{counts['more']},"
        f" undecided {counts['undecided']}"
    )


def _crossover(row: Row, axis: str) -> str:
    where = f"bin {row['difficulty']}, " if "difficulty" in row else ""
    path = (
        f"{where}{pool_name(row['model'], row['setting'], None)}, {row['selector']} from n "
        f"{row['n']:g}: "
    )
    if row["note"]:
        return (
            f"{path}{row['note']} ({scaled(axis, row['from'])} to {labels.spent(axis, row['to'])})"
        )

    def end(name: str) -> str:
        low = (
            scaled(axis, row[f"{name}_lo"])
            if row[f"{name}_lo"] > 0
            else f"below {scaled(axis, row['from'])}"
        )
        high = (
            scaled(axis, row[f"{name}_hi"])
            if math.isfinite(row[f"{name}_hi"])
            else f"above {scaled(axis, row['to'])}"
        )
        return f"{labels.spent(axis, row[name])} [{low}, {high}]"

    first, last = row["longer_from"], row["longer_to"]
    if first == 0:
        return f"{path}longer up to {end('longer_to')}, then more"
    if math.isinf(last):
        return f"{path}more up to {end('longer_from')}, then longer"
    if math.isnan(first):
        return f"{path}from longer to more at {end('longer_to')}"
    if math.isnan(last):
        return f"{path}from more to longer at {end('longer_from')}"
    return f"{path}longer from {end('longer_from')} to {end('longer_to')}, more outside"


def _catching_up(row: Row, axis: str) -> str:
    least = pool_name(row["reference"], row["reference_setting"], row["reference_budget"])
    value = f"{labels.percent(row['reference_value'])} %"
    target = f"{least} ({value}, {labels.spent(axis, row['reference_cost'])})"
    most = labels.spent(axis, row["most"])
    high = (
        scaled(axis, row["hi"])
        if math.isfinite(row["hi"])
        else f"above {scaled(axis, row['most'])}"
    )
    if math.isfinite(row["compute"]):
        reached = labels.spent(axis, row["compute"])
        said = f"{row['model']} reaches {target} at {reached} [{scaled(axis, row['lo'])}, {high}]"
    else:
        low = (
            scaled(axis, row["lo"])
            if math.isfinite(row["lo"])
            else f"above {scaled(axis, row['most'])}"
        )
        said = f"{row['model']} does not reach {target} up to {most} (from {low})"
    if row["behind_lo"] > 0:
        return said
    return f"{said}; at their least, neither is surely the better: {difference(row, 'behind')}"
