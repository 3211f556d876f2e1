"""One chain's life, and the pool of all of them.

A life reads as straight code: await the chain, gather the answers of every budget, hand them over.
At most `engine.max_num_seqs` lives are in flight: an engine serves first come first, so submitting
every chain at once would queue all answers behind all chains, when their prefixes have long left
the cache.

Mode "nested" draws one chain to the largest budget and cuts it at the others; mode "fresh" draws
one chain a budget. Both make the same two requests a cell, so their costs and distributions
compare. Where the engine is told the budget and answers in the same request, a life is `whole`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator

from testtime.engines.base import Completion, Engine, EngineError, Request
from testtime.strategies.budget import Chain, Cut, extended, read, seed
from testtime.strategies.plan import Life, Plan, Sink
from testtime.strategies.whole import live_whole


async def live(
    engine: Engine, plan: Plan, life: Life, sink: Sink, decode: Callable[[list[int]], str]
) -> None:
    """Draw what a life lacks; rows go to `sink(table, row)`. Raises EngineError when a request
    failed for good.
    """
    # Extended chains share their base's prefix; fresh ones share nothing.
    affinity = f"{life.problem_id}/{life.sample}/{'' if life.base else life.variant.name}"
    chain, logprobs, shared = life.known or Chain([], "length"), list(life.logprobs), -1
    if life.base is not None:
        shared = plan.split(len(life.base.token_ids))
        if not chain.token_ids:  # not begun: the first tokens come from the base
            chain = Chain(
                (extended(life.base, plan.form, plan.form.marker) or [])[: life.variant.cap],
                "length",
            )
            logprobs = [*life.base_logprobs[:shared], *[math.nan] * (len(chain.token_ids) - shared)]
    begun = bool(life.known and life.known.token_ids)
    if chain.finish == "length" and (
        len(chain.token_ids) < life.variant.cap or (life.base is not None and not begun)
    ):
        chain, logprobs = await _think(engine, plan, life, chain, logprobs, affinity, sink)
    cuts = plan.cuts(len(chain.token_ids), chain.finish, life.variant.budgets, shared)
    missing = [c for c in cuts if (c.tokens, plan.spec(c.forced)) not in life.answered]
    answers = (
        _answer(engine, plan, life, chain, logprobs, c, affinity, sink, decode) for c in missing
    )
    for outcome in await asyncio.gather(*answers, return_exceptions=True):
        if outcome is not None:  # raised only now, so that no other answer is left unawaited
            raise outcome


async def _think(
    engine: Engine,
    plan: Plan,
    life: Life,
    chain: Chain,
    logprobs: list[float],
    affinity: str,
    sink: Sink,
) -> tuple[Chain, list[float]]:
    """Draw a chain on to its cap, and store what is new of it."""
    stored, start = len(life.known.token_ids) if life.known else 0, len(chain.token_ids)
    prompt = (*life.prompt, *chain.token_ids)
    number = seed(plan.seed, life.problem_id, life.sample, "chain", start, life.variant.name)
    done = Completion([], "", "length", [], len(prompt), len(prompt))
    if start < life.variant.cap:
        # Only a one-token delimiter can stop the engine; a longer one is found in the ids
        # afterwards.
        stops = plan.form.close if len(plan.form.close) == 1 else ()
        cap = life.variant.cap - start
        done = await engine.complete(
            Request(prompt, cap, number, plan.sampling, stops, affinity=affinity)
        )
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
            plan.seed,
            life.problem_id,
            life.sample,
            "answer",
            at.tokens,
            ",".join(map(str, ending)),
            life.variant.name,
        )
        prompt = (*life.prompt, *kept, *ending)
        done = await engine.complete(
            Request(prompt, plan.answer_tokens, number, plan.answer_sampling, affinity=affinity)
        )
        text = (plan.form.lead if at.forced else "") + decode(done.token_ids)
    else:
        number, text = 0, decode(kept)
        done = Completion(
            [], "", "stop", [], len(life.prompt) + len(kept), len(life.prompt) + len(kept)
        )
    weighed = [
        x for x in (*logprobs[: at.tokens], *done.logprobs) if not math.isnan(x)
    ]  # a marker has none
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

    Returns one line for each life that stays incomplete because its requests failed (its rows are
    missing, not wrong). Any other exception stops the pool.
    """
    queue: Iterator[Life] = iter(lives)
    failed: list[str] = []

    begin = live_whole if plan.whole else live

    async def worker() -> None:
        for life in queue:  # shared: each worker takes the next
            try:
                await begin(engine, plan, life, sink, decode)
            except EngineError as error:
                failed.append(f"{life.problem_id} sample {life.sample}: {error}")
            finished(life)

    async with asyncio.TaskGroup() as group:
        for _ in range(engine.max_num_seqs):
            group.create_task(worker())
    return failed
