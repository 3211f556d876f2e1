"""What the nested pool saves: engine seconds and generated tokens for a whole (budget x n) grid,
three ways.

    python benchmarks/nested_vs_fresh.py [--engine vllm] [--problems 4] [--samples 8] [--chain 1024]

nested: one pool. fresh: one run a budget, every n read off it. cells: one run for each (budget, n).
floor: the longest chains alone, plus the answers on a warm prefix cache. Same engine, same process,
on chains that never end early, with budgets that double and budgets evenly spaced. Aim: nested
within 15 % of the floor.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from benchmarks.common import ENDLESS, Recorder, engine_for, long_model, pool, replay
from testtime.engines.base import Engine, Request, Sampling
from testtime.strategies.plan import Plan


async def compare(
    engine: Engine, plan: Plan, prompts: list[tuple[int, ...]], counts: list[int], salt: int
) -> None:
    """Prints one table. Each way starts with prompts of its own, so that none finds another's
    prefixes in the cache.
    """

    def own(way: int) -> list[tuple[int, ...]]:
        return [
            (*p[:-1], 4 + (salt + way) % 10, 4 + (salt + way) // 10 % 10, p[-1]) for p in prompts
        ]

    rows = []
    nested = Recorder(engine)
    seconds = await pool(nested, plan, own(0))
    rows.append(("nested", seconds, nested.totals()))
    answers = [request for request, _ in nested.seen if request.max_tokens == plan.answer_tokens]
    assert len(answers) == len(prompts) * plan.samples * len(plan.budgets), "a chain ended early"
    warm = Recorder(engine)
    answer_seconds = await replay(warm, answers)
    chains = Recorder(engine)
    chain_seconds = await replay(
        chains,
        [
            Request(prompt, plan.budgets[-1], 1000 * i + s, plan.sampling)
            for i, prompt in enumerate(own(1))
            for s in range(plan.samples)
        ],
    )
    floor_tokens = {k: chains.totals()[k] + warm.totals()[k] for k in ("generated", "computed")}
    rows.append(("floor", chain_seconds + answer_seconds, floor_tokens))
    fresh = Recorder(engine)
    rows.append(("fresh", await pool(fresh, replace(plan, fresh=True), own(2)), fresh.totals()))
    cells = Recorder(engine)
    rows.append(
        (
            "cells",
            await pool(cells, replace(plan, fresh=True, samples=sum(counts)), own(3)),
            cells.totals(),
        )
    )
    print(
        f"budgets {plan.budgets}, n {counts}, {len(prompts)} problems x {plan.samples} samples, "
        f"engine {engine.name}"
    )
    print(
        f"  {'way':<8}{'seconds':>9}{'x nested':>10}{'generated':>11}{'prompt tokens computed':>24}"
    )
    for way, seconds, totals in rows:
        print(
            f"  {way:<8}{seconds:>9.2f}{seconds / rows[0][1]:>10.2f}"
            f"{totals['generated']:>11,}{totals['computed']:>24,}"
        )
    floor = f"chains {chain_seconds:.2f} s + warm answers {answer_seconds:.2f} s"
    print(f"  nested over floor: {rows[0][1] / rows[1][1]:.3f} ({floor})")


async def main_async(given: argparse.Namespace) -> None:
    engine = engine_for(given.engine, long_model(2 * given.chain), given.problems * given.samples)
    sampling = Sampling()
    base = Plan(ENDLESS, (given.chain,), given.samples, 0, sampling, sampling, 8)
    prompts = [tuple(5 + (i + j) % 20 for j in range(24)) for i in range(given.problems)]
    counts = [n for n in (1, 2, 4, 8, 16) if n <= given.samples]
    await pool(Recorder(engine), replace(base, budgets=(32,)), prompts)  # warm-up
    doubling = tuple(given.chain >> i for i in range(4, -1, -1))
    even = tuple(given.chain * i // 8 for i in range(1, 9))
    for salt, budgets in ((10, doubling), (50, even)):
        await compare(engine, replace(base, budgets=budgets, seed=salt), prompts, counts, salt)
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
