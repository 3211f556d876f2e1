"""Does the memory of a run grow with the run? Its peak while a pool is drawn and stored, for a number
of problems and for four times as many.

    python -m benchmarks.run_memory [--problems 250] [--samples 8] [--chain 4096] [--flying 64]

The engine answers at once with ids that mean nothing, so that all the memory is the sampler's; each
size has a process of its own. What may grow are the questions and a few numbers a sample; chains
may not: those of four times the run would take the megabytes that are printed beside.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from testtime import engines
from testtime.engines.base import Completion, Request
from testtime.runs import draw, prepare
from testtime.runs.progress import Progress
from testtime.strategies import registry

TASK = {
    "name": "sums",
    "description": "Sums.",
    "license": "CC0-1.0",
    "prompt": "{question}",
    "gold": "{answer}",
    "grader": {"name": "numeric"},
}


class Instant:
    """Draws any number of tokens at once."""

    name = "instant"

    def __init__(self, flying: int) -> None:
        self.max_num_seqs = flying

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        dice, count = np.random.default_rng(request.seed), request.max_tokens
        ids, logprobs = dice.integers(5, 25, count).tolist(), (-dice.random(count)).tolist()
        return Completion(ids, "", "length", logprobs, len(request.prompt or ()))

    async def close(self) -> None: ...


def drawn(given: Mapping[str, Any], folder: Path) -> tuple[float, float]:
    """Peak megabytes of this process before and after it drew a pool in a folder."""
    rows = [f"{i} + {i % 7},{i + i % 7}" for i in range(given["problems"])]
    (folder / "sums.csv").write_text("\n".join(["question,answer", *rows]) + "\n")
    loader = {"kind": "file", "path": str(folder / "sums.csv")}
    (folder / "sums.yaml").write_text(yaml.safe_dump({**TASK, "loader": loader}))
    parsed = registry.parse(
        {
            "name": "memory",
            "task": str(folder / "sums.yaml"),
            "model": "quickstart",
            "thinking": {"budgets": [given["chain"] >> i for i in range(4)]},
            "answer": {"max_tokens": 8},
            "samples": given["samples"],
            "out": str(folder / "runs"),
        }
    )
    job = prepare.prepare(parsed, parsed.model[0], prepare.load_problems(parsed))
    prepare.register(job)
    engines.make = lambda *args: (Instant(given["flying"]), "instant")  # type: ignore[assignment]
    before = peak()
    missing = draw.draw(job, Progress())
    assert not missing, missing[0]
    return before, peak()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=250)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--chain", type=int, default=4096)
    parser.add_argument("--flying", type=int, default=64)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    if given.pop("once"):
        with tempfile.TemporaryDirectory(prefix="run-memory-") as folder:
            print(*drawn(given, Path(folder)))
        return
    grown = []
    for times in (1, 4):
        own = {**given, "problems": times * given["problems"]}
        options = [word for name, value in own.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "benchmarks.run_memory", "--once", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        before, after = map(float, done.stdout.split()[-2:])
        grown.append(after - before)
        tokens = own["problems"] * own["samples"] * own["chain"]
        print(
            f"{own['problems']:,} problems x {own['samples']}, chains of {own['chain']:,}, "
            f"{own['flying']} in flight: {after:,.0f} MB at most, {grown[-1]:,.0f} of them while it "
            f"drew; its chains as arrays: {8 * tokens / 1e6:,.0f} MB"
        )
    print(f"memory of four times the run: {grown[1] / grown[0]:.2f} times")


if __name__ == "__main__":
    main()
