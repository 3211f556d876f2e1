"""One model's share of a run, made ready: every mistake is found here, before the first token is
drawn.

A job holds the rendered prompts, the sampling plan and the run directory. The directory keeps
chains of one identity only (model, sampling, mode, seed, delimiters); a changed prompt or identity
is refused by name, anything else extends or re-reads the pool.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from typing import Any

from testtime import tasks
from testtime.config.schema import Config, ModelRef
from testtime.errors import UserError
from testtime.grading.registry import make
from testtime.models import delimiters
from testtime.models import resolve as models
from testtime.models.delimiters import Format
from testtime.storage.store import Store
from testtime.strategies.plan import Plan


@dataclass(frozen=True)
class Job:
    """One model's share of a run, ready to be drawn."""

    config: Config
    ref: ModelRef
    model: models.Model
    plan: Plan
    problems: list[dict[str, Any]]  # rows of the problems table
    store: Store


def load_problems(config: Config) -> list[tuple[tasks.Task, tasks.Problem]]:
    """The problems of all benchmarks of a config. Raises UserError when two have the same id."""
    found = []
    for ref in config.task:
        task = tasks.load(ref.name, limit=ref.limit, seed=ref.seed, overrides=ref.overrides)
        make(
            task.grader, task.grader_options
        )  # a grader that cannot run here shows before the first token
        found += [(task, problem) for problem in task.problems]
    ids = [problem.id for _, problem in found]
    if len(set(ids)) < len(ids):
        double = next(i for i in ids if ids.count(i) > 1)
        raise UserError(
            f"task: problem {double!r} is named twice; list a benchmark once, or give its entries "
            f"different seeds"
        )
    return found


def prepare(
    config: Config, ref: ModelRef, problems: Sequence[tuple[tasks.Task, tasks.Problem]]
) -> Job:
    """Resolve a model, render every prompt, and check the run directory. Writes nothing."""
    chat = config.engine.chat
    model = models.served(ref.name) if chat else models.resolve(ref.name, ref.revision)
    form = delimiters.UNSEEN if chat else _format(config, ref, model)
    rows = []
    for task, problem in problems:
        asked = problem.messages or problem.prompt or ""
        prompt = () if chat else delimiters.render(model.tokenizer, asked, form, ref.template)
        grader = json.dumps({"name": task.grader, "options": task.grader_options}, sort_keys=True)
        rows.append(
            {
                "problem_id": problem.id,
                "task": task.name,
                "question": problem.question,
                "gold": problem.gold,
                "prompt": json.dumps(_turns(asked)) if chat else model.tokenizer.decode(prompt),
                "prompt_ids": list(prompt),
                "grader": grader,
                "meta": json.dumps(problem.meta, default=str),
            }
        )
    folder = model.folder_name + (f"--{ref.setting}" if ref.setting else "")
    store = Store(config.out, config.name, folder)
    job = Job(config, ref, model, plan(config, form), rows, store)
    check(job)
    return job


def _format(config: Config, ref: ModelRef, model: models.Model) -> Format:
    thinking = config.thinking
    form = delimiters.resolve(
        model.tokenizer,
        family=thinking.family,
        delimiters=thinking.delimiters,
        ending=thinking.ending,
    )
    if thinking.mode == "engine" and not form.delimited:
        raise UserError(
            f"model {ref.name}: has no thinking delimiters, so no engine can close its thinking; "
            "write thinking.mode: nested, or name its thinking.delimiters"
        )
    return (
        replace(form, marker=delimiters.encode(model.tokenizer, thinking.marker))
        if thinking.extensions
        else form
    )


def _turns(asked: Sequence[dict[str, str]] | str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)


