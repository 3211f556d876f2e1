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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from testtime.engines.base import Completion, Engine, EngineError, Request, Sampling
from testtime.thinking.contract import Chain, Cut, cut, read, seed
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

    def variants(self) -> list[Variant]:
        """The chains of one sample: one for all budgets, or one a budget."""
        if self.fresh:
            return [Variant(f"budget={b}", (b,)) for b in self.budgets]
        return [Variant("", self.budgets)]

    def spec(self, forced: bool) -> str:
        """Names how an answer is drawn: (ending, answer sampling, answer cap). Part of an answer's key."""
        if not forced and not self.form.delimited:
            return ""  # the chain's own text is the answer
        ending = self.form.ending if forced else ()
        text = repr((ending, sorted(asdict(self.answer_sampling).items()), self.answer_tokens))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def cuts(self, length: int, finish: Any, budgets: Sequence[int]) -> list[Cut]:
        """Distinct cuts of a chain: budgets that cut alike share one answer."""
        found = [cut(length, finish, b) for b in budgets]
        return sorted({c for c in found if c is not None}, key=lambda c: c.tokens)


@dataclass(frozen=True)
class Variant:
    """One chain of a sample: its name (what the sampler was told; "" for nothing) and the budgets read off it."""

    name: str
    budgets: tuple[int, ...]

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


Sink = Callable[[str, dict[str, Any]], None]


async def live(engine: Engine, plan: Plan, life: Life, sink: Sink, decode: Callable[[list[int]], str]) -> None:
    """Draw what a life lacks; rows go to `sink(table, row)`. Raises EngineError when a request failed for good."""
    key = {"problem_id": life.problem_id, "sample": life.sample, "variant": life.variant.name}
    affinity = f"{life.problem_id}/{life.sample}/{life.variant.name}"
    chain, logprobs = life.known or Chain([], "length"), list(life.logprobs)
    start, cap = len(chain.token_ids), life.variant.cap
    if chain.finish == "length" and start < cap:
        number = seed(plan.seed, life.problem_id, life.sample, "chain", start, life.variant.name)
        # Only a one-token delimiter can stop the engine; a longer one is found in the ids afterwards.
        stops = plan.form.close if len(plan.form.close) == 1 else ()
        done = await engine.complete(
            Request((*life.prompt, *chain.token_ids), cap - start, number, plan.sampling, stops, affinity=affinity)
        )
        chain = read(done.token_ids, done.finish == "stop", plan.form, chain.token_ids)
        # A delimiter of several tokens may have begun in the stored part: rows then overlap by a token or two.
        new = chain.token_ids[start:]
        logprobs = [*logprobs, *done.logprobs][: len(chain.token_ids)]
        sink(
            "chains",
            {
                **key,
                "start": start,
                "token_ids": new,
                "logprobs": logprobs[start:],
                "tokens": len(new),
                "finish": chain.finish,
                "seed": number,
                "prompt_tokens": done.prompt_tokens,
                "cached_tokens": done.cached_tokens,
            },
        )
    cuts = [
        c
        for c in plan.cuts(len(chain.token_ids), chain.finish, life.variant.budgets)
        if (c.tokens, plan.spec(c.forced)) not in life.answered
    ]
    answers = (_answer(engine, plan, life, chain, logprobs, c, affinity, sink, decode) for c in cuts)
    for outcome in await asyncio.gather(
        *answers, return_exceptions=True
    ):  # a failure must not leave the others unawaited
        if outcome is not None:
            raise outcome


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
    weighed = [*logprobs[: at.tokens], *done.logprobs]
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
