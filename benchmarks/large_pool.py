"""Analysis of a large pool: time and memory of verdicts, scores, grid, laws and report, and their
growth with its size.

    python -m benchmarks.large_pool [--chains 128000] [--tokens 4096] [--folder DIR]

Builds a synthetic pool (real prompts and golds, made-up chains and answers) of a sixteenth, a
quarter and the full size, and analyses each in a process of its own, whose peak memory is printed.
Needs about 4 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from testtime import pipeline, report
from testtime.config.schema import Config
from testtime.runs import evaluate
from testtime.runs import prepare as jobs
from testtime.runs import run as tables
from testtime.runs.prepare import Job
from testtime.storage.store import PART_VALUES
from testtime.storage.tables import SCHEMAS, ProblemRow
from testtime.strategies import registry
from testtime.strategies.base import Strategy

PROBLEMS = 500
BUDGETS = [0, 256, 512, 1024, 2048, 4096]
VOCABULARY = 150_000
ANSWER = 8  # tokens
STEPS = {"grade_pool": "verdicts", "scores": "scores", "cells": "grid", "write": "report and laws"}


def config(folder: Path, samples: int, tokens: int) -> Config[Strategy]:
    return registry.parse(
        {
            "name": f"pool-{samples}",
            "task": [{"name": "chain_sum", "limit": PROBLEMS}],
            "model": "quickstart",
            "thinking": {"budgets": [b for b in BUDGETS if b <= tokens]},
            "answer": {"max_tokens": 64},
            "samples": samples,
            "selectors": ["majority", "oracle", "weighted-logprob:logprob_mean"],
            "out": str(folder),
        }
    )


def build(folder: Path, samples: int, tokens: int) -> Path:
    """Write a pool in which accuracy grows with the budget and varies by problem; a third of the
    chains end early.
    """
    parsed = config(folder, samples, tokens)
    job = jobs.prepare(parsed, parsed.model[0], jobs.load_problems(parsed))
    jobs.register(job)
    rng = np.random.default_rng(0)
    together = max(1, PART_VALUES // (2 * samples * tokens))  # problems a part
    for start in range(0, PROBLEMS, together):
        _write(job, job.problems[start : start + together], tokens, rng)
    return job.store.root


def _write(job: Job, problems: list[ProblemRow], tokens: int, rng: np.random.Generator) -> None:
    samples, budgets = job.config.samples, job.config.thinking.budgets  # type: ignore[attr-defined]
    rows = len(problems) * samples
    own = {
        "problem_id": np.repeat([row.problem_id for row in problems], samples),
        "sample": np.tile(np.arange(samples), len(problems)),
    }
    prompt = np.repeat([len(row.prompt_ids) for row in problems], samples)
    roots, chains = _keys(rng, rows, "#"), _keys(rng, rows)
    natural = rng.random(rows) < 1 / 3
    lengths = np.where(natural, rng.integers(1, tokens, rows), tokens)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = rng.integers(0, VOCABULARY, ends[-1], dtype=np.int32)
    logprobs = -rng.exponential(size=ends[-1]).astype(np.float32)
    thought = {
        **own,
        "key": chains,
        "kind": np.full(rows, "think"),
        "parent": roots,
        "token_ids": pa.ListArray.from_arrays(ends, flat),
        "logprobs": pa.ListArray.from_arrays(ends, logprobs),
        "tokens": lengths,
        "finish": np.where(natural, "stop", "length"),
    }
    calls, attempts = [_table("calls", thought, rows)], []
    skill = np.repeat(rng.normal(0, 1.5, len(problems)), samples)
    gold = np.repeat([int(row.gold) for row in problems], samples)
    ending, closed = len(job.form.ending), _keys(rng, rows)
    for budget in budgets:
        forced = ~(natural & (lengths <= budget))
        stored = forced | (budget == budgets[-1])  # a chain that closes by itself answers once
        cut, keys = np.fmin(lengths, budget), np.where(forced, _keys(rng, rows), closed)
        right = rng.random(rows) < 1 / (1 + np.exp(-skill - 0.5 * np.log2((1 + budget) / 512)))
        wrong = rng.integers(-9, 10, rows)
        values = np.where(right, gold, gold + np.where(wrong == 0, 10, wrong))
        answered = {
            **own,
            "key": keys,
            "kind": np.full(rows, "answer"),
            "parent": np.where(cut > 0, chains, roots),
            "kept": cut,
            "tokens": np.full(rows, ANSWER),
            "text": values.astype(str),
            "finish": np.full(rows, "stop"),
            "logprob_mean": -rng.exponential(size=rows),
        }
        calls.append(_table("calls", {k: v[stored] for k, v in answered.items()}, stored.sum()))
        # A forced answer behind thinking is a second call; another goes on from what it stands on.
        again = forced & (cut > 0)
        first = np.stack([0 * cut, prompt + ending * (forced & ~again), cut + ANSWER * ~again], 1)
        second = np.stack([prompt + cut, np.full(rows, ending), np.full(rows, ANSWER)], 1)
        both, taken = np.stack([first, second], 1), np.stack([np.ones(rows, bool), again], 1)
        amounts = {
            name: _lists(both[:, :, i][taken], 1 + again)
            for i, name in enumerate(("context", "fed", "drawn"))
        }
        made = {
            **own,
            "recipe": np.full(rows, job.recipe),
            "cell": np.full(rows, jobs.cell_of({"budget": budget})),
            "answers": _lists(keys, np.ones(rows, int)),
            "weights": _lists(np.ones(rows), np.ones(rows, int)),
            "forced": forced,
            "answer_tokens": np.full(rows, ANSWER),
            "path": cut + ANSWER,
            **amounts,
        }
        attempts.append(_table("attempts", made, rows))
    job.store.append_table("calls", pa.concat_tables(calls))
    job.store.append_table("attempts", pa.concat_tables(attempts))


def _keys(rng: np.random.Generator, count: int, mark: str = "") -> np.ndarray:
    """Keys as long as a call's."""
    return np.array([mark + rng.bytes(12).hex() for _ in range(count)])


