"""What does it buy to send an answer to the data-parallel rank that drew its chain?

    python -m benchmarks.data_parallel [--length 1024] [--chains 32]

vLLM balances its ranks by load alone. One nested pool is drawn with answers pinned to their chain's
rank, and with every request placed by load, interleaved; printed are the prompt tokens computed
again and the ratio of the seconds. Both ranks share this machine's cores, so the seconds say less
than the tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from dataclasses import replace

from benchmarks.common import ENDLESS, Recorder, drawing, pool, untrained
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.engines.base import Completion, Engine, Request
from testtime.strategies.nested import Nested

ROUNDS = 3


class Unpinned:
    """An engine whose requests all say that nobody shares their prefix; vLLM then places them by
    load.
    """

    def __init__(self, inner: Engine) -> None:
        self.inner, self.name, self.max_num_seqs = inner, inner.name, inner.max_num_seqs

    async def complete(self, request: Request) -> Completion:
        return await self.inner.complete(replace(request, affinity=""))

    async def close(self) -> None:
        await self.inner.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--chains", type=int, default=32)
    given = parser.parse_args()
    folder = untrained("tiny", 2 * given.length)
    args = {"data_parallel_size": 2, "max_model_len": 2 * given.length}
    engine, _ = make(EngineSpec(name="vllm", max_num_seqs=given.chains, args=args), str(folder))
    nested = Nested(budgets=[given.length * i // 8 for i in range(9)])
    sums: dict[str, list[float]] = {"pinned": [], "by load": []}
    again: dict[str, list[int]] = {"pinned": [], "by load": []}

    async def work() -> None:
        for number in range(ROUNDS):
            for name, chosen in (("pinned", engine), ("by load", Unpinned(engine))):
                # Other prompts each time: nothing is cached from the round before.
                dice = random.Random(f"{number} {name}")
                prompts = {
                    f"p{i}": tuple(dice.choices(range(5, 25), k=40)) for i in range(given.chains)
                }
                recorder = Recorder(chosen)
                shared = drawing(recorder, ENDLESS, number)
                sums[name].append(await pool(shared, nested, prompts, 1))
                again[name].append(recorder.totals()["computed"])
        await engine.close()

    asyncio.run(work())
    for name in sums:
        print(
            f"{name}: {min(sums[name]):.1f} s at best, prompt tokens computed "
            f"{sorted(again[name])[1]:,}"
        )
    print(f"seconds by load over pinned: {min(sums['by load']) / min(sums['pinned']):.2f}")


if __name__ == "__main__":
    main()
