"""Long chains in a cache that cannot hold them all: how many does vLLM throw out and draw again?

    python -m benchmarks.long_chains [--shape tiny] [--length 512] [--chains 64] [--blocks 512]

One nested pool of chains that never end early (untrained weights), with chains in flight bounded by
what the cache holds, and with as many as vLLM decodes together, interleaved in one engine. Printed
are preemptions (vLLM's own counter), the share of prompt tokens that answers found computed, and
the ratio of the seconds. --blocks: how small the cache is made (0: as large as the card allows).
"""

from __future__ import annotations

import argparse
import asyncio
import random
from dataclasses import replace
from typing import Any

from benchmarks.common import ENDLESS, SHAPES, Recorder, cpu_seconds, drawing, pool, untrained
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.strategies.drawing import Admission
from testtime.strategies.nested import Nested

ROUNDS = 2


def preempted() -> int:
    """vLLM's counter, of this process."""
    from vllm.v1.metrics.reader import get_metrics_snapshot

    return sum(
        getattr(metric, "value", 0)
        for metric in get_metrics_snapshot()
        if metric.name == "vllm:num_preemptions"
    )


async def rounds(given: argparse.Namespace) -> None:
    model = untrained(given.shape, given.length + 64, given.dtype)
    args: dict[str, Any] = {"disable_log_stats": False}
    if given.blocks:
        args["num_gpu_blocks_override"] = given.blocks
    spec = EngineSpec(name="vllm", max_num_seqs=given.chains, dtype=given.dtype, args=args)
    engine, _ = make(spec, str(model))
    capacity = getattr(engine, "cache_tokens", None)
    print(f"{given.chains} chains of {given.length}, a cache of {capacity:,} tokens", flush=True)
    nested = Nested(budgets=[given.length * i // 4 for i in range(1, 5)])
    sums: dict[str, list[float]] = {"bounded": [], "all at once": []}
    for number in range(ROUNDS):
        for name, held in (("bounded", capacity), ("all at once", None)):
            dice, before, began = random.Random(f"{number} {name}"), preempted(), cpu_seconds()
            prompts = {
                f"p{i}": tuple(dice.choices(range(5, 25), k=24)) for i in range(given.chains)
            }
            recorder = Recorder(engine)
            shared = drawing(recorder, ENDLESS, number)
            shared = replace(shared, admission=Admission(engine.max_num_seqs, held))
            seconds = await pool(shared, nested, prompts, 1)
            sums[name].append(seconds)
            totals = recorder.totals()
            print(
                f"{name}: {preempted() - before} preempted, {totals['computed']:,} prompt tokens "
                f"computed, {totals['generated'] / seconds:,.0f} tokens/s, {seconds:.1f} s "
                f"(CPU {cpu_seconds() - began:.1f} s)",
                flush=True,
            )
    ratios = [b / a for a, b in zip(*sums.values(), strict=True)]
    print(f"long chains: seconds all at once over bounded: {min(ratios):.2f} to {max(ratios):.2f}")
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--chains", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=512)
    asyncio.run(rounds(parser.parse_args()))


if __name__ == "__main__":
    main()
