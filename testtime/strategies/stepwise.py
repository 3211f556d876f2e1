"""Step by step, the best of several candidates goes on, as a process reward model sees them.

One such search is an independent sample, so n of them under `weighted:prm` or `best:prm` are a
diverse verifier tree search (DVTS) of n subtrees, at every n from one pool (Beeching, Tunstall and
Rush 2024, "Scaling test-time compute with open models"). With a lookahead it is that of Snell et
al. (2024, section 5.2) with one beam.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Ledger, gathered
from testtime.strategies.node import Node
from testtime.strategies.search import Bill, Path, Search, Sizes


class Stepwise(Search):
    """widths: how many candidates a step has, each a setting with a search of its own. With 1 it is
    plain sampling, and the verifier reads the finished chain only.
    """

    grows: ClassVar[tuple[str, ...]] = ("widths",)
    strategy: Literal["stepwise"] = "stepwise"
    widths: Sizes

    def cells(self, form: Format) -> list[Amounts]:
        return [{"width": width} for width in self.widths]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        return await gathered(*(self._search(prompt, ledger, width) for width in self.widths))

    async def _search(self, prompt: Node, ledger: Ledger, width: int) -> list[Attempt]:
        path, bill, branch = Path(prompt), Bill(), f"width={width}"
        for _ in range(self.max_steps):
            candidates = await self.grown(ledger, [path], width, branch, bill)
            if width > 1:
                candidates = await self.judged(ledger, candidates, bill)
            path = max(candidates, key=self.score)  # the first of equals
            if path.finish != "length":
                break
        if width == 1:
            (path,) = await self.judged(ledger, [path], bill, ahead=False)
        return [await self.attempt(ledger, {"width": width}, [path], [1.0], bill)]
