"""Particle filtering over steps: the model proposes, a process reward model weighs, and particles
are drawn anew by these weights (Puri et al. 2025, "A probabilistic inference approach to
inference-time scaling of LLMs using particle-based Monte Carlo methods", algorithm 1).

Where a beam search keeps the best, a filter keeps each in proportion, so that a verifier that errs
early does not end the search. The particles of one search share prefixes, so one search is *one*
sample, and each number of particles a setting.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Ledger, gathered
from testtime.strategies.node import Node
from testtime.strategies.search import Bill, Path, Search, Sizes, distinct, written

LEAST = 1e-7  # scores are kept so far from 0 and 1, as the published code does


class Particles(Search):
    """particles: how many a search has, each number a setting with a search of its own. After each
    step they are drawn anew by softmax(logit(score)), those that ended among them: independently
    ("multinomial", as published) or at even distances ("systematic", with less noise). select: how
    their answers become one: "best" (only the particle of the best score answers), or all answer,
    and vote with their weights ("weighted") or one each ("majority").
    """

    grows: ClassVar[tuple[str, ...]] = ("particles",)
    strategy: Literal["particles"] = "particles"
    particles: Sizes
    resampling: Literal["multinomial", "systematic"] = "multinomial"
    select: Literal["best", "weighted", "majority"] = "weighted"

    def cells(self, form: Format) -> list[Amounts]:
        return [{"particles": count} for count in self.particles]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        return await gathered(*(self._search(prompt, ledger, count) for count in self.particles))

    async def _search(self, prompt: Node, ledger: Ledger, count: int) -> list[Attempt]:
        bill, branch = Bill(), f"particles={count}"
        paths, weights = [Path(prompt)] * count, np.full(count, 1 / count)
        sizes = list[float]()
        for step in range(self.max_steps):
            paths = self._resampled(paths, weights, ledger.generator(prompt, f"{branch},{step}"))
            paths = await self._moved(ledger, paths, branch, bill)
            weights = self._weights(paths)
            sizes.append(1 / float((weights**2).sum()))
            if all(path.finish != "length" for path in paths):
                break
        votes = defaultdict[Path, float](float)  # copies of a particle have one answer
        for path, weight in zip(paths, weights.tolist(), strict=True):
            votes[path] += weight if self.select == "weighted" else 1.0
        ended = sorted(votes, key=self.score, reverse=True)  # the earlier of equals first
        ended = ended[:1] if self.select == "best" else ended
        totals = [votes[path] for path in ended]
        attempt = await self.attempt(ledger, {"particles": count}, ended, totals, bill)
        return [replace(attempt, ess=sum(sizes) / len(sizes))]

    def _resampled(
        self, paths: Sequence[Path], weights: NDArray[np.float64], noise: np.random.Generator
    ) -> list[Path]:
        count = len(paths)
        points = noise.random(count)
        if self.resampling == "systematic":
            points = (points[0] + np.arange(count)) / count
        chosen = np.searchsorted(weights.cumsum(), points, side="right")
        return [paths[min(index, count - 1)] for index in chosen]  # a sum may end below 1

    async def _moved(
        self, ledger: Ledger, paths: Sequence[Path], branch: str, bill: Bill
    ) -> list[Path]:
        """Every particle a step on, copies independently of each other; those that ended stay."""
        copies, places = Counter[Path](), list[tuple[Path, int]]()
        for path in paths:
            if path.finish == "length":
                places.append((path, copies[path]))
                copies[path] += 1
        drawn = await self.drawn(ledger, places, branch, bill)
        alike = distinct(drawn)  # particles that wrote the same are judged once
        judged = await self.judged(ledger, list(alike.values()), bill)
        known = dict(zip(alike, judged, strict=True))
        moved = iter(known[written(path)] for path in drawn)
        return [next(moved) if path.finish == "length" else path for path in paths]

    def _weights(self, paths: Sequence[Path]) -> NDArray[np.float64]:
        """softmax(logit(score)), which is the odds over their sum."""
        scores = np.clip([self.score(path) for path in paths], LEAST, 1 - LEAST)
        odds = scores / (1 - scores)
        return np.asarray(odds / odds.sum())
