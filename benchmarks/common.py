"""What the benchmarks share: a model of any context, an engine that never ends a chain early,
pools without a run directory, replays.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from testtime import zoo
from testtime.config.schema import EngineSpec, Sampling
from testtime.engines import make
from testtime.engines.base import Completion, Engine, Request
from testtime.models.delimiters import Format
from testtime.runs.draw import attempt_row
from testtime.storage.store import Store
from testtime.storage.tables import CallRow
from testtime.storage.writer import Writer
from testtime.strategies.base import Attempt, Strategy
from testtime.strategies.drawing import Admission, Drawing
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.node import Ids

CLOSE = (2, 9, 3, 11, 4, 8)
# Closed by what an untrained model never draws, so that every chain is cut.
ENDLESS = Format((1,), CLOSE, CLOSE, "")
Seconds = tuple[float, float]  # of CPU, of wall
SAMPLE: ContextVar[tuple[str, int]] = ContextVar("sample")  # (problem, sample) drawn right now


SHAPES: dict[str, dict[str, int]] = {
    "tiny": {},  # the quickstart's own
    "135M": {  # SmolLM2-135M's
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "vocab_size": 49152,
    },
    "1B": {  # Llama-3.2-1B's
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
    },
}


def untrained(shape: str, context: int, dtype: str = "float32") -> Path:
    """A folder with an untrained model of one of SHAPES and any context: speed needs no sense."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = zoo.path("quickstart")
    config = AutoConfig.from_pretrained(source)
    config.update({**SHAPES[shape], "max_position_embeddings": context})
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix="testtime-model-"))
    AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


class Recorder:
    """An engine that lets no request end before its cap, and remembers what was asked and what came
    back. early: the share of chains that close themselves all the same, anywhere before it.
    """

    def __init__(self, engine: Engine, early: float = 0.0) -> None:
        self.inner, self.name, self.max_num_seqs = engine, engine.name, engine.max_num_seqs
        self.early = early
        self.seen: list[tuple[Request, Completion]] = []

    async def complete(self, request: Request) -> Completion:
        request = replace(request, ignore_eos=True, stop_token_ids=())
        dice = random.Random(request.seed)
        if request.on_part and dice.random() < self.early:  # only chains come in parts
            length = dice.randint(len(CLOSE), request.max_tokens)
            request = replace(request, max_tokens=length, on_part=None)
            done = await self.inner.complete(request)
            done = replace(done, token_ids=[*done.token_ids[: -len(CLOSE)], *CLOSE])
        else:
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


def cpu_seconds() -> float:
    """CPU seconds of this process and of all that it has started and that still runs, which a busy
    machine disturbs less than wall seconds.
    """
    total, waiting = 0, [str(os.getpid())]
    while waiting:
        folder = Path("/proc", waiting.pop())
        try:
            ticks = (folder / "stat").read_text().rpartition(")")[2].split()
            total += int(ticks[11]) + int(ticks[12])
            for task in (folder / "task").iterdir():
                waiting += (task / "children").read_text().split()
        except OSError:  # it has ended meanwhile
            continue
    return total / os.sysconf("SC_CLK_TCK")


def prompts(problems: int, salt: int) -> dict[str, Ids]:
    """Prompts of 24 tokens that no other salt has, so that no cache knows them."""
    return {
        f"p{i}": tuple(5 + (7 * salt + i + j * (i + 1)) % 20 for j in range(24))
        for i in range(problems)
    }


def since(began: Seconds) -> Seconds:
    return cpu_seconds() - began[0], time.perf_counter() - began[1]


def engine_for(name: str, model: Path, max_num_seqs: int) -> Engine:
    return make(EngineSpec(name=name, max_num_seqs=max_num_seqs), str(model))[0]


def drawing(
    engine: Engine,
    form: Format,
    seed: int,
    answer_tokens: int = 8,
    sampling: Sampling | None = None,
    decode: Callable[[Sequence[int]], str] = lambda ids: "",
    store: Callable[[CallRow], None] = lambda row: None,
) -> Drawing:
    """What the samples of a pool share; thinking and answers are drawn alike."""

    def unused(text: object) -> Ids:
        raise AssertionError("these strategies feed no text of their own")

    how = sampling or Sampling()
    admission = Admission(engine.max_num_seqs, getattr(engine, "cache_tokens", None))
    return Drawing(
        engine,
        form,
        seed,
        how,
        how,
        answer_tokens,
        render=unused,
        encode=unused,
        quote=unused,
        decode=decode,
        store=store,
        admission=admission,
    )


async def pool(
    shared: Drawing,
    strategy: Strategy,
    prompts: Mapping[str, Ids],
    samples: int,
    finished: Callable[[str, int, list[Attempt]], None] = lambda problem, sample, attempts: None,
) -> float:
    """Seconds to draw the attempts of every sample, with as many at once as a run has."""
    queue = enumerate(itertools.product(prompts.items(), range(samples)))

    async def worker() -> None:
        for order, ((problem, ids), sample) in queue:
            SAMPLE.set((problem, sample))
            ledger = SampleLedger(shared, problem, sample, {}, order)
            attempts = await strategy.attempts(ledger.start(ids), ledger)
            assert not ledger.failures, ledger.failures[0]
            finished(problem, sample, attempts)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(2 * shared.engine.max_num_seqs, len(prompts) * samples)):
            group.create_task(worker())
    return time.perf_counter() - began


async def stored(
    shared: Drawing, strategy: Strategy, prompts: Mapping[str, Ids], samples: int
) -> Seconds:
    """What it takes to draw a pool and to keep it as a run does."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Store(folder))

        def finished(problem: str, sample: int, attempts: list[Attempt]) -> None:
            for attempt in attempts:
                writer.add("attempts", attempt_row(problem, sample, "", attempt))

        kept = replace(shared, store=lambda call: writer.add("calls", call))
        began = cpu_seconds(), time.perf_counter()
        await pool(kept, strategy, prompts, samples, finished)
        writer.flush()
        return since(began)


async def replay(engine: Engine, requests: Sequence[Request]) -> float:
    """Seconds for the bare engine to serve requests, as many in flight as it decodes together."""
    queue = iter(requests)

    async def worker() -> None:
        for request in queue:
            await engine.complete(request)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(engine.max_num_seqs)))
    return time.perf_counter() - began
