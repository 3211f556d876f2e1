"""A life in one request: the engine is told what to spend, thinks, closes the thinking itself, and
answers.

That is how vLLM's own `thinking_token_budget` works, and a chat server that is told an effort
level. A chain that was told its budget says nothing about another one, so every budget is drawn
fresh. Whether the engine obeys is not taken for granted: several vLLM versions ignore the budget
silently, so what was realised is audited against what was asked.
"""

from __future__ import annotations

from collections.abc import Callable

from testtime.engines.base import Engine, Request
from testtime.strategies.budget import Chain, read, seed
from testtime.strategies.plan import WHOLE, Life, Plan, Sink


async def live_whole(
    engine: Engine, plan: Plan, life: Life, sink: Sink, decode: Callable[[list[int]], str]
) -> None:
    """Draw chain and answer; their rows go to `sink(table, row)`. Raises EngineError when the
    request failed for good.

    A chain that never closed has an empty answer, which no grader can parse.
    """
    budget, close = life.variant.cap, len(plan.form.close)
    number = seed(plan.seed, life.problem_id, life.sample, "whole", life.variant.name)
    request = Request(
        life.prompt if life.messages is None else None,
        budget + close + plan.answer_tokens,
        number,
        plan.sampling,
        affinity=f"{life.problem_id}/{life.sample}/{life.variant.name}",
        messages=life.messages,
        thinking_budget=budget,
    )
    done = await engine.complete(request)
    forced, ids = False, list[int]()
    if done.counts is not None:
        (thinking, answer), text = done.counts, done.text
        chain = Chain([], "natural" if done.finish == "stop" else "length")
    else:
        chain = read(done.token_ids, done.finish == "stop", plan.form)
        if chain.finish == "natural":
            ids = done.token_ids[len(chain.token_ids) :]
            # Closed right after the budget: the closing tokens are the engine's, as a forced ending
            # is.
            if forced := len(chain.token_ids) == budget + close:
                chain = Chain(chain.token_ids[:budget], "length")
        thinking, answer, text = len(chain.token_ids), len(ids), decode(ids)
    shared = {
        "problem_id": life.problem_id,
        "sample": life.sample,
        "variant": life.variant.name,
        "seed": number,
    }
    row = {
        "start": 0,
        "token_ids": chain.token_ids,
        "logprobs": done.logprobs[:thinking],
        "tokens": thinking,
        "finish": chain.finish,
        "prompt_tokens": done.prompt_tokens,
        "cached_tokens": done.cached_tokens,
    }
    sink("chains", {**shared, **row})
    row = {
        "cut": thinking,
        "spec": WHOLE,
        "forced": forced,
        "token_ids": ids,
        "tokens": answer,
        "text": text,
        "finish": done.finish,
        "logprob_mean": sum(done.logprobs) / len(done.logprobs) if done.logprobs else None,
        "logprob_min": min(done.logprobs, default=None),
        "answer_logprob": sum(done.logprobs[-len(ids) :]) if ids and done.logprobs else None,
        "prompt_tokens": 0,  # one request: the chain's row counts the prompt
        "cached_tokens": 0,
    }
    sink("answers", {**shared, **row})
