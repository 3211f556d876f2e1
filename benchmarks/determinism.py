"""What comes out the same? One pool drawn again with the same seed: alone, and in batches of
another composition.

    python -m benchmarks.determinism [--engine transformers vllm] [--dtype float32] [--problems 100]
    [--samples 8]

Every request has a seed of its own, so what can differ is arithmetic: sums over a batch of another
shape round otherwise, and where two tokens are almost equally likely the draw tips over. Printed:
the share of chains and answers with the same tokens, and the largest difference in accuracy of any
budget. The same engine, seed, versions and machine.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import numpy as np

from benchmarks.bias_audit import Asked, measure
from benchmarks.common import drawing
from testtime import tasks, zoo
from testtime.config.schema import EngineSpec, Sampling
from testtime.engines import make
from testtime.engines.base import Completion, Engine, Request
from testtime.models import delimiters
from testtime.models.delimiters import Format
from testtime.models.resolve import decoder, resolve
from testtime.strategies.nested import Nested

BUDGETS = [0, 16, 32, 64, 96]
Drawn = dict[tuple[int, tuple[int, ...] | None], list[int]]  # tokens by (seed, prompt)


class Kept:
    """An engine that remembers what each request got, by its seed."""

    def __init__(self, inner: Engine) -> None:
        self.inner, self.name, self.max_num_seqs = inner, inner.name, inner.max_num_seqs
        self.tokens: Drawn = {}

    async def complete(self, request: Request) -> Completion:
        done = await self.inner.complete(request)
        self.tokens[request.seed, request.prompt] = done.token_ids
        return done

    async def close(self) -> None:
        await self.inner.close()


async def pools(
    name: str, dtype: str, sampling: Sampling, samples: int, asked: Sequence[Asked], form: Format
) -> list[tuple[str, Drawn, np.ndarray]]:
    """Tokens by request and accuracy by budget of the pool drawn with 256 sequences at once, twice,
    and with 24.
    """
    model, found = resolve("quickstart"), []
    for told, sequences, times in (("256 at once", 256, 2), ("24 at once", 24, 1)):
        spec = EngineSpec(name=name, max_num_seqs=sequences, dtype=dtype)  # type: ignore[arg-type]
        engine, _ = make(spec, str(zoo.path("quickstart")))
        for time in range(times):
            kept = Kept(engine)
            shared = drawing(kept, form, 1, sampling=sampling, decode=decoder(model.tokenizer))
            both = await measure(shared, Nested(budgets=BUDGETS), asked, samples)
            found.append((told + (", again" if time else ""), kept.tokens, both[:, :, 0].mean(0)))
        await engine.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", nargs="+", default=["transformers", "vllm"])
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    model = resolve("quickstart")
    form = delimiters.resolve(model.tokenizer)
    problems = tasks.load("chain_sum", seed=1, limit=given.problems).problems
    asked = [
        Asked(
            p.id,
            delimiters.render(model.tokenizer, p.messages, form),
            lambda text, gold=p.gold: text == gold,
        )
        for p in problems
    ]
    for name in given.engine:
        for temperature in (0.0, 1.0):
            sampling, samples = Sampling(temperature=temperature), given.samples
            work = pools(name, given.dtype, sampling, samples if temperature else 1, asked, form)
            (_, first, cells), *others = asyncio.run(work)
            for told, tokens, found in others:
                same = sum(tokens.get(key) == ids for key, ids in first.items()) / len(first)
                apart = 100 * float(abs(found - cells).max())
                print(
                    f"{name}, {given.dtype}, temperature {temperature:g}, {told} against 256 at "
                    f"once: "
                    f"{100 * same:.2f} % of {len(first):,} requests have the same tokens, "
                    f"accuracies within {apart:.2f} points"
                )


if __name__ == "__main__":
    main()
