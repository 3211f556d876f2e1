"""One chain's life, and the pool of all of them.

A life reads as straight code: await the chain, gather the answers of every budget, hand them over. At most
`engine.max_num_seqs` lives are in flight: an engine serves first come first, so submitting every chain at once would
queue all answers behind all chains, when their prefixes have long left the cache.

Mode "nested" draws one chain to the largest budget and cuts it at the others; mode "fresh" draws one chain a budget.
Both make the same two requests a cell, so their costs and distributions compare.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from testtime.engines.base import Completion, Engine, EngineError, Request, Sampling
from testtime.thinking.contract import Chain, Cut, cut, extended, read, seed
from testtime.thinking.delimiters import Format


@dataclass(frozen=True)
class Plan:
    """What is drawn for every problem.

    budgets: thinking budgets in tokens, ascending; samples: chains a problem; answer_tokens: cap on an answer.
    """

    form: Format
    budgets: tuple[int, ...]
    samples: int
    seed: int
    sampling: Sampling
    answer_sampling: Sampling
    answer_tokens: int
    fresh: bool = False
    extensions: int = 0

    def passes(self) -> list[list[Variant]]:
        """The chains of one sample in the order they are drawn: one for all budgets, or one a budget; then, as often as
        chains are extended beyond their natural end, the chain that extends the one before."""
        if self.fresh:
            return [[Variant(f"budget={b}", (b,)) for b in self.budgets]]
        names = ["", *(f"wait={r}" for r in range(1, self.extensions + 1))]
        return [[Variant(name, self.budgets, base)] for name, base in zip(names, [None, *names], strict=False)]

    def variants(self) -> list[Variant]:
        return [variant for group in self.passes() for variant in group]

    def spec(self, forced: bool) -> str:
        """Names how an answer is drawn: (ending, answer sampling, answer cap). Part of an answer's key."""
        if not forced and not self.form.delimited:
            return ""  # the chain's own text is the answer
        ending = self.form.ending if forced else ()
        text = repr((ending, sorted(asdict(self.answer_sampling).items()), self.answer_tokens))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def split(self, base_length: int) -> int:
        """How many tokens an extended chain shares with its base: cuts up to there are the base's."""
        return base_length - (len(self.form.close) or 1)

    def cuts(self, length: int, finish: Any, budgets: Sequence[int], shared: int = -1) -> list[Cut]:
        """Distinct cuts of a chain beyond its `shared` first tokens: budgets that cut alike share one answer."""
        found = [cut(length, finish, b) for b in budgets]
        return sorted({c for c in found if c is not None and c.tokens > shared}, key=lambda c: c.tokens)


@dataclass(frozen=True)
class Variant:
    """One chain of a sample: its name ("" for the nested chain), the budgets read off it, and the chain it extends."""

    name: str
    budgets: tuple[int, ...]
    base: str | None = None

    @property
    def cap(self) -> int:
        return max(self.budgets)


@dataclass(frozen=True)
class Life:
    """A chain to draw or complete: what of it is known already."""

    problem_id: str
    prompt: tuple[int, ...]
    sample: int
    variant: Variant
    known: Chain | None = None  # the stored chain
    logprobs: tuple[float, ...] = ()
    answered: frozenset[tuple[int, str]] = frozenset()  # (cut, spec) of stored answers
    base: Chain | None = None  # the chain that this one extends
    base_logprobs: tuple[float, ...] = ()


Sink = Callable[[str, dict[str, Any]], None]


async def live(engine: Engine, plan: Plan, life: Life, sink: Sink, decode: Callable[[list[int]], str]) -> None:
    """Draw what a life lacks; rows go to `sink(table, row)`. Raises EngineError when a request failed for good."""
    # Extended chains share their base's prefix; fresh ones share nothing.
    affinity = f"{life.problem_id}/{life.sample}/{'' if life.base else life.variant.name}"
    chain, logprobs, shared = life.known or Chain([], "length"), list(life.logprobs), -1
    if life.base is not None:
        shared = plan.split(len(life.base.token_ids))
        if not chain.token_ids:  # not begun: the first tokens come from the base
            chain = Chain((extended(life.base, plan.form, plan.form.marker) or [])[: life.variant.cap], "length")
            logprobs = [*life.base_logprobs[:shared], *[math.nan] * (len(chain.token_ids) - shared)]
    begun = bool(life.known and life.known.token_ids)
    if chain.finish == "length" and (len(chain.token_ids) < life.variant.cap or (life.base is not None and not begun)):
        chain, logprobs = await _think(engine, plan, life, chain, logprobs, affinity, sink)
    cuts = plan.cuts(len(chain.token_ids), chain.finish, life.variant.budgets, shared)
    missing = [c for c in cuts if (c.tokens, plan.spec(c.forced)) not in life.answered]
    answers = (_answer(engine, plan, life, chain, logprobs, c, affinity, sink, decode) for c in missing)
    for outcome in await asyncio.gather(*answers, return_exceptions=True):
        if outcome is not None:  # raised only now, so that no other answer is left unawaited
            raise outcome


