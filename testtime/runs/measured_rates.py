"""Tokens a second of an engine, measured: a cell's seconds are its tokens times these two rates.

The samples of a pool share prefixes and batches, so a cell's seconds cannot be read off the pool.
Latency is the other clock: n samples run side by side, one long chain does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np

from testtime.config.schema import Rates
from testtime.engines.base import Engine, Request
from testtime.errors import UserError

TURNS = 4


async def measure_rates(
    engine: Engine,
    vocabulary: Sequence[int],
    *,
    concurrency: int,
    prompt_tokens: int = 128,
    new_tokens: int = 128,
    rounds: int = 10,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Rates:
    """Measure an engine with `concurrency` requests in flight.

    vocabulary: token ids to make prompts of; each prompt is random, so no prefix cache helps. After
    a warm-up, two streams of `rounds` x concurrency requests are timed, one of short completions (4
    tokens on average) and one of new_tokens on average; lengths vary and a request starts when
    another ends, as in a run. The two times give the two rates; where noise hides one, more is
    timed, up to TURNS times as much. clock: seconds; on a shared machine an in-process engine is
    better timed by `time.process_time`. Raises UserError for counts below 1, and where the times
    stay too short to tell the rates apart.
    """
    if min(concurrency, prompt_tokens, rounds) < 1 or new_tokens < 8 or not len(vocabulary):
        raise UserError(
            "measure_rates: concurrency, prompt_tokens and rounds must be 1 or more, new_tokens 8 "
            "or more, "
            "and the vocabulary must hold token ids"
        )
    rng = np.random.default_rng(seed)
    ids = np.asarray(vocabulary, dtype=np.int64)
    free = asyncio.Semaphore(concurrency)

    async def one(prompt: list[int], new: int, own: int) -> None:
        async with free:
            await engine.complete(Request(tuple(prompt), max_tokens=new, seed=own, ignore_eos=True))

    async def stream(count: int, mean: int) -> tuple[float, int]:
        """Seconds, and tokens sampled."""
        prompts = rng.choice(ids, size=(count, prompt_tokens)).tolist()
        lengths, seeds = (
            rng.integers(1, 2 * mean, size=count).tolist(),
            rng.integers(0, 2**62, size=count).tolist(),
        )
        start = clock()
        await asyncio.gather(
            *(one(*request) for request in zip(prompts, lengths, seeds, strict=True))
        )
        return clock() - start, sum(lengths)

    await stream(concurrency, 4)
    timed = np.zeros(4)  # seconds and tokens of the short stream, of the long one
    for turn in range(1, TURNS + 1):
        timed += (
            *await stream(rounds * concurrency, 4),
            *await stream(rounds * concurrency, new_tokens),
        )
        short, few, long, many = timed.tolist()
        each = (long - short) / (many - few)
        read = (short - few * each) / (turn * rounds * concurrency * prompt_tokens)
        if each > 0 and read > 0:
            return Rates(1 / read, 1 / each, concurrency, prompt_tokens + new_tokens // 2)
    raise UserError(
        "measure_rates: too little was timed to tell prefill and decoding apart; raise rounds"
    )
