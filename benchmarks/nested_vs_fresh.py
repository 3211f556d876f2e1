"""What the nested pool saves: engine seconds and generated tokens for a whole (budget x n) grid,
three ways.

    python benchmarks/nested_vs_fresh.py [--engine vllm] [--problems 4] [--samples 8] [--chain 1024]

nested: one pool. fresh: one run a budget, every n read off it. cells: one run for each (budget, n).
floor: the least time that any schedule needs, the longest chains and all answers submitted at once,
none waiting for another, with every prefix in the cache already. Same engine, same process, with
budgets that double and budgets evenly spaced, on chains that never end early and on chains of which
half do. Aim: nested within 15 % of the floor, which it cannot undercut.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable

from benchmarks.common import (
    ENDLESS,
    Recorder,
    cpu_seconds,
    drawing,
    engine_for,
    pool,
    untrained,
)
from testtime.engines.base import Engine
from testtime.strategies.base import Strategy
from testtime.strategies.nested import Fresh, Nested
from testtime.strategies.node import Ids

ANSWER = 8  # tokens


async def compare(
    engine: Engine,
    budgets: list[int],
    samples: int,
    prompts: list[Ids],
    counts: list[int],
    salt: int,
    early: float,
) -> None:
    """Prints one table. Each way starts with prompts of its own, so that none finds another's
    prefixes in the cache. early: the share of chains that end before the largest budget.
    """

    def own(way: int) -> dict[str, Ids]:
        tail = 4 + (salt + way) % 10, 4 + (salt + way) // 10 % 10
        return {f"p{i}": (*p[:-1], *tail, p[-1]) for i, p in enumerate(prompts)}

    rows: list[tuple[str, float, float, dict[str, int]]] = []

    async def timed(name: str, recorder: Recorder, work: Awaitable[object]) -> None:
        began = cpu_seconds(), time.perf_counter()
        await work
        took = cpu_seconds() - began[0], time.perf_counter() - began[1]
        rows.append((name, *took, recorder.totals()))

    async def drawn(name: str, strategy: Strategy, times: int) -> Recorder:
        recorder = Recorder(engine, early)
        shared = drawing(recorder, ENDLESS, salt, ANSWER)
        await timed(name, recorder, pool(shared, strategy, own(len(rows)), times))
        return recorder

    nested = await drawn("nested", Nested(budgets=budgets), samples)
    floor = Recorder(engine)
    await timed("floor", floor, at_once(floor, nested))
    await drawn("fresh", Fresh(budgets=budgets), samples)
    await drawn("cells", Fresh(budgets=budgets), sum(counts))
    print(
        f"budgets {budgets}, n {counts}, {len(prompts)} problems x {samples} samples, "
        f"{early:.0%} of the chains end early, engine {engine.name}"
    )
    print(f"  {'way':<8}{'CPU s':>9}{'x nested':>10}{'wall s':>9}{'x nested':>10}", end="")
    print(f"{'generated':>11}{'prompt tokens computed':>24}")
    for name, cpu, wall, totals in rows:
        print(
            f"  {name:<8}{cpu:>9.2f}{cpu / rows[0][1]:>10.2f}{wall:>9.2f}{wall / rows[0][2]:>10.2f}"
            f"{totals['generated']:>11,}{totals['computed']:>24,}"
        )
    over = (f"{rows[0][i] / rows[1][i]:.3f} of {kind}" for i, kind in ((1, "CPU"), (2, "wall")))
    print(f"  nested over floor: {', '.join(over)}")


async def at_once(engine: Engine, drawn: Recorder) -> None:
    """Serve what was asked, each request as long as it came out, all submitted together, the
    longest first. Their prefixes lie in the cache since they were asked.
    """
    asked = sorted((request for request, _ in drawn.seen), key=lambda r: -r.max_tokens)
    await asyncio.gather(*map(engine.complete, asked))


async def main_async(given: argparse.Namespace) -> None:
    engine = engine_for(
        given.engine, untrained("tiny", 2 * given.chain), given.problems * given.samples
    )
    prompts: list[Ids] = [tuple(5 + (i + j) % 20 for j in range(24)) for i in range(given.problems)]
    counts = [n for n in (1, 2, 4, 8, 16) if n <= given.samples]
    warm_up = drawing(Recorder(engine), ENDLESS, 0)
    await pool(
        warm_up, Nested(budgets=[32]), {f"p{i}": p for i, p in enumerate(prompts)}, given.samples
    )
    doubling = [given.chain >> i for i in range(4, -1, -1)]
    even = [given.chain * i // 8 for i in range(1, 9)]
    for salt, budgets, early in ((10, doubling, 0.0), (50, even, 0.0), (80, even, 0.5)):
        await compare(engine, budgets, given.samples, prompts, counts, salt, early)
    await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--chain", type=int, default=1024)
    asyncio.run(main_async(parser.parse_args()))
