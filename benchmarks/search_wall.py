"""What a stepwise search costs over a bare loop that sends vLLM the very same requests.

    python -m benchmarks.search_wall [--shape 135M] [--problems 16] [--samples 4] [--width 4]
        [--steps 4] [--step 24] [--rounds 3] [--seqs 256]

A search is drawn and stored; then a loop without ledger or storage sends the same ids with the same
seeds and lengths to the same `AsyncLLM`: each search's candidates of a step side by side, its steps
one after the other. It asks for log-probabilities as the search does, and once more for tokens
alone. The verifier takes no time, as it would cost both the same. The three alternate, each with an
empty prefix cache; printed are ratios of seconds and their median. Goal: 1.1.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from benchmarks.common import (
    ENDLESS,
    SAMPLE,
    SHAPES,
    Recorder,
    Seconds,
    cpu_seconds,
    drawing,
    engine_for,
    prompts,
    since,
    stored,
    untrained,
)
from testtime.engines.base import Completion, Request, Scored
from testtime.models.resolve import decoder, resolve
from testtime.strategies.stepwise import Stepwise

Waves = list[list[Request]]  # what one search asks for side by side, in order


class Waiting(Recorder):
    """Remembers which search asked for what."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.asked: defaultdict[tuple[str, int], defaultdict[int, list[Request]]] = defaultdict(
            lambda: defaultdict(list)
        )

    async def complete(self, request: Request) -> Completion:
        self.asked[SAMPLE.get()][len(request.prompt or ())].append(request)
        return await super().complete(request)


class Judge:
    name = "judge"

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        return Scored(
            [crc32(step.encode()) % 97 / 97 for step in steps], list(range(len(steps) + 1))
        )

    async def close(self) -> None: ...


async def bare(engine: Any, searches: Sequence[Waves], logprobs: int | None) -> Seconds:
    """Seconds of the loop."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    async def one(request: Request, name: str) -> None:
        params = SamplingParams(
            temperature=1.0,
            seed=request.seed,
            max_tokens=request.max_tokens,
            ignore_eos=True,
            logprobs=logprobs,
            flat_logprobs=logprobs is not None,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt: Any = {"prompt_token_ids": list(request.prompt or ())}
        async for _ in engine._llm.generate(prompt, params, name):
            pass

    async def search(number: int, waves: Waves) -> None:
        for at, wave in enumerate(waves):
            await asyncio.gather(*(one(r, f"{number}-{at}-{i}") for i, r in enumerate(wave)))

    began = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(search(number, waves) for number, waves in enumerate(searches)))
    return since(began)


async def rounds(given: argparse.Namespace) -> None:
    """Print every round's ratios and their medians."""
    context = 64 + given.steps * given.step
    engine: Any = engine_for("vllm", untrained(given.shape, context), given.seqs)
    search = Stepwise(
        prm="judge", widths=[given.width], max_steps=given.steps, step_tokens=given.step
    )
    decode = decoder(resolve("quickstart").tokenizer)
    steps: dict[str, Any] = {"scorer": Judge(), "ends": lambda separator: ((5,),)}
    ratios: list[tuple[float, ...]] = []
    for turn in range(given.rounds + 1):
        asked = prompts(given.problems, turn)
        await engine._llm.reset_prefix_cache()
        recorder = Waiting(engine)
        shared = replace(drawing(recorder, ENDLESS, turn, decode=decode), **steps)
        ours = await stored(shared, search, asked, given.samples)
        waves = [[wave for _, wave in sorted(own.items())] for own in recorder.asked.values()]
        loops = []
        for logprobs in (0, None):
            await engine._llm.reset_prefix_cache()
            loops.append(await bare(engine, waves, logprobs))
        if turn:  # the first round warms up
            ratios.append(tuple(a / b for loop in loops for a, b in zip(ours, loop, strict=True)))
            tokens = sum(r.max_tokens for own in waves for wave in own for r in wave)
            seconds = "; ".join(f"{cpu:.2f} s CPU, {wall:.2f} s" for cpu, wall in (ours, *loops))
            print(f"round {turn}: {tokens:,} tokens; search, loop, tokens alone: {seconds}", flush=True)  # fmt: skip
    shape = f"{given.shape}, {given.problems} x {given.samples} searches, {given.steps} steps of {given.width} x {given.step}"
    names = [f"{kind} over the {loop}" for loop in ("loop", "loop for tokens alone") for kind in ("CPU", "wall")]  # fmt: skip
    for name, kind in zip(names, zip(*ratios, strict=True), strict=True):
        spread = f"{min(kind):.3f} to {max(kind):.3f}"
        print(f"search ({name}): median ratio {statistics.median(kind):.3f} ({spread}), {shape}")
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny", help="of an untrained model")
    sizes = {"problems": 16, "samples": 4, "width": 4, "steps": 4, "step": 24, "rounds": 3}
    for name, size in {**sizes, "seqs": 256}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    asyncio.run(rounds(parser.parse_args()))


if __name__ == "__main__":
    main()
