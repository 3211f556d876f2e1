"""What a second machine buys, and what is lost with it: a nested pool on one and on two Ray nodes of
one CPU each, and on two of which one is removed halfway.

    python -m benchmarks.ray_nodes [--problems 8] [--samples 8] [--chain 96] [--rounds 3]

The nodes are processes of this machine (`ray.cluster_utils`), each actor the embedded engine. One
and two alternate; printed are the ratios of their tokens a second. Of the removal: the seconds, the
requests that were drawn again elsewhere, and whether every sample came.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import ENDLESS, Recorder, drawing, pool, prompts, untrained
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.engines.ray import RayEngine
from testtime.strategies.base import Attempt
from testtime.strategies.nested import Nested

FLYING = 32  # chains an actor


def actors(count: int, model: Path, address: str) -> RayEngine:
    """An engine all of whose actors are ready."""
    args = {"engine": "transformers", "address": address, "actors": count}
    engine, _ = make(EngineSpec(name="ray", max_num_seqs=FLYING, args=args), str(model))
    assert isinstance(engine, RayEngine)
    return engine


async def rounds(given: argparse.Namespace, cluster: Any) -> None:
    model = untrained("tiny", 2 * given.chain)
    engines: dict[int, RayEngine] = {}
    for count in (1, 2):  # each has its own nodes: what is removed later is of the two
        nodes = [cluster.add_node(num_cpus=1) for _ in range(count)]
        cluster.wait_for_nodes()
        engines[count] = actors(count, model, cluster.address)
    nested = Nested(budgets=[given.chain * i // 6 for i in range(1, 7)])

    async def drawn(count: int, salt: int, halfway: Callable[[], None] | None = None) -> float:
        """Tokens a second."""
        left = given.problems * given.samples

        def finished(problem: str, sample: int, attempts: list[Attempt]) -> None:
            nonlocal left
            left -= 1
            if halfway and left == given.problems * given.samples // 2:
                halfway()

        asked = prompts(given.problems, salt)
        recorder = Recorder(engines[count])
        seconds = await pool(
            drawing(recorder, ENDLESS, salt), nested, asked, given.samples, finished
        )
        assert not left, f"{left} samples did not come"
        return recorder.totals()["generated"] / seconds

    while len(engines[2].replicas.all) < 2:
        await drawn(2, 0)
    ratios = []
    for turn in range(1, given.rounds + 1):
        one, two = await drawn(1, 2 * turn), await drawn(2, 2 * turn + 1)
        ratios.append(two / one)
        print(f"round {turn}: {one:,.0f} and {two:,.0f} tokens a second, {two / one:.2f} times")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"two actors over one: median {statistics.median(ratios):.2f} ({spread})")
    left = await drawn(2, -1, lambda: cluster.remove_node(nodes[-1], allow_graceful=False))
    again = engines[2].replicas.retries
    print(
        f"one of two removed halfway: {left:,.0f} tokens a second, {again} requests drawn again, every sample came"
    )
    for engine in engines.values():
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--chain", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        asyncio.run(rounds(given, cluster))
    finally:
        ray.shutdown()  # a cluster cannot end below its driver
        cluster.shutdown()


if __name__ == "__main__":
    main()
