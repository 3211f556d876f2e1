"""What each sample of a scores table costs to deploy: FLOPs, dollars and seconds as columns that
the cells add up.

Beside each cost c stands `prompt_c`: what one more sample saves of it when n samples share the
prompt's prefill. So a cell of n costs n * c - (n - 1) * prompt_c, the prompt counted once, or n * c
where it is not shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testtime.compute.flops import Flops
from testtime.compute.prices import Prices
from testtime.compute.rates import Rates
from testtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TOKENS = ("prompt_tokens", "thinking_tokens", "forced_tokens", "answer_tokens")


def with_costs(
    scores: pd.DataFrame,
    *,
    flops: Flops | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
    whole: bool = False,
) -> pd.DataFrame:
    """One model's scores table with flops, usd and seconds (of those whose source is given), and
    their prompt_ columns.

    whole: the engine closed the thinking in the same request, so the ending is output and nothing
    is sent back.

    Token counts that the table lacks count as 0, and where thinking and answer are both absent
    UserError is raised. Rows without token counts (missing samples) get NaN.
    """
    if not {"thinking_tokens", "answer_tokens"} & set(scores.columns):
        raise UserError(
            "costs: the scores table has neither thinking_tokens nor answer_tokens, so nothing "
            "can be priced"
        )
    given = [
        scores[c].to_numpy(dtype=np.float64, na_value=np.nan)
        if c in scores
        else np.zeros(len(scores))
        for c in TOKENS
    ]
    known = ~np.isnan(given).any(axis=0)
    prompt, thinking, forced, answer = (np.where(known, x, 0.0) for x in given)
    columns = {}
    if whole:
        answer, forced = answer + forced, np.zeros_like(forced)
    if flops is not None:
        columns["flops"] = flops.sample_flops(prompt, thinking, forced, answer)
        columns["prompt_flops"] = flops.prefill(prompt)
    if prices is not None:
        columns["usd"] = prices.sample_usd(prompt, thinking, forced, answer)
        columns["prompt_usd"] = prompt * (prices.input - prices.cached) / 1e6
    if rates is not None:
        columns["seconds"] = rates.sample_seconds(prompt, thinking, forced, answer)
        columns["prompt_seconds"] = prompt / rates.prefill
    return scores.assign(
        **{name: np.where(known, value, np.nan) for name, value in columns.items()}
    )
