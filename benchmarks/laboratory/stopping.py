"""What rules that stop early are worth on a pool of the ladder: every figure from stored samples.

    testtime run configs/ladder.yaml --limit 120 --set samples=64 --set 'model=[ladder/4]'
    python -m benchmarks.laboratory.stopping runs/ladder/ladder--4

Three tables: the frontier of fixed cells and of rules across samples, rules tuned on some problems
and judged on others, intervals for all computes at once; then rules within chains against budgets
of equal tokens, for one chain and for votes of eight, verdicts for all rows at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from testtime import labels
from testtime.estimators.probe_frontier import against_budgets
from testtime.estimators.rule_frontier import with_rules
from testtime.runs.run import load

WITHIN = (
    "agree:2",
    "agree:3",
    "certain:answer_logprob:-0.1",
    "certain:answer_logprob:-0.5",
    "certain:answer_logprob:-1",
    "change:1",
    "change:2",
)
COUNTS = (1, 2, 4, 8, 16, 32, 64)
VOTES = (1, 8)


def points(row: dict[str, float]) -> str:
    """A difference in points with its interval."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * row[k] for k in ("difference", "lo", "hi")))


def across(scores: pd.DataFrame) -> str:
    """The frontier with and without rules that stop sampling."""
    lines = [
        "| tokens a problem | best fixed cell | best with rules | rules - fixed, points | wins |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in with_rules(scores, n=COUNTS).to_dict("records"):
        values = [f"{row[name]}: {100 * row[f'{name}_value']:.1f} %" for name in ("fixed", "best")]
        spent = labels.amount(row["compute"])
        lines.append(f"| {spent} | {' | '.join(values)} | {points(row)} | {row['wins']} |")
    return "\n".join(lines)


def within(scores: pd.DataFrame, n: int) -> str:
    """Rules that stop thinking, at the largest cap, against budgets that spend as much."""
    table = against_budgets(scores, WITHIN, n=n)
    table = table[table["cap"] == table["cap"].max()]
    lines = [
        f"| rule, {'one chain' if n == 1 else f'votes of {n}'} | tokens | accuracy "
        "| budgets of as many tokens | rule - budgets, points | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in table.to_dict("records"):
        even = f"{row['budgets']}: {100 * row['budget_value']:.1f} %"
        lines.append(
            f"| {row['rule']} | {row['tokens']:.1f} | {100 * row['value']:.1f} % | {even} "
            f"| {points(row)} | {row['verdict']} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line: a run's folder, with a table of cuts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    scores = load(parser.parse_args().run).scores
    print("\n\n".join([across(scores), *(within(scores, n) for n in VOTES)]))


if __name__ == "__main__":
    main()
