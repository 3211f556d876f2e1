"""What a change "for once" would lose: a run's tables and report hold all that its config asks for,
and one command with `--set` or `--limit` that asks for less does not take it from them.
"""

from __future__ import annotations

from collections.abc import Iterable

from testtime import labels
from testtime.runs.prepare import Job
from testtime.runs.recipe import recipe_of
from testtime.strategies.registry import parse


def lost(job: Job) -> str:
    """What the tables of the job's folder hold that its config does not ask for, in words; "" where
    that is nothing, or there are no tables yet.
    """
    if not (job.store.exists and job.store.has("tables/scores.parquet")):
        return ""
    held = job.store.manifest()
    config, now = parse(held.config, str(job.store.root / "run.json")), job.config
    recipe, cells = recipe_of(config, held)
    fewer = set(held.problems) - {row.problem_id for row in job.problems}
    parts = [
        labels.counted(len(fewer), "problem") if fewer else "",
        _less("", cells, job.cells) if recipe == job.recipe else "its own strategy",
        f"{config.samples} samples" if now.samples < config.samples else "",
        _less("n ", config.sample_counts(), now.sample_counts()),
        _less("", config.selectors, now.selectors),
    ]
    return "; ".join(filter(None, parts))


def _less(what: str, held: Iterable[object], asked: Iterable[object]) -> str:
    kept = set(asked)
    gone = [str(one) for one in held if one not in kept]
    return f"{what}{', '.join(gone)}" if gone else ""
