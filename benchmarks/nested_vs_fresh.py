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

from benchmarks.common import ENDLESS, Recorder, drawing, engine_for, long_model, pool, replay
from testtime.engines.base import Engine, Request
from testtime.strategies.base import Ids, Strategy
from testtime.strategies.nested import Fresh, Nested

ANSWER = 8  # tokens


async def compare(
    engine: Engine,
    budgets: list[int],
    samples: int,
    prompts: list[Ids],
    counts: list[int],
    salt: int,
) -> None:
    """Prints one table. Each way starts with prompts of its own, so that none finds another's
    prefixes in the cache.
    """

    def own(way: int) -> dict[str, Ids]:
        tail = 4 + (salt + way) % 10, 4 + (salt + way) // 10 % 10
        return {f"p{i}": (*p[:-1], *tail, p[-1]) for i, p in enumerate(prompts)}

    async def drawn(way: int, strategy: Strategy, times: int) -> tuple[float, Recorder]:
        recorder = Recorder(engine)
        shared = drawing(recorder, ENDLESS, salt, ANSWER)
        return await pool(shared, strategy, own(way), times), recorder

    seconds, nested = await drawn(0, Nested(budgets=budgets), samples)
    rows = [("nested", seconds, nested.totals())]
    answers = [request for request, _ in nested.seen if request.max_tokens == ANSWER]
    assert len(answers) == len(prompts) * samples * len(budgets), "a chain ended early"
    warm, chains = Recorder(engine), Recorder(engine)
    answer_seconds = await replay(warm, answers)
    chain_seconds = await replay(
        chains,
        [
            Request(prompt, max(budgets), 1000 * i + s)
            for i, prompt in enumerate(own(1).values())
            for s in range(samples)
        ],
    )
    floor_tokens = {k: chains.totals()[k] + warm.totals()[k] for k in ("generated", "computed")}
    rows.append(("floor", chain_seconds + answer_seconds, floor_tokens))
    for way, (name, times) in enumerate((("fresh", samples), ("cells", sum(counts))), start=2):
        seconds, recorder = await drawn(way, Fresh(budgets=budgets), times)
        rows.append((name, seconds, recorder.totals()))
    print(
        f"budgets {budgets}, n {counts}, {len(prompts)} problems x {samples} samples, "
        f"engine {engine.name}"
    )
    print(
        f"  {'way':<8}{'seconds':>9}{'x nested':>10}{'generated':>11}{'prompt tokens computed':>24}"
    )
    for name, seconds, totals in rows:
        print(
            f"  {name:<8}{seconds:>9.2f}{seconds / rows[0][1]:>10.2f}"
            f"{totals['generated']:>11,}{totals['computed']:>24,}"
        )
    floor = f"chains {chain_seconds:.2f} s + warm answers {answer_seconds:.2f} s"
    print(f"  nested over floor: {rows[0][1] / rows[1][1]:.3f} ({floor})")


async def main_async(given: argparse.Namespace) -> None:
    engine = engine_for(given.engine, long_model(2 * given.chain), given.problems * given.samples)
    prompts: list[Ids] = [tuple(5 + (i + j) % 20 for j in range(24)) for i in range(given.problems)]
    counts = [n for n in (1, 2, 4, 8, 16) if n <= given.samples]
    warm_up = drawing(Recorder(engine), ENDLESS, 0)
    await pool(
        warm_up, Nested(budgets=[32]), {f"p{i}": p for i, p in enumerate(prompts)}, given.samples
    )
    doubling = [given.chain >> i for i in range(4, -1, -1)]
    even = [given.chain * i // 8 for i in range(1, 9)]
    for salt, budgets in ((10, doubling), (50, even)):
        await compare(engine, budgets, given.samples, prompts, counts, salt)
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