def _lists(values: np.ndarray, counts: np.ndarray) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(values))


def _table(name: str, columns: dict[str, Any], rows: int) -> pa.Table:
    """Missing columns: empty text, null numbers."""
    filled = {
        field.name: pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.array([""] * rows)
        if field.type == pa.string()
        else pa.nulls(rows, field.type)
        for field in SCHEMAS[name]
    }
    return pa.table(filled, schema=SCHEMAS[name])


def analyse(run: Path) -> dict[str, float]:
    """Seconds of each step, and the process's peak memory in GB."""
    seconds: dict[str, float] = {}

    def timed(owner: Any, name: str) -> None:
        work = getattr(owner, name)

        def step(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                seconds[STEPS[name]] = time.perf_counter() - began

        setattr(owner, name, step)

    for owner, name in (
        (evaluate, "grade_pool"),
        (evaluate, "scores"),
        (tables, "cells"),
        (report, "write"),
    ):
        timed(owner, name)
    began = time.perf_counter()
    pipeline.grade(run)
    seconds["all"] = time.perf_counter() - began
    return {**seconds, "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chains", type=int, default=128_000)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--build", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--analyse", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        print(build(args.folder, args.build, args.tokens))
        return
    if args.analyse:
        print(json.dumps(analyse(args.analyse)))
        return
    folder = args.folder or Path(tempfile.mkdtemp(prefix="large-pool-"))
    print(f"chains of {args.tokens} tokens, {PROBLEMS} problems; seconds, and GB", flush=True)
    last: dict[str, float] = {}
    for share in (16, 4, 1):
        samples = args.chains // PROBLEMS // share
        began = time.perf_counter()
        run = _process(
            "--build", str(samples), "--tokens", str(args.tokens), "--folder", str(folder)
        )
        built = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(run).rglob("*.parquet")) / 1e9
        row = {"building": built, **json.loads(_process("--analyse", run)), "disk GB": size}
        if not last:
            print(f"{'chains':>8} " + " ".join(f"{name:>16}" for name in row))
        print(
            f"{samples * PROBLEMS:>8} " + " ".join(f"{value:>16.2f}" for value in row.values()),
            flush=True,
        )
        if last:
            print(
                f"{'times':>8} "
                + " ".join(f"{value / max(last[name], 1e-3):>16.2f}" for name, value in row.items())
            )
        last = row
        shutil.rmtree(run)


def _process(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_pool", *args], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
