"""What each sample of a scores table costs to deploy: FLOPs, dollars and seconds as columns.

A sample is a few calls: each reads `context` tokens from a cache, is fed some more, and draws some.
Dollars and seconds are sums over tokens, so the table's totals suffice: `prompt_tokens` and
`forced_tokens` are fed, `context_tokens` read again, `thinking_tokens` and `answer_tokens` drawn.
FLOPs are not (attention), so a run sums them over its calls; here they are those of the two calls
of a cut chain, which is all that a table from elsewhere says.

Beside each cost c stands `prompt_c`: what one more sample saves of it when n samples share the
prompt's prefill. So a cell of n costs n * c - (n - 1) * prompt_c, the prompt counted once, or n * c
where it is not shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.compute.flops import Flops
from testtime.config.schema import Prices, Rates
from testtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
TOKENS = ("prompt_tokens", "thinking_tokens", "forced_tokens", "answer_tokens")


def usd(prices: Prices, context: ArrayLike, fed: ArrayLike, drawn: ArrayLike) -> Array:
    """Dollars, billed as an endpoint bills: what is sent again comes from the provider's cache."""
    again, new, out = (np.asarray(x, dtype=np.float64) for x in (context, fed, drawn))
    return (_cached(prices) * again + prices.input * new + prices.output * out) / 1e6


def seconds(rates: Rates, fed: ArrayLike, drawn: ArrayLike) -> Array:
    """The share of the engine's time, whose own duration is `concurrency` times as long. What a
    cache holds is not computed again. Raises UserError where the rates are not measured yet.
    """
    if rates.prefill is None or rates.decode is None:
        raise UserError("rates: give prefill and decode together, in tokens per second")
    new, out = (np.asarray(x, dtype=np.float64) for x in (fed, drawn))
    return new / rates.prefill + out / rates.decode


def with_costs(
    scores: pd.DataFrame,
    *,
    flops: Flops | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
) -> pd.DataFrame:
    """One model's scores table with flops, usd and seconds (of those whose source is given), and
    their prompt_ columns; with rates and path_tokens also path_seconds, how long the sample takes
    beside the others in flight. What its tools took is part of both. What another model planned
    (planner_tokens) is paid as `with_planner` says, and unknown where that has not been told.

    Token counts that the table lacks count as 0, and where thinking and answer are both absent
    UserError is raised. Without `context_tokens`, a sample with a forced ending is taken to send
    prompt and thinking again. Rows without token counts (missing samples) get NaN.
    """
    if not {"thinking_tokens", "answer_tokens"} & set(scores.columns):
        raise UserError(
            "costs: the scores table has neither thinking_tokens nor answer_tokens, so nothing can "
            "be priced"
        )

    def column(name: str) -> Array:
        return scores[name].to_numpy(dtype=np.float64, na_value=np.nan)

    given = [column(c) if c in scores else np.zeros(len(scores)) for c in TOKENS]
    known = ~np.isnan(given).any(axis=0)
    prompt, thinking, forced, answer = (np.where(known, x, 0.0) for x in given)
    again = np.where((forced > 0) & (thinking > 0), prompt + thinking, 0.0)
    if "context_tokens" in scores:
        stated = column("context_tokens")
        again = np.where(np.isnan(stated), again, stated)
    planned = column("planner_tokens") if "planner_tokens" in scores else np.zeros(len(scores))
    fed, drawn = prompt + forced, thinking + answer - np.nan_to_num(planned)

    def more(name: str) -> Array:
        told = column(name) if name in scores else np.nan
        return np.where(planned > 0, told, 0.0)

    columns: dict[str, Array] = {}
    if flops is not None:
        columns["flops"] = flops.sample_flops(prompt, thinking, forced, answer)
        columns["prompt_flops"] = flops.prefill(prompt)
    if prices is not None:
        columns["usd"] = usd(prices, again, fed, drawn) + more("planner_usd")
        columns["prompt_usd"] = prompt * (prices.input - _cached(prices)) / 1e6
    if rates is not None:
        tools = column("tool_seconds") if "tool_seconds" in scores else 0.0
        columns["seconds"] = seconds(rates, fed, drawn) + tools + more("planner_seconds")
        if "path_tokens" in scores:
            path = column("path_tokens")
            path = np.where(planned > 0, np.nan, path)  # how the two share it, nobody counted
            columns["path_seconds"] = seconds(rates, 0, path) * rates.concurrency + tools
        columns["prompt_seconds"] = seconds(rates, prompt, 0)
    return scores.assign(**{name: np.where(known, x, np.nan) for name, x in columns.items()})


def with_planner(scores: pd.DataFrame, prices: Prices | None, rates: Rates | None) -> pd.DataFrame:
    """The scores table of a run in which another model plans, with planner_usd and planner_seconds:
    its own price and rates, NaN for one that is not known.
    """
    tokens = [
        scores[f"planner_{name}"].to_numpy(dtype=np.float64)
        for name in ("context", "fed", "tokens")
    ]
    unknown = np.full(len(scores), np.nan)
    return scores.assign(
        planner_usd=usd(prices, *tokens) if prices else unknown,
        planner_seconds=seconds(rates, *tokens[1:]) if rates else unknown,
    )


def _cached(prices: Prices) -> float:
    return prices.input if prices.cached is None else prices.cached
