"""What the speed benchmarks share: a model of any context, an engine that never ends a chain early,
replays.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testtime import zoo
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.engines.base import Completion, Engine, Request
from testtime.models.delimiters import Format
from testtime.strategies.plan import Life, Plan
from testtime.strategies.sampler import draw_pool

CLOSE = (2, 9, 3, 11, 4, 8)
ENDLESS = Format(
    (1,), CLOSE, CLOSE, ""
)  # closed by what an untrained model never draws, so that every chain is cut


def long_model(context: int) -> Path:
    """A folder with an untrained model of the quickstart's shape and a longer context: speed does
    not need sense.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = zoo.path("quickstart")
    config = AutoConfig.from_pretrained(source)
    config.max_position_embeddings = context
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix="testtime-model-"))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


class Recorder:
    """An engine that lets no request end before its cap, and remembers what was asked and what came
    back.
    """

    def __init__(self, engine: Engine, endless: bool = True) -> None:
        self.inner, self.name, self.max_num_seqs, self.endless = (
            engine,
            engine.name,
            engine.max_num_seqs,
            endless,
        )
        self.seen: list[tuple[Request, Completion]] = []

    async def complete(self, request: Request) -> Completion:
        if self.endless:
            request = replace(request, ignore_eos=True, stop_token_ids=())
        done = await self.inner.complete(request)
        self.seen.append((request, done))
        return done

    async def close(self) -> None:
        await self.inner.close()

    def totals(self) -> dict[str, int]:
        """Generated tokens, and prompt tokens that were computed rather than found in the cache."""
        return {
            "generated": sum(len(done.token_ids) for _, done in self.seen),
            "computed": sum(done.prompt_tokens - done.cached_tokens for _, done in self.seen),
        }


def engine_for(name: str, model: Path, max_num_seqs: int) -> Engine:
    return make(EngineSpec(name=name, max_num_seqs=max_num_seqs), str(model))[0]  # type: ignore[arg-type]


async def pool(
    engine: Any, plan: Plan, prompts: Sequence[tuple[int, ...]], sink: Any = lambda table, row: None
) -> float:
    """Seconds to draw a pool."""
    lives = [
        Life(f"p{i}", p, s, v)
        for i, p in enumerate(prompts)
        for s in range(plan.samples)
        for v in plan.variants()
    ]
    began = time.perf_counter()
    failed = await draw_pool(engine, plan, lives, sink, lambda ids: "", lambda life: None)
    assert not failed, failed[0]
    return time.perf_counter() - began


async def replay(engine: Engine, requests: Sequence[Request]) -> float:
    """Seconds for the bare engine to serve requests, as many in flight as it decodes together."""
    queue = iter(requests)

    async def worker() -> None:
        for request in queue:
            await engine.complete(request)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(engine.max_num_seqs)))
    return time.perf_counter() - began