def plan(config: Config, form: Format) -> Plan:
    """What a config draws for every problem, with a model's thinking format."""
    sampling = config.sampling.sampling()
    answer = config.answer.sampling.sampling() if config.answer.sampling else sampling
    thinking = config.thinking
    return Plan(
        form,
        tuple(thinking.budgets),
        config.samples,
        config.seed,
        sampling,
        answer,
        config.answer.max_tokens,
        fresh=thinking.mode == "fresh",
        extensions=thinking.extensions,
        whole=thinking.mode == "engine",
    )


def apart(ready: Sequence[Job]) -> None:
    """Refuse two models that would write one folder."""
    first: dict[str, Job] = {}
    for job in ready:
        other = first.setdefault(str(job.store.root), job)
        if other is not job:
            raise UserError(
                f"model: {other.ref.name} and {job.ref.name} would share the folder "
                f"{job.store.root}; "
                "give one of them a `setting`, which is part of its folder's name"
            )


def requested(job: Job) -> dict[str, Any]:
    """Further fields of every request to a server: those of the engine, and the model's own before
    them.

    Raises UserError where they are not fields.
    """
    given = job.config.engine.args.get("request") or {}
    if not isinstance(given, dict):
        raise UserError(
            f"engine.args.request: {given!r} is not a group of fields; write request: "
            f"{{service_tier: flex}}"
        )
    return {**given, **job.ref.request}


def identity(job: Job) -> dict[str, Any]:
    """What makes chains comparable: a folder holds chains of one identity only."""
    c = job.config
    more: dict[str, Any] = (
        {"thinking.marker": list(job.plan.form.marker)} if job.plan.extensions else {}
    )
    if c.engine.name == "endpoint":
        more["model.request"] = requested(job)
    if job.plan.whole:  # the request's cap holds the answer
        more["answer.max_tokens"] = c.answer.max_tokens
    return {
        "model": job.model.fingerprint,
        "sampling": c.sampling.model_dump(),
        "seed": c.seed,
        "thinking.mode": c.thinking.mode,
        "delimiters": [list(job.plan.form.open), list(job.plan.form.close)],
        **more,
    }


def check(job: Job) -> None:
    """Refuse a folder whose chains were drawn otherwise, naming what changed."""
    if not job.store.exists:
        return
    root, now, old = job.store.root, identity(job), job.store.manifest().get("identity", {})
    for key, value in now.items():
        if key in old and old[key] != value:
            said = f"{old[key]} there, {value} now" if key != "delimiters" else "other ids"
            raise UserError(
                f"{root}: its chains were drawn with another {key} ({said}); "
                f"give the run another `name`, or move the folder away"
            )
    stored = {
        row["problem_id"]: _asked(row)
        for row in job.store.read("problems", ["prompt", "prompt_ids"]).to_pylist()
    }
    for row in job.problems:
        if stored.get(row["problem_id"], _asked(row)) != _asked(row):
            raise UserError(
                f"{root}: problem {row['problem_id']} was asked with another prompt there; "
                f"give the run another `name`, or move the folder away"
            )


def _asked(row: dict[str, Any]) -> Any:
    """What a problem's prompt is compared by: its ids, or the messages where there are none."""
    return row["prompt_ids"] or row["prompt"]


def register(job: Job) -> None:
    """Write the manifest and the problems."""
    store = job.store
    old: dict[str, Any] = (
        store.manifest() if store.exists else {"created": time.time(), "sessions": []}
    )
    store.write_manifest(
        {
            **old,
            "testtime": metadata.version("testtime"),
            "model": job.model.name,
            "identity": {**old.get("identity", {}), **identity(job)},
            "config": job.config.model_copy(update={"model": [job.ref]}).model_dump(),
            "problems": [row["problem_id"] for row in job.problems],
            "model_config": job.model.config,
            "format": asdict(job.plan.form),
        }
    )
    kept = {row["problem_id"]: row for row in store.read("problems").to_pylist()}
    merged = {**kept, **{row["problem_id"]: row for row in job.problems}}
    if merged != kept:
        store.replace("problems", list(merged.values()))
