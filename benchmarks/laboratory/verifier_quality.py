"""How good must a verifier be? Outcomes of voting, best-of-n and search under verifiers whose AUC is
a knob, all drawn from the zoo's agent in the world of facts.

    python -m benchmarks.laboratory.verifier_quality            # minutes; goes on where it was
    python -m benchmarks.laboratory.verifier_figure docs/verifier.png

The verifier sees every step that a search asks it about: it knows whether the chain is right so far
and says so with binormal noise (`set_quality`). It is a text's own verdict, the same whenever it is
asked, so equal chains are judged alike, and a share of its noise is a problem's: some are hard to
judge. Chains are drawn once; a search under another verifier stands on the same calls wherever it
chooses alike. Costs are FLOPs as a run counts them, with a verifier as large as the agent.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.laboratory import set_quality, world
from benchmarks.laboratory.recipe import HERE
from testtime.compute.flops import Flops
from testtime.engines import make
from testtime.engines.base import Engine, Scored
from testtime.models.resolve import decoder
from testtime.pipeline import ready
from testtime.runs.draw import drawing_of
from testtime.storage.calls import thinking_ids
from testtime.storage.tables import CallRow, ProblemRow
from testtime.strategies.base import Attempt
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.stepwise import Stepwise

OUT = HERE / "out" / "verifier"
AUCS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
DRAWS = 3
"""Verifiers of each AUC, which differ in their noise."""
SHARE = 0.3
"""Of the noise's variance, what all texts of a problem have in common."""
LEVELS = (2, 3, 4)
WIDTH = 4
CHAINS, SUBTREES = 36, 8
"""Samples of each problem: plain chains, searches."""
Calls = dict[tuple[str, int], dict[str, CallRow]]


class SetQuality:
    """A verifier of steps in the world of facts, of a set AUC. draw: which noise it has; lengths:
    tokens of a text, as it would read them.
    """

    def __init__(self, auc: float, draw: int, tokenizer: Any) -> None:
        self.name, self._auc, self._draw = f"auc={auc:g},draw={draw}", auc, draw
        self._tokenizer = tokenizer

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        said = [self.said(question, steps[: n + 1]) for n in range(len(steps))]
        lengths = [self._length(question) + 1, *(self._length(step) + 1 for step in steps)]
        return Scored(said, list(itertools.accumulate(lengths)))

    async def close(self) -> None: ...

    def said(self, question: str, steps: Sequence[str]) -> float:
        """P(right so far) of a chain of steps."""
        right = [step.strip() for step in steps] == _right(question)[: len(steps)]
        text = "|".join(step.strip() for step in steps)
        common, own = _normal(self._draw, question), _normal(self._draw, question, text)
        noise = math.sqrt(SHARE) * common + math.sqrt(1 - SHARE) * own
        return float(set_quality.probability(np.array(right), self._auc, np.array(noise)))

    @cache  # noqa: B019 - a handful of verifiers, which live as long as the program
    def _length(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))


@cache
def _right(question: str) -> list[str]:
    return world.steps(*world.parse(question))


