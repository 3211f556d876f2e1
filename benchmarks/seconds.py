"""Do measured rates give a cell's seconds? Predicted against fresh runs of three cells, on one
engine in one process.

    python -m benchmarks.seconds [--engine vllm] [--model quickstart] [--problems 100]
        [--concurrency 64] [--cells 16:4,48:4,96:8]

A cell's seconds are its computed prompt tokens over the prefill rate plus its sampled tokens over
the decode rate. The rates are measured on random prompts; the cells are then drawn afresh, each
problem with n chains capped at the budget and their answers. The transformers engine is timed by
this process's CPU time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from benchmarks.common import drawing, pool
from testtime import tasks
from testtime.compute.costs import seconds
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.models import delimiters
from testtime.models.resolve import resolve
from testtime.runs.measured_rates import measure_rates
from testtime.storage.tables import CallRow
from testtime.strategies.nested import Nested


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--model", default="quickstart")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument(
        "--cells", default="16:4,48:4,96:8", help="budget:n, several separated by commas"
    )
    args = parser.parse_args()
    model = resolve(args.model)
    form = delimiters.resolve(model.tokenizer)
    problems = tasks.load("chain_sum", seed=1, limit=args.problems).problems
    prompts = {p.id: delimiters.render(model.tokenizer, p.messages, form) for p in problems}
    engine, note = make(EngineSpec(name=args.engine, max_num_seqs=args.concurrency), model.source)
    length = sum(map(len, prompts.values())) // len(prompts)
    vocabulary = sorted({t for prompt in prompts.values() for t in prompt})
    clock = time.process_time if args.engine == "transformers" else time.perf_counter

    async def work() -> None:
        rates = await measure_rates(
            engine,
            vocabulary,
            concurrency=args.concurrency,
            prompt_tokens=length,
            new_tokens=48,
            clock=clock,
        )
        at = (
            f"prefill {rates.prefill:,.0f}, decode {rates.decode:,.0f} tokens/s at contexts "
            f"around {rates.context}"
        )
        print(f"{note}, {args.concurrency} in flight: {at}")
        for budget, n in (map(int, cell.split(":")) for cell in args.cells.split(",")):
            calls: list[CallRow] = []
            shared = drawing(engine, form, 7, store=calls.append)
            start = clock()
            await pool(shared, Nested(budgets=[budget]), prompts, n)
            took = clock() - start
            computed = sum(call.prompt_tokens - call.cached_tokens for call in calls)
            sampled = sum(call.tokens for call in calls)
            predicted = float(seconds(rates, computed, sampled))
            print(
                f"budget {budget:3d}, n {n}: {sampled:,} tokens sampled, {computed:,} prompt "
                f"tokens computed: "
                f"predicted {predicted:.2f} s, fresh run {took:.2f} s, ratio "
                f"{predicted / took:.2f}"
            )
        await engine.close()

    asyncio.run(work())


if __name__ == "__main__":
    main()
