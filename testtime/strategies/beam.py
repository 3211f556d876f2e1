"""Beam search over steps, guided by a process reward model.

Of `beams` paths the best beams/width go on, each with `width` candidates for its next step (Snell
et al. 2024, section 5.2; Beeching et al. 2024). Paths that end are set aside and take no place of
the others. The paths of one search compete and share prefixes, so one search is *one* sample, and
each number of beams a setting.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from testtime.config.schema import Config
from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Ledger, gathered
from testtime.strategies.node import Node
from testtime.strategies.search import Bill, Path, Search, Sizes


class Beam(Search):
    """beams: how many paths a search has, each number a setting with a search of its own; width:
    candidates for each path's next step. select: how its answers become one: "best" (only the best
    path answers), or all that ended answer, and vote with their scores ("weighted") or one each
    ("majority").
    """

    grows: ClassVar[tuple[str, ...]] = ("beams",)
    strategy: Literal["beam"] = "beam"
    beams: Sizes
    width: int = Field(4, ge=1)
    select: Literal["best", "weighted", "majority"] = "weighted"

    def cells(self, form: Format) -> list[Amounts]:
        return [{"beams": beams} for beams in self.beams]

    def check(self, config: Config[Any]) -> None:
        super().check(config)
        if odd := next((beams for beams in self.beams if beams % self.width), None):
            raise ValueError(
                f"thinking.beams: {odd} is no multiple of the width ({self.width}); of each search "
                "beams/width paths go on"
            )

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        return await gathered(*(self._search(prompt, ledger, beams) for beams in self.beams))

    async def _search(self, prompt: Node, ledger: Ledger, beams: int) -> list[Attempt]:
        bill, branch = Bill(), f"beams={beams}"
        paths, ended, width = [Path(prompt)], list[Path](), beams
        for _ in range(self.max_steps):
            made = await self.grown(ledger, paths, width, branch, bill)
            made = await self.judged(ledger, made, bill)
            ended += [path for path in made if path.finish != "length"]
            alive = sorted((p for p in made if p.finish == "length"), key=self.score, reverse=True)
            paths, width = alive[: beams // self.width], self.width
            if not paths or len(ended) >= beams:
                break
        else:
            ended += paths  # forced where they are
        ended.sort(key=self.score, reverse=True)  # the earlier of equals first
        chosen = ended[: 1 if self.select == "best" else beams]
        scores = [self.score(path) for path in chosen]
        weights = scores if self.select == "weighted" else [1.0] * len(chosen)
        return [await self.attempt(ledger, {"beams": beams}, chosen, weights, bill)]
