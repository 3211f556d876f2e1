"""What stopping rules add: the best that each compute buys with them and without.

At each compute the best of all fixed cells is chosen in-bag and judged on problems that the choice
never saw, and so is the best of fixed cells and rules: a rule and its setting are tuned on some
problems and judged on others. The differences are paired, and their intervals hold for all computes
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError
from testtime.estimators.deployments import DEPLOYMENTS, Deployment, Stopped, stopped
from testtime.estimators.frontier import choose, costs, halvings
from testtime.estimators.grid import Grid, build
from testtime.estimators.paired import together

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
GRADES = tuple(f"{kind}:{x}" for kind in ("beta", "share") for x in (0.6, 0.75, 0.9, 0.95, 0.99))
TUNED = (*GRADES, *(f"esc:{w}" for w in (2, 3, 5, 8)))  # the settings that form each rule's curve


def with_rules(
    scores: pd.DataFrame,
    rules: Sequence[str] = TUNED,
    n: Sequence[int] | None = None,
    *,
    axis: str = "tokens",
    deployments: Sequence[Deployment] = DEPLOYMENTS,
    selectors: Sequence[str] = ("majority",),
    levels: Sequence[float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """The frontier without rules and with them, one row a compute level.

    n: sample counts of fixed cells and caps of rules (None: powers of two and the steps between).
    levels: compute a problem on `axis` (None: halvings of the dearest fixed cell). Columns:
    compute; fixed, the best fixed cell in words, and fixed_value; best and best_value of all; both
    values out-of-bag; difference with lo and hi, simultaneous over the rows at `level`; wins,
    "rules", "fixed" or "undecided". Raises UserError as `deployments.stopped` and `frontier.costs`.
    """
    import pandas as pd

    top = int(scores.groupby("problem_id")["sample"].nunique().min())
    counts = n or sorted({k for i in range(top.bit_length()) for k in (1 << i, 3 << i >> 1)})
    counts = [k for k in counts if 1 <= k <= top]
    plain = build(scores, counts, selectors, seed=seed)
    ruled = stopped(scores, rules, counts, deployments=deployments, seed=seed).grid
    sample = joined(plain, ruled).bootstrap(resamples, seed)
    cost = costs(sample, axis)
    is_fixed = np.arange(len(cost)) < len(plain.cells)
    steps = levels or halvings(cost[is_fixed])
    rows, differences = [], []
    for compute in steps:
        affordable = cost <= compute * (1 + 1e-9)
        picked = [choose(sample, cost, affordable & only) for only in (is_fixed, cost == cost)]
        if picked[0] is None or picked[1] is None:
            continue
        without, every = picked[0], picked[1]
        differences.append(every.out_of_bag - without.out_of_bag)
        words = [_words(sample.grid, c.cell) for c in (without, every)]
        value = [float(sample.grid.means(c.out_of_bag[:, None])[0]) for c in (without, every)]
        rows.append((float(compute), words[0], value[0], words[1], value[1]))
    columns = ["compute", "fixed", "fixed_value", "best", "best_value"]
    table = pd.DataFrame(rows, columns=columns)
    apart = np.column_stack(differences)
    table["difference"], table["lo"], table["hi"] = together(apart, sample, level)
    table["wins"] = np.where(table["lo"] > 0, "rules", np.where(table["hi"] < 0, "fixed", ""))
    table["wins"] = table["wins"].replace("", "undecided")
    return table


def joined(a: Grid, b: Grid) -> Grid:
    """Two grids over the same problems as one; costs that one of them lacks are NaN there."""
    import pandas as pd

    if not np.array_equal(a.problems, b.problems):
        raise ValueError("grids to be joined hold the same problems")
    width = [
        max(int(g._pool.max()) + 1, *(v.shape[1] for v in g._unit.values()), 1) for g in (a, b)
    ]
    unit = {}
    for name in {*a._unit, *b._unit}:
        parts = [
            g._unit.get(name, np.full((len(g.problems), w), np.nan))
            for g, w in zip((a, b), width, strict=True)
        ]
        unit[name] = np.hstack(parts)
    for name in [c for c in unit if c.startswith("prompt_")]:  # rules have settled it in their cost
        unit[name] = np.nan_to_num(unit[name])
    cells = pd.concat([a.cells, b.cells], ignore_index=True)
    value = np.hstack([a.value, b.value])
    pool = np.concatenate([a._pool, b._pool + width[0]])
    error = np.append(a.mc_error, b.mc_error)
    return replace(a, cells=cells, value=value, mc_error=error, _unit=unit, _pool=pool)


def _words(grid: Grid, cell: int) -> str:
    row = grid.cells.iloc[cell]
    where = " ".join(str(x) for x in (row["setting"], row["budget"]) if str(x) not in ("", "<NA>"))
    return f"{where}: {row['selector']} of {row['n']}"


def against_fixed(
    result: Stopped, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """What each rule loses and saves against drawing all n, in the same deployment.

    result: of `deployments.stopped`, "fixed" among its rules. Columns: model, setting, budget,
    rule, deployment, n; value, difference (rule - fixed) with lo and hi, simultaneous over rows;
    tokens_share and latency_share, of what fixed spends (tokens truly generated); samples. Raises
    UserError where "fixed" is not among the rules.
    """

    cells, grid = result.grid.cells, result.grid
    pool = [tuple(map(str, row)) for row in cells[["model", "setting", "budget", "n"]].to_numpy()]
    keys = list(zip(pool, result.deployment, strict=True))
    fixed = {
        key: i
        for i, (key, rule) in enumerate(zip(keys, result.rule, strict=True))
        if rule == "fixed"
    }
    if not fixed:
        raise UserError("stopping rules: add 'fixed' to the rules to compare with it")
    own = np.array([i for i, rule in enumerate(result.rule) if rule != "fixed"], dtype=np.int64)
    base = np.array([fixed[keys[i]] for i in own], dtype=np.int64)
    apart = grid.value[:, own] - grid.value[:, base]
    tokens, latency = grid.means(grid.cost("tokens")), grid.means(result.latency)
    table = cells.iloc[own][["model", "setting", "budget"]].reset_index(drop=True)
    table["rule"], table["deployment"] = (
        [x[i] for i in own] for x in (result.rule, result.deployment)
    )
    table["n"] = cells["n"].to_numpy()[own]
    table["value"] = grid.means(grid.value)[own]
    table["difference"], table["lo"], table["hi"] = together(
        apart, grid.bootstrap(resamples, seed), level
    )
    table["tokens_share"] = tokens[own] / tokens[base]
    table["latency_share"] = latency[own] / latency[base]
    table["samples"] = grid.means(result.samples)[own]
    return table
