"""A comparison in words: each finding with its interval, the strongest of many, and what stays
undecided.

The tables hold every cell; a person reads the few lines that answer the question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from testtime.compare.comparison import Comparison

Row = Mapping[str, Any]
UNITS = {
    "tokens": "tokens",
    "thinking_tokens": "thinking tokens",
    "prompt_tokens": "prompt tokens",
    "flops": "FLOPs",
    "usd": "dollars",
    "seconds": "engine seconds",
}
MOST = 12  # lines of one kind
SIDES = ("longer", "more", "undecided")


def describe(found: Comparison) -> str:
    """The report of a comparison, for a terminal."""
    tables: dict[str, list[Row]] = {
        name: [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
        for name, table in found.tables.items()
    }
    deployable = {
        name: [r for r in rows if r.get("selector") != "oracle"] for name, rows in tables.items()
    }
    for name in (
        "doublings",
        "crossovers",
        "by_difficulty_crossovers",
    ):  # a majority of two gains nothing over one
        deployable[name] = [
            r for r in deployable.get(name, []) if (r["selector"], r["n"]) != ("majority", 1)
        ]
    unit = UNITS[found.axis]
    lines = [
        f"{found.problems} problems; compute in {unit} a problem; {100 * found.level:g} % "
        f"intervals over problems",
        "settings are chosen and judged on different problems (in-bag, out-of-bag)",
        *(f"note: {note}" for note in found.notes),
    ]
    for title, name, say in (
        ("Recommended settings", "recommended", _recommended),
        ("The best setting at each compute", "frontier", _best),
        (
            "The weaker model thinking, against the stronger one that does not",
            "catching_up",
            _catching_up,
        ),
    ):
        if tables.get(name):
            lines += ["", title, *(f"  {say(row, unit)}" for row in tables[name])]
    if deployable.get("doublings"):
        lines += [
            "",
            "Longer or more? Points gained by a doubled budget minus points gained by a doubled n",
        ]
        lines += [f"  {line}" for line in _doublings(deployable["doublings"])]
    for title, name in (
        ("Where the better one changes, along growing budgets", "crossovers"),
        ("The same by difficulty (1 is easiest)", "by_difficulty_crossovers"),
    ):
        if deployable.get(name):
            lines += [
                "",
                title,
                *_limited([_crossover(row, unit) for row in deployable[name]], name),
            ]
    if deployable.get("differences"):
        largest = sorted(
            deployable["differences"], key=lambda r: (-r["n"], -_budget(r["a_budget"]))
        )
        lines += [
            "",
            "Paired differences, in points",
            *_limited([_difference(row) for row in largest], "differences"),
        ]
    return "\n".join(lines)


def absences(bounds: pd.DataFrame) -> list[str]:
    """Notes on models and settings that lack cells because answers have no score. bounds: of
    `cells.null_bounds`, one selector and n from 1.
    """
    groups = [
        part for _, part in bounds.groupby(["model", "setting", "budget"], sort=False, dropna=False)
    ]
    lines = []
    for part in groups:
        one, absent = (
            part.iloc[0],
            part.loc[(part["n"] > part["scored"]) & (part["nulls"] > 0), "n"],
        )
        if len(absent):
            budget = float("nan") if part["budget"].isna().all() else one["budget"]
            lines.append(
                f"{_pool(one['model'], one['setting'], budget)}: no cells of n "
                f"{', '.join(map(str, absent))} (answers"
                f" without a score: {one['nulls']:,}); one sample solves {100 * one['lower']:.1f} "
                f"% if all of them are"
                f" wrong, {100 * one['upper']:.1f} % if all are right"
            )
    more = (
        [f"{len(lines) - MOST} more settings lack cells because answers have no score"]
        if len(lines) > MOST
        else []
    )
    return lines[:MOST] + more


def _recommended(row: Row, unit: str) -> str:
    if row["n"] != row["n"]:
        return f"{row['rule']}: no cell is that cheap"
    return f"{row['rule']}: {_chosen(row, unit)}"


def _best(row: Row, unit: str) -> str:
    return (
        f"up to {_number(row['compute'])} {unit}: {_chosen(row, unit)}, the best with "
        f"{row['p_best']:.0%}"
    )


def _chosen(row: Row, unit: str) -> str:
    selector = "one sample" if row["n"] == 1 else f"{row['selector']} of {row['n']:g}"
    value = f"{100 * row['out_of_bag']:.1f} % [{100 * row['lo']:.1f}, {100 * row['hi']:.1f}]"
    path = row.get("latency", math.nan)
    longest = f" ({_number(path)} tokens on the longest path)" if path == path else ""
    where = _pool(row["model"], row["setting"], row["budget"])
    return f"{where}, {selector}: {value} for {_number(row['cost'])} {unit}{longest}"


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
        lines.append(f"{_pool(model, setting, None)}, {selector}: {_tally(group)}")
        for side, pick in (("longer", max), ("more", min)):
            if count[side]:
                row = pick(count[side], key=lambda r: r["difference"])
                start = f"{_level(row['setting'], row['budget'])}, n {row['n']:g}"
                lines.append(f"  {side} most clearly from {start}: {_points(row, 'difference')}")
    return lines


def _tally(rows: list[Row]) -> str:
    found = [row["better"] for row in rows]
    counts = {side: found.count(side) for side in SIDES}
    return (
        f"of {len(rows)} starting cells longer wins from {counts['longer']}, more from "
        f"{counts['more']},"
        f" undecided {counts['undecided']}"
    )


def _crossover(row: Row, unit: str) -> str:
    where = f"bin {row['difficulty']}, " if "difficulty" in row else ""
    path = (
        f"{where}{_pool(row['model'], row['setting'], None)}, {row['selector']} from n "
        f"{row['n']:g}: "
    )
    if math.isnan(row["longer_from"]):
        return f"{path}{row['note']} ({_number(row['from'])} to {_number(row['to'])} {unit})"
    if row["note"]:
        path = f"{path}{row['note']}, at a guess "

    def end(name: str) -> str:
        if math.isnan(row[f"{name}_lo"]):
            return f"{_number(row[name])} {unit} [-]"
        low = (
            _number(row[f"{name}_lo"]) if row[f"{name}_lo"] > 0 else f"below {_number(row['from'])}"
        )
        high = (
            _number(row[f"{name}_hi"])
            if math.isfinite(row[f"{name}_hi"])
            else f"above {_number(row['to'])}"
        )
        return f"{_number(row[name])} {unit} [{low}, {high}]"

    if row["longer_from"] == 0:
        return f"{path}longer up to {end('longer_to')}, then more"
    if math.isinf(row["longer_to"]):
        return f"{path}more up to {end('longer_from')}, then longer"
    return f"{path}longer from {end('longer_from')} to {end('longer_to')}, more outside"


def _catching_up(row: Row, unit: str) -> str:
    target = (
        f"{row['reference']} without thinking ({100 * row['reference_value']:.1f} %, "
        f"{_number(row['reference_cost'])})"
    )
    high = _number(row["hi"]) if math.isfinite(row["hi"]) else f"above {_number(row['most'])}"
    if not math.isfinite(row["compute"]):
        low = _number(row["lo"]) if math.isfinite(row["lo"]) else f"above {_number(row['most'])}"
        return (
            f"{row['model']} does not reach {target} up to {_number(row['most'])} {unit} (from "
            f"{low})"
        )
    return (
        f"{row['model']} reaches {target} at {_number(row['compute'])} {unit} "
        f"[{_number(row['lo'])}, {high}]"
    )


def _difference(row: Row) -> str:
    a, b = (_pool(row[f"{s}_model"], row[f"{s}_setting"], row[f"{s}_budget"]) for s in ("a", "b"))
    return (
        f"{a} minus {b}, {row['selector']} of {row['n']:g}: {_points(row, '')} on "
        f"{row['problems']} problems"
    )


def _points(row: Row, name: str) -> str:
    lo, hi = (f"{name}_lo", f"{name}_hi") if name else ("lo", "hi")
    return f"{100 * row[name or 'difference']:+.1f} [{100 * row[lo]:+.1f}, {100 * row[hi]:+.1f}]"


def _limited(lines: list[str], name: str) -> list[str]:
    more = [f"... and {len(lines) - MOST} more in {name}"] if len(lines) > MOST else []
    return [f"  {line}" for line in [*lines[:MOST], *more]]


def _pool(model: str, setting: str, budget: Any) -> str:
    level = _level(setting, budget)
    return f"{model} {level}" if level else model


def _level(setting: str, budget: Any) -> str:
    known = budget is not None and budget == budget
    return " ".join([*([setting] if setting else []), *([f"budget {budget:g}"] if known else [])])


def _budget(budget: Any) -> float:
    return float(budget) if budget is not None and budget == budget else -1.0


def _number(value: float) -> str:
    """Four digits, in powers of ten only where plain digits are unreadable."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 1e3 else f"{value:,.0f}"
    return f"{value:.3g}"
