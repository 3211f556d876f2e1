"""What a pool costs over the best plain use of the same library: `LLM.generate` of all prompts at
once, which gives nothing but tokens.

    python -m benchmarks.overhead [--shape 135M] [--problems 50] [--samples 16] [--chain 96]
        [--rounds 3] [--seqs 256]

A pool is drawn and stored, with its seeds and log-probabilities; then vLLM's own class serves the
very same prompts in one call, to the same lengths, without either. It has drawn them once before,
so that every prefix is in its cache, and nothing is stored. The two alternate, each in an engine of
its own; printed are the ratios and their median. Goal: 1.15 for the tiny model, 1.02 at 135M.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import (
    ENDLESS,
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
from testtime.engines.base import Request
from testtime.strategies.nested import Nested


class Plain:
    """vLLM's `LLM` as its quickstart uses it, with the settings that the pool's engine runs with."""

    def __init__(self, model: Path, max_num_seqs: int) -> None:
        from vllm import LLM, SamplingParams
        from vllm.platforms import current_platform

        from testtime.engines.vllm import cpu_settings

        settings: dict[str, Any] = cpu_settings("auto") if current_platform.is_cpu() else {}
        self._llm = LLM(
            model=str(model),
            max_num_seqs=max_num_seqs,
            enable_prefix_caching=True,
            generation_config="vllm",
            **settings,
        )
        self._params = SamplingParams

    def seconds(self, requests: Sequence[Request]) -> Seconds:
        """To serve them all, chains before the answers that stand on them."""
        ordered = sorted(requests, key=lambda r: len(r.prompt or ()))
        every: Any = [{"prompt_token_ids": list(r.prompt or ())} for r in ordered]
        params = [
            self._params(
                temperature=1.0, max_tokens=r.max_tokens, ignore_eos=True, detokenize=False
            )
            for r in ordered
        ]
        began = cpu_seconds(), time.perf_counter()
        self._llm.generate(every, params, use_tqdm=False)
        return since(began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny", help="of an untrained model")
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--chain", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seqs", type=int, default=256)
    given = parser.parse_args()
    model = untrained(given.shape, 2 * given.chain)
    plain = Plain(model, given.seqs)
    asyncio.run(rounds(given, model, plain))


async def rounds(given: argparse.Namespace, model: Path, plain: Plain) -> None:
    """Print every round's ratio and their median."""
    engine = engine_for("vllm", model, given.seqs)
    nested = Nested(budgets=[given.chain * i // 6 for i in range(1, 7)])
    ratios: list[Seconds] = []
    for turn in range(given.rounds + 1):
        # Prompts of each round's own: none finds another round's prefixes in the cache.
        asked = prompts(given.problems, turn)
        recorder = Recorder(engine)
        ours = await stored(drawing(recorder, ENDLESS, turn), nested, asked, given.samples)
        requests = [request for request, _ in recorder.seen]
        plain.seconds(requests)
        bare = plain.seconds(requests)
        if not turn:  # the first round warms up
            continue
        ratios.append((ours[0] / bare[0], ours[1] / bare[1]))
        print(
            f"round {turn}: {sum(r.max_tokens for r in requests):,} tokens; CPU: pool "
            f"{ours[0]:.2f} s, LLM.generate {bare[0]:.2f} s, ratio {ratios[-1][0]:.3f}; wall: "
            f"{ours[1]:.2f} s, {bare[1]:.2f} s, ratio {ratios[-1][1]:.3f}",
            flush=True,
        )
    shape = f"{given.shape}, {given.problems} x {given.samples} chains of {given.chain}, {given.seqs} in flight"
    for name, kind in zip(("CPU", "wall"), zip(*ratios, strict=True), strict=True):
        spread = f"{min(kind):.3f} to {max(kind):.3f}"
        print(f"overhead ({name}): median ratio {statistics.median(kind):.3f} ({spread}), {shape}")
    await engine.close()


if __name__ == "__main__":
    main()
