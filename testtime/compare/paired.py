"""Paired differences in words: settings, models and selectors against each other."""

from __future__ import annotations

from collections.abc import Sequence

from testtime import labels
from testtime.compare.words import Row, budget_rank, difference, level_name, limited, pool_name


def differences(rows: list[Row], level: str) -> list[str]:
    """Those of most samples first, of them those with a winner, behind how many of all have one and
    which pairs cross.
    """
    largest = sorted(
        rows, key=lambda row: (-row["n"], -budget_rank(row["a_budget"]), _undecided(row))
    )
    lines = limited([_difference(row) for row in largest], "differences")
    return [*_together(rows, level), *_crossings(rows), *lines]


def _undecided(row: Row) -> bool:
    return bool(row["better"] == "undecided")


def _crossings(rows: list[Row]) -> list[str]:
    """The pairs of which one is shown to win at some n and the other at others."""
    won: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for row in rows:
        names = [
            pool_name(row[f"{s}_model"], row[f"{s}_setting"], row[f"{s}_budget"]) for s in "ab"
        ]
        by = won.setdefault((*names, row["selector"]), {"a": [], "b": []})
        by.get(row["better"], []).append(int(row["n"]))
    return [
        f"{a} and {b} cross along n ({selector}): {a} wins at {_listed(by['a'])}, {b} at "
        f"{_listed(by['b'])}"
        for (a, b, selector), by in won.items()
        if by["a"] and by["b"]
    ]


def _listed(counts: list[int]) -> str:
    return "n = " + ", ".join(map(str, sorted(counts)))


def by_difficulty(rows: list[Row], level: str) -> list[str]:
    """Settings of a model against each other in each bin, with most samples."""
    own = [row for row in rows if row["a_model"] == row["b_model"]]
    top = max((budget_rank(row["a_budget"]) for row in own), default=-1.0)
    most = max((row["n"] for row in own), default=0)
    shown = [r for r in own if r["n"] == most and budget_rank(r["a_budget"]) == top]
    lines = [
        f"bin {row['difficulty']}, {_difference(row)}" for row in sorted(shown, key=_undecided)
    ]
    return [*_together(rows, level), *limited(lines, "by_difficulty_differences")] if own else []


def equal_cost(rows: Sequence[Row], axis: str, pairs: int, level: str) -> list[str]:
    """What `equal_cost.contests` found, the most compute first, behind who wins how often."""
    tally: dict[str, dict[str, int]] = {}
    for row in rows:
        against = f"{row['a_setting']} against {row['b_setting']} ({row['selector']})"
        counts = tally.setdefault(f"{row['model']} {against}", {"a": 0, "b": 0, "undecided": 0})
        counts[row["winner"]] += 1
    heads = [
        f"{name}: of {sum(found.values())} costs wins at {found['a']}, loses at {found['b']}, "
        f"undecided {found['undecided']}"
        for name, found in tally.items()
    ]
    largest = sorted(rows, key=lambda row: -row["compute"])
    lines = limited([_contest(row, axis) for row in largest], "equal_cost")
    return [*heads, *lines, f"at {level} over all {pairs} pairs of budgets"]


def _contest(row: Row, axis: str) -> str:
    """`up to 2·10⁷ FLOPs: turn=4 beats every budget of turn=0; the closest: budget 64, majority
    vote of 3 (93.0 %) minus budget 32, majority vote of 4 (6.0 %): +87.0 [...]`; the first is
    always the setting with more.
    """
    sides = []
    for side in ("a", "b"):
        how = labels.selector(row["selector"], int(row[f"{side}_n"]))
        where = [part for part in (level_name("", row[f"{side}_budget"]), how) if part]
        sides.append(f"{', '.join(where)} ({labels.percent(row[f'{side}_value'])} %)")
    a, b = row["a_setting"], row["b_setting"]
    said = {
        "a": f"{a} beats every budget of {b}; the closest",
        "b": f"{b} beats every budget of {a}; the closest",
        "undecided": f"{a} against {b} is undecided; the largest budgets",
    }[row["winner"]]
    spent = labels.spent(axis, row["compute"])
    return f"up to {spent}: {said}: {sides[0]} minus {sides[1]}: {difference(row, '')}"


def selectors(rows: list[Row], level: str) -> list[str]:
    """Selectors on the same samples, those of most samples first."""
    largest = sorted(rows, key=lambda row: (-row["n"], -budget_rank(row["budget"])))
    lines = limited([_selector(row) for row in largest], "selectors")
    return [*_together(rows, level), *lines]


def _together(rows: list[Row], level: str) -> list[str]:
    """How many of several paired rows have a winner."""
    won = sum(row["better"] != "undecided" for row in rows)
    said = f"a winner in {won} (marked *)" if won else "no winner"
    return [f"all {len(rows)} together: {said}, at {level} over all rows"] if len(rows) > 1 else []


def _difference(row: Row) -> str:
    a, b = (
        pool_name(row[f"{s}_model"], row[f"{s}_setting"], row[f"{s}_budget"]) for s in ("a", "b")
    )
    alone = f"[{100 * row['unpaired_lo']:+.1f}, {100 * row['unpaired_hi']:+.1f}]"
    mark = "" if row["better"] == "undecided" else " *"
    return (
        f"{a} minus {b}, {row['selector']} of {row['n']:g}: {difference(row, '')} on "
        f"{row['problems']} problems, unpaired {alone}{mark}"
    )


def _selector(row: Row) -> str:
    n = int(row["n"])
    a, b = (labels.selector(row[f"{side}_selector"], n) for side in ("a", "b"))
    where = pool_name(row["model"], row["setting"], row["budget"])
    mark = "" if row["better"] == "undecided" else " *"
    return f"{where}, {a} minus {b}: {difference(row, '')} on {row['problems']} problems{mark}"
