"""Which stored answer belongs to each (problem, sample, setting, budget): the cut that a budget
makes, and whose it is.

Pure table work on chains' lengths, so that nothing here opens a token list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime.models.delimiters import UNSEEN
from testtime.strategies.plan import WHOLE, Plan

if TYPE_CHECKING:
    import pandas as pd


def placed(
    plan: Plan, chains: pd.DataFrame, problem_ids: Sequence[str], setting: str
) -> pd.DataFrame:
    """One row for each problem, sample, setting and budget, with the key of its answer: variant,
    cut and spec.

    chains: one row a chain (problem_id, sample, variant, length, finish). cut is -1 where the chain
    does not say. setting: what the model was told; extended chains add "wait=1", "wait=2", ... The
    budget is null where a server was told a level and cannot be held to one.
    """
    import pandas as pd

    grid = pd.MultiIndex.from_product(
        [list(problem_ids), range(plan.samples)], names=["problem_id", "sample"]
    ).to_frame(index=False)
    pieces = []
    # By variant: each chain's length and finish, those of its base where it was not extended.
    ends: dict[str, tuple[Any, Any]] = {}
    owners: dict[
        int, tuple[Any, Any, Any]
    ] = {}  # by budget: the variant, cut and spec that the last variant used
    for variant in plan.variants():
        held = grid.merge(
            chains[chains["variant"] == variant.name], on=["problem_id", "sample"], how="left"
        )
        if plan.whole:
            at = held["length"].fillna(-1).to_numpy(int)
            told_budget = np.nan if plan.form == UNSEEN else variant.cap
            pieces.append(
                grid.assign(
                    budget=told_budget, setting=setting, variant=variant.name, cut=at, spec=WHOLE
                )
            )
            continue
        # A chain that was not drawn has no tokens: it answers budget 0 alone.
        length, finish = (
            held["length"].fillna(0).to_numpy(float),
            held["finish"].fillna("length").to_numpy(object),
        )
        begun, shared = held["length"].notna().to_numpy(), np.full(len(grid), -1.0)
        if variant.base is not None:
            base_length, base_finish = ends[variant.base]
            # Not begun though its base ended by itself: what lies beyond the base is unknown.
            lost = ~begun & (base_finish == "natural") & (base_length <= variant.cap)
            shared = np.where(begun | lost, plan.split(0) + base_length, np.inf)
            length, finish = (
                np.where(begun, length, base_length),
                np.where(begun, finish, base_finish),
            )
        ends[variant.name] = length, finish
        for budget in variant.budgets:
            natural = (finish == "natural") & (length <= budget)
            known = natural | (finish != "length") | (length >= budget)
            at = np.where(known, np.where(natural, length, np.fmin(length, budget)), -1).astype(int)
            spec = np.where(natural, plan.spec(False), plan.spec(True))
            name = np.full(len(grid), variant.name, dtype=object)
            if variant.base is not None:  # up to where the chains part, the answer is the base's
                at = np.where(lost & (budget > shared), -1, at)
                own = (at > shared) | (at < 0) & (begun | lost)
                name, at, spec = (
                    np.where(own, new, old)
                    for new, old in zip((name, at, spec), owners[budget], strict=True)
                )
            owners[budget] = name, at, spec
            told = (
                setting if variant.base is None else ",".join(filter(None, (setting, variant.name)))
            )
            pieces.append(grid.assign(budget=budget, setting=told, variant=name, cut=at, spec=spec))
    return pd.concat(pieces, ignore_index=True)