async def _think(
    engine: Engine, plan: Plan, life: Life, chain: Chain, logprobs: list[float], affinity: str, sink: Sink
) -> tuple[Chain, list[float]]:
    """Draw a chain on to its cap, and store what is new of it."""
    stored, start = len(life.known.token_ids) if life.known else 0, len(chain.token_ids)
    prompt = (*life.prompt, *chain.token_ids)
    number = seed(plan.seed, life.problem_id, life.sample, "chain", start, life.variant.name)
    done = Completion([], "", "length", [], len(prompt), len(prompt))
    if start < life.variant.cap:
        # Only a one-token delimiter can stop the engine; a longer one is found in the ids afterwards.
        stops = plan.form.close if len(plan.form.close) == 1 else ()
        cap = life.variant.cap - start
        done = await engine.complete(Request(prompt, cap, number, plan.sampling, stops, affinity=affinity))
    # A delimiter of several tokens may have begun in the stored part: it is found all the same.
    chain = read(done.token_ids, done.finish == "stop", plan.form, chain.token_ids)
    logprobs = [*logprobs, *done.logprobs][: len(chain.token_ids)]
    row = {
        "problem_id": life.problem_id,
        "sample": life.sample,
        "variant": life.variant.name,
        "start": stored,
        "token_ids": chain.token_ids[stored:],
        "logprobs": logprobs[stored:],
        "tokens": len(chain.token_ids) - stored,
        "finish": chain.finish,
        "seed": number,
        "prompt_tokens": done.prompt_tokens,
        "cached_tokens": done.cached_tokens,
    }
    sink("chains", row)
    return chain, logprobs


async def _answer(
    engine: Engine,
    plan: Plan,
    life: Life,
    chain: Chain,
    logprobs: list[float],
    at: Cut,
    affinity: str,
    sink: Sink,
    decode: Callable[[list[int]], str],
) -> None:
    kept = chain.token_ids[: at.tokens]
    spec = plan.spec(at.forced)
    if spec:
        ending = plan.form.ending if at.forced else ()
        number = seed(
            plan.seed, life.problem_id, life.sample, "answer", at.tokens, ",".join(map(str, ending)), life.variant.name
        )
        prompt = (*life.prompt, *kept, *ending)
        done = await engine.complete(
            Request(prompt, plan.answer_tokens, number, plan.answer_sampling, affinity=affinity)
        )
        text = (plan.form.lead if at.forced else "") + decode(done.token_ids)
    else:
        number, text = 0, decode(kept)
        done = Completion([], "", "stop", [], len(life.prompt) + len(kept), len(life.prompt) + len(kept))
    weighed = [x for x in (*logprobs[: at.tokens], *done.logprobs) if not math.isnan(x)]  # a marker has none
    sink(
        "answers",
        {
            "problem_id": life.problem_id,
            "sample": life.sample,
            "variant": life.variant.name,
            "cut": at.tokens,
            "spec": spec,
            "forced": at.forced,
            "token_ids": done.token_ids,
            "tokens": len(done.token_ids),
            "text": text,
            "finish": done.finish,
            "logprob_mean": sum(weighed) / len(weighed) if weighed else None,
            "logprob_min": min(weighed, default=None),
            "answer_logprob": sum(done.logprobs) if done.logprobs else None,
            "seed": number,
            "prompt_tokens": done.prompt_tokens,
            "cached_tokens": done.cached_tokens,
        },
    )


async def draw_pool(
    engine: Engine,
    plan: Plan,
    lives: Iterable[Life],
    sink: Sink,
    decode: Callable[[list[int]], str],
    finished: Callable[[Life], None],
) -> list[str]:
    """Live every life, `engine.max_num_seqs` at a time; `finished` is called after each.

    Returns one line for each life that stays incomplete because its requests failed (its rows are missing, not wrong).
    Any other exception stops the pool.
    """
    queue: Iterator[Life] = iter(lives)
    failed: list[str] = []

    async def worker() -> None:
        for life in queue:  # shared: each worker takes the next
            try:
                await live(engine, plan, life, sink, decode)
            except EngineError as error:
                failed.append(f"{life.problem_id} sample {life.sample}: {error}")
            finished(life)

    async with asyncio.TaskGroup() as group:
        for _ in range(engine.max_num_seqs):
            group.create_task(worker())
    return failed
