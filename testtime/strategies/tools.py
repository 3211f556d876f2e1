"""Thinking that calls tools: it stops at a call, reads the result, and goes on.

Nested in budgets and in turns. A result counts as thinking, as a marker does: a budget is all that
stands between prompt and ending, so whatever a tool returns, no budget and no context overflows;
a result that reaches the budget is cut there. With at most r turns, the call after the r-th is not
run and the thinking is closed by force: the chain up to there never knew r. With 0 turns the model
is not told of any tool, and its chain is that of `nested`.

A result is fed, not drawn, and it is stored, so a replay runs no stored call again. Tool-integrated
reasoning as in Gou et al. (2024, ToRA).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny

from testtime.config.schema import Config, listed
from testtime.errors import suggest
from testtime.models.delimiters import UNSEEN, Format
from testtime.strategies.base import Amounts, Attempt, Ledger, Strategy, gathered
from testtime.strategies.budget import Budgets, Thinking, at_budgets, read, think
from testtime.strategies.calling import MORE, Made, called
from testtime.strategies.dialogue import Dialogue
from testtime.strategies.native import check_answer, check_chat, once
from testtime.strategies.node import Ids, Node
from testtime.tools import registry
from testtime.tools.base import Result, Tool
from testtime.tools.dialects import DIALECTS, Asked, Dialect


def _distinct(tools: list[Tool]) -> list[Tool]:
    names = [tool.name for tool in tools]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"names {double!r} twice; give each a name of its own")
    return tools


def _dialect(given: object) -> object:
    if isinstance(given, str):
        if given not in DIALECTS:
            raise ValueError(f"{given!r} is unknown{suggest(given, DIALECTS)}")
        return DIALECTS[given]
    return given


class Tools(Strategy):
    """turns: how many calls a chain may make, each a setting of its own; tools: by name, or with
    options; dialect: a name, or what opens and closes a call and a result; system: what the model
    is told of the tools, in place of our own words; seconds: of one call; result_tokens: the most
    that is fed of a result. With dialect `chat` see `dialogue`.
    """

    grows: ClassVar[tuple[str, ...]] = ("budgets", "turns")
    strategy: Literal["tools"] = "tools"
    budgets: Budgets
    turns: Budgets = Field(default=[0, 4])
    tools: Annotated[
        list[Annotated[SerializeAsAny[Tool], BeforeValidator(registry.make)]],
        BeforeValidator(listed),
        Field(min_length=1),
        AfterValidator(_distinct),
    ]
    dialect: Annotated[Dialect, BeforeValidator(_dialect)] = DIALECTS["fence"]
    system: str | None = None
    seconds: float = Field(30.0, gt=0)
    result_tokens: int = Field(512, ge=1)

    def cells(self, form: Format) -> list[Amounts]:
        if form == UNSEEN:
            return [{"turn": turn} for turn in self.turns]
        return [{"budget": budget, "turn": turn} for turn in self.turns for budget in self.budgets]

    def check(self, config: Config[Any]) -> None:
        if config.engine.chat and self.dialect.chat:
            check_chat(self, self.budgets)
            check_answer(config)
        elif config.engine.chat:
            raise ValueError("thinking.dialect: a chat server has its own; write chat")
        elif self.dialect.chat:
            raise ValueError(
                "thinking.dialect: chat is a server's; write engine.args.api: chat, or another "
                f"dialect ({', '.join(name for name in DIALECTS if name != 'chat')})"
            )
        else:
            super().check(config)

    def feeds(self) -> tuple[str, ...]:
        return (self.dialect.call[1].strip(), *self.dialect.result)

    def ready(self) -> dict[str, str]:
        made = {f"tools.{tool.name}": tool.ready() for tool in self.tools}
        return {name: depends for name, depends in made.items() if depends}

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        parts = []
        if 0 in self.turns:
            parts.append(self._alone(prompt, ledger))
        if self.turns[-1]:
            told = self._told(prompt, ledger)
            if self.dialect.chat:
                limits = self.budgets[-1], self.seconds, self.result_tokens
                parts.append(Dialogue(ledger, self.tools, self.turns, *limits).attempts(told))
            else:
                parts.append(self._turn(ledger, told, Made(), self.budgets))
        return await gathered(*parts)

    async def _alone(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        if self.dialect.chat:
            return await once(ledger, prompt, self.budgets, [{"turn": 0}])
        thinking = await think(ledger, prompt, self.budgets[-1])
        return await at_budgets(ledger, thinking, self.budgets, {"turn": 0})

    def _told(self, prompt: Node, ledger: Ledger) -> Node:
        """The prompt with what is said of the tools, in front of a system message that is there."""
        text = self.dialect.explained(self.tools) if self.system is None else self.system
        if not text:
            return prompt
        first, *rest = prompt.turns
        if first["role"] == "system":
            text, first = f"{text}\n\n{first['content']}", rest.pop(0)
        return ledger.prompt(({"role": "system", "content": text}, first, *rest))

    async def _turn(
        self, ledger: Ledger, at: Node, made: Made, budgets: Sequence[int]
    ) -> list[Attempt]:
        """The attempts at these budgets, all of which reach beyond `at`, of every number of turns
        that allows the calls made.
        """
        thinking, asked = await self._thought(ledger, at)
        number, end = len(made.calls), thinking.node.length
        later = [turn for turn in self.turns if turn > number]
        beyond = [budget for budget in budgets if budget > end] if asked else []
        parts = []
        if number in self.turns and number:
            parts.append(self._read(ledger, thinking, made, [number], budgets))
        if within := [budget for budget in budgets if budget not in beyond]:
            parts.append(self._read(ledger, thinking, made, later, within))
        if asked and later and beyond:
            parts.append(self._called(ledger, thinking.node, asked, made, beyond))
        return await gathered(*parts)

    async def _read(
        self,
        ledger: Ledger,
        thinking: Thinking,
        made: Made,
        turns: Sequence[int],
        budgets: Sequence[int],
    ) -> list[Attempt]:
        parts = (at_budgets(ledger, thinking, budgets, {"turn": turn}) for turn in turns)
        return [
            replace(attempt, spent=(*attempt.spent, *made.spent))
            for attempt in await gathered(*parts)
        ]

    async def _thought(self, ledger: Ledger, at: Node) -> tuple[Thinking, Asked | None]:
        """Thinking from a place until it calls, ends, or reaches the largest budget."""
        close: tuple[Ids, ...] = (ledger.form.close,) if ledger.form.delimited else ()
        stop = (*close, *ledger.ends(self.dialect.call[1].strip()))
        cap, place = self.budgets[-1], at
        while place.length < cap:
            chain = await ledger.think(place, cap - place.length, stop=stop)
            new = chain.node.context[len(at.root.kept) + at.length :]
            if asked := self.dialect.find(ledger.decode(new), self.tools):
                end = at.length + self._call_end(ledger, new)
                # As one that ended inside its delimiters: forced wherever it is cut.
                return Thinking(chain.node.cut(end), "eos"), asked
            closed = bool(close) and tuple(new[-len(close[0]) :]) == close[0]
            if chain.finish != "stop" or closed:
                return read(chain, ledger.form), None
            place = chain.node  # what closes a call closes none: it goes on
        return Thinking(place.cut(cap), "length"), None

    def _call_end(self, ledger: Ledger, ids: Sequence[int]) -> int:
        """How many tokens the text up to its first whole call has."""

        def holds(count: int) -> bool:
            return self.dialect.find(ledger.decode(ids[:count]), self.tools) is not None

        return bisect_left(range(len(ids)), True, key=holds)

    async def _called(
        self, ledger: Ledger, at: Node, asked: Asked, made: Made, budgets: Sequence[int]
    ) -> list[Attempt]:
        """Runs a call, feeds its result, and thinks on."""
        made = await called(ledger, at, asked, made, self.tools, self.seconds)
        return await self._turn(
            ledger, at.feed(self._fed(ledger, made.calls[-1][1])), made, budgets
        )

    def _fed(self, ledger: Ledger, result: Result) -> Ids:
        """What is fed of a result: its first tokens, and that it is cut."""
        opening, closing = map(ledger.encode, self.dialect.result)
        ids = ledger.quote(result.text)
        if len(ids) > self.result_tokens:
            ids = ids[: self.result_tokens] + ledger.quote(MORE)
        return opening + ids + closing
