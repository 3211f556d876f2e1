"""Sequential revision: each round reads the attempts before it and answers again.

Nested in rounds: round r never knew how many would follow. n samples of r rounds are the parallel x
sequential grid of Snell et al. (2024, figure 7), which comes out of the cells by itself. Each
round thinks under the same budget; budgets whose attempts read alike share what follows.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Call, Ledger, Strategy, gathered
from testtime.strategies.budget import Budgets, Show, answered, shown, think
from testtime.strategies.node import Node

PROMPT = (
    "Check your answer. If it is right, give it again; if it is wrong, correct it. End with the "
    "final answer."
)


class Revise(Strategy):
    """budgets: thinking tokens of each round; rounds: the first answer and its revisions; prompt:
    what asks for a revision, as the user's next turn; show: what it is shown of the attempt before,
    where a model has delimiters. The cost of a round holds those before it.
    """

    grows: ClassVar[tuple[str, ...]] = ("budgets", "rounds")
    strategy: Literal["revise"] = "revise"
    budgets: Budgets
    rounds: int = Field(4, ge=2)
    prompt: str = PROMPT
    show: Show = "answer"

    def cells(self, form: Format) -> list[Amounts]:
        rounds = range(1, self.rounds + 1)
        return [{"budget": budget, "round": r} for r in rounds for budget in self.budgets]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        return await self._round(ledger, prompt, 1, dict.fromkeys(self.budgets, ()), cached=0)

    async def _round(
        self,
        ledger: Ledger,
        prompt: Node,
        number: int,
        before: Mapping[int, tuple[Call, ...]],
        cached: int,
    ) -> list[Attempt]:
        """The attempts of this round and of all later ones. before: by budget, the calls that were
        paid to get here; cached: how many of the prompt's tokens a cache holds from them.
        """
        thinking = await think(ledger, prompt, max(before))

        async def one(budget: int) -> list[Attempt]:
            amounts = {"budget": budget, "round": number}
            paid = before[budget]
            return [await answered(ledger, thinking, budget, amounts, before=paid, cached=cached)]

        made = await gathered(*map(one, before))
        if number == self.rounds:
            return made
        alike: defaultdict[str, dict[int, tuple[Call, ...]]] = defaultdict(dict)
        for attempt in made:
            text = shown(ledger, thinking, attempt, self.show)
            alike[text][attempt.amounts["budget"]] = attempt.spent
        later = []
        for text, spent in alike.items():
            answer = {"role": "assistant", "content": text}
            asked = {"role": "user", "content": self.prompt}
            onward = ledger.prompt((*prompt.turns, answer, asked))
            shared = alike_from_start(prompt.kept, onward.kept)
            later.append(self._round(ledger, onward, number + 1, spent, shared))
        return made + await gathered(*later)


def alike_from_start(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts begin with alike."""
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in alike)
