"""Does the nested pool say what fresh runs say? Nested against fresh at every budget, paired by
problem.

    python benchmarks/bias_audit.py [--problems 200] [--samples 32] [--engine transformers]

Prints the differences at each budget with simultaneous 99 % intervals (bootstrap over problems),
which must cover 0; then plants two errors in the nested sampler and audits it again: one seed
shared by chain and answer, and a cut that is off by one. Both must be found.

Two statistics at two temperatures. Accuracy at temperature 1 finds a cut that is off by one, since
one more token completes a step. It cannot find a shared seed on this model, which begins all chains
of a question alike: noise that selects nothing does no harm. At temperature 3 the beginnings are
left to chance, and a seed used twice shows as an echo: the answer repeats the chain's tokens at the
same places.
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
from testtime.runs.draw import decoder
from testtime.strategies import budget as contract
from testtime.strategies import plan as plans
from testtime.strategies import sampler
from testtime.strategies.budget import Cut
from testtime.strategies.plan import Life, Plan
from testtime.strategies.sampler import draw_pool

SEED = 20261122  # fixed before the first audit was run
TEMPERATURES = 1.0, 3.0
NO_CHAIN = {"tokens": 0, "finish": "length", "token_ids": []}


@dataclass(frozen=True)
class Asked:
    """One problem of an audit: prompt ids, and whether an answer's text is right."""

    name: str
    prompt: tuple[int, ...]
    right: Callable[[str], bool]


async def measure(
    engine: Engine, plan: Plan, asked: Sequence[Asked], decode: Callable[[list[int]], str]
) -> np.ndarray:
    """Draw a pool; two statistics of every problem and budget, as an array (problems, budgets, 2):
    accuracy, and echo, the share of the answer's places at which the chain has the same token.
    """
    rows: dict[str, list[dict[str, Any]]] = {"chains": [], "answers": []}
    todo = [
        Life(a.name, a.prompt, s, v)
        for a in asked
        for s in range(plan.samples)
        for v in plan.variants()
    ]
    failed = await draw_pool(
        engine, plan, todo, lambda t, r: rows[t].append(r), decode, lambda _: None
    )
    assert not failed, failed[0]
    right = {a.name: a.right for a in asked}
    answers = {
        (r["problem_id"], r["sample"], r["variant"], r["cut"], r["spec"]): r
        for r in rows["answers"]
    }
    index = {a.name: i for i, a in enumerate(asked)}
    chains = {(r["problem_id"], r["sample"], r["variant"]): r for r in rows["chains"]}
    total = np.zeros((len(asked), len(plan.budgets), 2))
    for life in todo:
        chain = chains.get((life.problem_id, life.sample, life.variant.name), NO_CHAIN)
        for budget in life.variant.budgets:
            at = plans.cut(chain["tokens"], chain["finish"], budget)
            assert at is not None
            answer = answers[
                life.problem_id, life.sample, life.variant.name, at.tokens, plan.spec(at.forced)
            ]
            begun = chain["token_ids"][: at.tokens]
            echo = sum(a == b for a, b in zip(begun, answer["token_ids"], strict=False)) / max(
                1, answer["tokens"]
            )
            total[index[life.problem_id], plan.budgets.index(budget)] += (
                right[life.problem_id](answer["text"]),
                echo,
            )
    return total / plan.samples


def intervals(
    difference: np.ndarray, level: float = 0.99, resamples: int = 10_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference and simultaneous bounds, shapes as one problem's, from (problems, ...):
    bootstrap over problems, maximum over everything of the deviation in standard errors.

    The standard errors are those of the sample, not of each resample: where an error moves few
    problems by much, some resamples hold hardly any of them, and their own tiny errors would blow
    the maximum up.
    """
    random = np.random.default_rng(SEED)
    n = len(difference)
    mean, error = difference.mean(0), difference.std(0, ddof=1) / np.sqrt(n)
    moving = difference[:, error > 0]
    largest = np.empty(resamples)
    for i in range(resamples):
        away = np.abs(moving[random.integers(0, n, n)].mean(0) - mean[error > 0]) / error[error > 0]
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

    spoiled = {"shared seed": (sampler, "seed", shared), "off by one": (plans, "cut", late)}[error]
    with mock.patch.object(*spoiled):
        yield


async def audit(
    engine: Engine, plan: Plan, asked: Sequence[Asked], decode: Callable[[list[int]], str]
) -> dict[str, np.ndarray]:
    """Differences nested - fresh, (problems, budgets, 2), for the honest sampler and each planted
    error.
    """
    fresh = await measure(engine, replace(plan, fresh=True, seed=plan.seed + 1), asked, decode)
    found = {"honest": await measure(engine, plan, asked, decode) - fresh}
    for error in ("shared seed", "off by one"):
        with planted(error):
            found[error] = await measure(engine, plan, asked, decode) - fresh
    return found


def main() -> None:
    from testtime import tasks
    from testtime.config.schema import EngineSpec
    from testtime.engines import make
    from testtime.engines.base import Sampling
    from testtime.models import delimiters
    from testtime.models import resolve as models

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--model", default="quickstart")
    parser.add_argument("--engine", default="transformers")
    given = parser.parse_args()
    model = models.resolve(given.model)
    form = delimiters.resolve(model.tokenizer)

    def asked(problem: tasks.Problem) -> Asked:
        prompt = delimiters.render(model.tokenizer, problem.messages, form)
        return Asked(problem.id, prompt, lambda text: text == problem.gold)

    problems = [asked(p) for p in tasks.load("chain_sum", seed=SEED, limit=given.problems).problems]
    decode = decoder(model.tokenizer)
    engine, _ = make(EngineSpec(name=given.engine), model.source)
    # This model writes eight tokens a step: budgets one short of a step are where one token too
    # many shows.
    budgets = (0, 15, 31, 47, 63, 96)

    async def work() -> list[dict[str, np.ndarray]]:
        samplings = [Sampling(temperature=temperature) for temperature in TEMPERATURES]
        plans = [Plan(form, budgets, given.samples, SEED, s, s, 8) for s in samplings]
        found = [await audit(engine, plan, problems, decode) for plan in plans]
        await engine.close()
        return found

    audits = asyncio.run(work())
    columns = [f"{name}, T = {t:g}" for t in TEMPERATURES for name in ("accuracy", "echo")]
    for name in audits[0]:
        mean, low, high = intervals(np.concatenate([found[name] for found in audits], axis=2))
        print(
            f"{name}: nested - fresh in points, simultaneous 99 % intervals, {given.problems} x "
            f"{given.samples}"
        )
        for j, column in enumerate(columns):
            for i, budget in enumerate(budgets):
                m, lo, hi = (100 * float(values[i, j]) for values in (mean, low, high))
                verdict = "" if lo <= 0 <= hi else "<- not 0"
                print(
                    f"  {column:<17} budget {budget:>2}: {m:+6.2f} [{lo:+6.2f}, {hi:+6.2f}] "
                    f"{verdict}"
                )
        covers = bool(((low <= 0) & (high >= 0)).all())
        print(
            f"  largest half-width {100 * float((high - low).max()) / 2:.2f}, covers 0 "
            f"everywhere: {covers}"
        )


if __name__ == "__main__":
    main()
