"""The main job in reading order: problems -> chains -> answers -> verdicts -> grid -> report.

Each step reads what the one before it stored, so a run that was killed resumes where it was, a
larger one extends the pool, and changing selectors or graders only reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import testtime.report as report
from testtime.config.schema import Config
from testtime.errors import UserError
from testtime.runs import choose as choices
from testtime.runs import made, prepare, rewards
from testtime.runs import plan as plans
from testtime.runs import verify as verifications
from testtime.runs.choose import Chooser
from testtime.runs.draw import draw
from testtime.runs.evaluate import evaluate, remarks
from testtime.runs.once import lost
from testtime.runs.progress import Progress
from testtime.runs.run import Run, load
from testtime.runs.scores import check_selectors
from testtime.runs.verify import Asked
from testtime.storage.store import Store
from testtime.strategies import registry

if TYPE_CHECKING:
    from testtime.engines.readers import ReadBy
    from testtime.engines.reward import Over

__all__ = ["Run", "grade", "load", "reward", "run"]


def run(
    config: Config[Any] | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    limit: int | None = None,
) -> list[Run]:
    """Draw, grade and evaluate a config; one Run for each of its models. Resumes what is already
    there.

    config: a Config, plain data of the same form, or a YAML path; limit: only so many problems of
    each task. Where overrides or limit ask for less than a run's tables hold, these and its report
    stay as they are. Raises UserError for anything a user can mend.
    """
    progress = progress or Progress()
    once = bool(overrides) or limit is not None
    return [_execute(job, progress, once) for job in ready(config, overrides, progress, limit)]


def ready(
    config: Config[Any] | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    limit: int | None = None,
) -> list[prepare.Job]:
    """The jobs of a config, one a model, with every mistake found and nothing written: golds and
    graders, prompts, delimiters, folders.
    """
    progress = progress or Progress()
    if isinstance(config, (str, Path)):
        config = registry.load(config, overrides)
    elif not isinstance(config, Config):
        config = registry.parse(config)
    if limit is not None:
        fewer = [
            ref.model_copy(update={"limit": min(limit, ref.limit or limit)}) for ref in config.task
        ]
        config = config.model_copy(update={"task": fewer})
    problems = prepare.load_problems(config, progress.say)
    jobs = [prepare.prepare(config, ref, problems) for ref in config.model]
    prepare.distinct_folders(jobs)
    for job in jobs:
        check_selectors(config.selectors, job.store, searched=job.verifier is not None)
    return jobs


def dry_run(
    config: Config[Any] | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    limit: int | None = None,
) -> str:
    """Everything that can be checked without drawing: a rendered prompt, cells, and the plan."""
    jobs = ready(config, overrides, progress, limit)
    first = jobs[0].problems[0]
    lines = [
        f"{first.problem_id}, as {jobs[0].model.name} is asked:",
        first.prompt,
        f"right answer: {first.gold}",
        f"cells of a sample: {' '.join(cell or 'one' for cell in jobs[0].cells)}",
        *(line for job in jobs for line in plans.plan(job, plans.unfinished(job))),
    ]
    return "\n".join(dict.fromkeys(lines))


def plan(
    config: Config[Any] | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()
) -> str:
    """What a config's runs take, and what they will be able to tell apart; draws nothing."""
    jobs = ready(config, overrides)
    lines = [line for job in jobs for line in plans.plan(job, plans.unfinished(job))]
    return "\n".join([*dict.fromkeys(lines), plans.table(jobs[0])])


def _execute(job: prepare.Job, progress: Progress, once: bool) -> Run:
    store = job.store
    with store.lock(progress.say):
        prepare.check(job)  # another process may have begun the folder since
        kept = lost(job) if once else ""
        prepare.register(job, view=bool(kept))
        missing = draw(job, progress)
        for table in ("calls", "attempts"):
            store.compact(table)
        _say_missing(missing, progress)
        if missing:
            progress.say(
                f"{len(missing)} samples are incomplete: missing, not wrong; run again to complete "
                f"them"
            )
        if kept:
            progress.say(
                f"{store.root}: tables and report stay as they are, with {kept}; what follows is "
                f"shown and not kept"
            )
            return evaluate(store, progress, prepare.manifest(job))
        if made.current(store):
            progress.say(f"{store.root}: tables and report are made from all of it already")
            result = load(store.root)
            for line in remarks(result):
                progress.say(line)
            return result
        return _reported(store, progress)


def grade(path: str | Path, progress: Progress | None = None) -> Run:
    """Grade what has no verdict of its grader's current version, and make the tables again."""
    store = Store(path)
    if store.manifest().imported is not None:
        raise UserError(
            f"{path}: an imported run keeps its log's own verdicts, there is nothing to grade"
        )
    progress = progress or Progress()
    with store.lock(progress.say):
        return _reported(store, progress)


def reward(
    path: str | Path,
    model: str | Path,
    name: str = "reward",
    over: Over = "text",
    engine: ReadBy = "transformers",
) -> Run:
    """Score a run's answers by a reward model, and make the tables again with best:NAME and
    weighted:NAME beside.

    model: of the zoo, or a folder: a classification head, or a process reward model of any family;
    over: "text", or how the scores of steps are joined ("product", "min", "last"). A later `run`
    takes its config's selectors, so list the new ones there to keep them. Raises UserError when
    there is no such model, the run was imported, or another column has that name.
    """
    store = Store(path)
    with store.lock():
        rewards.reward(store, model, name, over, engine)
        return _reported(store, Progress())


def verify(
    path: str | Path,
    name: str = "verify",
    times: int = 1,
    asked: Asked | None = None,
    progress: Progress | None = None,
) -> Run:
    """Have a model say of each of a run's answers whether it is right, `times` times, and make the
    tables again with best:NAME_v and weighted:NAME_v for v of them. Resumes what is there.

    asked: which model and how; None: the run's own, without thinking. Raises UserError where the
    run was imported or comes from a chat server, labels begin alike, another column has that name,
    or answers were verified otherwise under it.
    """
    store, progress = Store(path), progress or Progress()
    with store.lock(progress.say):
        failed = verifications.verify(store, name, times, asked or Asked(), progress)
        _say_missing(failed, progress)
        return _reported(store, progress)


def choose(
    path: str | Path,
    name: str = "choice",
    k: int = 4,
    subsets: int = 8,
    chooser: Chooser | None = None,
    progress: Progress | None = None,
) -> Run:
    """Show a model `k` of a run's answers to a problem at a time, `subsets` times a problem and
    budget, let it take one, and make the tables again with genselect:NAME_k. Resumes what is there.

    chooser: which model and how; None: the run's own, without thinking. Raises UserError where the
    run was imported or searches, fewer answers are drawn, another column has that name, or choices
    were made otherwise under it.
    """
    store, progress = Store(path), progress or Progress()
    with store.lock(progress.say):
        failed = choices.choose(store, name, k, subsets, chooser or Chooser(), progress)
        _say_missing(failed, progress)
        return _reported(store, progress)


def _say_missing(lines: Sequence[str], progress: Progress) -> None:
    for line in lines[:3]:
        progress.say(f"missing: {line}")


def _reported(store: Store, progress: Progress) -> Run:
    """The run with its tables and its report made anew."""
    result = evaluate(store, progress)
    report.write(result)
    made.record(result)
    return result
