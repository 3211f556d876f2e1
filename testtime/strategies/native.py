"""The engine or server is told what to spend, thinks, closes the thinking itself, and answers.

That is how vLLM's own `thinking_token_budget` works, and a chat server that is told an effort
level. A chain that was told its budget says nothing about another one, so every budget is drawn
fresh, in one request. Whether the engine obeys is not taken for granted: several vLLM versions
ignore the budget silently, so what was realised is audited against what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from testtime.config.schema import Config, Thinking
from testtime.models.delimiters import UNSEEN, Format
from testtime.strategies.base import Amounts, Attempt, Call, Ledger, Strategy, gathered
from testtime.strategies.budget import Budgets
from testtime.strategies.node import Node

ELSEWHERE = "the thinking is closed elsewhere; leave it out"


class Native(Strategy):
    """budgets: in tokens; a chat server has one, which with answer.max_tokens caps all its tokens,
    and its models' levels are listed under `model`.
    """

    cuts: ClassVar[bool] = False
    ids: ClassVar[bool] = False
    strategy: Literal["native"] = "native"
    budgets: Budgets

    def cells(self, form: Format) -> list[Amounts]:
        return [{} if form == UNSEEN else {"budget": budget} for budget in self.budgets]

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        return await once(ledger, prompt, self.budgets, self.cells(ledger.form))

    def check(self, config: Config[Any]) -> None:
        super().check(config)
        if config.engine.name not in ("auto", "vllm", "endpoint"):
            raise ValueError(
                "thinking.strategy: native needs an engine that closes the thinking itself; engine "
                f"{config.engine.name} does not, write engine: vllm, or thinking.strategy: nested"
            )
        if config.engine.chat:
            check_chat(self, self.budgets)
        elif self.ending is not None:
            raise ValueError(f"thinking.ending: with strategy native {ELSEWHERE}")
        check_answer(config)


def check_chat(thinking: Thinking, budgets: Sequence[int]) -> None:
    """Raises ValueError for options that no chat server can be given."""
    if len(budgets) > 1:
        raise ValueError(
            "thinking.budgets: a chat server cannot be held to a budget; write one, which with "
            "answer.max_tokens caps all its tokens"
        )
    for key in ("family", "delimiters", "ending"):
        if getattr(thinking, key) is not None:
            raise ValueError(f"thinking.{key}: with strategy {thinking.strategy} {ELSEWHERE}")


def check_answer(config: Config[Any]) -> None:
    """Raises ValueError where an answer that comes with its thinking is to be drawn otherwise."""
    if config.answer.sampling:
        raise ValueError(
            f"answer.sampling: with strategy {config.thinking.strategy} one request draws thinking "
            "and answer; leave it out"
        )


async def once(
    ledger: Ledger, prompt: Node, budgets: Sequence[int], cells: Sequence[Amounts]
) -> list[Attempt]:
    """The attempts of one request each, which thinks and answers."""

    async def one(budget: int, amounts: Amounts) -> list[Attempt]:
        answer = await ledger.told(prompt, budget)
        drawn = answer.thinking + answer.tokens
        read = len(prompt.kept) or answer.prompt_tokens  # only a server could count its own
        spent = (Call(0, read, drawn),)
        return [Attempt(amounts, ((answer, 1.0),), spent, drawn, answer.forced)]

    return await gathered(*map(one, budgets, cells))
