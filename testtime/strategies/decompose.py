"""Decomposition: a question is split into parts, another strategy solves each, a last call joins.

Where each part reads all earlier ones it is least-to-most prompting (Zhou et al. 2023); where a
part reads only the answers that it names as #1, #2, ..., the others are solved side by side, as in
plan-then-solve. Depth 0 is the other strategy on the whole question; at depth 2 the parts are split
again. A question that cannot be split is solved whole, and counted. Another model, the planner, may
do the splitting; its calls are paid as its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from testtime.config.schema import Config, ModelRef, named
from testtime.engines.base import EngineError
from testtime.models.delimiters import Format
from testtime.strategies.base import Amounts, Attempt, Ledger, Strategy, gathered
from testtime.strategies.budget import answered, think
from testtime.strategies.nested import Fresh, Nested, Wait
from testtime.strategies.node import Node
from testtime.strategies.revise import Revise
from testtime.strategies.search import together
from testtime.strategies.tools import Tools
from testtime.tasks.template import fill

SPLIT = (
    "Split this problem into two to five smaller questions that lead to its answer, one a line. A "
    "question may use the answer of an earlier one as #1, #2 and so on. Write the questions and "
    "nothing else.\n\n{question}"
)
ASK = "{question}\n\n{earlier}Answer this part of the problem, and nothing else: {part}"
JOIN = "{question}\n\nIts parts have been answered:\n\n{earlier}Give the answer to the problem."
EACH = "{part}\n{answer}\n\n"
MOST = 9  # parts of a question: a reference has one digit
_NUMBERING = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")
_REFERENCE = re.compile(r"#(\d)")


def _template(*names: str) -> AfterValidator:
    """A text with these fields and no others."""

    def check(text: str) -> str:
        try:
            fill(text, dict.fromkeys(names, ""))
        except (KeyError, ValueError) as error:
            known = ", ".join(f"{{{name}}}" for name in names)
            raise ValueError(f"cannot be filled in ({error}); its fields are {known}") from None
        return text

    return AfterValidator(check)


def _check_planner(planner: ModelRef, engine: str) -> None:
    if engine in ("endpoint", "ray"):
        raise ValueError(
            f"thinking.planner: engine {engine} serves one model; write engine: vllm or "
            "transformers, which load both"
        )
    if planner.rates and not planner.rates.prefill:
        raise ValueError("thinking.planner.rates: are not measured; give prefill and decode")
    for key in ("setting", "request", "training_tokens"):
        if getattr(planner, key):
            raise ValueError(f"thinking.planner.{key}: says nothing of a planner; leave it out")


class Decompose(Strategy):
    """depths: how often questions are split, each a setting of its own; part: the strategy that
    solves the parts; budget: thinking tokens of each split and join; planner: the model that
    splits, where it is another one, with its own price and rates. split, ask, join: what asks for
    the parts, for the answer to one, and for the last answer; each: how an earlier part and its
    answer are shown there.
    """

    grows: ClassVar[tuple[str, ...]] = ("depths",)
    strategy: Literal["decompose"] = "decompose"
    depths: Annotated[list[Annotated[int, Field(ge=0, le=3)]], Field(min_length=1)] = Field(
        default=[0, 1]
    )
    part: Annotated[Nested | Fresh | Wait | Revise | Tools, Field(discriminator="strategy")]
    budget: int = Field(512, ge=0)
    planner: Annotated[ModelRef | None, BeforeValidator(named)] = None
    split: Annotated[str, _template("question")] = SPLIT
    ask: Annotated[str, _template("question", "earlier", "part")] = ASK
    join: Annotated[str, _template("question", "earlier")] = JOIN
    each: Annotated[str, _template("part", "answer")] = EACH

    def cells(self, form: Format) -> list[Amounts]:
        return [{**cell, "depth": d} for d in self.depths for cell in self.part.cells(form)]

    def recipe(self) -> tuple[object, ...]:
        """What it costs changes no attempt; a recipe without a planner knows of none."""
        bare = Strategy.recipe(self.model_copy(update={"planner": None}))
        planned = [(self.planner.name, self.planner.template)] if self.planner else []
        return (*(part for part in bare if part != ("planner", None)), *planned)

    def planned_by(self) -> ModelRef | None:
        return self.planner

    def feeds(self) -> tuple[str, ...]:
        return self.part.feeds()

    def separators(self) -> tuple[str, ...]:
        return self.part.separators()

    def ready(self) -> dict[str, str]:
        return self.part.ready()

    def check(self, config: Config[Any]) -> None:
        super().check(config)
        if self.part.family or self.part.delimiters or self.part.ending is not None:
            raise ValueError("thinking.part: family, delimiters and ending stand beside part")
        if self.planner:
            _check_planner(self.planner, config.engine.name)
        self.part.check(config)

    async def attempts(self, prompt: Node, ledger: Ledger) -> list[Attempt]:
        async def at(depth: int) -> list[Attempt]:
            made = await self._solved(ledger, prompt, depth, self.part.cells(ledger.form))
            return [replace(one, amounts={**one.amounts, "depth": depth}) for one in made]

        return await gathered(*map(at, self.depths))

    async def _solved(
        self, ledger: Ledger, prompt: Node, depth: int, cells: Sequence[Amounts]
    ) -> list[Attempt]:
        """The attempts at a question under some of the part's cells."""
        if not depth:
            every = await self.part.attempts(prompt, ledger)
            return [attempt for attempt in every if attempt.amounts in cells]
        question = prompt.turns[-1]["content"]
        plan = await self._plan(ledger.planner(), prompt, fill(self.split, {"question": question}))
        parts = split(plan.answers[0][0].text)
        if parts is None or len(parts) == 1:
            whole = await self._solved(ledger, prompt, 0, cells)
            failed = int(parts is None)
            return [_after(plan, one, one.path, failed + one.fallbacks) for one in whole]

        async def under(cell: Amounts) -> list[Attempt]:
            return [await self._joined(ledger, prompt, plan, parts, depth, cell)]

        return await gathered(*map(under, cells))

    async def _joined(
        self,
        ledger: Ledger,
        prompt: Node,
        plan: Attempt,
        parts: Sequence[str],
        depth: int,
        cell: Amounts,
    ) -> Attempt:
        """The attempt that solves the parts under one cell, as early as what they read allows."""
        question, solved, paths = prompt.turns[-1]["content"], dict[int, Attempt](), list[int]()
        reads = [self._reads(number, part) for number, part in enumerate(parts)]

        def earlier(numbers: Sequence[int]) -> str:
            told = ({"part": parts[i], "answer": _last_line(solved[i])} for i in numbers)
            return "".join(fill(self.each, fields) for fields in told)

        async def solve(number: int) -> tuple[int, Attempt]:
            named = _REFERENCE.sub(lambda m: _last_line(solved[int(m[1]) - 1]), parts[number])
            fields = {"question": question, "earlier": earlier(reads[number]), "part": named}
            at = _prompt(ledger, prompt, fill(self.ask, fields))
            made = await self._solved(ledger, at, depth - 1, [cell])
            if not made:  # the ledger has noted why
                raise EngineError("a part has no answer")
            return number, made[0]

        while len(solved) < len(parts):
            ready = [
                i for i in range(len(parts)) if i not in solved and solved.keys() >= set(reads[i])
            ]
            solved |= dict(await together(*map(solve, ready)))
        for number in range(len(parts)):
            before = max((paths[i] for i in reads[number]), default=0)
            paths.append(before + solved[number].path)
        fields = {"question": question, "earlier": earlier(range(len(parts)))}
        last = await self._asked(ledger, prompt, fill(self.join, fields))
        inner = [solved[number] for number in range(len(parts))]
        spent = tuple(call for one in inner for call in one.spent)
        whole = replace(last, amounts=cell, spent=(*spent, *last.spent))
        return _after(plan, whole, max(paths) + last.path, sum(one.fallbacks for one in inner))

    def _reads(self, number: int, part: str) -> list[int]:
        """Which earlier parts' answers a part is shown."""
        if "{earlier}" in self.ask:
            return list(range(number))
        return sorted({int(name) - 1 for name in _REFERENCE.findall(part)})

    async def _plan(self, planner: Ledger, prompt: Node, text: str) -> Attempt:
        plan = await self._asked(planner, prompt, text)
        return replace(plan, spent=tuple(replace(c, model=planner.role) for c in plan.spent))

    async def _asked(self, ledger: Ledger, prompt: Node, text: str) -> Attempt:
        """The answer to a text in the question's place."""
        thinking = await think(ledger, _prompt(ledger, prompt, text), self.budget)
        return await answered(ledger, thinking, self.budget, {})


def split(text: str) -> list[str] | None:
    """The parts that a plan names, one a line, without their numbers; None where there is none,
    where there are more than MOST, or where one names an answer that is not there yet.
    """
    parts = [_NUMBERING.sub("", line).strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(parts) <= MOST:
        return None
    for number, part in enumerate(parts):
        if any(not 1 <= int(name) <= number for name in _REFERENCE.findall(part)):
            return None
    return parts


def _prompt(ledger: Ledger, prompt: Node, text: str) -> Node:
    """The place after a prompt of this text, behind the question's own system message."""
    system = (turn for turn in prompt.turns if turn["role"] == "system")
    return ledger.prompt((*system, {"role": "user", "content": text}))


def _last_line(attempt: Attempt) -> str:
    """What others read of an attempt's answer: where it ends, the answer is."""
    lines = attempt.answers[0][0].text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _after(plan: Attempt, attempt: Attempt, path: int, fallbacks: int) -> Attempt:
    """An attempt with what its plan cost; path: its own longest one."""
    spent = (*plan.spent, *attempt.spent)
    return replace(attempt, spent=spent, path=plan.path + path, fallbacks=fallbacks)
