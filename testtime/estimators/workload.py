"""What a run of nested or fresh budgets asks of an engine: chains, tokens, dollars, hours.

Known before a token is drawn: exactly, where the lengths of chains are taken from an earlier run;
at most, where every chain is assumed to fill the largest budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.config.schema import Prices
from testtime.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Workload:
    """What all problems and samples of a run take together. thinking and answer: tokens drawn; fed:
    prompts and forced endings; cached: tokens sent again, which a prefix cache holds; usd and
    hours: None without prices or rates; worst: whether lengths were not known.
    """

    chains: int
    answers: float
    thinking: float
    answer: float
    fed: float
    cached: float
    usd: float | None
    hours: float | None
    worst: bool

    def __str__(self) -> str:
        """The plan's line on one run."""
        most = "at most " if self.worst else "about "
        dollars = "" if self.usd is None else f", {self.usd:,.2f} dollars"
        hours = "" if self.hours is None else f", {self.hours:,.1f} hours"
        return (
            f"{self.chains:,} chains and {most}{self.answers:,.0f} answers: "
            f"{self.thinking + self.answer:,.0f} tokens drawn, {self.fed:,.0f} fed"
            f"{dollars}{hours}"
        )


def workload(
    problems: int,
    samples: int,
    budgets: Sequence[int],
    *,
    prompt_tokens: float,
    answer_tokens: float,
    ending_tokens: float = 0.0,
    lengths: ArrayLike | None = None,
    fresh: bool = False,
    price: Prices | None = None,
    prefill: float | None = None,
    decode: float | None = None,
) -> Workload:
    """What a run takes.

    prompt_tokens: of a problem, on average; answer_tokens: of an answer (its cap, for the worst
    case); ending_tokens: of the forced ending. lengths: thinking tokens of chains as seen, any
    shape, NaN left out, inf for one that was cut; None: every chain is cut at every budget. fresh:
    a chain for each budget, else one for the largest. prefill, decode: tokens a second of the whole
    engine. Raises UserError
    for counts below 1 and for no budget.
    """
    if min(problems, samples) < 1 or not len(budgets) or min(budgets) < 0:
        raise UserError(
            "plan: problems and samples are 1 or more, with at least one budget of 0 or more"
        )
    caps = np.unique(np.asarray(budgets, dtype=np.float64))
    seen = np.array([np.inf]) if lengths is None else np.asarray(lengths, dtype=np.float64).ravel()
    seen = seen[~np.isnan(seen)]
    if not len(seen):
        raise UserError("plan: no chain's length is known; leave lengths out for the worst case")
    kept = np.minimum(seen[:, None], caps)  # (chains, budgets)
    cut = seen[:, None] > caps
    natural = ~cut if fresh else ~cut[:, -1:]  # a pool's natural chain has one answer for all
    whole = kept if fresh else kept[:, -1:]
    count = float(problems * samples)

    def total(values: Floats | NDArray[np.bool_]) -> float:
        return count * float(values.sum(axis=1).mean())

    drawn = caps[caps > 0] if fresh else caps[-1:][caps[-1:] > 0]
    chains = count * len(drawn)
    answers = total(cut) + total(natural)
    thinking = total(whole)
    fed = prompt_tokens * max(chains, count) + ending_tokens * total(cut)
    cached = total(np.where(cut, prompt_tokens + kept, 0.0))
    cached += total(np.where(natural, prompt_tokens + whole, 0.0))
    output = thinking + answers * answer_tokens
    usd = None
    if price is not None:
        again = price.input if price.cached is None else price.cached
        usd = (price.input * fed + again * cached + price.output * output) / 1e6
    hours = None
    if prefill is not None and decode is not None:
        hours = (fed / prefill + output / decode) / 3600
    return Workload(
        chains=round(chains),
        answers=answers,
        thinking=thinking,
        answer=answers * answer_tokens,
        fed=fed,
        cached=cached,
        usd=usd,
        hours=hours,
        worst=lengths is None,
    )
