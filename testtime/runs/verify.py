"""Generative verification: a model is asked, several times, whether each stored answer is right.

It thinks under a budget of its own, and P(right) is read from the probabilities of two labels
behind its thinking (Zhang et al. 2024, "Generative verifiers"). A pass of its own over the stored
answers, so it can be added to any run later, and resumed. It is shown an attempt as its chat
template shows an earlier turn: with the thinking, unless the template leaves that out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from testtime.compute.flops import Flops
from testtime.engines.base import Request
from testtime.errors import UserError
from testtime.models import delimiters
from testtime.models.resolve import Model, decoder
from testtime.runs.passes import made, opened, select_by
from testtime.runs.progress import Progress
from testtime.runs.rewards import BLOCK
from testtime.runs.verdicts import ANSWERS
from testtime.runs.verifications import column, counts
from testtime.storage.calls import read_calls, thinking_ids
from testtime.storage.store import Store
from testtime.storage.tables import CallRow, ProblemRow, VerificationRow
from testtime.strategies.budget import cut, paid, think
from testtime.strategies.drawing import Drawing
from testtime.strategies.ledger import SampleLedger, seed
from testtime.strategies.node import Ids, Node, key_of


@dataclass(frozen=True)
class Asked:
    """How a model is asked. model: None for the run's own; ask: the user's turn behind the attempt;
    budget: its thinking tokens; lead: what is fed behind the thinking; labels: what says right and
    wrong then, each by its first token.
    """

    model: str | None = None
    ask: str = "Is this answer right? Reply with yes or no."
    budget: int = 0
    lead: str = ""
    labels: tuple[str, str] = ("yes", "no")


@dataclass(frozen=True)
class _Question:
    """One verification to make: of a stored answer, as it is shown; number: how often it was asked
    before; order: of all.
    """

    problem: ProblemRow
    answer: CallRow
    shown: str
    number: int
    order: int


def verify(store: Store, name: str, times: int, asked: Asked, progress: Progress) -> list[str]:
    """Have every stored answer verified `times` times, and put best:NAME_v and weighted:NAME_v
    among the selectors of the run's manifest; returns a line for each verification that failed.
    Raises UserError as `pipeline.verify` says.
    """
    if times > 1 and not asked.budget:
        raise UserError(
            "--times: without thinking it says the same each time; write --budget too, or --times 1"
        )
    given = opened(store, "verifications", name, "verify", asked, ids=True)
    model = given.job.model
    labels = tuple(delimiters.encode(model.tokenizer, label)[0] for label in asked.labels)
    if labels[0] == labels[1]:
        raise UserError(f"--labels: {' and '.join(asked.labels)} begin with the same token")
    done = {(row["key"], row["number"]) for row in given.held}

    def asking(drawing: Drawing) -> Callable[[_Question], Awaitable[VerificationRow]]:
        verifier = _Verifier(drawing, asked, labels, model)

        async def one(question: _Question) -> VerificationRow:
            said = await verifier.said(question)
            return VerificationRow(question.answer.key, name, question.number, given.recipe, *said)

        return one

    queue = _questions(store, given.job.problems, given.own, given.form.open, times, done)
    failed = made(given, "verifications", queue, asking, progress)
    columns = [column(name, count) for count in counts(times)]
    select_by(store, [f"{kind}:{one}" for one in columns for kind in ("weighted", "best")])
    return failed


class _Verifier:
    def __init__(self, drawing: Drawing, asked: Asked, labels: Ids, model: Model) -> None:
        self._drawing, self._asked, self._labels = drawing, asked, labels
        self._flops = Flops.from_config(model.config)
        self._lead = delimiters.encode(model.tokenizer, asked.lead) if asked.lead else ()
        self._closing = drawing.form.closing

    async def said(self, question: _Question) -> tuple[float, int, float]:
        """P(right), tokens sampled, and FLOPs; the prompt is read the first time only."""
        row, number = question.problem, question.number
        own = row.problem_id, question.answer.sample
        ledger = SampleLedger(self._drawing, *own, {}, question.order)
        turns = [
            *json.loads(row.turns),
            {"role": "assistant", "content": question.shown},
            {"role": "user", "content": self._asked.ask},
        ]
        prompt, budget = ledger.prompt(tuple(turns)), self._asked.budget
        thinking = await think(ledger, prompt, budget, branch=f"verification {number}")
        at = cut(thinking.node.length, thinking.finish, budget)
        assert at is not None
        place = thinking.node.cut(at.tokens)
        if self._closing and at.forced:
            place = place.feed(self._closing)
        elif not self._closing and not at.forced:
            place = place.cut(place.length - 1)  # the end of sequence
        place = place.feed(self._lead)
        right = await self._labelled(place, number)
        calls = paid(place, 1, len(prompt.kept) if number else 0)
        flops = sum(float(self._flops.call(c.context, c.fed, c.drawn)) for c in calls)
        return right, sum(call.drawn for call in calls), flops

    async def _labelled(self, place: Node, number: int) -> float:
        """P(right) against P(wrong) of the next token; where an engine gives no probabilities of
        labels, whether it drew one (neither: one half).
        """
        own = seed(key_of(place.key, place.length, place.fed, "label", number), 0)
        sampling, affinity = self._drawing.answer, place.first("")
        done = await self._drawing.engine.complete(
            Request(tuple(place.context), 1, own, sampling, affinity=affinity, labels=self._labels)
        )
        if done.labels:
            yes, no = done.labels
            return 1 / (1 + math.exp(min(no - yes, 700.0)))
        drawn = done.token_ids[:1]
        return {self._labels[:1]: 1.0, self._labels[1:]: 0.0}.get(tuple(drawn), 0.5)


def _questions(
    store: Store,
    problems: Sequence[ProblemRow],
    own: Model,
    opening: Ids,
    times: int,
    done: set[tuple[str, int]],
) -> Iterator[_Question]:
    """What is still to be asked, problem by problem. own: the model that made the attempts;
    opening: of its thinking.
    """
    order = 0
    for start in range(0, len(problems), BLOCK):
        block = {row.problem_id: row for row in problems[start : start + BLOCK]}
        chosen = pc.field("problem_id").isin(list(block)) & ANSWERS
        keys = sorted(store.read("calls", [], chosen)["key"].to_pylist())
        open_ = {key: [v for v in range(times) if (key, v) not in done] for key in keys}
        if not any(open_.values()):
            continue
        calls = read_calls(store, list(block))
        for key in keys:
            for number in open_[key] if key in calls else ():
                text = _shown(calls, calls[key], own.tokenizer, opening)
                yield _Question(block[calls[key].problem_id], calls[key], text, number, order)
                order += 1


def _shown(calls: Mapping[str, CallRow], answer: CallRow, tokenizer: Any, opening: Ids) -> str:
    """An attempt whole, as its model wrote it: what opened its thinking, thinking, what closed it,
    answer.
    """
    before = [] if answer.kind == "told" else [*thinking_ids(calls, answer), *answer.fed]
    ids = [*opening, *before, *answer.token_ids]
    while ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return decoder(tokenizer, special=True)(ids)
