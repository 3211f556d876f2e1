"""What the searches share: paths that grow step by step, what a verifier says of them, the bill.

A step ends on a token whose text holds the separator, or at its cap. Every candidate, every token
rolled out to look ahead and every token the verifier reads is on the bill, whether it is kept or
not; what a cache holds of a path is not read again, by the policy or by the verifier.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field

from testtime.config.schema import Sampling, named
from testtime.strategies.base import Amounts, Answer, Attempt, Call, Ledger, Strategy, Verifier
from testtime.strategies.budget import Finish, closed, read
from testtime.strategies.node import Node

GREEDY = Sampling(temperature=0)
Sizes = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
T = TypeVar("T")


@dataclass(frozen=True)
class Path:
    """Steps up to a place. ends: where each ends, in tokens behind the prompt, steps without text
    left out; known: how many of them the verifier has read; scores: what it said; finish: "length"
    may go on.
    """

    node: Node
    ends: tuple[int, ...] = ()
    known: int = 0
    scores: tuple[float, ...] = ()
    finish: Finish = "length"


@dataclass
class Bill:
    """What one search has paid for. path: tokens drawn one after the other, of what is drawn side
    by side the longest.
    """

    calls: list[Call] = field(default_factory=list)
    path: int = 0
    asked: bool = False

    def drew(self, at: Sequence[Node], drawn: Sequence[int]) -> None:
        """Tokens drawn side by side, each behind a place; the prompt is read once."""
        for node, tokens in zip(at, drawn, strict=True):
            prompt = len(node.root.kept)
            paid = Call(prompt + node.length, 0, tokens) if self.calls else Call(0, prompt, tokens)
            self.calls.append(paid)
        self.path += max(drawn, default=0)

    def judged(self, call: Call, known: int) -> None:
        """What the verifier read; the question once, before the first step."""
        if not known and not self.asked:
            self.calls.append(Call(0, call.context, 0, call.model))
            self.asked = True
        self.calls.append(call)


class Steered(Strategy):
    """prm: the process reward model that steers, by name or with how it is read; separator: what a
    step ends on; join: the score of a text from those of its steps.
    """

    grows: ClassVar[tuple[str, ...]] = ()
    prm: Annotated[Verifier, BeforeValidator(named)]
    separator: str = Field("\n\n", min_length=1)
    join: Literal["last", "min", "product", "mean"] = "last"

    def telling(self) -> dict[str, Any]:
        who = {"engine", "args"}  # it reads the same, whoever runs it
        return {**super().telling(), "prm": self.prm.model_dump(exclude=who)}

    def verifier(self) -> Verifier:
        return self.prm

    def separators(self) -> tuple[str, ...]:
        return (self.separator,)

    def joined(self, scores: Sequence[float]) -> float:
        """The score of a text; 0 where no step of it has text."""
        scores = scores or (0.0,)
        joined = {"min": min(scores), "product": math.prod(scores), "last": scores[-1]}
        return joined.get(self.join, sum(scores) / len(scores))

    def steps(self, ledger: Ledger, node: Node, since: int, until: int) -> list[int]:
        """Where the steps with text between two places end, in tokens behind the prompt."""
        ids = node.context[len(node.root.kept) :]
        ends = ledger.ends(self.separator)
        single = {part[0] for part in ends if len(part) == 1}
        longer = [part for part in ends if len(part) > 1]
        places, start = [], since
        for at in range(since + 1, until + 1):
            over = ids[at - 1] in single or any(tuple(ids[at - len(p) : at]) == p for p in longer)
            if (at == until or over) and ledger.decode(ids[start:at]).strip():
                places.append(at)
                start = at
        return places


class Search(Steered):
    """max_steps of at most step_tokens tokens; lookahead: tokens rolled out greedily behind each
    candidate and scored with it.
    """

    max_steps: int = Field(40, ge=1)
    step_tokens: int = Field(512, ge=1)
    lookahead: int = Field(0, ge=0)

    def score(self, path: Path) -> float:
        return self.joined(path.scores)

    async def grown(
        self, ledger: Ledger, paths: Sequence[Path], width: int, branch: str, bill: Bill
    ) -> list[Path]:
        """`width` candidates for the next step of each path, doubles dropped, not judged yet."""
        places = [(path, number) for path in paths for number in range(width)]
        return list(distinct(await self.drawn(ledger, places, branch, bill)).values())

    async def drawn(
        self, ledger: Ledger, places: Sequence[tuple[Path, int]], branch: str, bill: Bill
    ) -> list[Path]:
        """Each of some paths one step on, drawn side by side; the numbers tell draws at one path
        apart.
        """
        close = (ledger.form.close,) if ledger.form.delimited else ()
        stop = (*close, *ledger.ends(self.separator))

        async def one(path: Path, number: int) -> tuple[Path, int]:
            own = f"{branch},{number}"
            chain = await ledger.think(path.node, self.step_tokens, stop=stop, branch=own)
            drawn = len(chain.node.kept)
            tail = tuple(chain.node.context[-len(ledger.form.close) :])
            if chain.finish == "stop" and tail != ledger.form.close:
                new = replace(path, node=chain.node)  # a separator: it goes on
            else:
                thinking = read(chain, ledger.form)
                new = replace(path, node=thinking.node, finish=thinking.finish)
            since = (path.ends or (0,))[-1]
            ends = self.steps(ledger, new.node, since, _text_end(ledger, new))
            return replace(new, ends=(*path.ends, *ends)), drawn

        made = await together(*(one(path, number) for path, number in places))
        bill.drew([path.node for path, _ in places], [tokens for _, tokens in made])
        return [path for path, _ in made]

    async def judged(
        self, ledger: Ledger, paths: Sequence[Path], bill: Bill, *, ahead: bool = True
    ) -> list[Path]:
        """The paths with what the verifier says of their new steps, or of what lies `ahead`."""
        seen = await self._ahead(ledger, paths, bill) if ahead and self.lookahead else paths

        async def one(path: Path, further: Path) -> tuple[Path, Call | None]:
            since, until = _text_end(ledger, path), _text_end(ledger, further)
            rolled = self.steps(ledger, further.node, since, until)
            if path.known == len(path.ends) and not rolled:
                return path, None
            steps = (*path.ends, *rolled)
            said = await ledger.score(further.node, steps, known=path.known)
            new = said.scores[-1:] if rolled else said.scores[path.known :]
            scores = (*path.scores, *new)
            return replace(path, known=len(path.ends), scores=scores), said.call

        made = await together(*map(one, paths, seen))
        for before, (_, call) in zip(paths, made, strict=True):
            if call is not None:
                bill.judged(call, before.known)
        return [path for path, _ in made]

    async def _ahead(self, ledger: Ledger, paths: Sequence[Path], bill: Bill) -> list[Path]:
        """Where each path would be a few greedy tokens further."""
        close = (ledger.form.close,) if ledger.form.delimited else ()

        async def one(path: Path) -> tuple[Path, int]:
            if path.finish != "length":
                return path, 0
            options: dict[str, Any] = {"stop": close, "sampling": GREEDY, "branch": "ahead"}
            chain = await ledger.think(path.node, self.lookahead, **options)
            thinking = read(chain, ledger.form)
            return Path(thinking.node, finish=thinking.finish), len(chain.node.kept)

        made = await together(*map(one, paths))
        rolled = [(path.node, n) for path, (_, n) in zip(paths, made, strict=True) if n]
        bill.drew([node for node, _ in rolled], [n for _, n in rolled])
        return [path for path, _ in made]

    async def answers(self, ledger: Ledger, paths: Sequence[Path], bill: Bill) -> list[Answer]:
        """The answers to paths that are at their end, drawn side by side."""

        async def one(path: Path) -> tuple[Node, Answer]:
            return await closed(ledger, path.node, path.finish != "natural")

        made = await together(*map(one, paths))
        for path, (place, answer) in zip(paths, made, strict=True):
            if answer.tokens:
                context = len(place.root.kept) + path.node.length
                bill.calls.append(Call(context, len(place.fed), answer.tokens))
        bill.path += max(answer.tokens for _, answer in made)
        return [answer for _, answer in made]

    async def attempt(
        self,
        ledger: Ledger,
        amounts: Amounts,
        paths: Sequence[Path],
        weights: Sequence[float],
        bill: Bill,
    ) -> Attempt:
        """The attempt of a search: paths at their end, the best first, whose answers vote."""
        answers = await self.answers(ledger, paths, bill)
        pairs = tuple(zip(answers, weights, strict=True))
        forced, score = paths[0].finish != "natural", self.score(paths[0])
        return Attempt(amounts, pairs, tuple(bill.calls), bill.path, forced, score)


def written(path: Path) -> tuple[object, ...]:
    """What a path has written, and whether it may go on: paths alike in both are doubles."""
    return *path.node.context, path.finish


def distinct(paths: Sequence[Path]) -> dict[tuple[object, ...], Path]:
    """The paths by what they have written, of doubles the first."""
    first = dict[tuple[object, ...], Path]()
    for path in paths:
        first.setdefault(written(path), path)
    return first


def _text_end(ledger: Ledger, path: Path) -> int:
    """Where a path's thinking ends, in tokens behind the prompt, what closes it left out."""
    closing = len(ledger.form.close) if path.finish == "natural" else 0
    return path.node.length - closing


async def together(*parts: Coroutine[Any, Any, T]) -> list[T]:
    """The results in order; where some failed, the first failure once all have ended."""
    outcomes = await asyncio.gather(*parts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes  # type: ignore[return-value]
