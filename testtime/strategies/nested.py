"""One chain read at every budget, and the two strategies that it is measured against and beside.

`nested` draws one chain to the largest budget and cuts it at the others. `fresh` draws a chain of
its own for each budget, cut the same way: the same two requests a cell, so that cost and
distribution compare. `wait` goes on where a chain ended by itself: the closing token is withheld,
`marker` stands in its place and counts as thinking (Muennighoff et al. 2025, s1).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Ledger, Strategy, gathered
from testtime.strategies.budget import Budgets, Thinking, answered, at_budgets, think
from testtime.strategies.node import Node


class Nested(Strategy):
    """budgets: in tokens; every one is read off the chain drawn to the largest."""

    strategy: Literal["nested"] = "nested"
    budgets: Budgets

    def cells(self, form: Format) -> list[Amounts]:
        return [{"budget": budget} for budget in self.budgets]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        thinking = await think(ledger, prompt, max(self.budgets))
        return await at_budgets(ledger, thinking, self.budgets)


class Fresh(Strategy):
    """budgets: in tokens; each has a chain of its own."""

    cuts: ClassVar[bool] = False
    strategy: Literal["fresh"] = "fresh"
    budgets: Budgets

    def cells(self, form: Format) -> list[Amounts]:
        return [{"budget": budget} for budget in self.budgets]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        async def one(budget: int) -> list[Attempt]:
            branch = f"budget={budget}"
            thinking = await think(ledger, prompt, budget, branch)
            return [await answered(ledger, thinking, budget, {"budget": budget}, branch=branch)]

        return await gathered(*map(one, self.budgets))


class Wait(Strategy):
    """extensions: how often a chain that ends by itself is made to go on; marker: what stands in
    the place of its end. The attempts of each are a setting of their own ("wait=1", ...).
    """

    grows: ClassVar[tuple[str, ...]] = ("budgets", "extensions")
    strategy: Literal["wait"] = "wait"
    budgets: Budgets
    extensions: int = Field(1, ge=1)
    marker: str = "Wait"

    def cells(self, form: Format) -> list[Amounts]:
        waits = [{}, *({"wait": r} for r in range(1, self.extensions + 1))]
        return [{"budget": budget, **more} for more in waits for budget in self.budgets]

    def feeds(self) -> tuple[str, ...]:
        return (self.marker,)

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        thinking = await think(ledger, prompt, max(self.budgets))
        return await self._read(ledger, thinking, times=0)

    async def _read(self, ledger: Ledger, thinking: Thinking, times: int) -> list[Attempt]:
        """The attempts of a chain, and of what extends it."""
        more = {"wait": times} if times else {}
        parts = [at_budgets(ledger, thinking, self.budgets, more)]
        if times < self.extensions:
            parts.append(self._extended(ledger, thinking, times + 1))
        return await gathered(*parts)

    async def _extended(self, ledger: Ledger, thinking: Thinking, times: int) -> list[Attempt]:
        if thinking.finish == "natural":  # another has nothing to extend, and says the same again
            withheld = len(ledger.form.close) or 1
            kept = thinking.node.cut(thinking.node.length - withheld)
            onward = kept.feed(ledger.encode(self.marker))
            thinking = await think(ledger, onward, max(self.budgets))
        return await self._read(ledger, thinking, times)
