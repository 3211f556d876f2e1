"""What a thinking budget means. Everything statistical stands on this page.

A budget b counts generated thinking tokens including the closing delimiter. A chain is natural at b
when its closing token is among its first b, otherwise forced: its first b tokens, then the ending.
Cutting a chain at b gives exactly what a fresh run capped at b would have drawn, because the
sampler never knew b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Answer, Attempt, Call, Chain, Ledger, gathered
from testtime.strategies.node import Node

Finish = Literal["natural", "eos", "length"]
Show = Literal["answer", "attempt"]  # what a model that revises is shown of an attempt


def _ascending(budgets: list[int]) -> list[int]:
    if len(set(budgets)) < len(budgets):
        raise ValueError("names a number twice; write each once")
    return sorted(budgets)


Budgets = Annotated[
    list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_ascending)
]


@dataclass(frozen=True)
class Thinking:
    """The thinking of one sample, closing token included, as the place at its end.

    finish: "natural" (closed by itself; without delimiters, ended), "eos" (ended inside its
    delimiters: the end token is dropped and the chain is forced wherever it is cut) or "length"
    (the cap stopped it: it could go on).
    """

    node: Node
    finish: Finish


@dataclass(frozen=True)
class Cut:
    """Where one budget cuts a chain: the tokens kept, and whether the ending is forced."""

    tokens: int
    forced: bool


def cut(length: int, finish: Finish, budget: int) -> Cut | None:
    """Where `budget` cuts a chain of `length` tokens; None when it was capped too early to know."""
    if finish == "natural" and length <= budget:
        return Cut(length, forced=False)
    if finish == "length" and length < budget:
        return None
    return Cut(min(length, budget), forced=True)


def read(chain: Chain, form: Format) -> Thinking:
    """What a chain drawn up to its closing delimiter is as thinking."""
    if chain.finish == "eos" and form.delimited:
        return Thinking(chain.node.cut(chain.node.length - 1), "eos")
    return Thinking(chain.node, "length" if chain.finish == "length" else "natural")


async def think(ledger: Ledger, at: Node, cap: int, branch: str = "") -> Thinking:
    """Draw thinking at a place until it has `cap` tokens behind the prompt or closes."""
    left = cap - at.length
    if left <= 0:
        return Thinking(at.cut(cap), "length")  # a budget of 0 makes no request
    stop = (ledger.form.close,) if ledger.form.delimited else ()
    return read(await ledger.think(at, left, stop=stop, branch=branch), ledger.form)


async def answered(
    ledger: Ledger,
    thinking: Thinking,
    budget: int,
    amounts: Amounts,
    *,
    before: tuple[Call, ...] = (),
    cached: int = 0,
    branch: str = "",
) -> Attempt:
    """The attempt at one budget. before: calls that were paid to get to this prompt; cached: how
    many tokens of it a cache holds from them.
    """
    at = cut(thinking.node.length, thinking.finish, budget)
    if at is None:
        raise ValueError(f"a chain of {thinking.node.length} tokens says nothing about {budget}")
    place, answer = await closed(ledger, thinking.node.cut(at.tokens), at.forced, branch)
    spent = (*before, *paid(place, answer.tokens, cached))
    return Attempt(amounts, ((answer, 1.0),), spent, sum(c.drawn for c in spent), at.forced)


async def closed(
    ledger: Ledger, place: Node, forced: bool, branch: str = ""
) -> tuple[Node, Answer]:
    """The answer to thinking that ends at a place, by force or by itself, and where it stands."""
    form = ledger.form
    if forced:
        place = place.feed(form.ending)
        return place, await ledger.answer(place, lead=form.lead, branch=branch)
    if form.delimited:
        return place, await ledger.answer(place, branch=branch)
    return place, await ledger.own(place)


def shown(ledger: Ledger, thinking: Thinking, attempt: Attempt, show: Show) -> str:
    """What a reader of an attempt sees: its answer, behind the working where the model has no
    delimiters to hide that; or all of it, delimiters included.
    """
    ((answer, _),) = attempt.answers
    form = ledger.form
    if form.delimited and show == "answer":
        return answer.text
    if not form.delimited and not attempt.forced:
        return answer.text
    place = thinking.node.cut(attempt.amounts["budget"])
    working = place.context[len(place.root.kept) :]
    if not form.delimited:
        return ledger.decode(working) + answer.text
    closed = [*form.open, *working, *(form.closing if attempt.forced else ())]
    return ledger.decode(closed, special=True) + answer.text


async def at_budgets(
    ledger: Ledger, thinking: Thinking, budgets: Sequence[int], more: Amounts | None = None
) -> list[Attempt]:
    """The attempts of one chain at several budgets, which share what cuts alike."""

    async def one(budget: int) -> list[Attempt]:
        return [await answered(ledger, thinking, budget, {"budget": budget, **(more or {})})]

    return await gathered(*map(one, budgets))


def paid(place: Node, drawn: int, cached: int = 0) -> tuple[Call, ...]:
    """The calls that lead to a place and draw `drawn` tokens there.

    What is drawn right behind drawn tokens is one call with them: whoever deploys it lets it go on.
    cached: tokens of the prompt that a cache holds already.
    """
    if place.base is None:
        return (Call(cached, len(place.kept) - cached + len(place.fed), drawn),)
    if place.fed:
        context = len(place.root.kept) + place.length - len(place.fed)
        return (*paid(place.base, len(place.kept), cached), Call(context, len(place.fed), drawn))
    return paid(place.base, len(place.kept) + drawn, cached)
