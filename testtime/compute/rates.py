"""Seconds: what a cell takes at the speed an engine was measured to have.

The samples of a pool share prefixes and batches, so a cell's seconds cannot be read off the pool. They are its tokens
times two measured rates, of prefill and of decoding, at a stated number of requests in flight: an engine's time for
what a deployment of that cell would ask. Latency is the other clock: n samples run side by side, one long chain does
not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from testtime.engines.base import Engine, Request
from testtime.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens per second of the whole engine with `concurrency` requests in flight.

    prefill: prompt tokens; decode: sampled tokens, at contexts around `context` tokens (attention slows longer ones).
    """

    prefill: float
    decode: float
    concurrency: int
    context: int

    def sample_seconds(
        self,
        prompt: ArrayLike,
        thinking: ArrayLike,
        forced: ArrayLike,
        answer: ArrayLike,
        prompt_shared_by: ArrayLike = 1,
    ) -> Array:
        """The share of the engine's time that one sample takes; its own duration is `concurrency` times as long."""
        p, t, f, a, n = (np.asarray(x, dtype=np.float64) for x in (prompt, thinking, forced, answer, prompt_shared_by))
        seconds: Array = (p / n + f) / self.prefill + (t + a) / self.decode
        return seconds

    def latency_seconds(self, sequential: ArrayLike) -> Array:
        """Seconds until an answer whose longest path samples `sequential` tokens, the engine as full as measured."""
        seconds: Array = np.asarray(sequential, dtype=np.float64) * self.concurrency / self.decode
        return seconds


async def measure_rates(
    engine: Engine,
    vocabulary: Sequence[int],
    *,
    concurrency: int,
    prompt_tokens: int = 128,
    new_tokens: int = 128,
    rounds: int = 3,
    seed: int = 0,
) -> Rates:
    """Measure an engine with `concurrency` requests in flight.

    vocabulary: token ids to make prompts of; each prompt is random, so no prefix cache helps. After a warm-up,
    `rounds` times a batch is timed that samples one token and one that samples new_tokens + 1; medians of both give
    the two rates.
    """
    if concurrency < 1 or prompt_tokens < 1 or new_tokens < 1 or rounds < 1 or not len(vocabulary):
        raise UserError(
            "measure_rates: concurrency, prompt_tokens, new_tokens and rounds must be 1 or more, with a vocabulary"
        )
    rng = np.random.default_rng(seed)
    ids = np.asarray(vocabulary, dtype=np.int64)

    async def batch(new: int) -> float:
        prompts = rng.choice(ids, size=(concurrency, prompt_tokens))
        seeds = rng.integers(0, 2**62, size=concurrency)
        requests = [
            Request(tuple(prompt), max_tokens=new, seed=int(own), ignore_eos=True)
            for prompt, own in zip(prompts.tolist(), seeds, strict=True)
        ]
        start = time.perf_counter()
        await asyncio.gather(*(engine.complete(request) for request in requests))
        return time.perf_counter() - start

    await batch(2)
    short, long = [], []
    for _ in range(rounds):
        short.append(await batch(1))
        long.append(await batch(new_tokens + 1))
    first, more = float(np.median(short)), float(np.median(long) - np.median(short))
    if more <= 0:
        raise UserError(
            f"measure_rates: {new_tokens} more tokens took no longer; raise new_tokens to get above the noise"
        )
    return Rates(concurrency * prompt_tokens / first, concurrency * new_tokens / more, concurrency,
                 prompt_tokens + new_tokens // 2)  # fmt: skip
