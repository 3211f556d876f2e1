"""One model's share of a run, made ready: every mistake is found here, before the first token is
drawn.

A job holds the rendered prompts, the strategy and the run directory. The directory keeps calls of
one identity only (model, sampling, seed, delimiters); a changed prompt or identity is refused by
name, anything else extends or re-reads the pool.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from testtime import tasks
from testtime.config.schema import Config, ModelRef, Sampling
from testtime.errors import UserError
from testtime.grading import check_golds
from testtime.models import delimiters
from testtime.models.delimiters import Format
from testtime.models.resolve import Model, resolve, served
from testtime.redact import redact
from testtime.runs.recipe import cell_of, recipe
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store
from testtime.storage.tables import ProblemRow
from testtime.strategies.base import Strategy


@dataclass(frozen=True)
class Problems:
    """The problems of all benchmarks of a config; left_out: a line for each whose gold its grader
    cannot use.
    """

    problems: list[tuple[tasks.Task, tasks.Problem]]
    left_out: list[str]


@dataclass(frozen=True)
class Job:
    """One model's share of a run, ready to be drawn. form: how the model marks its thinking;
    left_out: a line for each problem that nobody can grade; verifier: of the steps of a search;
    planner: the share of another model that plans, which has no problems of its own.
    """

    config: Config[Strategy]
    ref: ModelRef
    model: Model
    form: Format
    problems: list[ProblemRow]
    store: Store
    left_out: list[str]
    verifier: Model | None = None
    planner: Job | None = None

    @property
    def answer(self) -> Sampling:
        return self.config.answer.sampling or self.config.sampling

    @property
    def recipe(self) -> str:
        return recipe(self.config, self.form)

    @property
    def cells(self) -> list[str]:
        """The attempts that each sample has, as the attempts table names them."""
        return [cell_of(amounts) for amounts in self.config.thinking.cells(self.form)]


def load_problems(config: Config[Any], say: Callable[[str], None] = lambda line: None) -> Problems:
    """The problems of all benchmarks of a config; those whose gold their grader cannot use are said
    and left out. Raises UserError when two have the same id, and when none is left.
    """
    loaded: list[tuple[tasks.Task, tasks.Problem]] = []
    left_out: list[str] = []
    for ref in config.task:
        task = tasks.load(ref.name, limit=ref.limit, seed=ref.seed, overrides=ref.overrides)
        # A grader that cannot run here shows before the first token, and so does a bad gold.
        bad = useless_golds(task)
        for line in bad.values():
            say(f"left out: {line}")
        left_out += bad.values()
        loaded += [(task, problem) for problem in task.problems if problem.id not in bad]
    if not loaded:
        raise UserError(f"task: no problem can be graded; {left_out[0]}")
    counts = Counter(problem.id for _, problem in loaded)
    if double := next((name for name, count in counts.items() if count > 1), None):
        raise UserError(
            f"task: problem {double!r} is named twice; list a benchmark once, or give its entries "
            f"different seeds"
        )
    return Problems(loaded, left_out)


def useless_golds(task: tasks.Task) -> dict[str, str]:
    """What is wrong with golds of a benchmark that its grader cannot use, a line for each problem
    id. Raises UserError where the grader cannot run here.
    """
    bad = check_golds(task.grader, task.grader_options, task.problems)
    return {name: f"problem {name}: its gold {trouble}" for name, trouble in bad.items()}


def prepare(config: Config[Strategy], ref: ModelRef, benchmarks: Problems) -> Job:
    """Resolve a model, render every prompt, and check the run directory. Writes nothing."""
    chat = config.engine.chat
    model = served(ref.name) if chat else resolve(ref.name, ref.revision)
    form = delimiters.UNSEEN if chat else _format(config, ref, model)
    rows = []
    for task, problem in benchmarks.problems:
        asked = problem.messages or problem.prompt or ""
        plain = [{"role": "user", "content": problem.prompt or ""}]
        turns = json.dumps(problem.messages or plain)
        prompt = () if chat else delimiters.render(model.tokenizer, asked, form, ref.template)
        grader = json.dumps({"name": task.grader, "options": task.grader_options}, sort_keys=True)
        rows.append(
            ProblemRow(
                problem_id=problem.id,
                task=task.name,
                question=problem.question,
                gold=problem.gold,
                prompt=turns if chat else model.tokenizer.decode(prompt),
                prompt_ids=list(prompt),
                turns=turns,
                grader=redact(grader),
                meta=json.dumps(problem.meta, default=str),
            )
        )
    folder = model.folder_name + (f"--{ref.setting}" if ref.setting else "")
    asked_of = config.thinking.verifier()
    verifier = resolve(asked_of.name) if asked_of else None
    store = Store(config.out, config.name, folder)
    planner = _planner(config, store)
    job = Job(config, ref, model, form, rows, store, benchmarks.left_out, verifier, planner)
    check(job)
    return job


def _planner(config: Config[Strategy], store: Store) -> Job | None:
    ref = config.thinking.planned_by()
    if ref is None:
        return None
    model = resolve(ref.name, ref.revision)
    return Job(config, ref, model, delimiters.resolve(model.tokenizer), [], store, [])


def _format(config: Config[Strategy], ref: ModelRef, model: Model) -> Format:
    thinking = config.thinking
    form = delimiters.resolve(
        model.tokenizer,
        family=thinking.family,
        delimiters=thinking.delimiters,
        ending=thinking.ending,
    )
    if thinking.strategy == "native" and not form.delimited:
        raise UserError(
            f"model {ref.name}: has no thinking delimiters, so no engine can close its thinking; "
            "write thinking.strategy: nested, or name its thinking.delimiters"
        )
    for text in thinking.feeds():
        delimiters.encode(model.tokenizer, text)
    for text in thinking.separators():
        delimiters.holding(model.tokenizer, text)
    return form


def distinct_folders(ready: Sequence[Job]) -> None:
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
    """What makes calls comparable: a folder holds calls of one identity only."""
    config = job.config
    more: dict[str, Any] = (
        {"model.request": requested(job)} if config.engine.name == "endpoint" else {}
    )
    if job.verifier:
        more["thinking.prm"] = job.verifier.fingerprint
    if job.planner:
        more["thinking.planner"] = job.planner.model.fingerprint
    more |= {f"thinking.{key}": value for key, value in config.thinking.ready().items()}
    return {
        "model": job.model.fingerprint,
        "sampling": config.sampling.model_dump(),
        "seed": config.seed,
        "dtype": config.engine.dtype,
        "delimiters": [list(job.form.open), list(job.form.close)],
        **more,
    }


def check(job: Job) -> None:
    """Refuse a folder whose chains were drawn otherwise, naming what changed."""
    now = identity(job)  # first of all: it finds what is missing here
    if not job.store.exists:
        return
    root, old = job.store.root, job.store.manifest().identity
    for key, value in now.items():
        if key in old and old[key] != value:
            said = f"{old[key]} there, {value} now" if key != "delimiters" else "other ids"
            raise UserError(
                f"{root}: its calls were drawn with another {key} ({said}); "
                f"give the run another `name`, or move the folder away"
            )
    held = job.store.read("problems", ["prompt", "prompt_ids"]).to_pylist()
    stored = {row["problem_id"]: row["prompt_ids"] or row["prompt"] for row in held}
    for row in job.problems:
        asked = row.prompt_ids or row.prompt  # messages where there are no ids
        if stored.get(row.problem_id, asked) != asked:
            raise UserError(
                f"{root}: problem {row.problem_id} was asked with another prompt there; "
                f"give the run another `name`, or move the folder away"
            )


def manifest(job: Job) -> Manifest:
    """What the job asks of its folder, on top of what is there."""
    store = job.store
    told = job.config.model_copy(update={"model": [job.ref]}).model_dump(mode="json")
    now: dict[str, Any] = {
        "testtime": metadata.version("testtime"),
        "model": job.model.name,
        "config": told,
        "problems": [row.problem_id for row in job.problems],
        "left_out": job.left_out,
        "architecture": job.model.config,
        "thinking_format": asdict(job.form),
        "verifier": job.verifier.config if job.verifier else {},
        "planner": job.planner.model.config if job.planner else {},
    }
    if store.exists:
        old = store.manifest()
        return old.changed(**now, identity={**old.identity, **identity(job)})
    return Manifest(**now, identity=identity(job), created=time.time())


def register(job: Job, view: bool = False) -> None:
    """Write the manifest and the problems; of a view only these."""
    store = job.store
    if not view:
        store.write_manifest(manifest(job))
    rows = store.read("problems").to_pylist()
    kept = {row["problem_id"]: ProblemRow(**row) for row in rows}
    merged = {**kept, **{row.problem_id: row for row in job.problems}}
    if merged != kept:
        store.replace("problems", list(merged.values()))
