"""What a run will take and what it will be able to tell apart, before a token is drawn."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from testtime.estimators.planning import detectable_differences, what_can_be_told
from testtime.estimators.workload import workload
from testtime.runs import pricing
from testtime.runs.prepare import Job
from testtime.storage.calls import chain_lengths
from testtime.storage.tables import ProblemRow

Sample = tuple[ProblemRow, int]
SEEN = 100  # chains from which lengths are trusted


def plan(job: Job, left: list[Sample]) -> list[str]:
    """Two lines on a job: chains, tokens, dollars and hours that are left (from the lengths seen in
    its folder, else the worst case), and the differences that it will find with 80 % power. left:
    what is `unfinished`.
    """
    config, problems = job.config, len(job.problems)
    told = what_can_be_told(config.samples, problems)
    name = f"{job.model.name}: "
    if not left:
        return [f"{name}the pool is complete, nothing is left to draw", told]
    if done := problems * config.samples - len(left):
        name += f"{done:,} of {problems * config.samples:,} samples are drawn; left: "
    budgets = getattr(config.thinking, "budgets", None)
    if config.thinking.strategy not in ("nested", "fresh") or budgets is None:
        strategy = config.thinking.strategy
        return [f"{name}what {strategy} draws depends on what it has drawn", told]
    prompts = [len(row.prompt_ids) for row, _ in left]
    rates = job.ref.rates or config.rates
    load = workload(
        len(left),
        1,
        budgets,
        prompt_tokens=float(np.mean(prompts)),
        answer_tokens=config.answer.max_tokens,
        ending_tokens=len(job.form.ending),
        lengths=_lengths(job),
        fresh=config.thinking.strategy == "fresh",
        price=pricing.prices(config) if job.ref.price is None else job.ref.price,
        prefill=rates.prefill if rates else None,
        decode=rates.decode if rates else None,
    )
    return [f"{name}{load}", told]


def unfinished(job: Job) -> list[Sample]:
    """The samples that lack an attempt, problem by problem."""
    wanted = job.cells
    ours = (pc.field("recipe") == job.recipe) & pc.field("cell").isin(wanted)
    stored = job.store.read("attempts", [], ours).select(["problem_id", "sample"]).to_pandas()
    counts = stored.value_counts().to_dict()
    return [
        (row, sample)
        for row in job.problems
        for sample in range(job.config.samples)
        if counts.get((row.problem_id, sample), 0) < len(set(wanted))
    ]


def table(job: Job) -> str:
    """The least difference that each kind of comparison finds, by number of problems."""
    rows = detectable_differences(job.config.samples)
    counts = sorted({row.problems for row in rows})
    lines = ["least difference found with 80 % power, in points, by number of problems"]
    lines.append(f"{'':>14}" + "".join(f"{count:>8,}" for count in counts))
    for kind in dict.fromkeys(row.kind for row in rows):
        found = {row.problems: row.difference for row in rows if row.kind == kind}
        lines.append(f"{kind.name:>14}" + "".join(f"{100 * found[c]:>8.1f}" for c in counts))
    return "\n".join(lines)


def _lengths(job: Job) -> np.ndarray | None:
    """Thinking tokens of the chains in the job's folder, infinite where they were cut."""
    if not job.store.exists:
        return None
    tokens, cut = chain_lengths(job.store)
    return None if len(tokens) < SEEN else np.where(cut, np.inf, tokens)
