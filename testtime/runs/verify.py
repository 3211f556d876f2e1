"""Generative verification: a model is asked, several times, whether each stored answer is right.

It thinks under a budget of its own, and P(right) is read from the probabilities of two labels
behind its thinking (Zhang et al. 2024, "Generative verifiers"). A pass of its own over the stored
answers, so it can be added to any run later, and resumed. It is shown an attempt as its chat
template shows an earlier turn: with the thinking, unless the template leaves that out.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from testtime import engines
from testtime.compute.flops import Flops
from testtime.config.schema import ModelRef
from testtime.engines.base import EngineError, Request
from testtime.errors import UserError
from testtime.models import delimiters
from testtime.models.resolve import Model, decoder, resolve
from testtime.runs.draw import drawing_of
from testtime.runs.loop import run_async
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.runs.recipe import form_of
from testtime.runs.rewards import BLOCK, check_name
from testtime.runs.verdicts import ANSWERS
from testtime.runs.verifications import column, counts
from testtime.storage.calls import read_calls, thinking_ids
from testtime.storage.store import Store
from testtime.storage.tables import CallRow, ProblemRow, VerificationRow
from testtime.storage.writer import Writer
from testtime.strategies.budget import cut, paid, think
from testtime.strategies.drawing import Drawing
from testtime.strategies.ledger import SampleLedger, key_of, seed
from testtime.strategies.node import Ids, Node
from testtime.strategies.registry import parse


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
    check_name(name, "verify")
    if times > 1 and not asked.budget:
        raise UserError(
            "--times: without thinking it says the same each time; write --budget too, or --times 1"
        )
    manifest = store.manifest()
    if manifest.imported:
        raise UserError(f"{store.root}: an imported run keeps no attempts that could be shown")
    config = parse(manifest.config, str(store.root / "run.json"))
    if config.engine.chat:
        raise UserError(f"{store.root}: a chat server takes no token ids, so none can be verified")
    own = resolve(config.model[0].name, config.model[0].revision)
    opening = form_of(manifest).open
    ref = ModelRef(name=asked.model) if asked.model else config.model[0]
    model = resolve(asked.model) if asked.model else own
    form = delimiters.resolve(model.tokenizer) if asked.model else form_of(manifest)
    labels = tuple(delimiters.encode(model.tokenizer, label)[0] for label in asked.labels)
    if labels[0] == labels[1]:
        raise UserError(f"--labels: {' and '.join(asked.labels)} begin with the same token")
    recipe = key_of(model.fingerprint, sorted(asdict(asked).items()))
    held = store.read("verifications", ["recipe"], pc.field("name") == name).to_pylist()
    if any(row["recipe"] != recipe for row in held):
        raise UserError(f"--name {name}: was verified otherwise there; give this one another name")
    done = {(row["key"], row["number"]) for row in held}
    problems = [ProblemRow(**row) for row in store.read("problems").to_pylist()]
    engine, note = engines.make(config.engine, model.source, model.revision)
    progress.say(f"engine: {note}")
    job = Job(config, ref, model, form, problems, store, manifest.left_out)
    verifier = _Verifier(drawing_of(job, engine, None, lambda call: None), asked, labels, model)
    writer, failed = Writer(store), list[str]()

    async def work() -> None:
        queue = _questions(store, problems, own, opening, times, done)

        async def worker() -> None:
            for question in queue:  # shared: each worker takes the next
                try:
                    said = await verifier.said(question)
                except EngineError as error:
                    failed.append(f"{question.problem.problem_id}: {error}")
                    continue
                row = question.answer.key, name, question.number, recipe, *said
                writer.add("verifications", VerificationRow(*row))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2 * engine.max_num_seqs):
                    group.create_task(worker())
        finally:
            writer.flush()
            await engine.close()

    run_async(work())
    store.compact("verifications")
    columns = [column(name, count) for count in counts(times)]
    added = [f"{kind}:{one}" for one in columns for kind in ("weighted", "best")]
    selectors = list(dict.fromkeys([*config.selectors, *added]))
    store.write_manifest(manifest.changed(config={**manifest.config, "selectors": selectors}))
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