@cache
def _normal(*parts: object) -> float:
    """Standard normal noise that belongs to `parts`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return float(np.random.default_rng(int.from_bytes(digest, "big")).standard_normal())


class World:
    """The agent at its questions, and all that was drawn from it. problems: of each level."""

    def __init__(self, problems: int) -> None:
        told = {
            "name": "verifier",
            "task": [{"name": "facts"}],
            "model": "agent",
            "thinking": {"strategy": "stepwise", "prm": "prm", "widths": [1]},
            "answer": {"max_tokens": 4},
            "out": str(OUT / "none"),
        }
        (self.job,) = ready(told)
        levels = [json.loads(row.meta)["level"] for row in self.job.problems]
        self.problems = [
            row
            for level in LEVELS
            for row in [r for r, of in zip(self.job.problems, levels, strict=True) if of == level][
                :problems
            ]
        ]
        self.calls: Calls = {}
        self.flops = Flops.from_config(self.job.model.config)
        self.decode = decoder(self.job.model.tokenizer)

    def search(self, engine: Engine, scorer: SetQuality, width: int, samples: int) -> pd.DataFrame:
        """The scores of `samples` searches of every problem: problem_id, sample, score, answer_key,
        prm, flops (verifier's included), verifier_flops, key (of the answer's call).
        """
        strategy = Stepwise(prm="prm", widths=[width], max_steps=8, step_tokens=8)  # type: ignore[arg-type]
        drawing = drawing_of(self.job, engine, scorer, self._store)
        rows = list[dict[str, object]]()

        async def one(order: int, problem: ProblemRow, sample: int) -> None:
            held = self.calls.get((problem.problem_id, sample), {})
            ledger = SampleLedger(
                drawing, problem.problem_id, sample, held, order, problem.question
            )
            place = ledger.start(tuple(problem.prompt_ids))
            (attempt,) = await strategy.attempts(place, ledger)
            rows.append({"sample": sample, **self._row(problem, attempt)})

        async def work() -> None:
            queue = enumerate(itertools.product(self.problems, range(samples)))

            async def worker() -> None:
                for order, (problem, sample) in queue:
                    await one(order, problem, sample)

            async with asyncio.TaskGroup() as group:
                for _ in range(2 * engine.max_num_seqs):
                    group.create_task(worker())

        asyncio.run(work())
        return pd.DataFrame(rows).sort_values(["problem_id", "sample"], ignore_index=True)

    def _store(self, call: CallRow) -> None:
        if call.kind != "score":  # each verifier's own
            self.calls.setdefault((call.problem_id, call.sample), {})[call.key] = call

    def _row(self, problem: ProblemRow, attempt: Attempt) -> dict[str, object]:
        ((answer, _),) = attempt.answers
        said = answer.text.strip()
        context, fed, drawn = np.array([(c.context, c.fed, c.drawn) for c in attempt.spent]).T
        judge = np.array([call.model == "prm" for call in attempt.spent])
        read = float(np.where(judge, self.flops.forward(context, fed), 0.0).sum())
        solved = float(np.where(judge, 0.0, self.flops.call(context, fed, drawn)).sum())
        return {
            "problem_id": problem.problem_id,
            "score": float(said == problem.gold),
            "answer_key": said or None,
            "prm": attempt.value,
            "flops": solved + read,
            "verifier_flops": read,
            "key": answer.key,
        }

    def judged(self, chains: pd.DataFrame, scorer: SetQuality) -> pd.DataFrame:
        """Plain chains as another verifier sees them."""
        questions = {row.problem_id: row.question for row in self.problems}
        said = []
        for row in chains.itertuples():
            calls = self.calls[row.problem_id, row.sample]
            text = self.decode(thinking_ids(calls, calls[row.key]))
            steps = [step for step in text.split(world.STEP) if step.strip()]
            said.append(scorer.said(questions[row.problem_id], steps))
        return chains.assign(prm=said)


def main() -> None:
    """Command line: how many problems a level; writes a file an AUC under `out/verifier`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100, help="of each level")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    todo = [auc for auc in AUCS if not _file(auc).is_file()]
    here = World(given.problems)
    engine, note = make(
        here.job.config.engine.model_copy(update={"name": "transformers"}), here.job.model.source
    )
    print(note)
    tokenizer = here.job.model.tokenizer
    chains = here.search(engine, SetQuality(0.5, 0, tokenizer), 1, CHAINS) if todo else None
    for auc in todo:
        parts = []
        for draw in range(DRAWS):
            scorer = SetQuality(auc, draw, tokenizer)
            plain = here.judged(chains, scorer)
            searched = here.search(engine, scorer, WIDTH, SUBTREES)
            parts += [
                t.assign(auc=auc, draw=draw, width=w) for t, w in ((plain, 1), (searched, WIDTH))
            ]
            told = set_quality.auc(plain["score"].to_numpy(), plain["prm"].to_numpy())
            print(
                f"AUC {auc:g}, draw {draw}: of answers {told:.3f}, a search {searched['score'].mean():.3f}",
                flush=True,
            )
        pd.concat(parts).drop(columns="key").to_parquet(_file(auc), index=False)


def _file(auc: float) -> Path:
    return OUT / f"{auc:g}.parquet"


if __name__ == "__main__":
    main()
