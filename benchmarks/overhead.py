"""What the sampler and the store cost over the bare engine, and what a seed for every request
costs.

    python benchmarks/overhead.py [--engine vllm] [--problems 8] [--samples 16] [--chain 256]
    [--rounds 3]

A pool is drawn and stored; then the bare engine serves the very same requests. The two alternate
within one process; their median ratio is printed. Aim: at most 1.05 for chains of 256 tokens or
more. On vLLM the requests are also served without seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Mapping
from typing import Any
from unittest import mock

from benchmarks.common import ENDLESS, Recorder, drawing, engine_for, long_model, pool, replay
from testtime.engines.base import Engine, Request
from testtime.runs.draw import attempt_row
from testtime.storage.store import Store
from testtime.storage.writer import Writer
from testtime.strategies.base import Attempt, Ids
from testtime.strategies.nested import Nested


async def stored(
    engine: Engine, nested: Nested, prompts: Mapping[str, Ids], samples: int, seed: int
) -> tuple[float, list[Request]]:
    """Seconds to draw a pool and keep it, and what was asked of the engine for it."""
    recorder = Recorder(engine)
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Store(folder))

        def finished(problem: str, sample: int, attempts: list[Attempt]) -> None:
            for attempt in attempts:
                writer.add("attempts", attempt_row(problem, sample, "", attempt))

        shared = drawing(recorder, ENDLESS, seed, store=lambda call: writer.add("calls", call))
        seconds = await pool(shared, nested, prompts, samples, finished)
        writer.flush()
    return seconds, [request for request, _ in recorder.seen]


async def main_async(given: argparse.Namespace) -> None:
    engine = engine_for(given.engine, long_model(2 * given.chain), given.seqs)
    nested = Nested(budgets=[given.chain >> i for i in range(4, -1, -1)])
    ratios, seeds = [], []
    for turn in range(given.rounds + 1):
        # Prompts of each round's own: none finds another round's prefixes in the cache.
        prompts = {
            f"p{i}": tuple(5 + (7 * turn + i + j * (i + 1)) % 20 for j in range(24))
            for i in range(given.problems)
        }
        seconds, requests = await stored(engine, nested, prompts, given.samples, turn)
        # The very same requests: the bare engine finds their prefixes in the cache too, which
        # favours it a little.
        bare = await replay(engine, requests)
        if given.engine == "vllm":
            with mock.patch.object(engine, "_params", _seedless(engine._params)):  # type: ignore[attr-defined]
                seeds.append(bare / await replay(engine, requests))
        if turn:  # the first round warms up
            ratios.append(seconds / bare)
            print(
                f"round {turn}: pool {seconds:.2f} s, bare engine {bare:.2f} s, ratio "
                f"{seconds / bare:.3f}",
                flush=True,
            )
    shape = f"{given.problems} x {given.samples} chains of {given.chain}, engine {engine.name}"
    print(f"overhead: median ratio {statistics.median(ratios):.3f}, {shape}")
    if seeds:
        print(f"seeds: with over without, median ratio {statistics.median(seeds[1:]):.3f}")
    await engine.close()


def _seedless(params: Any) -> Any:
    return lambda **settings: params(**{**settings, "seed": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--chain", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seqs", type=int, default=64)
    asyncio.run(main_async(parser.parse_args()))
