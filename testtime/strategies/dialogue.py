"""Tools by the messages of a chat server: it says which it calls, and reads the results as messages
of role `tool`.

Nested in turns, as messages that call are: with at most r of them, the request behind the r-th
lets the model call no more (`tool_choice: none`), which is what whoever deploys r turns sends; the
dialogue up to there never knew r. No server cuts a chain, so there is one budget: with the answer's
tokens it caps all that is drawn, in all requests together. A result counts as thinking as soon as
the server has counted it, which is with the next request; until then LETTERS letters count as a
token, and what the budget has no room for is cut. Where the server says that its context is full,
the attempt has no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from testtime.strategies.base import Answer, Attempt, Call, Ledger, gathered
from testtime.strategies.calling import MORE, Made, called
from testtime.strategies.node import Node
from testtime.tools import chat
from testtime.tools.base import Tool
from testtime.tools.dialects import Asked

LETTERS = 4  # of a token, taken where only the server could count
MOST = 16  # calls of one message that are run


@dataclass(frozen=True)
class _So:
    """A dialogue so far. spent: its requests; held: tokens behind the first prompt, drawn and fed;
    read: all tokens of the last request and its reply; turns: messages that called.
    """

    at: Node
    spent: tuple[Call, ...] = ()
    held: int = 0
    read: int = 0
    turns: int = 0
    made: Made = field(default_factory=Made)

    def after(self, answer: Answer) -> _So:
        """With one more request."""
        total = answer.thinking + answer.tokens
        context = min(self.read, answer.prompt_tokens)
        fed = answer.prompt_tokens - context
        held = self.held + total + (fed if self.spent else 0)
        spent = (*self.spent, Call(context, fed, total))
        return replace(self, spent=spent, held=held, read=answer.prompt_tokens + total)


@dataclass(frozen=True)
class Dialogue:
    """Options as of the strategy `tools`."""

    ledger: Ledger
    tools: Sequence[Tool]
    turns: Sequence[int]
    budget: int
    seconds: float
    result_tokens: int

    async def attempts(self, at: Node) -> list[Attempt]:
        """The attempts of every number of turns from 1 on, from the first prompt."""
        return await self._onward(_So(at), [turn for turn in self.turns if turn])

    async def _onward(self, so: _So, turns: Sequence[int]) -> list[Attempt]:
        over = so.turns > 0 and so.held >= self.budget
        last = [turn for turn in turns if over or turn == so.turns]
        later = [turn for turn in turns if turn not in last]
        return await gathered(self._last(so, last), self._asked(so, later))

    async def _last(self, so: _So, turns: Sequence[int]) -> list[Attempt]:
        """The attempts that may call no more."""
        if not turns:
            return []
        offered = chat.offered(self.tools)
        answer = await self.ledger.told(so.at, self.budget - so.held, offered, may_call=False)
        return _attempts(so.after(answer), answer, turns, forced=True)

    async def _asked(self, so: _So, turns: Sequence[int]) -> list[Attempt]:
        """The attempts that may still call."""
        if not turns:
            return []
        answer = await self.ledger.told(so.at, self.budget - so.held, chat.offered(self.tools))
        so = so.after(answer)
        if answer.message is None:
            return _attempts(so, answer, turns, forced=False)
        place, message = so.at.behind(answer.key), chat.sent_again(answer.message)
        if so.held >= self.budget + self.ledger.answer_tokens:  # nothing is left to answer with
            said = await self.ledger.own(place, message.get("content") or "")
            return _attempts(so, said, turns, forced=True)
        heard, made, left = list[chat.Message](), so.made, self.budget - so.held
        for number, call in enumerate(answer.message["tool_calls"]):
            asked = _within(chat.asked(call, self.tools), number)
            made = await called(self.ledger, place, asked, made, self.tools, self.seconds, number)
            text = self._fed(made.calls[-1][1].text, left)
            left -= -(-len(text) // LETTERS)
            heard.append(chat.heard(call, text))
        onward = replace(
            so, at=so.at.behind(answer.key, message, *heard), turns=so.turns + 1, made=made
        )
        return await self._onward(onward, turns)

    def _fed(self, text: str, left: int) -> str:
        most = LETTERS * max(0, min(self.result_tokens, left))
        return text if len(text) <= most else text[:most] + MORE


def _attempts(so: _So, answer: Answer, turns: Sequence[int], forced: bool) -> list[Attempt]:
    drawn, spent = sum(call.drawn for call in so.spent), (*so.spent, *so.made.spent)
    return [Attempt({"turn": turn}, ((answer, 1.0),), spent, drawn, forced) for turn in turns]


def _within(asked: Asked, number: int) -> Asked:
    if number < MOST:
        return asked
    return replace(asked, wrong=f"error: too many calls at once; at most {MOST} are run")
