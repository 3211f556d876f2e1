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
from unittest import mock

import numpy as np

from benchmarks.common import SAMPLE, drawing, pool
from testtime.models.resolve import decoder
from testtime.storage.tables import CallRow
from testtime.strategies import budget as contract
from testtime.strategies import ledger
from testtime.strategies.base import Attempt, Strategy
from testtime.strategies.budget import Cut
from testtime.strategies.drawing import Drawing
from testtime.strategies.nested import Fresh, Nested

SEED = 20261122  # fixed before the first audit was run
TEMPERATURES = 1.0, 3.0


@dataclass(frozen=True)
class Asked:
    """One problem of an audit: prompt ids, and whether an answer's text is right."""

    name: str
    prompt: tuple[int, ...]
    right: Callable[[str], bool]


async def measure(
    shared: Drawing, strategy: Strategy, asked: Sequence[Asked], samples: int
) -> np.ndarray:
    """Draw a pool; two statistics of every problem and budget, as an array (problems, budgets, 2):
    accuracy, and echo, the share of the answer's places at which the chain has the same token.
    """
    calls: dict[str, CallRow] = {}
    index = {a.name: i for i, a in enumerate(asked)}
    columns = {c["budget"]: i for i, c in enumerate(strategy.cells(shared.form))}
    total = np.zeros((len(asked), len(columns), 2))

    def finished(problem: str, sample: int, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            ((answer, _),) = attempt.answers
            call = calls[answer.key]
            chain = calls.get(call.parent)  # none at a budget of 0
            begun = [] if chain is None else chain.token_ids[: call.kept]
            same = sum(a == b for a, b in zip(begun, call.token_ids, strict=False))
            right = asked[index[problem]].right(answer.text)
            place = index[problem], columns[attempt.amounts["budget"]]
            total[place] += (right, same / max(1, answer.tokens))
        assert len(attempts) == len(columns)

    def keep(call: CallRow) -> None:
        begun = calls[call.key].token_ids if call.start else []
        calls[call.key] = replace(call, token_ids=[*begun, *call.token_ids])

    keeping = replace(shared, store=keep)
    await pool(keeping, strategy, {a.name: a.prompt for a in asked}, samples, finished)
    return total / samples


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
    honest_seed, honest_cut = ledger.seed, contract.cut

    def shared(key: str, start: int) -> int:
        """One seed for all requests of a sample, its chain and its answers."""
        return honest_seed(repr(SAMPLE.get()), 0)

    def late(length: int, finish: contract.Finish, budget: int) -> Cut | None:
        return honest_cut(length, finish, budget + 1 if 0 < budget < length else budget)

    spoiled = {"shared seed": (ledger, "seed", shared), "off by one": (contract, "cut", late)}
    with mock.patch.object(*spoiled[error]):
        yield


async def audit(
    shared: Drawing, budgets: Sequence[int], asked: Sequence[Asked], samples: int
) -> dict[str, np.ndarray]:
    """Differences nested - fresh, (problems, budgets, 2), for the honest sampler and each planted
    error.
    """
    nested, independent = Nested(budgets=list(budgets)), replace(shared, seed=shared.seed + 1)
    fresh = await measure(independent, Fresh(budgets=list(budgets)), asked, samples)
    found = {"honest": await measure(shared, nested, asked, samples) - fresh}
    for error in ("shared seed", "off by one"):
        with planted(error):
            found[error] = await measure(shared, nested, asked, samples) - fresh
    return found


def main() -> None:
    from testtime import tasks
    from testtime.config.schema import EngineSpec, Sampling
    from testtime.engines import make
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
        found = []
        for temperature in TEMPERATURES:
            sampling = Sampling(temperature=temperature)
            shared = drawing(engine, form, SEED, sampling=sampling, decode=decode)
            found.append(await audit(shared, budgets, problems, given.samples))
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
