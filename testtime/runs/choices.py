"""Stored choices as columns of the scores table.

Column NAME_k holds how often each sample was taken when k were shown together: what the selector
`genselect:NAME_k` weighs scores by. A choice at random, where a reply names none of those shown,
counts in equal parts. A sample's part of what the choices cost is NAME_k_flops: k of them pay one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def column(name: str, k: int) -> str:
    return f"{name}_{k}"


def names(store: Store) -> list[str]:
    """The columns of counts that the stored choices make."""
    rows = store.read("choices", ["samples"])
    pairs = zip(rows["name"].to_pylist(), rows["samples"].to_pylist(), strict=True)
    return sorted({column(name, len(samples)) for name, samples in pairs})


def choice_columns(store: Store, table: pd.DataFrame, answers: Sequence[str]) -> dict[str, Floats]:
    """The columns for a scores table. answers: the key of each row's answer, "" where there is
    none. A choice counts at every budget where the samples shown have just these answers; one that
    shows a sample without a score counts nowhere, as that sample is in no pool.
    """
    stored = store.read("choices").to_pylist()
    if not stored:
        return {}
    pools: dict[str, dict[tuple[str, float], dict[int, int]]] = {}
    told = table.assign(budget=table["budget"].fillna(-1), known=table["score"].notna())
    rows = told[["problem_id", "setting", "budget", "sample", "known"]].itertuples(index=False)
    for place, (problem, setting, budget, sample, known) in enumerate(rows):
        if answers[place] and known:
            pools.setdefault(problem, {}).setdefault((setting, budget), {})[int(sample)] = place
    columns = dict[str, Floats]()
    spent: dict[tuple[str, tuple[int, ...]], list[float]] = {}
    for row in stored:
        name, k = column(row["name"], len(row["samples"])), len(row["samples"])
        counts = columns.setdefault(name, np.full(len(table), np.nan))
        for pool in pools.get(row["problem_id"], {}).values():
            at = [pool.get(sample, -1) for sample in row["samples"]]
            if min(at) < 0 or [answers[place] for place in at] != row["answers"]:
                continue
            every = list(pool.values())
            counts[every] = np.nan_to_num(counts[every])
            taken = at if row["chosen"] < 0 else [at[row["chosen"]]]
            counts[taken] += 1 / len(taken)
            spent.setdefault((name, tuple(every)), []).append(row["flops"] / k)
    for name in list(columns):
        columns[f"{name}_flops"] = np.full(len(table), np.nan)
    for (name, places), costs in spent.items():
        columns[f"{name}_flops"][list(places)] = np.mean(costs)
    return columns
