"""Does the nested pool say what fresh runs say? Nested against fresh at every budget, paired by problem.

    python benchmarks/bias_audit.py [--problems 200] [--samples 32] [--temperature 1] [--engine transformers]

Prints the difference in accuracy at each budget with simultaneous 99 % intervals (bootstrap over problems, max-t),
which must cover 0; then plants two errors in the nested sampler and audits it again: one seed shared by chain and
answer, and a cut that is off by one. A shared seed does harm only where the first tokens of a chain and those of its
answer are both uncertain; the shipped models always begin their chains alike. A cut that is off by one moves few
problems, by much. On the shipped model neither is found at this size; tests/test_bias_audit.py shows that the audit
finds both on an engine whose chains begin at random.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

from testtime.engines.base import Engine
from testtime.thinking import contract, sampler
from testtime.thinking.contract import Cut
from testtime.thinking.sampler import Life, Plan, draw_pool

SEED = 20261122  # fixed before the first audit was run


@dataclass(frozen=True)
class Asked:
    """One problem of an audit: prompt ids, and whether an answer's text is right."""

    name: str
    prompt: tuple[int, ...]
    right: Callable[[str], bool]


def accuracy(engine: Engine, plan: Plan, asked: Sequence[Asked], decode: Callable[[list[int]], str]) -> np.ndarray:
    """Draw a pool; mean accuracy as an array (problems, budgets)."""
    rows: dict[str, list[dict[str, Any]]] = {"chains": [], "answers": []}
    todo = [Life(a.name, a.prompt, s, v) for a in asked for s in range(plan.samples) for v in plan.variants()]
    failed = asyncio.run(draw_pool(engine, plan, todo, lambda t, r: rows[t].append(r), decode, lambda _: None))
    assert not failed, failed[0]
    right = {a.name: a.right for a in asked}
    answers = {(r["problem_id"], r["sample"], r["variant"], r["cut"], r["spec"]): r["text"] for r in rows["answers"]}
    index = {a.name: i for i, a in enumerate(asked)}
    chains = {(r["problem_id"], r["sample"], r["variant"]): (r["tokens"], r["finish"]) for r in rows["chains"]}
    total = np.zeros((len(asked), len(plan.budgets)))
    for life in todo:
        key = (life.problem_id, life.sample, life.variant.name)
        for budget in life.variant.budgets:
            at = sampler.cut(*chains.get(key, (0, "length")), budget)
            assert at is not None
            text = answers[*key, at.tokens, plan.spec(at.forced)]
            total[index[life.problem_id], plan.budgets.index(budget)] += right[life.problem_id](text)
    return total / plan.samples


def intervals(
    difference: np.ndarray, level: float = 0.99, resamples: int = 10_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference and simultaneous bounds by budget, from (problems, budgets): bootstrap over problems, maximum
    over budgets of the deviation in standard errors.

    The standard errors are those of the sample, not of each resample: where an error moves few problems by much, some
    resamples hold hardly any of them, and their own tiny errors would blow the maximum up.
    """
    random = np.random.default_rng(SEED)
    n = len(difference)
    mean, error = difference.mean(0), difference.std(0, ddof=1) / np.sqrt(n)
    moved = error > 0
    largest = np.empty(resamples)
    for i in range(resamples):
        away = np.abs(difference[random.integers(0, n, n)].mean(0) - mean)[moved] / error[moved]
        largest[i] = away.max(initial=0.0)
    width = np.quantile(largest, level) * error
    return mean, mean - width, mean + width


@contextlib.contextmanager
def planted(error: str) -> Iterator[None]:
    """Spoil the sampler: "shared seed" or "off by one"."""
    honest_seed, honest_cut = contract.seed, contract.cut

    def shared(*parts: str | int) -> int:
        return honest_seed(*parts[:3])

    def late(length: int, finish: contract.Finish, budget: int) -> Cut | None:
        return honest_cut(length, finish, budget + 1 if 0 < budget < length else budget)

    spoiled = {"shared seed": ("seed", shared), "off by one": ("cut", late)}[error]
    with mock.patch.object(sampler, *spoiled):
        yield


def audit(
    engine: Engine, plan: Plan, asked: Sequence[Asked], decode: Callable[[list[int]], str]
) -> dict[str, np.ndarray]:
    """Differences nested - fresh, (problems, budgets), for the honest sampler and each planted error."""
    fresh = accuracy(engine, replace(plan, fresh=True, seed=plan.seed + 1), asked, decode)
    found = {"honest": accuracy(engine, plan, asked, decode) - fresh}
    for error in ("shared seed", "off by one"):
        with planted(error):
            found[error] = accuracy(engine, plan, asked, decode) - fresh
    return found


def main() -> None:
    from testtime import models, tasks
    from testtime.config import EngineSpec
    from testtime.engines import make
    from testtime.engines.base import Sampling
    from testtime.thinking import delimiters

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--model", default="quickstart")
    parser.add_argument("--engine", default="transformers")
    given = parser.parse_args()
    model = models.resolve(given.model)
    form = delimiters.resolve(model.tokenizer)
    sampling = Sampling(temperature=given.temperature)
    # This model writes eight tokens a step: budgets one short of a step are where one token too many shows.
    plan = Plan(form, (0, 15, 31, 47, 63, 96), given.samples, SEED, sampling, sampling, 8)
    problems = tasks.load("chain_sum", seed=SEED, limit=given.problems).problems

    def asked(problem: tasks.Problem) -> Asked:
        return Asked(
            problem.id, delimiters.render(model.tokenizer, problem.messages, form), lambda text: text == problem.gold
        )

    engine, _ = make(EngineSpec(name=given.engine), model.source)

    def decode(ids: list[int]) -> str:
        return str(model.tokenizer.decode(ids, skip_special_tokens=True))

    fresh_and_nested = audit(engine, plan, [asked(p) for p in problems], decode)
    asyncio.run(engine.close())
    for name, difference in fresh_and_nested.items():
        mean, low, high = intervals(difference)
        print(f"{name}: nested - fresh in points, simultaneous 99 % intervals, {given.problems} x {given.samples}")
        for budget, *bounds in zip(plan.budgets, mean, low, high, strict=True):
            m, lo, hi = (100 * float(b) for b in bounds)
            print(f"  budget {budget:>3}: {m:+6.2f} [{lo:+6.2f}, {hi:+6.2f}] {'' if lo <= 0 <= hi else '<- not 0'}")
        covers = bool(((low <= 0) & (high >= 0)).all())
        print(f"  largest half-width {100 * float((high - low).max()) / 2:.2f}, covers 0 everywhere: {covers}")


if __name__ == "__main__":
    main()
