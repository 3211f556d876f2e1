"""How often `compare` says, of settings at equal cost, that one beats another, on thirty problems.

    python -m benchmarks.coverage_equal_cost [tables, default 200] [problems, default 30]

A table has three settings (turn=0, 1, 4) of five budgets and 16 samples, joined by majority. A
problem's success rate is Beta(.25, .25) at the middle budget, as contests' are, and moves with the
budget on the scale of log odds; wrong answers take one of three keys, the first half of the time.
What a sample costs grows with the budget and differs between problems, most where they are hard.

Without any difference: `same rates`, all settings solve each problem equally often at equal cost,
and budgets change nothing, so no pair differs; `budgets rise` in all settings alike; `own rates`,
each setting draws its problems' rates anew from one distribution, so it differs on every problem
and on none in expectation; `all or nothing`, the same with rates of 0 and 1, where votes change
nothing and settings may cost what they will (turn=4 costs half as much again). With one: turn=4
solves more, by so many points of a sample's accuracy on average, and costs half as much again.

Shares of tables in which a setting wins a contest, in which a pair that does not differ is decided
(where there are such), and the contests that turn=4 wins. About ten minutes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from testtime.estimators.equal_cost import contests, equal_cost

SAMPLES, TURNS = 16, (0, 1, 4)
BUDGETS = (8, 16, 32, 64, 128)
KEYS = ("right", "wrong 1", "wrong 2", "wrong 3")


@dataclass(frozen=True)
class World:
    """rise: log odds a doubled budget adds; own: settings draw rates of their own; whole: rates are
    0 or 1; gain: log odds that turn=4 adds; dearer: what its samples cost more, as a factor.
    alike: whether no pair of cells differs.
    """

    rise: float = 0.0
    own: bool = False
    whole: bool = False
    gain: float = 0.0
    dearer: float = 1.0
    alike: bool = True


WORLDS = {
    "same rates": World(),
    "budgets rise": World(rise=0.7, alike=False),
    "own rates": World(own=True),
    "own rates, budgets rise": World(own=True, rise=0.7, alike=False),
    "all or nothing": World(own=True, whole=True, dearer=1.5),
    "all or nothing, same cost": World(own=True, whole=True),
    "turn=4 adds 1 to the log odds": World(rise=0.7, gain=1.0, dearer=1.5, alike=False),
    "turn=4 adds 2": World(rise=0.7, gain=2.0, dearer=1.5, alike=False),
    "turn=4 adds 4": World(rise=0.7, gain=4.0, dearer=1.5, alike=False),
}


def scores(world: World, seed: int, problems: int = 30) -> pd.DataFrame:
    """One table of scores."""
    rng = np.random.default_rng(seed)
    shared, parts = rng.beta(0.25, 0.25, problems), []
    for turn in TURNS:
        base = rng.beta(0.25, 0.25, problems) if world.own else shared
        if world.whole:
            base = (rng.random(problems) < 0.5).astype(float)
        gain = world.gain if turn == 4 else 0.0
        for place, budget in enumerate(BUDGETS):
            moved = world.rise * (place - 2) + gain
            rate = expit(logit(base) + moved) if moved else base
            right = rng.random((problems, SAMPLES)) < rate[:, None]
            wrong = rng.choice(3, (problems, SAMPLES), p=(0.5, 0.3, 0.2)) + 1
            hard = (2.0 - base)[:, None] * rng.lognormal(0, 0.5, (problems, SAMPLES))
            cost = budget * hard * (world.dearer if turn == 4 else 1.0)
            at = np.indices(right.shape).reshape(2, -1)
            part = pd.DataFrame(
                {"problem_id": at[0], "sample": at[1], "score": right.ravel() * 1.0}
            )
            part["answer_key"] = np.take(KEYS, np.where(right, 0, wrong).ravel())
            part["flops"] = np.maximum(cost.ravel(), 1.0)
            parts.append(part.assign(setting=f"turn={turn}", budget=budget))
    return pd.concat(parts, ignore_index=True)


def main(tables: int = 200, problems: int = 30) -> None:
    print(
        f"{tables} tables of {problems} problems each; +- {100 * 2 * np.sqrt(0.05 * 0.95 / tables):.1f} around 5 %"
    )
    for name, world in WORLDS.items():
        claims = pairs = 0
        won, of = 0, 0
        for seed in range(tables):
            table = equal_cost(scores(world, seed, problems), ["majority"], "flops", resamples=500)
            found = contests(table)
            claims += any(row["winner"] != "undecided" for row in found)
            same = table["a_n"] == table["b_n"] if not world.whole else table["a_n"] > 0
            pairs += bool((same & (table["better"] != "undecided")).any())
            mine = [row for row in found if row["a_setting"] == "turn=4"]
            won += sum(row["winner"] == "a" for row in mine)
            of += len(mine)
        said = f", a pair decided in {100 * pairs / tables:.1f} %" if world.alike else ""
        print(
            f"{name}: a winner in {100 * claims / tables:.1f} % of tables{said}; turn=4 wins "
            f"{100 * won / of:.1f} % of contests"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
