"""The embedded engine over the library's own `generate`, on the same rows, with the same model in
the same process.

    python -m benchmarks.embedded [--shape 135M] [--rows 64] [--prompt 16] [--tokens 64]
        [--rounds 3]

Every row draws the same number of tokens from the model's own distribution; the engine also gives
their log-probabilities, and each row has noise of its own. The two alternate; printed are tokens a
CPU second, their ratio in every round, and the median. Goal: at least 1.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import torch

from benchmarks.common import SHAPES, untrained
from testtime.engines.base import Request
from testtime.engines.transformers import TransformersEngine


def generated(engine: TransformersEngine, prompts: list[list[int]], tokens: int) -> None:
    """The library's own loop."""
    ids = torch.tensor(prompts)
    engine.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        pad_token_id=0,
    )


async def served(
    engine: TransformersEngine, prompts: list[list[int]], tokens: int, seed: int
) -> None:
    asked = (
        Request(tuple(p), tokens, seed * len(prompts) + i, ignore_eos=True)
        for i, p in enumerate(prompts)
    )
    await asyncio.gather(*map(engine.complete, asked))


async def rounds(given: argparse.Namespace) -> None:
    model = untrained(given.shape, given.prompt + given.tokens + 1)
    engine = TransformersEngine(model, max_num_seqs=given.rows)
    vocabulary = engine.model.config.vocab_size
    ratios = []
    for turn in range(given.rounds + 1):
        dice = torch.Generator().manual_seed(turn)
        shape = given.rows, given.prompt
        prompts = torch.randint(4, vocabulary, shape, generator=dice).tolist()
        began = time.process_time()
        await served(engine, prompts, given.tokens, turn)
        between = time.process_time()
        generated(engine, prompts, given.tokens)
        ours, theirs = between - began, time.process_time() - between
        if turn:  # the first round warms up
            ratios.append(theirs / ours)
            total = given.rows * given.tokens
            print(
                f"round {turn}: tokens a CPU second: engine {total / ours:,.0f}, generate "
                f"{total / theirs:,.0f}, ratio {ratios[-1]:.3f}",
                flush=True,
            )
    print(
        f"embedded over generate: median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} "
        f"to {max(ratios):.3f}), {given.shape}, {given.rows} rows of {given.tokens} tokens"
    )
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="tiny", help="of an untrained model")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(rounds(parser.parse_args()))


if __name__ == "__main__":
    main()
